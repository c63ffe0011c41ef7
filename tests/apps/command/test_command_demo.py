# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane demo`: nothing is lost, counts agree, the capture is one, on one CPU too; and it fails when it should."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataplane.apps.command import demo_vfs
from dataplane.apps.command.cli import main

ROOT = Path(__file__).resolve().parents[3]
COUNT = 20_000


def demo(
    folder: Path, *words: str, status: int = 0, cpus: set[int] | None = None
) -> tuple[dict[str, Any], str]:
    """The demo's report, and what it printed."""
    before = os.sched_getaffinity(0)
    command = [sys.executable, "-m", "dataplane", "demo", "--json", "report.json", *words]
    try:
        if cpus:
            os.sched_setaffinity(0, cpus)
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.sched_setaffinity(0, before)
    assert done.returncode == status, done.stdout + done.stderr
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    assert report["ok"] is (status == 0)
    return report, done.stdout


@pytest.mark.parametrize("words", [[], ["--lcores", "0"], ["--lcores", "0,1"]], ids=" ".join)
def test_nothing_is_lost_and_the_counts_agree(tmp_path: Path, words: list[str]) -> None:
    if "0,1" in words and not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs CPUs 0 and 1")
    report, shown = demo(tmp_path, "--count", str(COUNT), *words)
    assert [report[key] for key in ("sent", "forwarded", "captured", "lost")] == [COUNT, COUNT, COUNT, 0]
    assert report["drops"] == {}
    assert report["mpps"] > 0
    assert 0 < report["latency"]["median_ns"] <= report["latency"]["p99_ns"]
    closing, vfs = shown.splitlines()[-2:]
    assert re.fullmatch(
        r"demo: sent 20,000, forwarded 20,000, captured 20,000, lost 0 packets; [\d.]+ [Mk]pps; "
        r"latency [\d.]+ us median, [\d.]+ us 99th percentile; demo.pcap",
        closing,
    ), closing
    assert re.fullmatch(
        r"demo: vf 0 and vf 1 of model4: 4,000 packets sent, 4,000 returned, latency [\d.]+ us median; then vf 0 forged "
        r"its source address; vf explain: the source address or VLAN is not its own: dropped by the spoof check, \d+ "
        r"frames in 0.25 s",
        vfs,
    ), vfs
    sriov = report["sriov"]
    assert (sriov["sent"], sriov["back"], sriov["wrong"], sriov["slipped_through"]) == (4000, 4000, 0, 0)
    assert sriov["spoofed"] > 0


def test_one_cpu_is_enough(tmp_path: Path) -> None:
    report, _ = demo(tmp_path, "--count", str(COUNT), cpus={min(os.sched_getaffinity(0))})
    assert report["captured"] == COUNT


def test_the_capture_holds_what_was_sent(tmp_path: Path) -> None:
    """256 flows, in turn, addressed to the forwarder and readdressed by it; checksums as scapy computes them."""
    from scapy.layers.inet import IP, UDP
    from scapy.utils import RawPcapReader

    report, _ = demo(tmp_path, "--count", "2560", "--size", "128", "--file", "x.pcap")
    assert report["file"] == "x.pcap"
    with RawPcapReader(str(tmp_path / "x.pcap")) as reader:
        frames = [data for data, _ in reader]
    assert {len(frame) for frame in frames} == {124}
    assert len({frame[:12] for frame in frames}) == 1
    packets = [IP(frame[14:]) for frame in frames]
    flows = Counter((packet.dst, packet[UDP].sport) for packet in packets)
    assert set(flows) == {(f"10.0.1.{host}", port) for host in range(16) for port in range(1024, 1040)}
    assert set(flows.values()) == {10}
    for packet in packets[:32]:
        sums = packet.chksum, packet[UDP].chksum
        del packet.chksum, packet[UDP].chksum
        again = IP(bytes(packet))
        assert sums == (again.chksum, again[UDP].chksum)


def test_tcpdump_reads_the_capture(tmp_path: Path) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("needs tcpdump")
    demo(tmp_path, "--count", "1000")
    # As the user that runs the tests: as root tcpdump gives up its rights, and with them this folder.
    user = ["-Z", "root"] if os.geteuid() == 0 else []
    words = ["tcpdump", *user, "-n", "-v", "-r", "demo.pcap"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("10.0.0.1.") == 1000
    assert "bad" not in done.stdout  # checksums


def test_a_rate_is_kept(tmp_path: Path) -> None:
    report, _ = demo(tmp_path, "--count", "10_000", "--rate", "20 kpps", "--best-effort")
    assert 0.005 < report["mpps"] < 0.03


def test_a_demo_that_does_not_finish_fails(tmp_path: Path) -> None:
    report, shown = demo(tmp_path, "--count", "1_000_000_000", "--seconds", "0.3", status=1)
    assert 0 < report["sent"] < 1_000_000_000
    assert "demo: sent" in shown.splitlines()[-1], "and VFs are not asked any more"
    assert "sriov" not in report


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            {"spoofed": 0, "explain": "nothing"},
            "a VF with a forged source address: 0 of its frames arrived, and vf explain reported 'nothing'",
        ),
        ({"slipped_through": 3}, "a VF with a forged source address: 3 of its frames arrived"),
        ({"back": 3999}, "3,999 of 4,000 packets between VFs returned"),
        ({"wrong": 1}, ", 1 duplicate or foreign"),
    ],
)
def test_what_goes_wrong_between_vfs_fails_the_demo(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, Any],
    complaint: str,
) -> None:
    """The parts that measure are played; that they measure what happens the other tests show."""
    figures = {
        "sent": 4000,
        "back": 4000,
        "wrong": 0,
        "latency_us": 1.0,
        "spoofed": 9,
        "slipped_through": 0,
        "explain": "x",
    }
    monkeypatch.setattr(demo_vfs, "_there_and_back", lambda one, two, args: figures | change)
    monkeypatch.setattr(demo_vfs, "_lie", lambda pf, one, two: change)
    report = tmp_path / "report.json"
    words = ["demo", "--count", "2000", "--file", str(tmp_path / "demo.pcap"), "--json", str(report)]
    assert main(words) == 1
    assert complaint in capsys.readouterr().err
    assert json.loads(report.read_text())["ok"] is False


def test_a_full_disk_fails_the_demo(tmp_path: Path) -> None:
    report, _ = demo(tmp_path, "--file", "/dev/full", status=1)
    assert "No space left" in report["error"]
