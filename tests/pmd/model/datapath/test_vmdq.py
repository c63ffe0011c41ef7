# SPDX-License-Identifier: BSD-3-Clause
"""VMDq without SR-IOV (7.10.2): GCR_EXT.VT_MODE stays 0, and MRQC, MTQC and VT_CTL make the pools."""

from __future__ import annotations

import pytest

from dataplane.pmd.datasheet import (
    MRQC,
    MTQC,
    PSRTYPE,
    PVFGPRC,
    PVFGPTC,
    QPRC,
    QPTC,
    RETA,
    RQSMR,
    RSSRK,
    RTRUP2TC,
    RXDCTL,
    TQSM,
    TXDCTL,
    VFRE,
    VFTE,
    VMVIR,
    VT_CTL,
    Register,
)
from tests.pmd.model.datapath.test_pool_queues import BROADCAST, GROUP, MACS, STRANGER, rules, udp
from tests.pmd.model.pool_rules import Mirror, PoolRules
from tests.pmd.model.poolrig import LAYOUTS, Street, street
from tests.pmd.model.reference import RSS_KEY, multicast_hash

ALL_LAYOUTS = [
    (MRQC.MRQE.insert(0, mrqe), mtqc, queues)
    for mrqe, mtqc, queues in [(8, 6, 2), (0xB, 6, 2), (0xA, 0xA, 4), (0xD, 0xB, 4), (0xC, 0xF, 8)]
]


def vmdq(pools: tuple[int, ...], queues: int = 2, **changes: object) -> Street:
    """A port whose pools MRQC and MTQC make, with these in use and ruled as `rules` says."""
    place = street(pools, queues, sriov=False)
    place.home.rule(rules(pools, **changes))
    return place


def tagged(frame: bytes, vid: int) -> bytes:
    return frame[:12] + b"\x81\x00" + vid.to_bytes(2, "big") + frame[12:]


def hits(place: Street) -> list[int]:
    """The queues that got something."""
    return [queue for queue, rx in place.home.rx.items() if rx.take()]


