# SPDX-License-Identifier: BSD-3-Clause
"""Bad input: one line that names the cause and the next step, no traceback, exit status 1 (2 for the arguments)."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from dataplane.apps.command.cli import main

ROOT = Path(__file__).resolve().parents[3]
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
RECORD = struct.pack("<IIII", 1, 0, 60, 60) + bytes(60)


def refused(capsys: pytest.CaptureFixture[str], *words: str, json_file: Path | None = None) -> str:
    """The one line that the command ends with."""
    more = ["--json", str(json_file)] if json_file else []
    assert main([*words, *more]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("dataplane: ")
    if json_file:
        report = json.loads(json_file.read_text())
        assert report["ok"] is False
        assert report["error"] in lines[0]
    return lines[0]


@pytest.mark.parametrize(
    ("port", "says"),
    [
        ("nonsense", "'nonsense' is no port: write one of model0"),
        ("", "is no port"),
        ("nosuch:thing", "is no port"),
        ("null:,colour=red", "no option 'colour'"),
        ("null:,size", "a null port has no target"),
        ("null:,size=many", "expected an integer"),
        ("ring:", "a ring has a name"),
        ("pcap:/no/such/file.pcap", "/no/such/file.pcap"),
    ],
)
def test_port_strings(capsys: pytest.CaptureFixture[str], tmp_path: Path, port: str, says: str) -> None:
    line = refused(capsys, "l2fwd", port, "null:", "--seconds", "1", json_file=tmp_path / "report.json")
    assert says in line


@pytest.mark.parametrize("option", ["--rx-desc", "--tx-desc"])
def test_ring_sizes_that_a_port_refuses(capsys: pytest.CaptureFixture[str], option: str) -> None:
    line = refused(capsys, "l2fwd", "null:", "null:", option, "70000", "--seconds", "1")
    assert f"{option[2:].replace('-', '_')}=70000" in line
    assert "must be a multiple of" in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (HEADER + RECORD * 3 + RECORD[:30], "the 3 records before are whole"),
        (HEADER[:10], ""),
        (b"\x7fELF" + bytes(100), ""),
        (b"", ""),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 105) + RECORD, ""),  # 802.11 frames
    ],
    ids=["truncated", "half a header", "foreign", "empty", "no Ethernet"],
)
def test_damaged_captures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "bad.pcap"
    file.write_bytes(content)
    line = refused(capsys, "l2fwd", f"pcap:{file}", "null:", "--portmap", "0:1", "--seconds", "5")
    assert "bad.pcap" in line
    assert says in line


@pytest.mark.parametrize(
    "flows",
    [
        "Ether(",
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "IP(dst='10.0.0.0/99')",
        "Nonsense()",
        "3",
    ],
)
def test_flows_that_are_none(capsys: pytest.CaptureFixture[str], flows: str) -> None:
    assert len(refused(capsys, "pktgen", "null:", "--flows", flows, "--count", "1")) > 30


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rate", "fast"], "rate='fast'"),
        (["--rate", "120%"], "more than the line carries"),
        (["--size", "9"], "9"),
    ],
)
def test_pktgen_arguments(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    assert says in refused(capsys, "pktgen", "null:", "--count", "1", *words)


def test_a_full_disk_under_pcapdump(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = refused(
        capsys, "pcapdump", "null:", "/dev/full", "--seconds", "10", json_file=tmp_path / "report.json"
    )
    assert "/dev/full" in line
    assert "No space left" in line


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "/no/such/folder" in refused(
        capsys, "pcapdump", "null:", "/no/such/folder/out.pcap", "--seconds", "1"
    )


@pytest.mark.parametrize(
    "words", [["l2fwd", "null:", "null:"], ["doctor"], ["ports"], ["vf", "show", "model9"]]
)
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert "cannot write /no/such/folder/report.json: No such file" in refused(
        capsys, *words, "--json", "/no/such/folder/report.json"
    )
    assert not capsys.readouterr().out


def test_a_portmap_beyond_the_ports(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--portmap names port 2: must be 0 to 1" in refused(
        capsys, "l2fwd", "null:", "null:", "--portmap", "0:2"
    )


def test_a_cpu_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "9999" in refused(capsys, "l2fwd", "null:", "null:", "--lcores", "9999", "--seconds", "1")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nosuch"],
        ["l2fwd"],
        ["l2fwd", "null:", "null:", "--seconds", "0"],
        ["l2fwd", "null:", "null:", "--seconds", "soon"],
        ["l2fwd", "null:", "null:", "--lcores", "a"],
        ["l2fwd", "null:", "null:", "--lcores", "1,1"],
        ["l2fwd", "null:", "null:", "--burst", "257"],
        ["l2fwd", "null:", "null:", "--portmap", "0-1"],
        ["l2fwd", "null:", "null:", "--portmap", "0:1,0:0"],
        ["pktgen", "null:", "--gaps", "odd"],
        ["pktgen", "null:", "--count", "-5"],
        ["pcapdump", "null:"],
        ["pcapdump", "null:", "x.pcap", "--rotate", "10 parsecs"],
    ],
)
def test_usage_errors_exit_with_2(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: dataplane" in capsys.readouterr().err


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--debug", "l2fwd", "nonsense", "null:"], ["l2fwd", "--debug", "nonsense", "null:"]):
        assert main(words) == 1
        shown = capsys.readouterr().err
        assert "Traceback (most recent call last)" in shown
        assert shown.splitlines()[-1].startswith("dataplane: 'nonsense' is no port")


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{sys.executable} -m dataplane ports | true",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert "Traceback" not in done.stderr


def test_help_is_quick_and_light() -> None:
    """Neither scapy nor NumPy nor rich is loaded before something needs it."""
    probe = (
        "import sys\n"
        "from dataplane.apps.command.cli import main\n"
        "try:\n    main(['pktgen', '--help'])\nexcept SystemExit as ended:\n    assert ended.code == 0\n"
        "assert not {'scapy', 'numpy', 'rich'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "--flows" in done.stdout


def test_l2fwd_loads_no_scapy() -> None:
    probe = (
        "import sys\n"
        "from dataplane.apps.command.cli import main\n"
        "assert main(['l2fwd', 'null:', 'null:', '--seconds', '0.1']) == 0\n"
        "assert 'scapy' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("size", ["7", "100", "8200"])
def test_ring_sizes_that_the_chip_refuses(capsys: pytest.CaptureFixture[str], size: str) -> None:
    assert f"rx_desc={size}: must be a multiple of " in refused(
        capsys, "macswap", "model0", "--rx-desc", size, "--seconds", "1"
    )
