# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane nic run`: a program that finds the card where DPDK looks for one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dataplane.apps.command.cli import main

ROOT = Path(__file__).resolve().parents[3]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dataplane", "nic", "run", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_a_program_finds_and_its_exit_status() -> None:
    look = 'cd "$SYSFS_PCI_DEVICES" && cat */vendor */device */sriov_numvfs && readlink */driver && exit 3'
    done = run("--vfs", "2", "--", "sh", "-c", look)
    assert done.returncode == 3, done.stderr
    assert done.stdout.split()[:6] == ["0x8086"] * 2 + ["0x10fb"] * 2 + ["2"] * 2
    assert all(line.endswith("/igb_uio") for line in done.stdout.splitlines()[6:])
    assert "0000:01:00.0: pf0" in done.stderr and "0000:01:00.1: pf1" in done.stderr


def test_findings_of_a_program_that_touches_nothing() -> None:
    done = run("--ports", "1", "--manner", "strict", "--", "true")
    assert done.returncode == 0 and "nothing that the datasheet forbids" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no program given"),
        (["--", "no-such-program"], "program 'no-such-program' not found"),
        (["--findings", "f.txt", "--", "true"], "--manner strict"),
        (["--wire", "pf7=loop", "--", "true"], "write pf0-pf1"),
    ],
)
def test_what_it_refuses(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nic", "run", *words]) == 1
    assert said in capsys.readouterr().err
