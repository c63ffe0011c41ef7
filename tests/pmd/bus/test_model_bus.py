# SPDX-License-Identifier: BSD-3-Clause
"""The model as a bus: BARs, DMA map, interrupts, reset and port strings."""

import ctypes

import pytest

from dataplane.errors import ConfigError, DeviceError
from dataplane.memory.hugepage import Arena
from dataplane.pmd import probe
from dataplane.pmd.bus.model import ModelFunction, open_function
from dataplane.pmd.datasheet import CTRL, LINKS, RAL, RDT, STATUS, pci
from dataplane.pmd.model import Card
from dataplane.pmd.model.wire.port import LoopPlug, PortWire
from dataplane.pmd.portstring import PortString


@pytest.fixture
def function():
    with Card() as card, ModelFunction(card) as function:
        yield function


def opened(text):
    name, _, options = text.partition(",")
    return open_function(PortString.split_options(text, "", name, f",{options}" if options else ""))


def test_bars(function):
    assert function.bar(0) is function.bar(0)
    assert function.bar(0)[STATUS] & STATUS.GIO.mask
    with pytest.raises(DeviceError, match="model0 has no BAR1: it has BAR0, BAR2, BAR4"):
        function.bar(1)


def test_a_tail_is_a_dword_in_memory(function):
    bar = function.bar(0)
    tail = ctypes.c_uint32.from_address(bar.address(RDT[5].offset))
    tail.value = 77
    assert bar[RDT[5]] == 77
    for offset in (-4, 2, 0x20000):
        with pytest.raises(DeviceError, match="no register at"):
            bar.address(offset)


def test_io_ports_reach_any_register(function):
    io = function.bar(2)
    io.write32(0, RAL[0].offset)
    assert io.read32(0) == RAL[0].offset
    assert io.read32(4) == function.bar(0)[RAL[0]] != 0
    io.write32(4, 0x1234)
    assert function.bar(0)[RAL[0]] == 0x1234
    assert io.read32(8) == 0xFFFF_FFFF


def test_arenas_are_mapped_at_their_iova_and_taken_away(function):
    domain = function.chip.engine.domain
    arena = Arena(1 << 20, hugepages="no")
    function.dma_map(arena)
    function.dma_map(arena)
    assert [(iova, size, host) for iova, size, host, _ in domain.mappings] == [
        (arena.iova, arena.size, arena.address)
    ]
    assert function.card.ports[1].engine.domain.mappings == []
    function.dma_unmap(arena)
    function.dma_unmap(arena)
    assert domain.mappings == []
    arena.close()


def test_closing_ends_dma(function):
    arena = Arena(4096, hugepages="no")
    function.dma_map(arena)
    function.close()
    function.close()
    assert function.chip.engine.domain.mappings == [] and function.chip.stopped
    assert not function.config.bus_master
    arena.close()


def test_opening_switches_memory_and_bus_mastering_on(function):
    wanted = pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER
    assert function.config.read16(pci.COMMAND) & wanted == wanted
    function.reset()
    assert function.config.read16(pci.COMMAND) & wanted == wanted


def test_an_odd_port_is_refused():
    with Card(ports=1) as card, pytest.raises(ConfigError, match="no port 1: it has 1"):
        ModelFunction(card, 1)


@pytest.mark.parametrize(("text", "index", "port"), [("model80", 40, 0), ("model81", 40, 1)])
def test_port_strings_name_cards_and_ports(text, index, port):
    with opened(f"{text},thread=off") as function:
        assert (function.card.index, function.chip.port, function.name) == (index, port, text)
        assert function.vendor_id == 0x8086
    assert function.card.closed


def test_options_of_a_port_string():
    with opened("model82,manner=strict,thread=off") as function:
        assert function.card.manner == "strict"
        with pytest.raises(ConfigError, match="is open with manner=strict"):
            opened("model83,manner=lenient")
        with opened("model83") as other:
            assert other.card is function.card
    for text, message in (
        ("model84,manner=rude", "one of lenient, strict"),
        ("model84,thread=maybe", "on or off"),
    ):
        with pytest.raises(ConfigError, match=message):
            opened(text)
    with pytest.raises(
        DeviceError, match="its PF is not up: open the PF first, with enough VFs, as in 'model84,vfs=1'"
    ):
        opened("model84.vf0,pf_wait=0")


def test_wires_by_port_string():
    with opened("model86,thread=off,wire=model88") as one, opened("model88,thread=off,wire=model86") as other:
        assert isinstance(one.chip.engine.wire, PortWire) and one.chip.engine.wire is other.chip.engine.wire
        for _ in range(2):  # two cards that are stepped: each has a clock of its own
            one.card.sleep(0.01)
            other.card.sleep(0.01)
        assert one.bar(0).get(LINKS.UP) == other.bar(0).get(LINKS.UP) == 1
    assert one.card.closed and other.card.closed
    with opened("model86,thread=off,wire=model87") as one:
        assert one.card.ports[1].engine.wire is not None
    with opened("model86,thread=off,wire=loop") as one:
        assert isinstance(one.chip.engine.wire, LoopPlug)


def test_without_a_wire_the_ports_of_a_card_are_joined():
    with opened("model94,thread=off") as one, opened("model95") as other:
        assert one.chip.engine.wire is other.chip.engine.wire is not None
    with opened("model94,thread=off") as one, opened("model95,wire=loop") as other:
        assert one.chip.engine.wire is None  # what it was joined to has a wire of its own now
        assert isinstance(other.chip.engine.wire, LoopPlug)
    with opened("model94,thread=off"), opened("model96,thread=off,wire=model95") as far:
        assert isinstance(far.chip.engine.wire, PortWire)
    with opened("model94,thread=off") as one, opened("model95,wire=none") as other:
        assert one.chip.engine.wire is None and other.chip.engine.wire is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model90,thread=off,wire=model90", "to itself is wire=loop"),
        ("model90,thread=off,wire=eth0", "wire=eth0: name what is at the other end"),
        ("model90,thread=off,wire=listen:", "which socket"),
    ],
)
def test_wires_to_nowhere(text, message):
    with pytest.raises(ConfigError, match=message):
        opened(text)


def test_a_port_has_one_wire():
    with opened("model92,thread=off,wire=model93"), pytest.raises(ConfigError, match="has a wire already"):
        opened("model93,wire=loop")


def test_probe_refuses_what_nobody_asked_for():
    with pytest.raises(ConfigError, match="colour"):
        probe("model94,thread=off,colour=red")


def test_reset_reaches_the_chip(function):
    bar = function.bar(0)
    bar.write(RAL[0], 0)
    function.reset()
    assert bar[RAL[0]] != 0 and bar.get(CTRL.RST) == 0


def test_a_port_has_one_driver():
    with opened("model8") as first:
        with pytest.raises(DeviceError, match="model8 is open already, and a port has one driver"):
            opened("model8")
        with opened("model9") as second:
            assert second.card is first.card
    with opened("model8") as again:
        assert again.bar(0)[STATUS] & STATUS.GIO.mask
