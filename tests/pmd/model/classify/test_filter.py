# SPDX-License-Identifier: BSD-3-Clause
"""Which frames the MAC lets in: every combination of the filters, against a slow reference."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import FCTRL, GPRC, MCSTCTRL, MTA, RAH, RAL, RXNFGPC, TPR, VFTA, VLNCTRL
from dataplane.pmd.datasheet import descriptors as d
from tests.pmd.model.reference import BROADCAST, Filter, multicast_hash
from tests.pmd.model.rig import MAC, PEER, carry, frame, pair

ADDRESSES = [
    MAC,
    PEER,
    bytes.fromhex("02fffffffffe"),
    bytes.fromhex("01005e000001"),
    bytes.fromhex("333300000001"),
    BROADCAST,
]
addresses = st.one_of(st.sampled_from(ADDRESSES), st.binary(min_size=6, max_size=6))


def apply(port, rule: Filter) -> None:
    """Filter -> registers."""
    for n in range(128):
        port.write(RAH[n], 0)
    for n, address in enumerate(rule.addresses):
        port.address(n * 9 % 128, address)
    port.write(FCTRL, FCTRL.pack(UPE=rule.unicast_all, MPE=rule.multicast_all, BAM=rule.broadcast))
    port.write(MCSTCTRL, MCSTCTRL.pack(MO=rule.offset, MFE=rule.hashes is not None))
    fill(port, MTA, rule.hashes or set())
    fill(port, VFTA, rule.vlans or set())
    port.write(
        VLNCTRL,
        VLNCTRL.pack(VET=0x8100, VFE=rule.vlans is not None, CFIEN=rule.cfi is not None, CFI=rule.cfi or 0),
    )


def fill(port, table, members: set[int]) -> None:
    for n in range(128):
        port.write(table[n], sum(1 << (m & 31) for m in members if m >> 5 == n))


@st.composite
def rules(draw):
    hashes = draw(
        st.none() | st.sets(addresses.map(lambda a: multicast_hash(a, draw(st.integers(0, 3)))), max_size=5)
    )
    return Filter(
        addresses=draw(st.lists(addresses, max_size=6)),
        unicast_all=draw(st.booleans()),
        multicast_all=draw(st.booleans()),
        broadcast=draw(st.booleans()),
        hashes=hashes,
        offset=draw(st.integers(0, 3)),
        vlans=draw(st.none() | st.sets(st.integers(0, 4095), max_size=4)),
        cfi=draw(st.none() | st.integers(0, 1)),
    )


@pytest.fixture(scope="module")
def ports():
    a, b = pair()
    a.tx_queue(), b.rx_queue()
    return a, b


@settings(max_examples=80, deadline=None)
@given(rule=rules(), data=st.data())
def test_any_filter(ports, rule, data):
    a, b = ports
    apply(b, rule)
    b.clear(GPRC), b.clear(RXNFGPC), b.clear(TPR)
    targets = data.draw(
        st.lists(st.one_of(addresses, st.sampled_from(rule.addresses or [MAC])), min_size=1, max_size=8)
    )
    passed = 0
    for to in targets:
        tag = data.draw(st.none() | st.integers(0, 65535) | st.sampled_from(sorted(rule.vlans or {1})))
        text = frame(64, dst=to)
        if tag is not None:
            text = text[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + text[12:]
        verdict = rule.accepts(text)
        got = carry(a, b, [text])
        assert [g.data for g in got] == ([text] if verdict else [])
        if verdict:
            passed += 1
            assert bool(got[0].status & d.RXD_STAT_PIF) == (verdict == "hash")
    assert (b.clear(GPRC), b.clear(RXNFGPC), b.clear(TPR)) == (passed, len(targets), len(targets))


@pytest.mark.parametrize("index", [0, 5])
def test_broadcast_is_no_address(ports, index):
    a, b = ports
    apply(b, Filter())
    b.address(index, BROADCAST)
    assert carry(a, b, [frame(64, dst=BROADCAST)]) == []


@pytest.mark.parametrize("index", [0, 1, 15, 16, 127])
def test_every_receive_address(ports, index):
    a, b = ports
    apply(b, Filter())
    mine = bytes([2, 0, 0, 0, 9, index])
    b.address(index, mine)
    assert len(carry(a, b, [frame(64, dst=mine), frame(64, dst=MAC)])) == 1
    b.write(RAH[index], b.read(RAH[index]) & 0xFFFF)
    assert carry(a, b, [frame(64, dst=mine)]) == []
    assert b.read(RAL[index]) == 2, "the address itself stays"


@pytest.mark.parametrize("offset", range(4))
def test_multicast_offset(offset):
    assert multicast_hash(bytes.fromhex("01005e12345f"), offset) == [0x5F3, 0xBE6, 0x7CD, 0xF34][offset]
