# SPDX-License-Identifier: BSD-3-Clause
"""The bus floor carries any device: a driver beside ixgbe, every width of access, no register of a device in its source."""

from __future__ import annotations

import ast
import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane import pmd
from dataplane.errors import DeviceError, DeviceGone
from dataplane.pmd.bus.model import ModelBar
from dataplane.pmd.function import Bar, RegisterUse
from tests.pmd.bus.toy_device import (
    ALIVE,
    CONTROL,
    DEVICE,
    DOORBELL,
    MODE,
    RING,
    SIZE,
    VENDOR,
    ToyFunction,
    ToyPort,
)

ROOT = Path(__file__).resolve().parent.parent.parent.parent / "pmd"
# The model's own slot, which knows the silicon in it; its wires' options.
OF_THE_MODEL = {"model.py", "model_parts.py", "model_vf.py", "netem_options.py", "wiring.py"}
BUS = [ROOT / "function.py", ROOT / "register.py", ROOT / "pci.py"] + [
    path for path in sorted((ROOT / "bus").glob("*.py")) if path.name not in OF_THE_MODEL
]


@pytest.mark.parametrize("path", BUS, ids=lambda path: path.name)
def test_the_bus_knows_no_device(path: Path) -> None:
    """A module of the bus floor imports nothing of the datasheet, and nothing of a driver or the model."""
    found = [
        name
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        if name.startswith(("dataplane.pmd.datasheet", "dataplane.pmd.ixgbe", "dataplane.pmd.model"))
    ]
    assert not found, f"{path.name} imports {found}: let the driver pass it (RegisterUse)"


@pytest.fixture
def function() -> Iterator[ToyFunction]:
    with ToyFunction("toy0") as made:
        yield made


@pytest.fixture
def port(function: ToyFunction, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyPort]:
    monkeypatch.setattr(pmd, "_drivers", dict(pmd._drivers))
    monkeypatch.setattr(pmd, "_buses", dict(pmd._buses))
    pmd.register_bus("toy", lambda spec: function, r"toy\d", "toy0")
    pmd.register_driver(VENDOR, DEVICE, "tests.pmd.bus.toy_device:ToyPort")
    with pmd.probe("toy0") as made:
        assert isinstance(made, ToyPort)
        yield made


def test_its_driver_uses_every_width(function: ToyFunction, port: ToyPort) -> None:
    port.start()
    assert function.raw(CONTROL, 1) == b"\x81" and function.raw(DOORBELL, 2) == b"\x07\x00"
    assert int.from_bytes(function.raw(RING, 8), "little") == function.mapped[0].iova
    assert port.registers.get(MODE.SPEED) == 2 and port.xstats() == {"tx_good_packets": 7}
    assert port.registers.read8(CONTROL) == 0x81 and port.registers.read64(RING) == function.mapped[0].iova
    tail = ctypes.c_uint16.from_address(port.registers.address(DOORBELL & ~3) + 2)
    tail.value = 9
    assert function.raw(DOORBELL, 2) == b"\x09\x00"
    port.stop()
    assert function.mapped == [] and port.capabilities == frozenset()


def test_its_driver_says_when_it_is_gone(function: ToyFunction, port: ToyPort) -> None:
    port.registers.write32(ALIVE, 1)
    port.registers.write64(RING, 2**64 - 1)
    assert port.registers.read64(RING) == 2**64 - 1
    port.registers.check()  # another register may read all ones
    function.pull()
    with pytest.raises(DeviceGone, match="toy0 is gone"):
        port.xstats()


def test_a_bar_without_presence_does_not_guess(function: ToyFunction) -> None:
    function.pull()
    bar = function.bar(0)
    bar.check()
    bar.describe(RegisterUse(presence=ALIVE))
    with pytest.raises(DeviceGone):
        bar.check()


@pytest.mark.parametrize(
    ("bits", "offset"), [(16, 1), (64, 4), (8, SIZE), (16, SIZE), (64, SIZE - 4), (32, 2)]
)
def test_an_access_outside_is_refused(function: ToyFunction, bits: int, offset: int) -> None:
    bar = function.bar(0)
    with pytest.raises(DeviceError, match=f"no register of {bits} bits at"):
        getattr(bar, f"read{bits}")(offset)
    with pytest.raises(DeviceError, match=f"no register of {bits} bits at"):
        getattr(bar, f"write{bits}")(offset, 0)


@pytest.mark.parametrize("bits", [8, 16, 64])
def test_a_bus_without_a_width_says_so(bits: int) -> None:
    """The 82599 has registers of 32 bits alone, and so has the model's bus."""
    with pmd.probe("model0") as opened:
        bar: Bar = opened.function.bar(0)  # type: ignore[attr-defined]
        assert isinstance(bar, ModelBar)
        with pytest.raises(DeviceError, match=f"model0: no access of {bits} bits on this bus: use read32"):
            getattr(bar, f"read{bits}")(0)
        with pytest.raises(DeviceError, match=f"no access of {bits} bits"):
            getattr(bar, f"write{bits}")(0, 0)
