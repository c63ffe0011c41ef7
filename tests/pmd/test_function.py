# SPDX-License-Identifier: BSD-3-Clause
"""The contract of a PCI function: registers by name, waits that end, configuration space."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dataplane.errors import ConfigError, DeviceError, DeviceGone, DeviceTimeout
from dataplane.pmd.datasheet import CTRL, LINKS, MAXFRS, PICAUSE, RAL, RXDCTL, SRRCTL, STATUS, TXDCTL, pci
from dataplane.pmd.function import Bar, ConfigSpace, Function, RegisterUse


class Memory(Bar):
    """Registers that hold what was written, on a clock that only moves by sleeping."""

    name = "model0"
    registers = RegisterUse(presence=STATUS.offset)

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.writes: list[tuple[int, int]] = []
        self.time = 0.0
        self.on_sleep: Callable[[], None] = lambda: None

    def read32(self, offset: int) -> int:
        return self.words.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        self.writes.append((offset, value))
        self.words[offset] = value

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.on_sleep()


@pytest.fixture
def bar() -> Memory:
    return Memory()


def test_whole_registers(bar: Memory) -> None:
    bar.write(RAL[2], 0xFFFF_FFFF)
    assert bar.writes == [(0x0A210, 0xFFFF_FFFF)]
    assert bar[RAL[2]] == bar.read(RAL[2]) == 0xFFFF_FFFF
    for wrong in (1 << 32, -1):
        with pytest.raises(ConfigError, match=r"RAL\[2\] holds 32 bits.*8\.2\.3\.7\.8"):
            bar.write(RAL[2], wrong)


def test_fields(bar: Memory) -> None:
    bar.words[SRRCTL[3].offset] = SRRCTL[3].pack(BSIZEHEADER=4, BSIZEPACKET=16)
    bar.update(SRRCTL[3], DESCTYPE=1, BSIZEPACKET=2, DROP_EN=1)
    assert SRRCTL[3].unpack(bar[SRRCTL[3]]) == {
        "BSIZEPACKET": 2,
        "BSIZEHEADER": 4,
        "RDMTS": 0,
        "DESCTYPE": 1,
        "DROP_EN": 1,
    }
    assert bar.get(SRRCTL[3].DESCTYPE) == 1
    bar.set(CTRL.RST, CTRL.LRST)
    assert bar[CTRL] == 1 << 26 | 1 << 3
    bar.clear(CTRL.RST)
    assert bar[CTRL] == 1 << 3
    assert len(bar.writes) == 3, "each is one write"


def test_nothing_is_written_when_a_value_is_wrong(bar: Memory) -> None:
    with pytest.raises(ValueError, match=r"TXDCTL\[1\]\.PTHRESH is 7 bits wide"):
        bar.update(TXDCTL[1], ENABLE=1, PTHRESH=128)
    with pytest.raises(AttributeError, match="PTHRES"):
        bar.update(TXDCTL[1], PTHRES=1)
    with pytest.raises(
        ConfigError, match=r"RXDCTL\[0\]\.ENABLE and RXDCTL\[1\]\.ENABLE are in two registers"
    ):
        bar.set(RXDCTL[0].ENABLE, RXDCTL[1].ENABLE)
    with pytest.raises(ConfigError, match="at least one field"):
        bar.clear()
    with pytest.raises(AttributeError, match=r"there are 128 RXDCTL: say which"):
        bar.set(RXDCTL.ENABLE)
    assert bar.writes == []


def test_modifying_does_not_acknowledge_what_is_pending(bar: Memory) -> None:
    bar.words[PICAUSE.offset] = 0b11
    bar.clear(PICAUSE.UA)
    assert bar.writes == [(PICAUSE.offset, 0b10)], "that one, by writing 1, and no other"


def test_a_wait_that_succeeds(bar: Memory) -> None:
    def enable_later() -> None:
        if bar.time > 0.0035:
            bar.words[RXDCTL[3].offset] = 1 << 25

    bar.on_sleep = enable_later
    bar.wait(RXDCTL[3].ENABLE, interval=1e-3)
    assert bar.time == pytest.approx(0.004)
    before = bar.time
    bar.wait(RXDCTL[3].ENABLE)
    bar.wait(RXDCTL[3].SWFLSH, 0)
    assert bar.time == before, "what is so already costs no time"


def test_a_wait_that_ends(bar: Memory) -> None:
    with pytest.raises(DeviceTimeout) as error:
        bar.wait(RXDCTL[3].ENABLE)
    assert str(error.value) == "RXDCTL[3].ENABLE still 0 after 1.0 s on model0 (datasheet 8.2.3.8.6)"
    assert bar.time == pytest.approx(1.0, rel=0.01)
    bar.words[CTRL.offset] = 1 << 26
    with pytest.raises(
        DeviceTimeout, match=r"^CTRL\.RST still 1 after 0.01 s on model0 \(datasheet 8\.2\.3\.1\.1\)$"
    ):
        bar.wait(CTRL.RST, 0, timeout=0.01)
    with pytest.raises(DeviceTimeout, match=r"^LINKS\.SPEED still 0, not 3, after 9.0 s on model0"):
        bar.wait(LINKS.SPEED, 3, timeout=9.0, interval=0.1)


def test_one_look_after_the_deadline(bar: Memory) -> None:
    """A process that was not scheduled for long must not blame the device."""

    def overslept() -> None:
        bar.time += 100
        bar.words[RXDCTL[0].offset] = 1 << 25

    bar.on_sleep = overslept
    bar.wait(RXDCTL[0].ENABLE)


def test_a_value_that_cannot_come(bar: Memory) -> None:
    with pytest.raises(ValueError, match=r"RXDCTL\[0\]\.ENABLE is 1 bit wide"):
        bar.wait(RXDCTL[0].ENABLE, 2)
    assert bar.time == 0


def test_a_device_that_is_gone(bar: Memory) -> None:
    bar.check()
    bar.words[RXDCTL[0].offset] = 0xFFFF_FFFF
    bar.wait(RXDCTL[0].ENABLE)  # one register of all ones is only a register
    bar.words[STATUS.offset] = 0xFFFF_FFFF
    for act in (bar.check, lambda: bar.wait(RXDCTL[0].ENABLE), lambda: bar.wait(RXDCTL[0].ENABLE, 0)):
        with pytest.raises(DeviceGone, match="model0 is gone: its registers read all ones"):
            act()


def test_a_bus_that_cannot_map_registers(bar: Memory) -> None:
    with pytest.raises(DeviceError, match=r"model0: register 0x01018 cannot be mapped"):
        bar.address(0x01018)


def test_real_time_passes() -> None:
    class Plain(Memory):
        now = Bar.now
        sleep = Bar.sleep

    with pytest.raises(DeviceTimeout, match=r"after 0\.01 s"):
        Plain().wait(MAXFRS.MFS, 9728, timeout=0.01)


class Config(ConfigSpace):
    def __init__(self, size: int = pci.SIZE) -> None:
        self.data = bytearray(size)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self.data[offset : offset + len(data)] = data


def card() -> Config:
    """The chain of capabilities of a real PF."""
    config = Config()
    config.write16(pci.VENDOR_ID, pci.INTEL)
    config.write16(pci.DEVICE_ID, pci.PF_82599_SFP)
    config.write8(pci.REVISION, 1)
    config.write16(pci.STATUS, pci.STATUS_CAPABILITIES)
    config.write8(pci.CAPABILITIES, 0x40)
    for at, identifier, after in (
        (0x40, 0x01, 0x50),
        (0x50, 0x05, 0x70),
        (0x70, 0x11, 0xA0),
        (0xA0, 0x10, 0),
    ):
        config.write(at, bytes((identifier, after)))
    for at, identifier, after in (
        (0x100, 1, 0x140),
        (0x140, 3, 0x150),
        (0x150, 0xE, 0x160),
        (0x160, 0x10, 0),
    ):
        config.write32(at, identifier | 1 << 16 | after << 20)
    return config


def test_capabilities() -> None:
    config = card()
    assert list(config.capabilities()) == [(1, 0x40), (5, 0x50), (0x11, 0x70), (0x10, 0xA0)]
    assert [at for _, at in config.extended_capabilities()] == [
        pci.PF_AER,
        pci.PF_SERIAL,
        pci.PF_ARI,
        pci.PF_SRIOV,
    ]
    assert config.find(pci.CAP_MSIX) == pci.PF_MSIX
    assert config.find(pci.EXT_SRIOV, extended=True) == pci.PF_SRIOV
    assert config.find(pci.CAP_VPD) is None
    assert list(Config().capabilities()) == list(Config().extended_capabilities()) == []


def test_broken_chains() -> None:
    config = card()
    config.write8(0xA1, 0x50)
    with pytest.raises(DeviceError, match="chain is broken at 0x50"):
        list(config.capabilities())
    config.write32(0x160, 0x10 | 0x140 << 20)
    with pytest.raises(DeviceError, match="chain is broken at 0x140"):
        list(config.extended_capabilities())


def test_config_words() -> None:
    config = Config()
    config.write32(0x10, 0x1234_5678)
    assert (config.read8(0x10), config.read16(0x12), config.read32(0x10)) == (0x78, 0x1234, 0x1234_5678)
    config.write16(0x12, 0xABCD)
    config.write8(0x10, 0xEF)
    assert config.read(0x10, 4) == bytes.fromhex("ef56cdab")


class Card(Function):
    def __init__(self) -> None:
        self.name, self.config, self.closed = "model0", card(), False

    def bar(self, index: int) -> Bar:
        return Memory()

    def dma_map(self, arena: object) -> None: ...

    def dma_unmap(self, arena: object) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def test_function() -> None:
    with Card() as function:
        assert (function.vendor_id, function.device_id, function.revision) == (0x8086, 0x10FB, 1)
        assert function.device_id in pci.PF_IDS
        assert function.vectors == 0
        with pytest.raises(DeviceError, match="model0: no interrupt vector 3"):
            function.interrupt(3, 5)
        assert not function.closed
    assert function.closed


def test_a_bus_must_keep_the_whole_contract() -> None:
    class Half(Function):
        def close(self) -> None: ...

    with pytest.raises(TypeError, match=r"bar.*dma_map.*dma_unmap.*reset"):
        Half()  # type: ignore[abstract]