@pytest.mark.parametrize(("mrqc", "mtqc", "queues"), ALL_LAYOUTS)
def test_every_pool_of_every_layout_has_its_queues(mrqc: int, mtqc: int, queues: int) -> None:
    place = street((), queues, sriov=False)
    home, pools = place.home, range(128 // queues)
    home.write(MRQC, mrqc)
    home.write(MTQC, mtqc)
    home.rule(rules(pools))
    for queue in range(128):
        home.rx_queue(queue, 8, kib=1, drop=1)
    for pool in pools:
        place.arrive(udp(MACS[pool], 1))
        assert hits(place) == [pool * queues]


@pytest.mark.parametrize("queues", LAYOUTS)
def test_pools_that_the_layout_does_not_have_get_nothing(queues: int) -> None:
    """Whatever VFRE, MPSAR and the default pool say: a pool without queues takes no copy, nor does another one."""
    place = vmdq((0, 1), queues)
    home, beyond = place.home, {pool for pool in (16, 17, 32, 40, 63) if pool >= 128 // queues}
    ruled = rules((0, 1))
    ruled.receive |= beyond
    ruled.broadcast |= beyond
    ruled.addresses.append((STRANGER, beyond))
    ruled.default = max(beyond, default=0)
    ruled.mirrors = [Mirror(pool, from_wire=True) for pool in sorted(beyond)][:4]
    home.rule(ruled)
    assert set(place.arrive(udp(BROADCAST, 1))) == {0, 1}
    expected = set() if beyond else {0}
    assert set(place.arrive(udp(STRANGER, 1, MACS[0]))) == expected
    assert set(place.depart(0, udp(BROADCAST, 1, MACS[0]))[0]) == {1}


def test_by_mac_by_vlan_and_the_default_pool() -> None:
    pools = (0, 1, 5, 63)
    place = vmdq(pools)
    for pool in pools:
        assert set(place.arrive(udp(MACS[pool], 1))) == {pool}
    assert place.arrive(udp(STRANGER, 1)) == {}
    ruled = rules(pools, vlans={5: {1}, 6: {5, 63}})
    ruled.vlan_filter, ruled.untagged = True, {0}
    place.home.rule(ruled)
    assert set(place.arrive(tagged(udp(BROADCAST, 1), 5))) == {1}
    assert set(place.arrive(tagged(udp(BROADCAST, 1), 6))) == {5, 63}
    assert place.arrive(tagged(udp(MACS[1], 1), 6)) == {}, "its pool is not of that VLAN"
    assert set(place.arrive(udp(BROADCAST, 1))) == {0}, "untagged: AUPE"
    place.home.rule(rules(pools, default=5, port_unicast=True))
    assert set(place.arrive(udp(STRANGER, 1))) == {5}


def test_broadcast_and_multicast_by_vmolr() -> None:
    place = vmdq((0, 1, 2, 3))
    ruled = rules((0, 1, 2, 3), groups={multicast_hash(GROUP, 0)}, by_group={1}, all_multicast={2})
    ruled.broadcast = {0, 3}
    place.home.rule(ruled)
    assert set(place.arrive(udp(BROADCAST, 1))) == {0, 3}
    assert set(place.arrive(GROUP + udp(BROADCAST, 1)[6:])) == {1, 2}


def test_mirroring() -> None:
    place = vmdq((0, 1, 2))
    ruled = rules((0, 1, 2), mirrors=[Mirror(2, to_pools={0})])
    place.home.rule(ruled)
    assert set(place.arrive(udp(MACS[0], 1))) == {0, 2}
    assert set(place.arrive(udp(MACS[1], 1))) == {1}
    place.home.rule(rules((0, 1, 2), mirrors=[Mirror(2, to_wire=True)]))
    got, seen = place.depart(0, udp(STRANGER, 1, MACS[0]))
    assert set(got) == {2} and len(seen) == 1


def test_four_queues_a_pool() -> None:
    place = street((), 4, sriov=False)
    home = place.home
    home.rule(rules((3,)))
    home.write(MRQC, 0xA | 0b11 << 16)
    for n, register in enumerate(RSSRK):
        home.write(register, int.from_bytes(RSS_KEY[4 * n : 4 * n + 4], "little"))
    for register in RETA:
        home.write(register, 0x03020100)
    home.write(PSRTYPE[3], PSRTYPE[3].pack(RQPL=2))
    for queue in range(12, 16):
        home.rx_queue(queue, 64, kib=1, drop=1)
    for number in range(64):
        place.arrive(udp(MACS[3], number))
    shares = [len(home.rx[queue].take()) for queue in range(12, 16)]
    assert sum(shares) == 64 and min(shares) >= 4
    home.write(MRQC, 8)  # 64 pools, and no RSS
    home.write(MTQC, 6)
    for number in range(8):
        place.arrive(udp(MACS[3], number))
    assert hits(place) == [], "pool 3 has queues 6 and 7 now"


def test_traffic_classes() -> None:
    """VMDq and DCB: 32 pools of four classes each."""
    place = street((), 4, sriov=False)
    home = place.home
    home.write(MRQC, 0xD)
    home.write(MTQC, 0xB)
    home.write(RTRUP2TC, sum((n & 3) << 3 * n for n in range(8)))
    home.rule(rules((2,)))
    for queue in range(8, 12):
        home.rx_queue(queue, 8, kib=1, drop=1)
    for priority in range(8):
        place.arrive(tagged(udp(MACS[2], 1), priority << 13 | 5))
        assert hits(place) == [8 + (priority & 3)]


def per_queue(line: Register, sets: dict[int, int]) -> dict[int, int]:
    """The words of RQSMR or TQSM that put these queues into these sets."""
    words: dict[int, int] = {}
    for queue, number in sets.items():
        words[queue // 4] = words.get(queue // 4, 0) | number << 8 * (queue % 4)
    return words


def test_counters() -> None:
    """Of pools, and of sets that queues of different pools share."""
    place = vmdq((0, 1, 40))
    home = place.home
    for line in (RQSMR, TQSM):
        for n, word in per_queue(line, {0: 3, 2: 3, 80: 7}).items():
            home.write(line[n], word)
    for pool, count in ((0, 1), (1, 2), (40, 4)):
        for _ in range(count):
            place.arrive(udp(MACS[pool], 1))
            place.depart(pool, udp(STRANGER, 1, MACS[pool]))
    assert [home.read(PVFGPRC[pool]) for pool in (0, 1, 40)] == [1, 2, 4]
    assert [home.read(PVFGPTC[pool]) for pool in (0, 1, 40)] == [1, 2, 4]
    assert (home.clear(QPRC[3]), home.clear(QPRC[7])) == (3, 4)
    assert (home.clear(QPTC[3]), home.clear(QPTC[7])) == (3, 4)


def test_sending() -> None:
    """Queues above 63 send; VFTE holds a pool's queues, VMVIR tags its frames, and the switch knows its sender."""
    place = vmdq((0, 40, 63))
    home = place.home
    got, seen = place.depart(63, udp(MACS[40], 1, MACS[63]))
    assert set(got) == {40} and seen == []
    assert len(place.depart(40, udp(STRANGER, 1, MACS[40]))[1]) == 1
    home.write(VMVIR[40], 1 << 30 | 5)
    _, seen = place.depart(40, udp(STRANGER, 1, MACS[40]))
    assert [frame[12:16].hex() for frame in seen] == ["81000005"]
    home.write(VMVIR[40], 0)
    ruled = rules((0, 40, 63))
    ruled.send = {0, 63}
    home.rule(ruled)
    assert place.depart(40, udp(STRANGER, 1, MACS[40]))[1] == []
    home.rule(rules((0, 40, 63)))
    home.step()
    place.far.step()
    assert len(place.far.rx[0].take()) == 1, "it has waited"


def test_spoofing_is_checked() -> None:
    place = vmdq((0, 1), check_mac={1})
    assert len(place.depart(1, udp(STRANGER, 1, MACS[1]))[1]) == 1
    assert place.depart(1, udp(STRANGER, 1, MACS[0])) == ({}, [])


def test_reconfiguration() -> None:
    """An address moves to another pool while frames come; then 64 pools become 32 without a reset, and none at all."""
    place = vmdq((0, 1))
    home = place.home
    home.rule(PoolRules(**(vars(rules((0, 1))) | {"addresses": [(MACS[0], {1})]})))
    assert set(place.arrive(udp(MACS[0], 1))) == {1}
    for line in (RXDCTL, TXDCTL):
        for queue in (0, 2):
            home.write(line[queue], 0)
    home.first.clear()
    home.lay_out(4)
    home.use((0, 1), drop=1)
    home.rule(rules((0, 1)))
    assert set(place.arrive(udp(MACS[1], 1))) == {1} and 4 in home.rx
    assert set(place.depart(1, udp(MACS[0], 1, MACS[1]))[0]) == {0}
    home.write(VT_CTL, 0)
    home.write(MRQC, 0)
    home.write(MTQC, 0)
    home.lines.written.clear()
    assert set(place.arrive(udp(MACS[1], 1))) == {0}, "without pools there is queue 0"


def test_gates_open_and_close() -> None:
    place = vmdq((0, 1))
    home = place.home
    home.write(VFRE[0], 0b01)
    assert place.arrive(udp(MACS[1], 1)) == {}
    home.write(VFRE[0], 0b11)
    assert set(place.arrive(udp(MACS[1], 1))) == {1}
    home.write(VFTE[0], 0)
    assert place.depart(0, udp(MACS[1], 1, MACS[0])) == ({}, [])


def test_each_side_has_its_own_layout() -> None:
    """Wrongly set up, and each side goes by its own register."""
    place = street((), 4, sriov=False)
    home = place.home
    home.write(MTQC, 6)
    home.rule(rules((0, 1, 2)))
    home.use((0, 1, 2), drop=1)
    home.write(VMVIR[2], 1 << 30 | 7)
    _, seen = place.depart(1, udp(STRANGER, 1, MACS[1]))  # its queue 4 is Tx pool 2's
    assert [frame[12:16].hex() for frame in seen] == ["81000007"]
    assert set(place.arrive(udp(MACS[1], 1))) == {1}
