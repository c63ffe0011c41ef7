# SPDX-License-Identifier: BSD-3-Clause
"""A port VLAN is the administrator's: nothing that a VF's application can read has it, whatever the VF's options are."""

from __future__ import annotations

import pytest

from dataplane.byhand import Offload, ReceivedPacket, receive_packets, send
from dataplane.pmd.ixgbe.queues.kernels import widths
from dataplane.port import Port
from tests.pmd.ixgbe.fleet import fleet, until

HIDDEN, PRIORITY = 0x123, 5
JUMBO = 5000  # a frame in several buffers takes another way through the driver


def crossing(
    sender: Port, receiver: Port, payload: bytes, *, offload: Offload | None = None
) -> list[ReceivedPacket]:
    """Frames from one VF to the other."""
    addresses = (bytes.fromhex(port.mac.replace(":", "")) for port in (receiver, sender))
    sent = b"".join(addresses) + bytes.fromhex("88b5") + payload
    assert send(sender.tx(0), [sent] * 5, offload=offload, segment=2048, timeout=5) == 5
    got: list[ReceivedPacket] = []
    until(lambda: got.extend(receive_packets(receiver.rx(0))) or len(got) == 5)
    assert all(packet.data == sent for packet in got)
    return got


@pytest.mark.parametrize("simd", widths())
@pytest.mark.parametrize("strip", ["on", "off"])
@pytest.mark.parametrize("size", [60, JUMBO])
def test_a_port_vlan_is_nowhere(strip: str, simd: str, size: int) -> None:
    """Set before the VFs begin, and while they run; without it a tag is reported as ever."""
    payload = bytes(range(200)) * (size // 200 + 1)
    with fleet(2, ",mtu=9000") as made:
        one, two = made.open(0, 1, options=f",vlan_strip={strip},simd={simd},mtu=9000")
        until(lambda: one.link.up and two.link.up)
        for packet in crossing(one, two, payload):
            assert (packet.vlan_tci, packet.ol_flags & 1) == (0, 0)
        before = one.recoveries, two.recoveries
        for number in (0, 1):
            made.pf.vfs.set(number, vlan=HIDDEN, qos=PRIORITY)
        until(
            lambda: one.recoveries > before[0] and two.recoveries > before[1] and one.link.up and two.link.up
        )
        for packet in crossing(one, two, payload):
            assert (packet.vlan_tci, packet.ol_flags & 1) == (0, 0), "the port VLAN shows"
        for number in (0, 1):
            made.pf.vfs.set(number, vlan=0, qos=0)
        before = one.recoveries, two.recoveries
        until(
            lambda: one.recoveries > before[0] and two.recoveries > before[1] and one.link.up and two.link.up
        )
        for vf in (one, two):
            vf.vlans.add(7)
        if strip == "on":
            for packet in crossing(one, two, payload, offload=Offload("vlan", 7)):
                assert packet.vlan_tci == 7, "the VF's own tag is its own"
