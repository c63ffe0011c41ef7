# SPDX-License-Identifier: BSD-3-Clause
"""Accesses that a strict card refuses a VF, and those that it accepts because other drivers make them on every card."""

import ctypes

import pytest
from vf_fixtures import VfChip

from dataplane.errors import DatasheetViolation
from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import CTRL_EXT, DMATXCTL, HLREG0, STATUS, TDLEN, VFTE
from dataplane.pmd.datasheet import vf as window


@pytest.fixture
def bar():
    with VfChip(queues=2, manner="strict") as chip:
        yield chip.vf(1)


BEYOND = 5  # a pool of two queues does not have it


@pytest.mark.parametrize("line", [window.VFRXDCTL, window.VFTXDCTL], ids=lambda line: line.name)
def test_a_queue_beyond_the_pool_is_not_enabled(bar, line):
    with pytest.raises(DatasheetViolation, match="pool has 2 queues"):
        bar.write(line[BEYOND], line[BEYOND].ENABLE.mask)


@pytest.mark.parametrize(
    "line", [window.VFRDBAL, window.VFRDLEN, window.VFTDBAL, window.VFTDLEN], ids=lambda line: line.name
)
def test_a_ring_for_a_queue_beyond_the_pool_is_no_offence(bar, line):
    """It does nothing; a queue that is enabled with it would."""
    bar.write(line[BEYOND], 0x400)
    assert bar.read(line[BEYOND]) == 0


def test_reset_values_for_all_eight_queues_are_no_offence(bar):
    for line in (window.VFRDH, window.VFRDT, window.VFRXDCTL, window.VFTDH, window.VFTDT, window.VFTXDCTL):
        bar.write(line[BEYOND], 0)
    bar.write(window.VFSRRCTL[BEYOND], 0x402)
    assert bar.read(window.VFSRRCTL[BEYOND]) == 0


def test_what_the_data_path_saw_of_a_vf_is_told_to_the_vf():
    """Not to the PF, nor to another VF: they have done nothing wrong, and would stop for it."""
    arena = Arena(4096, hugepages="no", name="vf1")
    with VfChip(queues=2, manner="strict") as chip:
        chip.bar.set(DMATXCTL.TE)
        chip.bar.set(HLREG0.LPBK)
        chip.bar.write(VFTE[0], 0b0010)
        function, other = chip.vf_function(1), chip.vf(2)
        function.dma_map(arena)
        bar = function.bar(0)
        bar.read(window.VFMAILBOX)
        bar.write(window.VFTDBAL[1], arena.iova & 0xFFFF_FFFF)
        bar.write(window.VFTDBAH[1], arena.iova >> 32)
        bar.write(window.VFTDLEN[1], 1024)
        bar.set(window.VFTXDCTL[1].ENABLE)
        chip.card.step(20)
        tail = ctypes.c_uint32.from_address(bar.address(window.VFTDT[1].offset))

        def offend(value):
            tail.value = value
            chip.card.step(2)

        offend(999)
        chip.bar.read(STATUS)
        other.read(window.VFMAILBOX)
        with pytest.raises(
            DatasheetViolation, match=r"model0.vf1: queue 1: tail 999 is beyond the end"
        ) as caught:
            bar.read(window.VFTDT[1])
        assert caught.value.register == "VFTDT[1]"
        bar.read(window.VFTDT[1])
        offend(777)
        with pytest.raises(DatasheetViolation, match="vf1: queue 1: tail 777"):
            chip.card.check()
        chip.card.check()


def test_what_linux_does_in_its_self_test_is_no_offence(bar):
    """ixgbevf enables a queue that has no ring, and writes patterns to its tail; nothing is received meanwhile."""
    bar.read(window.VFMAILBOX)
    bar.write(window.VFRXDCTL[0], window.VFRXDCTL[0].ENABLE.mask)
    bar.write(window.VFRDT[0], 0x5A5A)


def test_a_queue_without_a_ring_does_not_send(bar):
    bar.read(window.VFMAILBOX)
    with pytest.raises(DatasheetViolation, match="before its base"):
        bar.write(window.VFTXDCTL[0], window.VFTXDCTL[0].ENABLE.mask)


def test_a_doorbell_of_a_vf_whose_pf_was_reset_is_no_offence():
    """Its driver cannot know yet that the queue is off; while the PF has it on, it is an offence."""
    with VfChip(queues=2, manner="strict") as chip:
        bar = chip.vf(1)
        chip.bar.write(VFTE[0], 1 << 1)
        for length in (0, 1024):
            chip.bar.write(TDLEN[2], length)
            with pytest.raises(DatasheetViolation, match="moved while"):
                bar.write(window.VFTDT[0], 3)
        chip.bar.write(VFTE[0], 0)
        for length in (0, 1024):
            chip.bar.write(TDLEN[2], length)
            bar.write(window.VFTDT[0], 3)


def test_an_ack_while_the_pf_is_in_reset_is_no_offence():
    """ixgbevf reads and acknowledges without a look at RSTI; a request is another matter."""
    with VfChip(queues=2, manner="strict") as chip:
        bar = chip.vf(1)
        chip.bar.clear(CTRL_EXT.PFRSTD)
        bar.write(window.VFMAILBOX, window.VFMAILBOX.VFU.mask)
        assert bar.get(window.VFMAILBOX.VFU)
        bar.write(window.VFMAILBOX, window.VFMAILBOX.ACK.mask)
        with pytest.raises(DatasheetViolation):
            bar.write(window.VFMAILBOX, window.VFMAILBOX.REQ.mask)
