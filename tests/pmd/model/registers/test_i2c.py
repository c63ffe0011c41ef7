# SPDX-License-Identifier: BSD-3-Clause
"""The SFP+ module's memory, read bit by bit through I2CCTL as drivers do (datasheet 8.2.3.1.5, SFF-8472)."""

import pytest
from chip_fixtures import Chip

from dataplane.pmd.datasheet import I2CCTL
from dataplane.pmd.model.registers.i2c import sfp_memory


class Master:
    """The driver's side of the two wires."""

    def __init__(self, bar):
        self.bar = bar

    def lines(self, clock, data):
        self.bar.update(I2CCTL, CLK_OUT=clock, DATA_OUT=data)

    def start(self):
        for clock, data in ((0, 1), (1, 1), (1, 0), (0, 0)):
            self.lines(clock, data)

    def stop(self):
        for clock, data in ((0, 0), (1, 0), (1, 1)):
            self.lines(clock, data)

    def clock_out(self, data):
        self.lines(0, data)
        self.lines(1, data)
        seen = self.bar.get(I2CCTL.DATA_IN)
        self.lines(0, data)
        return seen

    def send(self, byte):
        """Returns whether a device acknowledges."""
        for n in range(7, -1, -1):
            self.clock_out(byte >> n & 1)
        return not self.clock_out(1)

    def receive(self, last):
        byte = 0
        for _ in range(8):
            byte = byte << 1 | self.clock_out(1)
        self.clock_out(int(last))
        return byte

    def read(self, pointer, count, address=0xA0):
        self.start()
        if not (self.send(address) and self.send(pointer)):
            self.stop()
            return None
        self.start()
        assert self.send(address | 1)
        found = bytes(self.receive(n == count - 1) for n in range(count))
        self.stop()
        return found


@pytest.fixture
def chip():
    with Chip() as chip:
        yield chip


def test_module_is_read_whole(chip):
    memory = chip.card.sfp(0)
    assert Master(chip.bar).read(0, 96) == memory[:96]


@pytest.mark.parametrize("pointer", [0, 3, 8, 37, 200, 255])
def test_module_is_read_byte_by_byte(chip, pointer):
    master = Master(chip.bar)
    assert master.read(pointer, 1) == chip.card.sfp(0)[pointer : pointer + 1]
    assert master.read(pointer, 1) == chip.card.sfp(0)[pointer : pointer + 1]


def test_other_addresses_and_an_empty_cage_do_not_answer(chip):
    assert Master(chip.bar).read(0, 1, address=0xA2) is None
    with Chip(sfp=False) as empty:
        assert Master(empty.bar).read(0, 1) is None
        assert empty.bar.get(I2CCTL.DATA_IN) == 1  # pulled up


def test_the_clock_pin_follows(chip):
    master = Master(chip.bar)
    for level in (1, 0, 1):
        master.lines(level, 1)
        assert chip.bar.get(I2CCTL.CLK_IN) == level


def test_reading_goes_on_where_it_ended(chip):
    master = Master(chip.bar)
    assert master.read(20, 2) == b"MO"
    master.start()
    assert master.send(0xA1)
    assert master.receive(True) == ord("D")
    master.stop()


def test_memory_says_what_drivers_ask():
    """SFF-8472: identifier SFP, passive copper of SFP+, both checksums."""
    memory = sfp_memory()
    assert (memory[0], memory[8] & 0x04, memory[3]) == (0x03, 0x04, 0)
    assert memory[63] == sum(memory[:63]) & 0xFF and memory[95] == sum(memory[64:95]) & 0xFF
    assert len(memory) == 256 and memory[20:36] == b"MODEL           "
