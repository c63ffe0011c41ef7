# SPDX-License-Identifier: BSD-3-Clause
"""What a strict card refuses a VF, and what it lets be because other drivers do it on every card."""

import ctypes

import pytest
from vf_fixtures import VfChip

from dataplane.errors import DatasheetViolation
from dataplane.hugepage import Arena
from pmd.datasheet import DMATXCTL, HLREG0, STATUS, VFTE
from pmd.datasheet import vf as window


@pytest.fixture
def bar():
    with VfChip(queues=2, manner="strict") as chip:
        yield chip.vf(1)


BEYOND = 5  # a pool of two queues does not have it


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (window.VFRDBAL, 0x1000),
        (window.VFRDLEN, 0x400),
        (window.VFTDBAL, 0x1000),
        (window.VFTDLEN, 0x400),
        (window.VFRXDCTL, window.VFRXDCTL[0].ENABLE.mask),
        (window.VFTXDCTL, window.VFTXDCTL[0].ENABLE.mask),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_queue_beyond_the_pool_is_not_put_to_use(bar, line, value):
    with pytest.raises(DatasheetViolation, match="pool has 2 queues"):
        bar.write(line[BEYOND], value)


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
