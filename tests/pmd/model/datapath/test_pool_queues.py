# SPDX-License-Identifier: BSD-3-Clause
"""Queues within pools: layouts, RSS, filters, drops, counters, whose memory it is (datasheet 7.1.2, 7.10.2, 8.2.3.27)."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import (
    ETQF,
    ETQS,
    FTQF,
    L34TIMIR,
    MRQC,
    PSRTYPE,
    PVFGORC_LSB,
    PVFGORC_MSB,
    PVFGOTC_LSB,
    PVFGOTC_MSB,
    PVFGPRC,
    PVFGPTC,
    PVFMPRC,
    QDE,
    QPRDC,
    RETA,
    RQSMR,
    RSSRK,
    RTRUP2TC,
    RXDDGPC,
    RXDLPBKGPC,
    RXLPBKGPC,
)
from tests.pmd.model.pool_rules import PoolRules
from tests.pmd.model.poolrig import LAYOUTS, street
from tests.pmd.model.reference import RSS_KEY, multicast_hash, parse, rss

MACS = {pool: bytes([2, 0, 0, 0, 1, pool]) for pool in range(64)}
BROADCAST, STRANGER, GROUP = b"\xff" * 6, bytes.fromhex("02aa00000001"), bytes.fromhex("01005e000001")
FIELDS = 0b11  # TCP and plain IPv4


def rules(pools, **changes) -> PoolRules:
    everybody = set(pools)
    return PoolRules(
        receive=everybody, send=everybody, broadcast=everybody, untagged=everybody, vlan_filter=False,
        addresses=[(MACS[pool], {pool}) for pool in pools], **changes,
    )  # fmt: skip


def udp(to: bytes, number: int, source: bytes = STRANGER) -> bytes:
    """IPv4 whose source address is a number."""
    head = bytes.fromhex("4500001c0000000040110000") + number.to_bytes(4, "big") + bytes.fromhex("0a000002")
    return (to + source + b"\x08\x00" + head + bytes(8)).ljust(60, b"\0")


@pytest.mark.parametrize("queues", LAYOUTS)
def test_a_pool_has_its_queues(queues):
    """7.10.2.7: pool p has queues p * Q on; every pool that the layout has, and every queue of it."""
    pools = range(128 // queues)
    place = street((), queues)
    place.home.rule(rules(pools))
    for queue in range(128):
        place.home.rx_queue(queue, 8, kib=1, drop=1)
    for pool in pools:
        assert place.arrive(udp(MACS[pool], 1)) == {}
        (hit,) = [queue for queue, rx in place.home.rx.items() if rx.take()]
        assert hit == pool * queues


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([2, 4]),
    st.lists(st.integers(0, 15), min_size=128, max_size=128),
    st.lists(st.integers(0, 3), min_size=3, max_size=3),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8),
)
def test_rss_within_a_pool(queues, table, spreads, flows):
    """One key and one table for all; PSRTYPE.RQPL says how many bits of an entry count, the layout how many can."""
    pools = (0, 5, 31)
    place = street((), queues)
    home = place.home
    home.rule(rules(pools))
    home.write(MRQC, LAYOUTS[queues][2] | FIELDS << 16)
    for n, register in enumerate(RSSRK):
        home.write(register, int.from_bytes(RSS_KEY[4 * n : 4 * n + 4], "little"))
    for n, register in enumerate(RETA):
        home.write(register, int.from_bytes(bytes(table[4 * n : 4 * n + 4]), "little"))
    for pool, spread in zip(pools, spreads, strict=True):
        home.write(PSRTYPE[pool], PSRTYPE[pool].pack(RQPL=spread))
        for k in range(queues):
            home.rx_queue(pool * queues + k, 8, kib=1, drop=1)
    for flow in flows:
        frame = udp(BROADCAST, flow)
        place.arrive(frame)
        kind, value = rss(parse(frame), FIELDS)
        for pool, spread in zip(pools, spreads, strict=True):
            within = table[value & 0x7F] & ((1 << spread) - 1) & (queues - 1)
            for k in range(queues):
                got = home.rx[pool * queues + k].take()
                assert [each.data for each in got] == [frame] * (k == within)
                assert all((each.info & 15, each.rss_hash) == (kind, value) for each in got)


def test_traffic_classes_within_a_pool():
    """MRQE 0xC: 16 pools of 8 queues, one for each traffic class, by the tag's priority."""
    place = street((), 8)
    place.home.rule(rules((3,)))
    place.home.write(RTRUP2TC, sum(7 - n << 3 * n for n in range(8)))
    for k in range(8):
        place.home.rx_queue(24 + k, 8, kib=1, drop=1)
    for priority in range(8):
        frame = udp(MACS[3], 1)
        place.arrive(frame[:12] + b"\x81\x00" + (priority << 13 | 5).to_bytes(2, "big") + frame[12:])
        assert [k for k in range(8) if place.home.rx[24 + k].take()] == [7 - priority]


