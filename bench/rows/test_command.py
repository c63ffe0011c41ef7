# SPDX-License-Identifier: BSD-3-Clause
"""The command as its users run it: the demo's rate, and the memory of a forwarder between two ports of the model.

Figures of several threads on two CPUs move with where the host puts them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 60  # seconds for a command


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "dataplane", *words]


def test_demo(measure, tmp_path):
    def rate() -> float:
        report = tmp_path / "demo.json"
        words = ("demo", "--file", str(tmp_path / "demo.pcap"), "--json", str(report))
        subprocess.run(command(*words), cwd=ROOT, check=True, timeout=LIMIT, stdout=subprocess.DEVNULL)
        found = json.loads(report.read_text())
        assert found["ok"] and found["lost"] == 0
        return float(found["mpps"])

    measure("demo: PktGen, two cards, L2Fwd, Latency, PcapDump", "Mpps", rate, more=True, rounds=3)


def resident_mib(process: int) -> float:
    """Most memory that a process has had: pages of 4 KiB, and hugepages, which do not count among them."""
    status = Path(f"/proc/{process}/status").read_text()
    return sum(int(kib) for kib in re.findall(r"^(?:VmHWM|HugetlbPages):\s+(\d+) kB", status, re.M)) / 1024


def most_mib(*words: str) -> float:
    """The most memory that a program has while it runs, of many looks: hugepages count only while it has them."""
    found = 0.0
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + LIMIT
        while process.poll() is None and time.monotonic() < deadline:
            found = max(found, resident_mib(process.pid))
            time.sleep(0.05)
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0
    return found


def test_memory_of_a_forwarder(compare):
    """Compared with Python itself, with NumPy and the modules that typical programs import."""
    compare(
        "l2fwd between two ports of the model, memory",
        "MiB",
        lambda: most_mib(*command("l2fwd", "model0,wire=loop", "model1,wire=loop", "--seconds", "1")),
        lambda: most_mib(sys.executable, "-c", "import numpy, socket, json, time; time.sleep(0.5)"),
        "Python with NumPy",
        slices=1,
        rounds=3,
    )
