# SPDX-License-Identifier: BSD-3-Clause
"""The generator's checksums by an independent computation, and that this computation notices what is wrong."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.volatile import RandIP, RandShort

from bench.sums import checked, inspect
from dataplane.apps import PktGen
from dataplane.errors import DataplaneError
from dataplane.pmd import probe

ADDRESSES, PORTS = (
    {"src": "10.0.0.0/29", "dst": "10.1.0.0/29"},
    {"sport": (1024, 1039), "dport": [53, 80, 443]},
)
FLOWS = {
    "UDP": IP(**ADDRESSES) / UDP(**PORTS),
    "TCP": IP(**ADDRESSES) / TCP(**PORTS),
    "random": IP(src=RandIP("10.0.0.0/8"), dst=RandIP("10.0.0.0/8"))
    / UDP(sport=RandShort(), dport=RandShort()),
}


@pytest.mark.parametrize("form", ["table", "odometer", "walk"])
@pytest.mark.parametrize("name", FLOWS)
def test_what_pktgen_sends_adds_up(name, form):
    every = 7  # a prime that divides no axis: it meets all
    for size in (64, 65, 600):
        with probe("null:") as port:
            found = inspect(PktGen(FLOWS[name], size=size, form=form), port.tx(), 3072, every)
        assert len(found) == -(-3072 // every)
        for axis in ("src", "dst", "sport", "dport"):
            assert len({getattr(flow, axis) for flow in found}) > 1, axis


FRAME = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(b"payload"))


def test_a_right_frame_says_what_it_is():
    flow = checked(FRAME)
    assert (flow.src, flow.dst, flow.sport, flow.dport) == (0x0A000001, 0x0A000002, 1, 2)
    assert checked(FRAME + bytes(15)) == flow  # padded to the shortest that Ethernet has


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (12, 0x86, "not UDP or TCP"),
        (17, 99, "shorter than its IPv4 header"),
        (22, 63, "IPv4 header's checksum"),
        (39, 14, "disagree about its length"),
        (35, 9, "checksum of layer 4"),
        (-1, 0, "checksum of layer 4"),
    ],
)
def test_what_is_wrong_is_noticed(at, value, message):
    frame = bytearray(FRAME)
    frame[at] = value
    with pytest.raises(ValueError, match=message):
        checked(bytes(frame))


def test_no_checksum_is_not_a_right_one():
    with pytest.raises(ValueError, match="UDP has no checksum"):
        checked(FRAME[:40] + bytes(2) + FRAME[42:])


def test_a_wrong_frame_ends_the_run():
    wrong = IP(src="10.0.0.0/28", chksum=1) / UDP()
    with probe("null:") as port, pytest.raises(DataplaneError, match="IPv4 header's checksum is wrong"):
        inspect(PktGen(wrong), port.tx(), 100)
