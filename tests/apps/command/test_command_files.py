# SPDX-License-Identifier: BSD-3-Clause
"""Files of commands: a refused command touches none, one file has one use, and what cannot be written is named."""

from __future__ import annotations

import json
import os
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dataplane.apps.command.cli import main

ROOT = Path(__file__).resolve().parents[3]
FRAMES = [bytes([2, 0, 0, 0, 0, number]) + bytes(6) + b"\x08\x00" + bytes(46) for number in range(100)]
CAPTURE = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(
    struct.pack("<IIII", 1, number, 60, 60) + frame for number, frame in enumerate(FRAMES)
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: in.pcap of 100 frames, keep.pcap, and a file that no command may change."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.pcap").write_bytes(CAPTURE)
    (tmp_path / "keep.pcap").write_bytes(CAPTURE[:-76])
    return tmp_path


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino)
        for path in sorted(folder.iterdir())
    }


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("dataplane: ")
    return lines[0]


def command(*words: str, **more: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "dataplane", *words],
        env=environment,
        **{"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )


def frames(data: bytes) -> list[bytes]:
    at, found = 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    assert at == len(data)
    return found


REFUSED = {
    "flows": ["pktgen", "pcap:>{out}", "--flows", "Ether(", "--count", "1"],
    "rate": ["pktgen", "pcap:>{out}", "--rate", "fast", "--count", "1"],
    "size": ["pktgen", "pcap:>{out}", "--size", "9", "--count", "1"],
    "no way back": ["l2fwd", "pcap:in.pcap", "pcap:>{out}"],
    "a later port": ["l2fwd", "pcap:in.pcap>{out}", "nonsense"],
    "a later file": ["l2fwd", "pcap:in.pcap>{out}", "pcap:>nowhere/x.pcap"],
    "the same file": ["l2fwd", "pcap:in.pcap>{out}", "pcap:in.pcap>./{out}"],
    "the report": ["pktgen", "pcap:>{out}", "--count", "1", "--json", "nowhere/x.json"],
    "a folder": ["pktgen", "pcap:>{out}", "--count", "1", "--json", "."],
    "the report is the capture": ["pktgen", "pcap:>{out}", "--count", "1", "--json", "{out}"],
    "the report is the input": ["pcapdump", "pcap:in.pcap", "{out}", "--json", "in.pcap"],
    "a CPU": ["pcapdump", "pcap:in.pcap", "{out}", "--lcores", "9999"],
    "a snap length": ["pcapdump", "pcap:in.pcap", "{out}", "--snaplen", "999999"],
    "a wire and a port": ["l2fwd", "model0,wire=pcap:>{out}", "nonsense"],
    "a wire, twice": ["l2fwd", "model0,wire=pcap:>{out}", "model1,wire=pcap:>{out}"],
    "a wire of a served card": ["nic", "serve", "--wire", "pf0=pcap:>{out}", "--wire", "pf1=none,loops=x"],
    "a trace": ["nic", "serve", "--trace", "{out}", "--wire", "pf0=nonsense"],
    "findings": ["nic", "serve", "--manner", "strict", "--findings", "{out}", "--wire", "pf9=loop"],
    "no program": ["nic", "run", "--trace", "{out}", "--", "./no-such-program"],
}  # fmt: skip


@pytest.mark.parametrize("target", ["keep.pcap", "new.pcap"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_command_touches_no_file(
    capsys: pytest.CaptureFixture[str], folder: Path, case: str, target: str
) -> None:
    words = [word.format(out=target) for word in REFUSED[case]]
    before = contents(folder)
    if "serve" in words:
        words += ["--dir", str(folder.parent / f"{folder.name}-nic")]
    refused(capsys, *words)
    assert contents(folder) == before


def links(folder: Path, kind: str) -> str:
    """Another name of in.pcap."""
    if kind == "same":
        return "in.pcap"
    if kind == "symbolic":
        (folder / "other.pcap").symlink_to("in.pcap")
    elif kind == "hard":
        (folder / "other.pcap").hardlink_to(folder / "in.pcap")
    return "other.pcap" if kind != "roundabout" else "../" * 3 + "/".join(folder.parts[-3:]) + "/in.pcap"


@pytest.mark.parametrize("kind", ["same", "symbolic", "hard", "roundabout"])
@pytest.mark.parametrize(
    "words",
    [
        ["pcapdump", "pcap:in.pcap", "{other}"],
        ["pcapdump", "pcap:in.pcap", "{other}", "--json", "report.json"],
        ["macswap", "pcap:in.pcap>{other}"],
        ["l2fwd", "pcap:in.pcap", "pcap:>{other}", "--portmap", "0:1"],
        ["pcapdump", "model0,wire=pcap:in.pcap", "{other}"],
        ["pcapdump", "model0,wire=pcap:in.pcap>{other}", "out.pcap"],
        ["l2fwd", "pcap:in.pcap", "model0,wire=pcap:>{other}", "--portmap", "0:1"],
        ["pktgen", "pcap:in.pcap>out.pcap", "--count", "1", "--json", "{other}"],
    ],
    ids=["pcapdump", "with a report", "one port", "l2fwd", "a wire reads", "a wire", "a wire writes", "json"],
)
def test_one_file_is_read_or_written(
    capsys: pytest.CaptureFixture[str], folder: Path, words: list[str], kind: str
) -> None:
    other = links(folder, kind)
    before = contents(folder)
    assert main([word.format(other=other) for word in words]) == 1
    line = capsys.readouterr().err
    after = contents(folder)
    after.pop("report.json", None)
    assert after == before
    assert ("reads" in line or "would read" in line) and "in.pcap" in line and Path(other).name in line


def test_two_writers_in_one_command(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "other.pcap").symlink_to("keep.pcap")
    before = contents(folder)
    line = refused(
        capsys, "l2fwd", "pcap:in.pcap>keep.pcap", "pcap:in.pcap>other.pcap", "--portmap", "0:1,1:0"
    )
    assert contents(folder) == before
    assert "other.pcap would write what pcap:in.pcap>keep.pcap writes" in line


@pytest.mark.parametrize(
    "words",
    [
        ["pcapdump", "null:", "out.pcap"],
        ["pktgen", "pcap:>out.pcap", "--count", "5"],
        ["pktgen", "model0,wire=pcap:>out.pcap", "--count", "5"],
        ["nic", "serve", "--dir", "nic", "--trace", "out.pcap"],
    ],
    ids=["pcapdump", "port", "wire", "trace"],
)
def test_two_writers_in_two_processes(
    capsys: pytest.CaptureFixture[str], folder: Path, words: list[str]
) -> None:
    first = command("pcapdump", "ring:nobody", "out.pcap")
    try:
        wait_for(lambda: (folder / "out.pcap").exists() and (folder / "out.pcap").stat().st_size == 24)
        line = refused(capsys, *words)
        assert f"process {first.pid} (" in line and "out.pcap" in line
    finally:
        first.terminate()
        first.communicate(timeout=20)
    assert (folder / "out.pcap").stat().st_size == 24
    assert first.returncode == 0
    assert main(["pcapdump", "pcap:in.pcap", "out.pcap"]) == 0  # it is free again
    assert frames((folder / "out.pcap").read_bytes()) == FRAMES


def wait_for(holds: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_devices_and_fifos_are_shared(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    reader = os.open(folder / "fifo", os.O_RDWR)
    try:
        for target in ("/dev/null", "fifo"):
            words = ["l2fwd", f"pcap:in.pcap>{target}", f"pcap:keep.pcap>{target}", "--portmap", "0:1,1:0"]
            assert main([*words, "--seconds", "5"]) == 0
    finally:
        os.close(reader)


def test_a_report_is_replaced_whole(folder: Path) -> None:
    (folder / "real").mkdir()
    old = folder / "real" / "r.json"
    old.write_text("old")
    old.chmod(0o640)
    (folder / "r.json").symlink_to("real/r.json")
    inode = old.stat().st_ino
    assert main(["pcapdump", "pcap:in.pcap", "out.pcap", "--json", "r.json"]) == 0
    assert (folder / "r.json").is_symlink()
    assert json.loads(old.read_text())["frames"] == 100
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    assert old.stat().st_ino != inode
    assert [path.name for path in (folder / "real").iterdir()] == ["r.json"]


def test_a_report_into_a_fifo(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    process = command("pcapdump", "pcap:in.pcap", "out.pcap", "--json", "fifo")
    assert json.loads((folder / "fifo").read_text())["frames"] == 100
    process.communicate(timeout=20)
    assert process.returncode == 0 and stat.S_ISFIFO((folder / "fifo").stat().st_mode)


@pytest.mark.parametrize(
    "words",
    [
        ["pcapdump", "pcap:in.pcap", "out.pcap"],
        ["doctor"],
        ["ports"],
        ["pcapdump", "pcap:missing.pcap", "out.pcap"],
    ],
    ids=["run", "doctor", "ports", "refused"],
)
def test_a_report_on_a_full_disk_is_named(
    capsys: pytest.CaptureFixture[str], folder: Path, words: list[str]
) -> None:
    assert main([*words, "--json", "/dev/full"]) == 1
    err = capsys.readouterr().err
    assert "writing /dev/full failed: No space left on device" in err
    assert "dataplane doctor" not in err


def test_a_report_past_the_limit_leaves_the_old_one(folder: Path) -> None:
    (folder / "r.json").write_text("old")
    script = f'ulimit -f 0; exec "{sys.executable}" -m dataplane ports --json r.json'
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("dataplane: writing r.json failed: File too large")
    assert (folder / "r.json").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["in.pcap", "keep.pcap", "r.json"]


@pytest.mark.parametrize("target", ["-", "/dev/stdout"])
@pytest.mark.parametrize("redirected", ["file", "pipe"])
def test_standard_output_as_a_capture(folder: Path, target: str, redirected: str) -> None:
    with (folder / "redirected.pcap").open("w") as file:
        out = file if redirected == "file" else subprocess.PIPE
        process = command("pcapdump", "pcap:in.pcap", target, stdout=out, text=False)
        got, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert frames(got if redirected == "pipe" else (folder / "redirected.pcap").read_bytes()) == FRAMES
    assert b"pcapdump: received 100, consumed 100 in " in err
    assert not (folder / "-").exists()


def test_other_commands_write_to_standard_output_too(folder: Path) -> None:
    for words in (
        ["macswap", "pcap:in.pcap>-"],
        ["l2fwd", "pcap:in.pcap", "pcap:>/dev/stdout", "--portmap", "0:1"],
        ["pktgen", "pcap:>-", "--count", "100"],
    ):
        got, err = command(*words, text=False).communicate(timeout=30)
        assert len(frames(got)) == 100, words
        came = "generated" if words[0] == "pktgen" else "received"
        assert f"{words[0]}: {came} 100, sent 100 in ".encode() in err
    got, err = command("ports", "--json", "-", text=False).communicate(timeout=30)
    assert json.loads(got) and b"null" in err
    assert not (folder / "-").exists()


def test_standard_output_is_one_file(folder: Path) -> None:
    for words in (
        ["pcapdump", "pcap:in.pcap", "-", "--json", "-"],
        ["pcapdump", "pcap:in.pcap", "-", "--rotate", "2k"],
    ):
        process = command(*words, text=False)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 1 and not out and b"standard output" in err
    with (folder / "in.pcap").open("a") as file:  # its own input, behind the shell's back
        process = command("pcapdump", "pcap:in.pcap", "-", stdout=file)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1 and "reads" in err
    assert (folder / "in.pcap").read_bytes() == CAPTURE
