# SPDX-License-Identifier: BSD-3-Clause
"""The switch inside a port, apart from destinations: tags, checks, counters, room (datasheet 7.10.3.4, 7.10.3.9)."""

import pytest

from dataplane.pmd.datasheet import (
    GPRC,
    GPTC,
    HLREG0,
    MAXFRS,
    PFDTXGSWC,
    QPTC,
    ROC,
    RXCTRL,
    RXDCTL,
    RXMPC,
    RXPBSIZE,
    SSVPC,
    TXDGPC,
    VFTE,
    VMECM,
    VMVIR,
)
from dataplane.pmd.datasheet import descriptors as d
from tests.pmd.model.pool_rules import PoolRules
from tests.pmd.model.poolrig import Street, street
from tests.pmd.model.reference import ones_sum
from tests.pmd.model.rig import Received

POOLS = (0, 1, 2)
MACS = [bytes([2, 0, 0, 0, 0, n]) for n in range(len(POOLS))]
BROADCAST, STRANGER = b"\xff" * 6, bytes.fromhex("02aa00000001")
ALWAYS, NEVER = 1, 2  # VMVIR.VLANA


def rules(**changes) -> PoolRules:
    everybody = set(POOLS)
    plain = {
        "receive": everybody,
        "send": everybody,
        "broadcast": everybody,
        "untagged": everybody,
        "default": 0,
        "addresses": [(mac, {pool}) for pool, mac in enumerate(MACS)],
        "vlans": {7: {0, 1}, 8: {1, 2}},
    }
    return PoolRules(**(plain | changes))


@pytest.fixture
def place() -> Street:
    made = street(POOLS, n=64)
    made.home.rule(rules())
    return made


