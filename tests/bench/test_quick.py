# SPDX-License-Identifier: BSD-3-Clause
"""The benchmarks still run: one round each of those that are quick; the others are collected at least."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LATEST = ROOT / "bench" / "latest.json"
WORDS = "test_apps or test_model.py or test_nic or test_pktgen or test_ports"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_round_of_each():
    before = LATEST.read_bytes() if LATEST.exists() else None
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "-p", "no:cacheprovider", "--quick"),
            *("-k", f"({WORDS}) and not native and not command"),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 25 and "error" not in done.stdout.lower()
    for name in ("macswap in NumPy", "model Tx + Rx, 64-byte", "pktgen -> null", "82599 rx + tx, solo"):
        assert name in done.stdout
    assert (LATEST.read_bytes() if LATEST.exists() else None) == before  # it is for those who measure