def test_filters_name_queues_of_their_own_pool():
    place = street((), 4)
    home = place.home
    home.rule(rules((1, 2)))
    for queue in range(4, 12):
        home.rx_queue(queue, 8, kib=1, drop=1)

    def hit() -> list[int]:
        return [queue for queue in range(4, 12) if home.rx[queue].take()]

    home.write(ETQF[0], ETQF[0].pack(ETYPE=0x88B5, FILTER_EN=1))
    home.write(ETQS[0], ETQS[0].pack(RX_QUEUE=6, QUEUE_EN=1))
    frame = (BROADCAST + STRANGER + b"\x88\xb5").ljust(60, b"\0")
    place.arrive(frame)
    assert hit() == [6, 8], "queue 6 is pool 1's; pool 2 gets its copy where it always does"
    home.write(ETQF[0], ETQF[0].pack(ETYPE=0x88B5, FILTER_EN=1, POOL=2, POOL_EN=1))
    home.write(ETQS[0], 0)
    place.arrive(frame)
    assert hit() == [8], "the filter says which pool"
    home.write(FTQF[0], 0x3F << 25 | 1 << 31)  # whatever it is, in any pool
    home.write(L34TIMIR[0], L34TIMIR[0].pack(RX_QUEUE=11))
    place.arrive(udp(BROADCAST, 7))
    assert hit() == [4, 11]
    home.write(FTQF[0], 0x1F << 25 | 1 << 31 | 1 << 8)
    home.write(FTQF[1], 0x1F << 25 | 1 << 31 | 1 << 8)
    home.write(L34TIMIR[1], L34TIMIR[1].pack(RX_QUEUE=5))
    place.arrive(udp(BROADCAST, 7))
    assert hit() == [5, 8], "filters of pool 1: one names a queue that is not pool 1's"


# ---- no descriptors ----------------------------------------------------------------------------------------------


def test_pfqde_keeps_a_pool_without_descriptors_from_holding_up_others():
    place = street(())
    home = place.home
    home.rule(rules((0, 1)))
    home.write(RQSMR[0], 1 << 16)  # queue 2 counts in set 1
    home.use((0,))
    home.first[1] = home.rx_queue(2, 8, give=2), home.tx_queue(2, 32)  # Drop_En off
    home.write(QDE, QDE.pack(QUEUE=2, QDE=1, WE=1))
    for _ in range(5):
        home.send_from(0, udp(MACS[1], 1, MACS[0]))
        place.far.tx[0].send(udp(MACS[1], 1))
        place.far.tx[0].send(udp(MACS[0], 1))
    place.far.step()
    home.step(3)
    assert {pool: len(copies) for pool, copies in home.take().items()} == {0: 5, 1: 2}
    assert home.clear(QPRDC[1]) == 8


