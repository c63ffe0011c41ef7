# SPDX-License-Identifier: BSD-3-Clause
"""Every register of the datasheet's tables, at every address it answers at: what reads and writes do to its bits."""

import pytest

from dataplane.pmd.datasheet import ALL, RC, RO, RS, RW, SC, W1C, W1S, WO, decode
from dataplane.pmd.model import Card
from dataplane.pmd.model.registers.access import NATIVE

ONES = 0xFFFF_FFFF
PATTERN = 0x5A5A_5A5A


@pytest.fixture(scope="module")
def card():
    with Card() as card:
        yield card


@pytest.fixture(scope="module")
def chip(card):
    return card.ports[0]


def special():
    """Registers whose side effects are more than their access kinds say: each has a test of its own elsewhere."""
    chip = Card().ports[0]
    return {line.name for line in ALL if chip.has_side_effects(line[0].offset)} | set(NATIVE)


SPECIAL = special()
PLAIN = [line for line in ALL if line.name not in SPECIAL]


def test_every_address_answers_with_its_register(chip):
    """Aliases and banks: a value stored for one register is seen at each of its addresses, and at no other's."""
    for line in PLAIN:
        readable = ONES & ~line[0].bits(WO)
        for offset, index in line.addresses():
            register = line[index]
            chip.poke(register.offset, 0xC0DE_0000 | index)
            assert chip.read(offset) == (0xC0DE_0000 | index) & readable, f"{register.name} at {offset:#x}"
            chip.poke(register.offset, register.reset)


def test_what_a_write_does(chip):
    """RW takes the value, RO and RC keep theirs, W1C and W1S clear and set, SC and WO are not kept."""
    for line in PLAIN:
        register = line[line.count - 1]
        takes, clears, sets = (register.bits(*kinds) for kinds in ((RW, RS), (W1C,), (W1S,)))
        for before in (0, ONES, PATTERN):
            for value in (0, ONES, PATTERN, ~PATTERN & ONES):
                chip.poke(register.offset, before)
                chip.write(register.offset, value)
                expected = before & ~takes | value & takes
                expected = (expected | value & sets) & ~(value & clears)
                assert chip.peek(register.offset) == expected, (
                    f"{register.name}: {before:#x}, then {value:#x} written"
                )
        chip.poke(register.offset, register.reset)


def test_what_a_read_does(chip):
    """RC bits are 0 after a read, RS bits 1, WO bits read 0, all others stay."""
    for line in PLAIN:
        register = line[line.count - 1]
        for before in (0, ONES, PATTERN):
            chip.poke(register.offset, before)
            assert chip.read(register.offset) == before & ~register.bits(WO), register.name
            assert chip.peek(register.offset) == before & ~register.bits(RC) | register.bits(RS), (
                register.name
            )
        chip.poke(register.offset, register.reset)


def test_the_table_has_registers_of_every_kind():
    """Otherwise the tests above would skip a kind."""
    kinds = {kind for line in ALL for kind in (RO, RW, RC, RS, W1C, W1S, WO, SC) if line[0].bits(kind)}
    assert kinds == {RO, RW, RC, RS, W1C, W1S, WO, SC}


def test_few_registers_are_special():
    assert 20 < len(SPECIAL) < 60
    assert {"CTRL", "EERD", "SWSM", "RXDCTL", "TXDCTL", "LINKS", "EICR", "QDE"} <= SPECIAL


def test_power_up_values():
    chip = Card().ports[0]
    set_by_chip = {
        "STATUS", "EEC", "FWSM", "EEMNGCTL", "RAL", "RAH", "AUTOC", "AUTOC2", "ANLP1", "RDRXCTL", "SECRXSTAT", "SECTXSTAT",
    }  # fmt: skip
    for line in ALL:
        if line.name in set_by_chip:
            assert chip.peek(line[0].offset) != 0, line.name
        else:
            for register in line:
                assert chip.peek(register.offset) == register.reset, register.name


@pytest.mark.parametrize("offset", [0x0000C, 0x1FFFC, 0x0FFFC, 0x20000, 0x7FFFC])
def test_an_address_without_register_reads_0_and_ignores_writes(chip, offset):
    assert decode(offset) is None
    chip.write(offset, ONES)
    assert chip.read(offset) == 0


def test_smaller_reads_come_from_the_whole_register_with_its_side_effects(chip):
    """8.1.1: registers are dwords."""
    gprc = next(line for line in ALL if line.name == "GPRC")
    chip.poke(gprc.offset, 0x1234_5678)
    assert chip.read_bytes(gprc.offset + 1, 2) == b"\x56\x34"
    assert chip.peek(gprc.offset) == 0


def test_a_write_that_is_not_of_whole_registers_is_discarded(chip):
    rar = next(line for line in ALL if line.name == "RAL")[5]
    chip.write(rar.offset, 0x1111_1111)
    chip.write_bytes(rar.offset, b"\xff\xff")
    chip.write_bytes(rar.offset + 1, b"\xff\xff\xff")
    assert chip.read(rar.offset) == 0x1111_1111
    chip.write_bytes(rar.offset, b"\x01\x02\x03\x04" + b"\x05\x00\x00\x80")
    assert chip.read(rar.offset) == 0x0403_0201
    assert chip.read(rar.offset + 4) == 0x8000_0005


def test_ports_have_registers_of_their_own(card):
    vfta = next(line for line in ALL if line.name == "VFTA")[7]
    card.ports[0].write(vfta.offset, 7)
    assert card.ports[1].read(vfta.offset) == 0


def test_a_36_bit_counter_is_cleared_half_by_half(chip):
    """8.2.3.23: low first, then high; each read clears its half."""
    low, high = (next(line for line in ALL if line.name == name) for name in ("GORCL", "GORCH"))
    chip.poke(low.offset, 0xFFFF_FFF0)
    chip.poke(high.offset, 3)
    assert (chip.read(low.offset), chip.read(high.offset)) == (0xFFFF_FFF0, 3)
    assert (chip.read(low.offset), chip.read(high.offset)) == (0, 0)
