# SPDX-License-Identifier: BSD-3-Clause
"""Our PF driver on the host, in a process of its own: what a hypervisor does for the VFs that its guests have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hypervisor.guest import ROOT

PROGRAM = ROOT / "tests/vm/ruler.py"


class Ruler:
    """PFs that run until `close`; each is given by its port string, with vfs=."""

    def __init__(self, *ports: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *ports],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        assert self._said() == "ruling"

    def _said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def restart(self, mtu: int | None = None) -> None:
        """All of them stop, and start again."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"restart {mtu or ''}\n")
        self.process.stdin.flush()
        assert self._said() == "restarted"

    def close(self) -> None:
        """AssertionError unless they end well."""
        try:
            if self.process.poll() is None:
                self.process.communicate("quit\n", timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        assert self.process.wait(10) == 0, f"the PF driver ended with {self.process.returncode}"


def vf_set(port: str, number: int, *words: str) -> None:
    """`dataplane vf set`."""
    command = [sys.executable, "-m", "dataplane", "vf", "set", port, str(number), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def vf_show(port: str, number: int, folder: Path) -> dict[str, Any]:
    """`dataplane vf show`, by way of a file in `folder`."""
    file = folder / "shown.json"
    command = [sys.executable, "-m", "dataplane", "vf", "show", port, "--json", str(file)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(file.read_text())[number]
    return found
