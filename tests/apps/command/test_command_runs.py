# SPDX-License-Identifier: BSD-3-Clause
"""The commands that move packets, on ports that need no rights: totals, JSON, exit status, signals, the live display."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from stopwatch import Stopwatch

from dataplane.apps.command.cli import main

ROOT = Path(__file__).resolve().parents[3]
FRAMES = [bytes([2, 0, 0, 0, 0, number]) + bytes(6) + b"\x08\x00" + bytes(46) for number in range(100)]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A capture file of 100 frames of 60 bytes."""
    records = b"".join(struct.pack("<IIII", 1, number, 60, 60) + frame for number, frame in enumerate(FRAMES))
    file = tmp_path / "in.pcap"
    file.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)
    return file


def frames(file: Path) -> list[bytes]:
    data, at, found = file.read_bytes(), 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return found


def run(*words: str, folder: Path, status: int = 0) -> dict[str, Any]:
    file = folder / "report.json"
    file.unlink(missing_ok=True)
    assert main([*words, "--json", str(file)]) == status
    report: dict[str, Any] = json.loads(file.read_text())
    assert report["ok"] is (status == 0)
    assert {"app", "seconds", "ports", "drops", "ok"} <= report.keys()
    assert report["app"] == words[0]
    return report


def spawn(*words: str, folder: Path, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dataplane", *words, "--json", str(folder / "report.json")]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE, **more}
    )


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def test_pcapdump_copies_a_capture(capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = run("pcapdump", f"pcap:{capture}", str(tmp_path / "out.pcap"), folder=tmp_path)
    assert frames(tmp_path / "out.pcap") == FRAMES
    assert report["frames"] == report["ports"][f"pcap:{capture}"]["rx_good_packets"] == 100
    assert report["drops"] == {}
    assert "100 frames in" in capsys.readouterr().out


def test_pcapdump_options(capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    report = run("pcapdump", f"pcap:{capture}", str(out), "--count", "40", "--snaplen", "20", folder=tmp_path)
    assert frames(out) == [frame[:20] for frame in FRAMES[:40]]
    assert report["frames"] == 40
    report = run("pcapdump", f"pcap:{capture}", str(out), "--rotate", "2k", "--burst", "8", folder=tmp_path)
    assert len(report["files"]) > 3
    assert [frame for file in report["files"] for frame in frames(Path(file))] == FRAMES


def test_a_count_that_is_not_reached_is_a_failure(
    capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("pcapdump", f"pcap:{capture}", str(tmp_path / "o.pcap"), "--count", "101", folder=tmp_path, status=1)
    assert "100 of 101 frames came" in capsys.readouterr().err


def test_l2fwd_from_capture_to_null(capture: Path, tmp_path: Path) -> None:
    report = run("l2fwd", f"pcap:{capture}", "null:", "--portmap", "0:1", folder=tmp_path)
    assert report["ports"]["null:"]["tx_good_packets"] == 100
    assert report["packets"] == 100


@pytest.mark.parametrize("lcores", [[], ["--lcores", "0"], ["--lcores", "0,1"]])
def test_l2fwd_both_ways_on_one_or_two_lcores(tmp_path: Path, lcores: list[str]) -> None:
    if "0,1" in lcores and os.sched_getaffinity(0) < {0, 1}:
        pytest.skip("needs CPUs 0 and 1")
    watch = Stopwatch()
    report = run("l2fwd", "null:", "null:", "--seconds", "0.2", "--burst", "16", *lcores, folder=tmp_path)
    assert report["ports"]["null:"]["tx_good_packets"] > 10_000
    assert report["ports"]["null:#2"]["tx_good_packets"] > 10_000
    # Only so long as this machine let its lcores wait may it have been longer.
    assert 0.15 < report["seconds"] < min(watch.wall, 20)
    bursts = report["edges"]["null:.rx(0).out"]
    assert bursts["packets"] == 16 * bursts["bursts"]


def test_macswap_sends_back(capture: Path, tmp_path: Path) -> None:
    port = f"pcap:{capture}>{tmp_path / 'out.pcap'}"
    report = run("macswap", port, folder=tmp_path)
    assert report["ports"][port]["tx_good_packets"] == 100
    assert frames(tmp_path / "out.pcap") == [frame[6:12] + frame[:6] + frame[12:] for frame in FRAMES]


def test_pktgen_sends_what_is_asked(tmp_path: Path) -> None:
    report = run("pktgen", "null:", "--count", "5_000", "--size", "128", folder=tmp_path)
    assert report["sent"] == report["ports"]["null:"]["tx_good_packets"] == 5000
    assert report["ports"]["null:"]["tx_good_bytes"] == 5000 * 124  # the FCS is on the wire only


def test_pktgen_keeps_to_a_rate(tmp_path: Path) -> None:
    report = run(
        "pktgen",
        "null:",
        "--rate",
        "20 kpps",
        "--best-effort",
        "--gaps",
        "poisson",
        "--seconds",
        "0.5",
        folder=tmp_path,
    )
    assert 8_000 < report["sent"] + report["skipped"] < 12_000


def test_pktgen_frames_are_those_of_the_expression(tmp_path: Path) -> None:
    flows = 'Ether(dst="02:00:00:00:00:09", src="02:00:00:00:00:08")/IP(dst="10.0.0.0/30")/UDP(dport=[7, 9])'
    run("pktgen", f"pcap:>{tmp_path / 'out.pcap'}", "--flows", flows, "--count", "16", folder=tmp_path)
    sent = frames(tmp_path / "out.pcap")
    assert len(sent) == 16
    assert sent[:8] == sent[8:]
    assert len({(frame[30:34], frame[36:38]) for frame in sent}) == 8  # destination address, destination port


def running(process: subprocess.Popen[str], file: Path, size: int = 0) -> None:
    """Wait until the run has begun: its capture file is there, `size` bytes of it."""
    deadline = time.monotonic() + 20
    while not file.exists() or file.stat().st_size < size:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_totals(tmp_path: Path, number: signal.Signals) -> None:
    process = spawn("pcapdump", "ring:nobody-sends", str(tmp_path / "out.pcap"), folder=tmp_path)
    running(process, tmp_path / "out.pcap")
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out.startswith("pcapdump: no packets in ")
    assert "\x1b" not in out  # piped: totals only
    assert not err
    assert report_of(tmp_path)["ok"]


def test_a_signal_before_the_time_is_over_is_a_failure(tmp_path: Path) -> None:
    words = (
        "pktgen",
        f"pcap:>{tmp_path / 'out.pcap'}",
        "--rate",
        "1 kpps",
        "--best-effort",
        "--seconds",
        "60",
    )
    process = spawn(*words, folder=tmp_path)
    running(process, tmp_path / "out.pcap", size=1000)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "SIGINT came after" in err
    assert not report_of(tmp_path)["ok"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_run_begins_is_one_line(tmp_path: Path, number: signal.Signals) -> None:
    """A FIFO without a writer blocks the command while it opens its port."""
    os.mkfifo(tmp_path / "fifo")
    process = spawn("pcapdump", f"pcap:{tmp_path / 'fifo'}", str(tmp_path / "out.pcap"), folder=tmp_path)
    deadline = time.monotonic() + 20
    while (
        Path(f"/proc/{process.pid}/wchan").read_text() != "wait_for_partner" and time.monotonic() < deadline
    ):
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == "dataplane: interrupted before the run began\n"
    assert report_of(tmp_path)["error"] == "KeyboardInterrupt"


def test_live_statistics_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    words = ("l2fwd", "null:", "null:", "--seconds", "1.2")
    process = spawn(*words, folder=tmp_path, stdout=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux says EIO when the other end is closed
            break
        shown += piece
    os.close(ours)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    text = shown.decode()
    assert text.count("Ctrl-C stops it") >= 3  # four times a second
    assert "rx Mpps" in text
    assert "l2fwd: " in text.splitlines()[-3]  # totals stay when the live part is gone


def test_a_rate_that_is_not_reached_is_a_failure(tmp_path: Path) -> None:
    words = ("pktgen", "null:", "--rate", "1000 Gpps", "--seconds", "0.2")
    for best_effort in (False, True):
        process = spawn(*words, *(["--best-effort"] * best_effort), folder=tmp_path)
        out, err = process.communicate(timeout=40)
        report = report_of(tmp_path)
        assert process.returncode == (0 if best_effort else 1) and report["ok"] is best_effort
        assert re.search(
            r"^  pktgen: asked for 1000 Gpps, reached [\d.]+ [MGk]?pps, [\d,]+ frames skipped$", out, re.M
        )
        assert ("asked for 1000 Gpps" in err) is not best_effort
        assert report["paces"]["pktgen"]["reached"] < 1e12
