# SPDX-License-Identifier: BSD-3-Clause
"""The commands that move packets, on virtual functions: `--pf` runs their PF, and `model0.vf1` is a port like any other."""

from __future__ import annotations

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataplane import pmd
from dataplane.apps.command.cli import main
from dataplane.port import parse_mac

STRANGER = bytes.fromhex("029900000001")
OTHER = bytes.fromhex("029900000002")


def macs(*vfs: str) -> list[bytes]:
    """The addresses that these VFs have every time they are opened."""
    found = []
    for name in vfs:
        with pmd.probe(f"{name.partition('.')[0]},vfs=2") as pf:
            pf.start()
            with pmd.probe(name) as vf:
                found.append(parse_mac(vf.mac))
    return found


def capture(file: Path, frames: list[bytes]) -> None:
    records = b"".join(
        struct.pack("<IIII", 1, n, len(data), len(data)) + data for n, data in enumerate(frames)
    )
    file.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)


def captured(file: Path) -> list[bytes]:
    data, at, found = file.read_bytes(), 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return found


def run(*words: str, folder: Path, status: int = 0) -> dict[str, Any]:
    file = folder / "report.json"
    assert main([*words, "--json", str(file)]) == status
    report: dict[str, Any] = json.loads(file.read_text())
    assert report["ok"] is (status == 0)
    return report


def frame(to: bytes, number: int) -> bytes:
    return to + STRANGER + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(42)


def test_pktgen_on_a_vf(tmp_path: Path) -> None:
    """Its frames leave by the PF's wire, with the VF's address as their source."""
    out = tmp_path / "out.pcap"
    report = run(
        "pktgen", "model0.vf1", "--pf", f"model0,vfs=2,wire=pcap:>{out}", "--count", "1000", folder=tmp_path
    )
    assert report["sent"] == 1000
    frames = captured(out)
    assert len(frames) == 1000
    assert {data[6:12] for data in frames} == set(macs("model0.vf1"))


def test_pktgen_that_lies_about_its_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The spoof check lets nothing through, and the command says that it did not do what was asked."""
    out = tmp_path / "out.pcap"
    flows = 'Ether(src="02:99:00:00:00:01", dst="02:99:00:00:00:02")/IP()/UDP()'
    words = [
        "pktgen",
        "model0.vf0",
        "--flows",
        flows,
        "--pf",
        f"model0,vfs=1,wire=pcap:>{out}",
        "--count",
        "100",
    ]
    report = run(*words, folder=tmp_path, status=1)
    assert report["sent"] == 0
    assert "0 of 100 frames left the port" in capsys.readouterr().err
    assert captured(out) == []


def test_pcapdump_on_a_vf(tmp_path: Path) -> None:
    """The VF receives frames from the wire for its address and broadcasts, and no others."""
    (mine,) = macs("model0.vf0")
    given, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    capture(given, [frame(to, n) for n, to in enumerate((mine, OTHER, b"\xff" * 6, mine, STRANGER))])
    pf = f"model0,vfs=2,wire=pcap:{given},loops=0"
    report = run(
        "pcapdump", "model0.vf0", str(out), "--pf", pf, "--count", "300", "--seconds", "20", folder=tmp_path
    )
    assert report["frames"] == 300
    counts = Counter(data[:6] for data in captured(out))
    assert set(counts) == {mine, b"\xff" * 6}
    assert counts[mine] == pytest.approx(200, abs=3)


def test_l2fwd_between_vfs_of_two_ports(tmp_path: Path) -> None:
    """In by the wire of one port, out by that of the other, with the address of the VF that sends."""
    mine, sender = macs("model0.vf0", "model1.vf1")
    given, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    capture(given, [frame(mine, n) for n in range(50)])
    pfs = ["--pf", f"model0,vfs=2,wire=pcap:{given},loops=0", "--pf", f"model1,vfs=2,wire=pcap:>{out}"]
    report = run("l2fwd", "model0.vf0", "model1.vf1", *pfs, "--seconds", "0.5", folder=tmp_path)
    frames = captured(out)
    assert len(frames) == report["ports"]["model1.vf1"]["tx_good_packets"] > 50
    assert {data[:14] for data in frames} == {mine + sender + b"\x88\xb5"}


def test_l2fwd_between_a_pf_and_its_vf(tmp_path: Path) -> None:
    """A PF that is a port itself runs before its VFs are opened."""
    given = tmp_path / "in.pcap"
    capture(given, [frame(b"\xff" * 6, n) for n in range(50)])
    report = run(
        "l2fwd", f"model0,vfs=1,wire=pcap:{given},loops=0", "model0.vf0", "--seconds", "0.3", folder=tmp_path
    )
    for counters in report["ports"].values():
        assert counters["rx_good_packets"] > 50
        assert counters["tx_good_packets"] > 0


def test_a_vf_whose_pf_nobody_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("pktgen", "model0.vf0,pf_wait=0", "--count", "1", folder=tmp_path, status=1)
    assert (
        "its PF is not up: open the PF first, with enough VFs, as in 'model0,vfs=1'"
        in capsys.readouterr().err
    )


def test_what_is_decided_about_vfs_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run begins with the file; one that is wrong, of no PF or of two is refused before a packet moves."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "vfs.toml"
    file.write_text('[vf.1]\nmac = "02:aa:00:00:00:11"\nvlan = 7\n')
    words = "pktgen", "model0.vf1", "--count", "64"
    pf = "model0,vfs=2,wire=loop"
    report = run(*words, "--pf", pf, "--vf-state", "vfs.toml", folder=tmp_path)
    assert report["sent"] == 64 and "model0.vf1" in report["ports"]
    file.write_text("[vf.1]\nvlan = 5000\n")
    run(*words, "--pf", pf, "--vf-state", "vfs.toml", folder=tmp_path, status=1)
    assert "vfs.toml:2: vf.1.vlan: vlan 5000" in capsys.readouterr().err
    run("pktgen", "null:", "--count", "1", "--vf-state", "vfs.toml", folder=tmp_path, status=1)
    assert "no port is a PF with VFs: open one with vfs=N" in capsys.readouterr().err
    file.write_text("")
    two = "--pf", pf, "--pf", "model2,vfs=2,wire=loop"
    run(*words, *two, "--vf-state", "vfs.toml", folder=tmp_path, status=1)
    assert ",vf_state=FILE after each" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--vf-state", "a,b"])
    assert "expected a path without a comma" in capsys.readouterr().err
