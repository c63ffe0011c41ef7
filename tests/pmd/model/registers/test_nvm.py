# SPDX-License-Identifier: BSD-3-Clause
"""The EEPROM and who may use it (datasheet 6, 8.2.3.2, 8.2.3.4.9 to 11)."""

import pytest
from chip_fixtures import Chip

from dataplane.pmd.datasheet import EEC, EEMNGCTL, EERD, FWSM, SW_FW_SYNC, SWSM
from dataplane.pmd.datasheet import eeprom as words
from dataplane.pmd.model.registers.eeprom import WORDS, image, mac_of, spoil, stable_mac

MACS = [bytes.fromhex("021122334455"), bytes.fromhex("02aabbccddee")]


@pytest.fixture
def chip():
    with Chip() as chip:
        yield chip


def word(chip, address):
    chip.bar.write(EERD, EERD.pack(START=1, ADDR=address))
    chip.bar.wait(EERD.DONE, timeout=1e-3, interval=5e-6)
    return chip.bar.get(EERD.DATA)


def test_checksum_over_the_image_as_a_driver_computes_it(chip):
    """Drivers sum words 0 to 0x3F and every section that pointers 3 to 0xE lead to: 0xBABA in all."""
    total = sum(word(chip, address) for address in range(0x40))
    for pointer in range(3, 0xF):
        start = word(chip, pointer)
        if start not in (0, 0xFFFF):
            length = word(chip, start)
            total += sum(word(chip, start + 1 + n) for n in range(length)) if length not in (0, 0xFFFF) else 0
    assert total & 0xFFFF == 0xBABA


def test_spoiled_checksum():
    memory = image(MACS)
    assert words.is_valid(memory)
    spoil(memory)
    assert not words.is_valid(memory)


def test_addresses_are_where_the_sections_say():
    memory = image(MACS)
    assert [mac_of(memory, port) for port in (0, 1)] == MACS
    assert memory[memory[words.CORE0]] == memory[memory[words.CORE1]] == 3
    assert len(memory) == WORDS


def test_stable_addresses_are_local_single_and_all_different():
    found = {stable_mac(card, port) for card in range(20) for port in (0, 1)}
    assert len(found) == 40 and all(mac[0] & 3 == 2 and len(mac) == 6 for mac in found)
    assert stable_mac(3, 1) == stable_mac(3, 1)


def test_words_that_drivers_look_for(chip):
    assert word(chip, words.DEVICE_CAPS) & words.CAPS_ANY_SFP
    firmware = word(chip, words.FIRMWARE)
    version = word(chip, word(chip, firmware + 4) + 7)
    assert version > 5
    assert word(chip, words.SFP_INIT_LIST) not in (0, 0xFFFF)
    assert word(chip, words.ALT_MAC) == word(chip, words.SAN_MAC) == 0xFFFF
    pba = word(chip, words.PBA_NUMBER1)
    assert word(chip, words.PBA_NUMBER0) == 0xFAFA and 2 < word(chip, pba) < 16


def test_size_field_and_presence(chip):
    assert 1 << (chip.bar.get(EEC.SIZE) + 6) == WORDS
    assert chip.bar.get(EEC.PRES) == 1
    assert word(chip, WORDS - 1) == chip.card.eeprom[-1]
    assert word(chip, WORDS) == 0xFFFF


def test_a_read_takes_time_and_ends_with_done(chip):
    chip.bar.write(EERD, EERD.pack(START=1, ADDR=words.CHECKSUM))
    assert chip.bar.get(EERD.DONE) == 0
    chip.wait_ns(10_000)
    assert chip.bar[EERD] == EERD.pack(DONE=1, ADDR=words.CHECKSUM, DATA=chip.card.eeprom[words.CHECKSUM])


def test_one_port_at_a_time_is_granted_the_eeprom(chip):
    other = chip.card.ports[1]
    chip.bar.set(EEC.REQ)
    assert chip.bar.get(EEC.GNT) == 1
    other.write(EEC.offset, EEC.REQ.mask)
    assert not other.read(EEC.offset) & EEC.GNT.mask
    chip.bar.clear(EEC.REQ)
    assert chip.bar.get(EEC.GNT) == 0
    assert other.read(EEC.offset) & EEC.GNT.mask


def test_a_read_takes_the_semaphore_for_both_ports(chip):
    other = chip.card.ports[1]
    assert chip.bar.get(SWSM.SMBI) == 0
    assert chip.bar.get(SWSM.SMBI) == 1
    assert other.read(SWSM.offset) & SWSM.SMBI.mask
    other.write(SWSM.offset, 0)
    assert chip.bar.get(SWSM.SMBI) == 0


def test_firmware_semaphore_and_resource_bits_are_one_for_both_ports(chip):
    other = chip.card.ports[1]
    chip.bar.write(SWSM, SWSM.SWESMBI.mask)
    assert other.read(SWSM.offset) & SWSM.SWESMBI.mask
    other.write(SW_FW_SYNC.offset, SW_FW_SYNC.SW_EEP.mask | SW_FW_SYNC.SW_MAC.mask)
    assert chip.bar[SW_FW_SYNC] == SW_FW_SYNC.SW_EEP.mask | SW_FW_SYNC.SW_MAC.mask


def test_firmware_is_there_and_done(chip):
    assert chip.bar[FWSM] == FWSM.pack(FW_VALID=1)
    chip.bar.write(FWSM, 0xFFFF_FFFF)
    assert chip.bar[FWSM] == FWSM.pack(FW_VALID=1)
    chip.bar.write(EEMNGCTL, 0)
    assert chip.bar[EEMNGCTL] & (EEMNGCTL.CFG_DONE0.mask | EEMNGCTL.CFG_DONE1.mask) == 0xC0000
