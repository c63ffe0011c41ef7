# SPDX-License-Identifier: BSD-3-Clause
"""Which pools get a frame, for rules of any kind: the data path against `pool_rules`, which does not use it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pmd.model.pool_rules import UNTAGGED, Mirror, PoolRules
from tests.pmd.model.poolrig import Street, street
from tests.pmd.model.reference import BROADCAST, multicast_hash

POOLS = (0, 1, 7, 31, 32, 63)  # that there are; others exist for the registers only
OTHERS = (5, 62)
UNICAST = [bytes.fromhex(text) for text in ("020000000001", "02000000ff02", "020000001003", "020000002004")]
GROUPS = [bytes.fromhex(text) for text in ("01005e00000a", "333300002001")]
# Not the same address, but the same hash.
TWINS = [bytes([address[0], 0x11, *address[2:]]) for address in (*UNICAST[:2], *GROUPS)]
VLANS = (0, 1, 5, 4095)
ADDRESSES = (*UNICAST, *GROUPS)
HASHES = sorted({multicast_hash(address, 0) for address in ADDRESSES})

pools = st.sets(st.sampled_from(POOLS + OTHERS))
mirrors = st.builds(
    Mirror,
    target=st.sampled_from(POOLS),
    to_pools=pools,
    vlans=st.sets(st.sampled_from(VLANS)),
    from_wire=st.booleans(),
    to_wire=st.booleans(),
)
rules = st.builds(
    PoolRules,
    receive=st.sets(st.sampled_from(POOLS), min_size=3),
    send=st.sets(st.sampled_from(POOLS), min_size=3),
    addresses=st.lists(st.tuples(st.sampled_from(ADDRESSES), pools), max_size=6),
    untagged=pools,
    broadcast=pools,
    all_multicast=pools,
    by_group=pools,
    by_unicast_hash=pools,
    groups=st.none() | st.sets(st.sampled_from(HASHES)),
    unicast_hashes=st.sets(st.sampled_from(HASHES)),
    vlan_filter=st.booleans(),
    vlans=st.dictionaries(st.sampled_from(VLANS), pools),
    port_vlans=st.none() | st.sets(st.sampled_from(VLANS)),
    default=st.none() | st.sampled_from(POOLS),
    replicate=st.integers(0, 3).map(bool),
    switching=st.integers(0, 3).map(bool),
    echo=st.sets(st.sampled_from(POOLS), max_size=2),
    port_unicast=st.booleans(),
    port_multicast=st.booleans(),
    port_broadcast=st.booleans(),
    check_mac=pools,
    check_vlan=pools,
    mirrors=st.lists(mirrors, max_size=4) | st.just([]),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    to = draw(st.sampled_from((*ADDRESSES, *TWINS, BROADCAST)))
    vlan = draw(st.sampled_from((UNTAGGED, UNTAGGED, *VLANS, 9)))
    tag = b"" if vlan == UNTAGGED else b"\x81\x00" + (vlan | draw(st.integers(0, 7)) << 13).to_bytes(2, "big")
    source = draw(st.sampled_from((*UNICAST, *TWINS[:2])))
    return (to + source + tag + b"\x88\xb5" + draw(st.binary(min_size=8, max_size=8))).ljust(60, b"\0")


@pytest.fixture(scope="module")
def place() -> Street:
    return street(POOLS)


@settings(max_examples=150, deadline=None)
@given(rules, st.lists(frames(), min_size=1, max_size=8))
def test_from_the_wire(place: Street, rules: PoolRules, frames: list[bytes]) -> None:
    place.home.rule(rules)
    for frame in frames:
        got = place.arrive(frame)
        assert set(got) == rules.arriving(frame)
        assert all([each.data for each in copies] == [frame] for copies in got.values())


@settings(max_examples=150, deadline=None)
@given(rules, st.lists(st.tuples(st.sampled_from(POOLS), frames()), min_size=1, max_size=8))
def test_from_a_pool(place: Street, rules: PoolRules, frames: list[tuple[int, bytes]]) -> None:
    place.home.rule(rules)
    for sender, frame in frames:
        got, seen = place.depart(sender, frame)
        expected, leaves = rules.departing(sender, frame)
        if sender not in rules.send:  # it waits; let it go, or the next one would find it in the way
            place.home.rule(PoolRules(send={sender}))
            place.home.step(2)
            place.far.step(2)
            assert len(place.far.rx[0].take()) == 1
            place.home.rule(rules)
        assert set(got) == expected
        assert all([each.data for each in copies] == [frame] for copies in got.values())
        assert seen == [frame] * leaves
