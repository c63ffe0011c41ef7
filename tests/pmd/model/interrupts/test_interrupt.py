# SPDX-License-Identifier: BSD-3-Clause
"""Causes, masks, moderation, vectors and eventfds (datasheet 7.3, 8.2.3.5)."""

import os

import pytest
from chip_fixtures import Chip

from dataplane.errors import DeviceError
from dataplane.pmd.datasheet import (
    CTRL,
    EIAC,
    EIAM,
    EIAM_EX,
    EICR,
    EICS,
    EICS_EX,
    EIMC,
    EIMC_EX,
    EIMS,
    EIMS_EX,
    EITR,
    GPIE,
    IVAR,
    IVAR_MISC,
    pci,
)

LSC, MAILBOX = EICR.LSC.mask, EICR.MAILBOX.mask


@pytest.fixture
def chip():
    with Chip() as chip:
        chip.interrupts = chip.chip.interrupts
        chip.bar.write(GPIE, GPIE.pack(MSIX=1))
        yield chip


@pytest.fixture
def eventfd():
    fd = os.eventfd(0, os.EFD_NONBLOCK)
    yield fd
    os.close(fd)


def signals(fd):
    try:
        return os.eventfd_read(fd)
    except BlockingIOError:
        return 0


def vector(n):
    return 0x80 | n


