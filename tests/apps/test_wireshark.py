# SPDX-License-Identifier: BSD-3-Clause
"""Other people's readers judge what the generator sends and the dumper writes: every checksum, every frame."""

import shutil
import subprocess

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.volatile import RandShort

from dataplane import Pipeline
from dataplane.apps import PcapDump, PktGen

MACS = {"src": "02:00:00:00:00:09", "dst": "02:00:00:00:00:02"}
PACKETS = [
    Ether(**MACS) / IP(src="1.2.3.4", dst="10.0.0.0/28", id=RandShort()) / UDP(sport=(1024, 1039), dport=7),
    Ether(**MACS)
    / Dot1Q(vlan=(5, 9))
    / IP(src="1.2.3.4", ttl=(1, 9))
    / TCP(sport=(1, 9), dport=7)
    / b"odd load",
    Ether(**MACS) / IP(src="1.2.3.4", dst="10.0.0.0/30") / ICMP(id=(0, 9), seq=(0, 9)),
    Ether(**MACS)
    / IPv6(src="2001:db8::/125", dst="2001:db8::1")
    / UDP(sport=(9000, 9009), dport=9001)
    / b"x",
    Ether(**MACS) / IPv6(src="::1", dst=["::2", "::3"]) / ICMPv6EchoRequest(id=(1, 9)),
    Ether(**MACS)
    / IP(src="9.9.9.9", dst="9.9.9.8")
    / UDP(sport=(50_000, 50_009))
    / VXLAN(vni=(1, 3))
    / Ether(**MACS)
    / IP(src="1.1.1.1", dst="2.2.2.0/29")
    / TCP(dport=(1, 4)),
]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (apt-get install tshark)")
@pytest.mark.parametrize("stamp", [False, True])
@pytest.mark.parametrize("form", ["walk", "odometer"])
def test_tshark_finds_every_frame_and_no_bad_checksum(tmp_path, stamp, form):
    dump = PcapDump(tmp_path / "a.pcap")
    generators = [PktGen(packet, count=300, stamp=stamp, form=form) for packet in PACKETS]
    Pipeline(*(generator >> dump for generator in generators)).run()
    fields = [f"{name}.checksum.status" for name in ("ip", "udp", "tcp", "icmp", "icmpv6")] + [
        "_ws.malformed"
    ]
    command = ["tshark", "-n", "-r", str(dump.file), "-T", "fields"]
    command += [word for name in ("ip", "udp", "tcp") for word in ("-o", f"{name}.check_checksum:TRUE")]
    command += [word for field in fields for word in ("-e", field)]
    lines = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True
    ).stdout.splitlines()
    assert len(lines) == 300 * len(PACKETS)
    for line in lines:
        *states, malformed = line.split("\t")
        seen = {state for layers in states for state in layers.split(",") if state}
        assert seen == {"1"} and not malformed, line  # 1: good
