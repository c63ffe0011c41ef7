# SPDX-License-Identifier: BSD-3-Clause
"""tcpdump and tshark beside ours on the same traffic: they must see what pktgen says it sent and what pcapdump wrote."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

FLOWS = (
    'Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b")'
    '/IP(src="10.0.0.1", dst="10.0.0.0/30")/UDP(sport=(1024, 1039), dport=7)'
)


def capture(net, namespace: str, file: Path, *command: str):  # type: ignore[no-untyped-def]
    """A capture by tcpdump or tshark that has begun."""
    process = net.start(namespace, *command)
    process.until(lambda: file.exists() and file.stat().st_size >= 24, "capture file")
    time.sleep(0.5)  # tshark's capturing child says so before it has filled its first block
    return process


def frames(file: Path) -> list[bytes]:
    """The frames of a capture as scapy's reader sees them."""
    from scapy.utils import RawPcapReader

    return [bytes(data) for data, _ in RawPcapReader(str(file))]


def fields(file: Path, *names: str) -> list[tuple[str, ...]]:
    words = ["tshark", "-r", str(file), "-T", "fields", "-E", "separator=;"]
    words += ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    for name in names:
        words += ["-e", name]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    return [tuple(line.split(";")) for line in done.stdout.splitlines()]


def test_tshark_sees_what_pktgen_sent(net, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    count = 6400  # each of the 64 flows 100 times
    here, there = net.namespace("here"), net.namespace("there")
    net.veth(here, "out0", there, "in0")
    file = tmp_path / "seen.pcap"
    shark = capture(net, there, file, "tshark", "-q", "-i", "in0", "-F", "pcap", "-w", str(file))
    generator = net.dataplane(
        here,
        "pktgen",
        "af_packet:out0",
        "--flows",
        FLOWS,
        "--size",
        "128",
        "--count",
        str(count),
        "--rate",
        "20 kpps",
        "--best-effort",
    )
    assert generator.wait(60) == 0, generator.output()
    time.sleep(1)
    shark.stop()
    report = net.report(generator)
    assert report["ok"]
    assert report["ports"]["af_packet:out0"]["tx_good_packets"] == count

    seen = fields(
        file, "frame.len", "eth.src", "ip.dst", "udp.srcport", "ip.checksum.status", "udp.checksum.status"
    )
    expected = {
        ("124", "02:00:00:00:00:0a", f"10.0.0.{host}", str(port), "1", "1"): count // 64  # 124 + FCS = 128
        for host in range(4)
        for port in range(1024, 1040)
    }
    assert Counter(seen) == expected


def test_pcapdump_writes_what_tcpdump_writes(net, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    count = 5000
    here, there = net.namespace("here"), net.namespace("there")
    net.veth(here, "out0", there, "in0")
    theirs, ours = tmp_path / "theirs.pcap", tmp_path / "ours.pcap"
    dump = net.dataplane(there, "pcapdump", "af_packet:in0", str(ours))
    dump.until(lambda: ours.exists(), "capture file")
    time.sleep(0.5)
    tcpdump = capture(net, there, theirs, "tcpdump", "-q", "-n", "-U", "-i", "in0", "-w", str(theirs))
    generator = net.dataplane(
        here,
        "pktgen",
        "af_packet:out0",
        "--flows",
        FLOWS,
        "--count",
        str(count),
        "--rate",
        "20 kpps",
        "--best-effort",
    )
    assert generator.wait(60) == 0, generator.output()
    time.sleep(1)
    assert tcpdump.stop() == 0, tcpdump.output()
    assert dump.stop() == 0, dump.output()
    assert f"{count} packets captured" in tcpdump.output()
    assert net.report(dump)["ports"]["af_packet:in0"]["rx_good_packets"] == count
    assert frames(ours) == frames(theirs)
    assert len(frames(ours)) == count
