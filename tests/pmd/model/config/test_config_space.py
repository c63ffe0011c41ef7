# SPDX-License-Identifier: BSD-3-Clause
"""PCI configuration space (datasheet 9.3, 9.4) and what writing to it does to the function."""

import pytest
from chip_fixtures import Chip

from dataplane.pmd.datasheet import CTRL, LINKS, RAL, RXCTRL, STATUS, pci


@pytest.fixture
def chip():
    with Chip() as chip:
        yield chip


def test_identity(chip):
    config = chip.config
    assert (chip.function.vendor_id, chip.function.device_id, chip.function.revision) == (0x8086, 0x10FB, 1)
    assert config.read(pci.CLASS, 3) == b"\x00\x00\x02"
    assert config.read8(pci.HEADER_TYPE) == 0x80  # two functions
    with Chip(ports=1) as single:
        assert single.config.read8(pci.HEADER_TYPE) == 0


def test_capabilities_are_where_cards_have_them(chip):
    assert list(chip.config.capabilities()) == [(1, 0x40), (5, 0x50), (0x11, 0x70), (0x10, 0xA0)]
    assert list(chip.config.extended_capabilities()) == [(1, 0x100), (3, 0x140), (0xE, 0x150), (0x10, 0x160)]


@pytest.mark.parametrize(("bar", "size", "low_bits"), [(0, 0x80000, 0x4), (2, 32, 0x1), (4, 0x4000, 0x4)])
def test_bars_can_be_sized_and_placed(chip, bar, size, low_bits):
    at = pci.BAR0 + 4 * bar
    assert chip.config.read32(at) == low_bits
    chip.config.write32(at, 0xFFFF_FFFF)
    assert chip.config.read32(at) == ~(size - 1) & 0xFFFF_FFFF | low_bits
    chip.config.write32(at, 0xE000_0000)
    if bar != 2:
        chip.config.write32(at + 4, 0x12)
        assert chip.config.bars[bar] == 0x12_E000_0000
    else:
        assert chip.config.bars[bar] == 0xE000_0000


def test_read_only_bits_stay(chip):
    before = chip.config.read(0, pci.SIZE)
    for at in (
        pci.VENDOR_ID,
        pci.CLASS,
        pci.PF_MSIX,
        pci.PF_MSIX + pci.MSIX_TABLE,
        pci.PF_SRIOV,
        pci.PF_SRIOV + 0xC,
        pci.PF_SERIAL + 4,
    ):
        chip.config.write(at, bytes(~byte & 0xFF for byte in before[at : at + 4]))
        mask = {pci.CLASS: b"\xff\xff\xff\0", pci.PF_MSIX: b"\xff\xff\xff\x3f"}.get(at, b"\xff" * 4)
        after = chip.config.read(at, 4)
        assert bytes(a & m for a, m in zip(after, mask, strict=True)) == bytes(
            b & m for b, m in zip(before[at : at + 4], mask, strict=True)
        ), hex(at)


def test_msix_has_64_vectors_in_bar_4(chip):
    control = chip.config.read16(0x72)
    assert control & pci.MSIX_SIZE_MASK == 63
    assert (chip.config.read32(0x74), chip.config.read32(0x78)) == (4, 0x2004)


def test_pcie_link_and_function_level_reset_capability(chip):
    assert chip.config.read32(0xA4) & pci.DEVICE_CAP_FLR
    status = chip.config.read16(0xB2)
    assert (status & 0xF, status >> 4 & 0x3F) == (2, 8)
    assert not chip.config.read16(0xAA) & pci.DEVICE_STATUS_PENDING


def test_serial_number_is_made_of_the_address(chip):
    mac = chip.card.mac(0)
    low, high = chip.config.read32(0x144), chip.config.read32(0x148)
    assert (high << 32 | low).to_bytes(8, "big") == mac[:3] + b"\xff\xff" + mac[3:]


def test_ari_leads_from_port_0_to_port_1(chip):
    assert chip.config.read16(0x154) >> 8 == 1
    with Chip(port=1) as second:
        assert second.config.read16(0x154) >> 8 == 0


def test_sriov_is_announced(chip):
    config = chip.config
    assert config.read32(0x16C) == 0x0040_0040
    assert config.read32(0x174) == 0x0002_0180
    assert config.read16(0x17A) == 0x10ED
    assert config.read32(0x17C) == 0x553
    assert config.read16(0x170) == config.read16(0x168) == 0  # and off: test_sriov.py switches it on


def test_without_memory_enable_registers_do_not_answer(chip):
    assert chip.bar[STATUS] != 0xFFFF_FFFF
    chip.config.write16(pci.COMMAND, 0)
    assert chip.bar[STATUS] == 0xFFFF_FFFF
    chip.bar.write32(RXCTRL.offset, 1)
    chip.config.write16(pci.COMMAND, pci.COMMAND_MEMORY)
    assert chip.bar[RXCTRL] == 0


def test_bus_mastering_and_master_disable_stop_dma(chip):
    assert not chip.chip.stopped
    chip.config.write16(pci.COMMAND, pci.COMMAND_MEMORY)
    assert chip.chip.stopped
    chip.config.write16(pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER)
    assert not chip.chip.stopped
    chip.bar.set(CTRL.GIO_DIS)
    assert chip.chip.stopped
    chip.bar.clear(CTRL.GIO_DIS)
    assert not chip.chip.stopped


def test_sleep_and_the_way_back_reset_the_function(chip):
    """9.3.7: No_Soft_Reset is 0."""
    chip.bar.write(RXCTRL, 1)
    chip.config.write16(0x44, 3)
    assert chip.config.power_state == 3
    assert chip.bar[STATUS] == 0xFFFF_FFFF and chip.chip.stopped
    chip.config.write16(0x44, 0)
    assert chip.config.read16(pci.COMMAND) == 0
    chip.config.write16(pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER)
    assert chip.bar[RXCTRL] == 0


def test_function_level_reset(chip):
    chip.bar.write(RXCTRL, 1)
    chip.bar.write(RAL[0], 0)
    chip.config.write32(pci.BAR0, 0xE000_0000)
    other = chip.card.ports[1]
    other.poke(RXCTRL.offset, 1)
    chip.function.reset()
    assert chip.bar[RXCTRL] == 0 and chip.bar[RAL[0]] != 0
    assert chip.config.bars[0] == 0  # a real reset: the host places it again
    assert chip.bar[LINKS] != 0xFFFF_FFFF  # and the bus has switched memory on again
    assert other.peek(RXCTRL.offset) == 1


def test_past_the_end_reads_ones(chip):
    assert chip.config.read(pci.SIZE - 2, 4)[2:] == b"\xff\xff"
    chip.config.write(pci.SIZE - 2, b"\x00" * 4)