@pytest.mark.parametrize(("kind", "shift"), [("rx", 0), ("tx", 8)])
@pytest.mark.parametrize("queue", [0, 1, 6, 127])
def test_a_queue_reaches_the_vector_its_ivar_names(chip, eventfd, kind, shift, queue):
    chip.bar.write(IVAR[queue // 2], vector(5) << shift + 16 * (queue % 2))
    chip.function.interrupt(5, eventfd)
    chip.bar.write(EIMS, 1 << 5)
    chip.interrupts.raise_queue(kind, queue)
    assert signals(eventfd) == 1
    assert chip.bar[EICR] == 1 << 5
    chip.interrupts.raise_queue("tx" if kind == "rx" else "rx", queue)
    assert signals(eventfd) == 0


def test_without_valid_bit_there_is_no_cause(chip):
    chip.bar.write(IVAR[0], 0x05)
    chip.interrupts.raise_queue("rx", 0)
    assert chip.bar[EICR] == 0


def test_other_causes_go_to_the_vector_of_ivar_misc(chip, eventfd):
    chip.bar.write(IVAR_MISC, vector(9) << 8 | vector(3))
    chip.function.interrupt(9, eventfd)
    chip.bar.write(EIMS, LSC)
    chip.interrupts.raise_other(MAILBOX)
    assert signals(eventfd) == 0  # masked
    chip.interrupts.raise_other(LSC)
    assert signals(eventfd) == 1
    chip.bar.write(EIMS, EICR.TCP_TIMER.mask)
    chip.bar.write(EICR, 0xFFFF_FFFF)
    chip.interrupts.raise_other(EICR.TCP_TIMER.mask)
    assert (chip.interrupts.count(9), chip.interrupts.count(3)) == (1, 1)


def test_unmasking_delivers_what_waited(chip, eventfd):
    chip.bar.write(IVAR[0], vector(2))
    chip.function.interrupt(2, eventfd)
    chip.interrupts.raise_queue("rx", 0)
    assert signals(eventfd) == 0
    chip.bar.write(EIMS, 1 << 2)
    assert signals(eventfd) == 1


def test_masks_are_set_and_cleared_by_pairs_of_registers(chip):
    chip.bar.write(EIMS, 0x8030_0003)
    chip.bar.write(EIMS, 0x0000_0010)
    assert chip.bar[EIMS] == 0x8030_0013
    chip.bar.write(EIMC, 0x8000_0001)
    assert chip.bar[EIMS] == 0x0030_0012
    assert chip.bar[EIMC] == 0
    chip.bar.write(EIMC, 0x7FFF_FFFF)
    assert chip.bar[EIMS] == 0


def test_low_half_of_eims_is_that_of_eims_ex(chip):
    chip.bar.write(EIMS_EX[0], 0xFFFF_FFFF)
    chip.bar.write(EIMS_EX[1], 0x8000_0001)
    assert chip.bar[EIMS] == 0x0000_FFFF
    chip.bar.write(EIMC, 0x0000_00FF)
    assert (chip.bar[EIMS_EX[0]], chip.bar[EIMS_EX[1]]) == (0xFFFF_FF00, 0x8000_0001)
    chip.bar.write(EIMC_EX[0], 0xFFFF_FFFF)
    assert chip.bar[EIMS] == 0
    chip.bar.write(EIMC_EX[1], 1)
    assert chip.bar[EIMS_EX[1]] == 0x8000_0000


@pytest.mark.parametrize("number", [16, 31, 32, 63])
def test_vectors_above_15_have_masks_and_no_bit_in_eicr(chip, eventfd, number):
    chip.bar.write(IVAR[3], vector(number))
    chip.function.interrupt(number, eventfd)
    chip.interrupts.raise_queue("rx", 6)
    assert signals(eventfd) == 0 and chip.bar[EICR] == 0
    chip.bar.write(EIMS_EX[number // 32], 1 << number % 32)
    assert signals(eventfd) == 1
    chip.bar.write(EIMS_EX[number // 32], 1 << number % 32)
    assert signals(eventfd) == 0  # its cause went with the message: there is no bit to clear
    chip.bar.write(EICS_EX[number // 32], 1 << number % 32)
    assert signals(eventfd) == 1


def test_cause_register_is_cleared_by_reads_and_by_ones(chip):
    chip.bar.write(EICS, LSC | 0x3)
    chip.bar.write(EICR, 0x1)
    assert chip.bar[EICR] == LSC | 0x2
    assert chip.bar[EICR] == 0


def test_with_ocd_a_read_clears_events_and_no_queues(chip):
    chip.bar.set(GPIE.OCD)
    chip.bar.write(EICS, LSC | 0x3)
    assert chip.bar[EICR] == LSC | 0x3
    assert chip.bar[EICR] == 0x3
    chip.bar.write(EICR, 0x3)
    assert chip.bar[EICR] == 0


def test_events_without_a_vector_of_their_own_go_to_the_first(chip):
    """GPIE.MSIX and IVAR_MISC as it comes up: DPDK's PF."""
    chip.bar.set(GPIE.MSIX)
    chip.bar.write(EIMS, LSC)
    before = chip.interrupts.count(0)
    chip.interrupts.raise_other(LSC)
    assert chip.interrupts.count(0) == before + 1


def test_reading_eics_shows_the_causes_and_clears_nothing(chip):
    """Linux' driver reads EICS instead of EICR."""
    chip.bar.write(EICS, LSC)
    assert chip.bar[EICS] == chip.bar[EICS] == LSC
    assert chip.bar[EICR] == LSC


def test_auto_clear_takes_the_cause_with_the_message(chip):
    chip.bar.write(IVAR[0], vector(4))
    chip.bar.write(IVAR_MISC, vector(6) << 8)
    chip.bar.write(EIAC, 1 << 4)
    chip.bar.write(EIMS, 1 << 4 | LSC)
    chip.interrupts.raise_queue("rx", 0)
    chip.interrupts.raise_other(LSC)
    assert chip.interrupts.count(4) == chip.interrupts.count(6) == 1
    assert chip.bar[EICS] == LSC


def test_auto_mask_masks_until_software_unmasks(chip):
    chip.bar.set(GPIE.EIAME)
    chip.bar.write(EIAM_EX[0], 1 << 4)
    chip.bar.write(EIAM, LSC)
    chip.bar.write(EIAC, 1 << 4)
    chip.bar.write(IVAR_MISC, vector(6) << 8)
    chip.bar.write(IVAR[0], vector(4))
    chip.bar.write(EIMS, 1 << 4 | LSC)
    for _ in range(3):
        chip.interrupts.raise_queue("rx", 0)
    chip.interrupts.raise_other(LSC)
    assert chip.interrupts.count(4) == chip.interrupts.count(6) == 1
    assert chip.bar[EIMS] == 0
    chip.bar.write(EIMS, 1 << 4)
    assert chip.interrupts.count(4) == 2


def test_without_msix_everything_shares_vector_0_and_a_read_masks(chip):
    chip.bar.write(GPIE, 0)
    chip.bar.write(IVAR[0], vector(7))
    chip.bar.write(EIAM, 0xFFFF_FFFF)
    chip.bar.write(EIMS, LSC | 1 << 7)
    chip.interrupts.raise_queue("rx", 0)
    assert chip.interrupts.count(0) == 1
    assert chip.bar[EICR] == 1 << 7
    assert chip.bar[EIMS] == 0


def test_moderation_spaces_interrupts_out(chip, eventfd):
    """8.2.3.5.12: INTERVAL in steps of 2.048 us."""
    chip.function.interrupt(1, eventfd)
    chip.bar.write(IVAR[0], vector(1))
    chip.bar.write(EIAC, 1 << 1)
    chip.bar.update(EITR[1], INTERVAL=50)  # 102.4 us
    chip.bar.write(EIMS, 1 << 1)
    chip.interrupts.raise_queue("rx", 0)
    assert signals(eventfd) == 1
    for _ in range(5):
        chip.interrupts.raise_queue("rx", 0)
        chip.wait_ns(10_000)
    assert signals(eventfd) == 0
    chip.wait_ns(60_000)
    assert signals(eventfd) == 1
    chip.wait_ns(200_000)
    assert signals(eventfd) == 0


def test_eitr_has_two_banks(chip):
    chip.bar.write(IVAR[0], vector(40))
    chip.bar.update(EITR[40], INTERVAL=500)
    chip.bar.write(EIMS_EX[1], 1 << 8)
    chip.interrupts.raise_queue("rx", 0)
    chip.interrupts.raise_queue("rx", 0)
    assert chip.interrupts.count(40) == 1
    chip.wait_ns(500 * 2048)
    assert chip.interrupts.count(40) == 2


def test_masked_table_entry_holds_the_message_as_pending(chip, eventfd):
    table = chip.function.bar(4)
    chip.function.interrupt(3, eventfd)
    chip.bar.write(IVAR[0], vector(3))
    chip.bar.write(EIMS, 1 << 3)
    table.write32(3 * 16 + 12, 1)
    chip.interrupts.raise_queue("rx", 0)
    assert signals(eventfd) == 0
    assert table.read32(pci.MSIX_PBA_AT) == 1 << 3
    table.write32(3 * 16 + 12, 0)
    assert signals(eventfd) == 1
    assert table.read32(pci.MSIX_PBA_AT) == 0


def test_reset_ends_causes_and_masks(chip):
    chip.bar.write(EIMS, 0xFFFF_FFFF)
    chip.bar.write(EICS, LSC | 1)
    chip.bar.set(CTRL.RST)
    chip.bar.sleep(0.01)
    assert chip.bar[EICR] == chip.bar[EIMS] == chip.bar[EIMS_EX[0]] == 0


def test_there_are_64_vectors(chip, eventfd):
    assert chip.function.vectors == 64
    with pytest.raises(DeviceError, match=r"no MSI-X vector 64.*7\.3\.1"):
        chip.function.interrupt(64, eventfd)


def test_closing_the_function_ends_the_signals(chip, eventfd):
    chip.function.interrupt(0, eventfd)
    chip.function.close()
    chip.bar.write(EIMS, 1)
    chip.interrupts.raise_other(LSC)
    assert signals(eventfd) == 0
