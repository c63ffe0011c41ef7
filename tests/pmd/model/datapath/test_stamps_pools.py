# SPDX-License-Identifier: BSD-3-Clause
"""Tx stamps of a port with pools: of frames that leave, when they leave; and a VF that asks for one (datasheet 7.9, 9.4)."""

import ctypes

import pytest
from vf_fixtures import VfChip

from dataplane.errors import DatasheetViolation
from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import (
    DMATXCTL,
    HLREG0,
    RXPBSIZE,
    STATUS,
    TIMINCA,
    TSYNCTXCTL,
    TXSTMPH,
    TXSTMPL,
    VFTE,
)
from dataplane.pmd.datasheet import descriptors as d
from dataplane.pmd.datasheet import vf as window
from tests.pmd.model.datapath.test_stamps import MARK, STAMP_EVENTS, enable, ethernet, stamp, tx_stamp
from tests.pmd.model.datapath.test_switch import BROADCAST, MACS, POOLS, STRANGER, frame, rules
from tests.pmd.model.poolrig import Street, street
from tests.pmd.model.rig import poke

VALID = TSYNCTXCTL.VALID.mask


@pytest.fixture
def place() -> Street:
    made = street(POOLS, n=64)
    made.home.rule(rules(check_mac={1}))
    enable(made.home, STAMP_EVENTS), enable(made.far, STAMP_EVENTS)
    return made


def stamped(place: Street) -> bool:
    return bool(place.home.read(TSYNCTXCTL) & VALID)


@pytest.mark.parametrize(("to", "expected"), [(STRANGER, True), (BROADCAST, True), (MACS[1], False)])
def test_what_leaves_is_stamped_and_what_stays_is_not(place, to, expected):
    place.depart(0, frame(to), command=MARK)
    assert stamped(place) == expected
    place.depart(0, frame(STRANGER))  # it is not marked
    assert stamped(place) == expected


def test_a_spoofed_frame_is_not_stamped(place):
    assert place.depart(1, frame(STRANGER, MACS[0]), command=MARK) == ({}, [])
    assert not stamped(place)
    place.depart(1, frame(STRANGER, MACS[1]), command=MARK)
    assert stamped(place)


def test_a_frame_that_waits_for_the_wire_is_stamped_when_it_leaves(place):
    """Both ends' stamps are of one instant."""
    place.far.write(RXPBSIZE[0], 1 << 10)
    for _ in range(20):
        place.home.send_from(0, frame(STRANGER))
    place.home.send_from(0, STRANGER + ethernet()[6:], command=MARK)
    place.home.step(4)
    assert not stamped(place)
    place.home.clock.advance_ns(123_456)
    place.far.step()
    place.home.step(2)
    left = tx_stamp(place.home)
    assert left == pytest.approx(10 * 123_456, abs=64)
    place.home.clock.advance_ns(50_000)
    place.far.step(2)
    assert stamp(place.far) == left


def test_a_frame_that_is_lost_on_the_wire_has_left():
    place = street(POOLS, elastic=False)
    place.home.rule(rules())
    enable(place.home, STAMP_EVENTS)
    place.far.write(RXPBSIZE[0], 1 << 10)
    assert place.depart(0, frame(STRANGER, size=1500), command=MARK) == ({}, [])
    assert stamped(place)


@pytest.mark.parametrize("manner", ["lenient", "strict"])
def test_a_vf_that_asks_takes_the_stamp_and_is_to_blame(manner):
    """Nothing on the chip knows whose frame it is; the PF has done nothing wrong."""
    arena = Arena(1 << 16, hugepages="no", name="vf1")
    with VfChip(queues=2, manner=manner) as chip:
        chip.bar.set(DMATXCTL.TE)
        chip.bar.set(HLREG0.LPBK)
        chip.bar.write(VFTE[0], 0b0010)
        chip.bar.write(TIMINCA, TIMINCA.pack(INCVALUE=64, INCPERIOD=1))
        chip.bar.set(TSYNCTXCTL.ENABLE)
        function = chip.vf_function(1)
        function.dma_map(arena)
        bar = function.bar(0)
        bar.read(window.VFMAILBOX)
        ring, data = arena.alloc(1024, align=128), arena.alloc(64, align=64)
        poke(data, frame(STRANGER))
        descriptor = d.TxData(
            address=data.iova, length=60, total=60, command=d.TXD_CMD_EOP | d.TXD_CMD_IFCS | d.TXD_MAC_1588
        )
        poke(ring, descriptor.pack())
        bar.write(window.VFTDBAL[1], ring.iova & 0xFFFF_FFFF)
        bar.write(window.VFTDBAH[1], ring.iova >> 32)
        bar.write(window.VFTDLEN[1], 1024)
        bar.set(window.VFTXDCTL[1].ENABLE)
        chip.card.step(20)
        chip.card.clock.advance_ns(1000)
        ctypes.c_uint32.from_address(bar.address(window.VFTDT[1].offset)).value = 1
        chip.card.step(4)
        assert chip.bar.read(TSYNCTXCTL) & VALID
        assert chip.bar.read(TXSTMPL) and chip.bar.read(TXSTMPH) == 0
        chip.bar.read(STATUS)
        if manner == "strict":
            with pytest.raises(DatasheetViolation, match=r"vf1: queue 1: descriptor 0 asks for a time stamp"):
                bar.read(window.VFTDT[1])
        bar.read(window.VFTDT[1])
        chip.card.check()
