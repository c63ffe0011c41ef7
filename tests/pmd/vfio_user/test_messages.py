# SPDX-License-Identifier: BSD-3-Clause
"""The messages of vfio-user: layouts against the specification's numbers, and every possible content."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.pmd.vfio_user import messages
from dataplane.pmd.vfio_user.messages import (
    BODIES,
    Command,
    DeviceInfo,
    DmaFlags,
    DmaMap,
    DmaUnmap,
    IrqInfo,
    IrqKind,
    IrqSet,
    Malformed,
    MessageHeader,
    Region,
    RegionAccess,
    RegionFlags,
    RegionInfo,
    RegionType,
    SetIrqs,
    SparseMmap,
    Version,
    pack_capabilities,
    unpack_capabilities,
)

STRUCTS = (MessageHeader, DmaMap, DmaUnmap, DeviceInfo, RegionInfo, IrqInfo, SetIrqs, RegionAccess)
WORDS = {"H": st.integers(0, 0xFFFF), "I": st.integers(0, 0xFFFF_FFFF), "Q": st.integers(0, (1 << 64) - 1)}


def test_numbers_of_the_specification() -> None:
    """Entered by hand from QEMU's docs/interop/vfio-user.rst and linux/vfio.h."""
    assert [Command(n).name for n in (1, 2, 3, 4, 5, 7, 8, 9, 10, 13)] == [
        "VERSION", "DMA_MAP", "DMA_UNMAP", "GET_INFO", "GET_REGION_INFO", "GET_IRQ_INFO", "SET_IRQS", "REGION_READ",
        "REGION_WRITE", "RESET",
    ]  # fmt: skip
    assert [Region.ROM, Region.CONFIG, Region.VGA] == [6, 7, 8]
    assert [IrqKind.INTX, IrqKind.MSI, IrqKind.MSIX, IrqKind.ERROR, IrqKind.REQUEST] == [0, 1, 2, 3, 4]
    assert [IrqSet.NONE, IrqSet.BOOL, IrqSet.EVENTFD, IrqSet.MASK, IrqSet.UNMASK, IrqSet.TRIGGER] == [
        1, 2, 4, 8, 16, 32,
    ]  # fmt: skip
    assert [RegionFlags.READ, RegionFlags.WRITE, RegionFlags.MMAP, RegionFlags.CAPS] == [1, 2, 4, 8]
    assert [DmaFlags.READ, DmaFlags.WRITE, DmaFlags.ALL] == [1, 2, 2]
    sizes = {cls.__name__: cls.struct_size() for cls in STRUCTS}
    assert sizes == {
        "MessageHeader": 16, "DmaMap": 32, "DmaUnmap": 24, "DeviceInfo": 16, "RegionInfo": 32, "IrqInfo": 16, "SetIrqs": 20,
        "RegionAccess": 16,
    }  # fmt: skip


def test_bytes_of_a_message() -> None:
    header = MessageHeader.of_command(0x1234, Command.REGION_WRITE, 20, no_reply=True)
    assert header.pack() == bytes.fromhex("34120a00240000001000000000000000")
    assert RegionAccess(0x1018, 0, 4).pack() == bytes.fromhex("18100000000000000000000004000000")
    refusal = MessageHeader.of_reply(header, 0, error=22)
    assert refusal.pack() == bytes.fromhex("34120a00100000002100000016000000")
    assert (header.kind, header.no_reply, header.failed) == (0, True, False)
    assert (refusal.kind, refusal.no_reply, refusal.failed) == (1, False, True)


@pytest.mark.parametrize("cls", STRUCTS, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_every_struct_comes_back(cls: type, data: st.DataObject) -> None:
    letters = cls.LAYOUT.format.lstrip("<")
    values = [data.draw(WORDS[letter]) for letter in letters]
    made = cls(*values)
    packed = made.pack()
    assert packed == struct.pack(cls.LAYOUT.format, *values)
    assert cls.unpack(packed + b"more") == made
    assert cls.unpack(b"xyz" + packed, 3) == made
    short = packed[: data.draw(st.integers(0, len(packed) - 1))]
    with pytest.raises(Malformed, match="here are"):
        cls.unpack(short)


def test_a_value_that_does_not_fit() -> None:
    with pytest.raises(ValueError, match="RegionAccess"):
        RegionAccess(0, 0, 1 << 32).pack()


def test_every_command_with_a_body_is_known() -> None:
    assert set(BODIES) == set(Command) - {
        Command.VERSION, Command.GET_REGION_IO_FDS, Command.DMA_READ, Command.DMA_WRITE, Command.RESET,
        Command.REGION_WRITE_MULTI,
    }  # fmt: skip


JSON = st.dictionaries(st.text(max_size=8), st.integers(0, 1 << 40) | st.text(max_size=8), max_size=4)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), JSON)
def test_a_version_comes_back(major: int, minor: int, can: dict[str, object]) -> None:
    assert Version.unpack(Version(major, minor, can).pack()) == Version(major, minor, can)


@given(st.binary(max_size=64))
def test_no_bytes_upset_a_version(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert Version.unpack(data).number("max_msg_fds", 1) >= 0


@pytest.mark.parametrize(
    "text",
    [b"{}", b'{"capabilities":[]}\0', b"[1]\0", b"{\0", b'{"capabilities":{"max_msg_fds":-1}}\0', b"\xff\0",
     b'{"capabilities":{"max_msg_fds":true}}\0', b"[" * 100_000 + b"\0"],
    ids=range(8),
)  # fmt: skip
def test_a_version_that_is_none(text: bytes) -> None:
    with pytest.raises(Malformed):
        Version.unpack(bytes(4) + text).number("max_msg_fds", 1)


AREAS = st.lists(st.tuples(WORDS["Q"], WORDS["Q"]), max_size=4)
CAPABILITIES = st.lists(
    AREAS.map(lambda areas: SparseMmap(tuple(areas)))
    | st.builds(RegionType, st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)),
    max_size=4,
)


@given(CAPABILITIES, st.integers(1, 64))
def test_capabilities_come_back(capabilities: list[SparseMmap | RegionType], at: int) -> None:
    packed = pack_capabilities(capabilities, at)
    assert unpack_capabilities(bytes(at) + packed, at if capabilities else 0) == capabilities


@given(st.binary(max_size=128), st.integers(0, 140))
def test_no_bytes_upset_capabilities(data: bytes, at: int) -> None:
    with contextlib.suppress(Malformed):
        assert isinstance(unpack_capabilities(data, at), list)


def test_a_chain_that_bites_its_tail_ends() -> None:
    looped = bytes(4) + struct.pack("<HHI", 9, 1, 4)
    with pytest.raises(Malformed, match="goes back from 4 to 4"):
        unpack_capabilities(looped, 4)


def test_everything_named_is_there() -> None:
    assert all(hasattr(messages, name) for name in messages.__all__)