@pytest.mark.parametrize("way", ["wire", "switch"])
def test_a_copy_that_waits_is_made_once(way):
    """Without PFQDE the pool holds up the rest; who has had its copy gets no second one when it goes on."""
    place = street(())
    home = place.home
    home.rule(rules((0, 1, 2, 3)))
    home.use((0, 1, 3), drop=1)
    home.first[2] = home.rx_queue(4, 8, give=0), home.tx_queue(4, 32)
    frame = udp(BROADCAST, 1, MACS[0])
    got = place.arrive(frame) if way == "wire" else place.depart(0, frame)[0]
    first = {0, 1} if way == "wire" else {1}
    assert set(got) == first
    home.step(3)
    assert home.take() == {}, "it waits for pool 2"
    home.first[2][0].give(1)
    home.step(3)
    assert {pool: len(copies) for pool, copies in home.take().items()} == {2: 1, 3: 1}


# ---- counters (8.2.3.23, 9.4) ------------------------------------------------------------------------------------


def test_counters_of_a_pool():
    place = street((0, 1, 2))
    home = place.home
    home.rule(rules((0, 1, 2), groups={multicast_hash(GROUP, 0)}, by_group={1}))
    for _ in range(3):
        place.depart(0, udp(MACS[1], 1, MACS[0]))
    place.arrive(udp(BROADCAST, 1))
    place.arrive(GROUP + udp(MACS[1], 1)[6:])
    place.depart(0, udp(STRANGER, 1, MACS[0]) + bytes(40))
    assert [home.read(PVFGPRC[pool]) for pool in range(3)] == [1, 5, 1]
    assert [home.read(PVFGORC_LSB[pool]) for pool in range(3)] == [60, 300, 60]
    assert [home.read(PVFMPRC[pool]) for pool in range(3)] == [0, 1, 0]
    assert [home.read(PVFGPTC[pool]) for pool in range(3)] == [4, 0, 0]
    assert home.read(PVFGOTC_LSB[0]) == 3 * 60 + 100
    assert (home.clear(RXLPBKGPC), home.clear(RXDLPBKGPC), home.clear(RXDDGPC)) == (3, 0, 2)
    place.depart(0, udp(BROADCAST, 1, MACS[0]))
    assert (home.clear(RXLPBKGPC), home.clear(RXDLPBKGPC), home.clear(RXDDGPC)) == (1, 1, 0)


def test_counters_of_a_pool_wrap():
    place = street((0, 1))
    home = place.home
    home.rule(rules((0, 1)))
    for low, high in ((PVFGORC_LSB[1], PVFGORC_MSB[1]), (PVFGOTC_LSB[0], PVFGOTC_MSB[0])):
        home.registers.poke(low.offset, 0xFFFF_FFF0)
        home.registers.poke(high.offset, 0xF)
    for register in (PVFGPRC[1], PVFGPTC[0]):
        home.registers.poke(register.offset, 0xFFFF_FFFF)
    place.depart(0, udp(MACS[1], 1, MACS[0]))
    assert [home.read(register) for register in (PVFGPRC[1], PVFGPTC[0])] == [0, 0]
    assert (home.read(PVFGORC_MSB[1]), home.read(PVFGORC_LSB[1])) == (0, 60 - 16)
    assert (home.read(PVFGOTC_MSB[0]), home.read(PVFGOTC_LSB[0])) == (0, 60 - 16)


# ---- whose memory ------------------------------------------------------------------------------------------------


def test_each_function_has_its_own_map():
    """Pool 0 is VF 0's, which has no memory mapped: descriptors at addresses that only the PF has do nothing."""
    place = street((0, 1))
    home = place.home
    home.rule(rules((0, 1)))
    home.engine.share(1, 1)
    assert place.arrive(udp(MACS[0], 1)) == {}
    home.send_from(0, udp(MACS[1], 1, MACS[0]))
    before = ctypes.string_at(home.arena.address, home.arena.size)
    home.step(4)
    assert ctypes.string_at(home.arena.address, home.arena.size) == before
    faults = home.engine.domain_of_vf(0).take_faults()
    assert {fault.direction for fault in faults} == {"read"} and all(
        fault.what.startswith(("Rx", "Tx")) for fault in faults
    )
    assert home.engine.domain.fault_count == 0
    home.engine.share(1, 0)  # not a bus master: its queues stand still
    place.arrive(udp(MACS[0], 1))
    assert home.engine.domain_of_vf(0).take_faults() == []