def frame(to: bytes, source: bytes = MACS[0], tag: int | None = None, size: int = 60) -> bytes:
    head = to + source + (b"" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big")) + b"\x88\xb5"
    return head + bytes((7 * n + 3) & 0xFF for n in range(size - len(head)))


def data_of(got: dict[int, list[Received]]) -> dict[int, list[bytes]]:
    return {pool: [each.data for each in copies] for pool, copies in got.items()}


# ---- port VLAN: PFVMVIR ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [20, 50, 58, 60, 400])
def test_port_vlan_is_put_in(place, size):
    """Behind the addresses, and then the frame is padded: 50 bytes and a tag are 60, not 64."""
    place.home.write(VMVIR[0], VMVIR[0].pack(VID=7, PRIORITY=5, VLANA=ALWAYS))
    sent = frame(BROADCAST, size=size)
    tagged = (sent[:12] + b"\x81\x00\xa0\x07" + sent[12:]).ljust(60, b"\0")
    got, seen = place.depart(0, sent)
    assert seen == [tagged]
    assert data_of(got) == {1: [tagged]}, "pool 1 is in VLAN 7, pool 2 is not"
    assert got[1][0].vlan == 0xA007 and got[1][0].status & d.RXD_STAT_VP


def test_port_vlan_is_taken_out_where_asked(place):
    place.home.write(VMVIR[0], VMVIR[0].pack(VID=7, VLANA=ALWAYS))
    place.home.write(RXDCTL[2], RXDCTL[2].pack(ENABLE=1, VME=1))  # pool 1
    sent = frame(MACS[1])
    got, seen = place.depart(0, sent)
    assert data_of(got) == {1: [sent]} and got[1][0].vlan == 7 and seen == []


@pytest.mark.parametrize("tagging", [ALWAYS, NEVER])
def test_a_pool_with_a_rule_sends_no_tags(place, tagging):
    place.home.write(VMVIR[0], VMVIR[0].pack(VID=7, VLANA=tagging))
    for sent, command in ((frame(BROADCAST, tag=7), 0), (frame(BROADCAST), 1 << 30)):
        assert place.depart(0, sent, command=command) == ({}, [])
    assert place.home.tx[0].head == place.home.tx[0].tail, "they were fetched all the same"
    got, seen = place.depart(0, frame(BROADCAST, size=64))
    assert len(seen[0]) == (68 if tagging == ALWAYS else 64)
    got, seen = place.depart(1, frame(BROADCAST, MACS[1], tag=8))
    assert set(got) == {2} and len(seen) == 1, "it is not pool 1's rule"


def test_port_vlan_of_segments(place):
    """Every segment of a TSO packet gets the tag, and goes where the tag says."""
    place.home.write(VMVIR[0], VMVIR[0].pack(VID=7, VLANA=ALWAYS))
    head = MACS[1] + MACS[0] + b"\x08\x00"
    ip = bytes.fromhex("450000000001000040060000 0a000001 0a000002")
    seed = ones_sum(ip[12:] + b"\0\x06").to_bytes(2, "big")
    tcp = bytes.fromhex("0001000200000000000000005010ffff") + seed + bytes(2)
    packet, tx = head + ip + tcp + bytes(range(200)), place.home.tx[0]
    tx.context(14, 20, tucmd=2 | 4, mss=64, l4=20)
    lower = 200 << d.TXD_PAYLEN_SHIFT | d.TXD_CC | d.TXD_POPTS_IXSM | d.TXD_POPTS_TXSM
    words = len(packet) | 3 << 20 | 1 << 29 | 1 << 25 | 1 << 24 | 1 << 27 | 1 << 31 | lower << 32
    tx.put(tx.place(packet), words)
    tx.bell()
    place.home.step(2)
    got = place.home.take()[1]
    assert [each.data[12:16] for each in got] == [b"\x81\x00\x00\x07"] * 4
    assert b"".join(each.data[58:] for each in got)[:192] == bytes(range(192))
    assert all(each.status & (d.RXD_STAT_IPCS | d.RXD_STAT_L4CS) for each in got), "the chip made the sums"
    assert not any(each.status & (d.RXD_ERR_IPE | d.RXD_ERR_L4E) for each in got)


# ---- anti-spoof --------------------------------------------------------------------------------------------------


def test_spoofed_frames_are_counted_for_pools_that_are_watched(place):
    place.home.rule(rules(check_mac={0, 1}, check_vlan={0}))
    place.home.write(VMECM[0], 1 << 0)
    assert place.depart(0, frame(STRANGER, MACS[1])) == ({}, [])
    assert place.depart(0, frame(STRANGER, tag=8)) == ({}, []), "not its VLAN"
    assert place.depart(1, frame(STRANGER, MACS[0])) == ({}, [])
    assert place.home.clear(SSVPC) == 2, "pool 1 is not counted"
    assert place.depart(1, frame(STRANGER, MACS[1], tag=7))[1], "and its VLANs are not checked"
    assert place.depart(0, frame(STRANGER, tag=7))[1] and place.home.clear(SSVPC) == 0


def test_vlan_check_alone_checks_nothing(place):
    place.home.rule(rules(check_vlan={0}))
    assert len(place.depart(0, frame(STRANGER, MACS[2], tag=8))[1]) == 1


# ---- descriptors of who receives ---------------------------------------------------------------------------------


def test_loopback_bit_and_checksums(place):
    """7.10.3.4: LB; and checksums of frames that no wire carried are not checked, unless the chip made them."""
    ip = bytes.fromhex("4500001c0001000040110000 0a000001 0a000002 00010002 00080000")
    sent = (MACS[1] + MACS[0] + b"\x08\x00" + ip).ljust(60, b"\0")
    got, _ = place.depart(0, sent)
    status = got[1][0].status
    assert status & d.RXD_STAT_LB and not status & (d.RXD_STAT_IPCS | d.RXD_STAT_L4CS | d.RXD_ERR_IPE)
    tx = place.home.tx[0]
    tx.context(14, 20, tucmd=2)
    tx.send(sent, upper=d.TXD_CC | d.TXD_POPTS_IXSM)
    place.home.step(2)
    status = place.home.take()[1][0].status
    assert status & d.RXD_STAT_LB and status & d.RXD_STAT_IPCS and not status & d.RXD_ERR_IPE
    (copies,) = place.arrive((MACS[1] + STRANGER + b"\x08\x00" + ip).ljust(60, b"\0")).values()
    assert not copies[0].status & d.RXD_STAT_LB and copies[0].status & d.RXD_ERR_IPE, (
        "from the wire it is checked"
    )


def test_no_fcs_on_what_was_on_no_wire(place):
    place.home.write(HLREG0, place.home.read(HLREG0) & ~2)
    assert [len(each.data) for each in place.depart(0, frame(MACS[1]))[0][1]] == [60]
    assert [len(each.data) for each in place.arrive(frame(MACS[1], STRANGER))[1]] == [64]


def test_long_frames_take_several_descriptors():
    place = street(POOLS, n=16)
    place.home.rule(rules())
    for port in (place.home, place.far):
        port.write(HLREG0, HLREG0.resets | 1 << 2)
        port.write(MAXFRS, 9728 << 16)
    sent = frame(BROADCAST, size=9000)
    got, seen = place.depart(0, sent)
    assert {pool: [each.descriptors for each in copies] for pool, copies in got.items()} == {1: [5], 2: [5]}
    assert data_of(got) == {1: [sent], 2: [sent]} and seen == [sent]


@pytest.mark.parametrize(("size", "passes"), [(1514, True), (1515, False), (2000, False)])
def test_no_pool_gets_more_than_maxfrs(place, size, passes):
    """8.2.3.22.13: one limit for all, because buffers of the others may be small; the wire's other end counts it (ROC)."""
    sent = frame(BROADCAST, size=size)
    got, seen = place.depart(0, sent)
    assert set(got) == ({1, 2} if passes else set()) and seen == [sent] * passes
    assert place.far.clear(ROC) == (not passes)
    assert set(place.depart(0, frame(MACS[1], tag=7, size=size + 4))[0]) == ({1} if passes else set())


# ---- what it counts as -------------------------------------------------------------------------------------------


def test_the_mac_does_not_count_what_stays(place):
    place.depart(0, frame(MACS[1]))
    assert (place.home.clear(GPTC), place.home.clear(GPRC)) == (0, 0)
    assert (place.home.clear(QPTC[0]), place.home.clear(TXDGPC)) == (1, 1)
    place.depart(0, frame(STRANGER))
    assert (place.home.clear(GPTC), place.home.clear(QPTC[0])) == (1, 1)


# ---- gates and room ----------------------------------------------------------------------------------------------


def test_a_closed_gate_keeps_descriptors(place):
    place.home.write(VFTE[0], 0b110)
    assert place.depart(0, frame(STRANGER)) == ({}, [])
    assert place.home.tx[0].head == 0
    assert set(place.depart(1, frame(MACS[2], MACS[1]))[0]) == {2}, "others go on"
    place.home.write(VFTE[0], 0b111)
    place.home.step()
    place.far.step()
    assert len(place.far.rx[0].take()) == 1


def test_receive_disabled(place):
    """7.10.3.4: without RXEN nothing comes back; what is for the wire goes there."""
    place.home.write(RXCTRL, 0)
    assert place.depart(0, frame(MACS[1])) == ({}, [])
    assert place.depart(0, frame(BROADCAST)) == ({}, [frame(BROADCAST)])


def test_switch_off(place):
    place.home.write(PFDTXGSWC, 0)
    assert place.depart(0, frame(MACS[1])) == ({}, [frame(MACS[1])])


def test_a_full_wire_holds_up_the_switch(place):
    """One Tx buffer for all: what waits for the wire is in front of what could stay here."""
    place.far.write(RXPBSIZE[0], 1 << 10)
    for _ in range(20):
        place.home.send_from(0, frame(STRANGER))
    place.home.send_from(0, frame(MACS[1]))
    place.home.step(4)
    assert place.home.take() == {}
    for _ in range(4):
        place.far.step()
        place.home.step(2)
    assert set(place.home.take()) == {1} and len(place.far.rx[0].take()) == 20


def test_a_wire_that_does_not_wait_loses_only_its_own():
    place = street(POOLS, n=64, elastic=False)
    place.home.rule(rules())
    place.far.write(RXPBSIZE[0], 1 << 10)
    for _ in range(15):
        place.home.send_from(0, frame(BROADCAST))
    place.home.step(4)
    assert {pool: len(copies) for pool, copies in place.home.take().items()} == {1: 15, 2: 15}
    place.far.step(2)
    arrived = len(place.far.rx[0].take())
    assert 0 < arrived < 15 and place.far.clear(RXMPC[0]) == 15 - arrived


def test_descriptors_without_cc(place):
    """CC is for checks that the model does without; DPDK's driver of a VF does not set it, and works."""
    place.home.tx[0].send(frame(MACS[1]))
    place.home.step(2)
    assert set(place.home.take()) == {1} and place.home.violations() == []
