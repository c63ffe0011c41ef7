# SPDX-License-Identifier: BSD-3-Clause
"""The messages of vfio-user as data: little-endian structs behind a header of 16 bytes (QEMU's docs/interop/vfio-user.rst).

Each class is one struct: its fields in order, ``pack`` and ``unpack``. The numbers of regions, interrupts and flags are
those of the kernel's VFIO for PCI (linux/vfio.h).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from operator import attrgetter
from typing import Any, ClassVar, Self

__all__ = [
    "BODIES",
    "DOORBELLS",
    "Command",
    "DeviceInfo",
    "DmaFlags",
    "DmaMap",
    "DmaUnmap",
    "DmaUnmapped",
    "MessageHeader",
    "InfoFlags",
    "IrqFlags",
    "IrqInfo",
    "IrqKind",
    "IrqSet",
    "Kind",
    "Malformed",
    "Region",
    "RegionAccess",
    "RegionFlags",
    "RegionInfo",
    "RegionType",
    "SetIrqs",
    "SparseMmap",
    "Version",
    "pack_capabilities",
    "unpack_capabilities",
]


class Malformed(ValueError):
    """Bytes that are no such message."""


class Command(IntEnum):
    """The command numbers of the protocol."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    GET_INFO = 4
    GET_REGION_INFO = 5
    GET_REGION_IO_FDS = 6
    GET_IRQ_INFO = 7
    SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DMA_READ = 11
    DMA_WRITE = 12
    RESET = 13
    REGION_WRITE_MULTI = 15


class Kind(IntEnum):
    """The low four bits of a header's flags."""

    COMMAND = 0
    REPLY = 1


class Region(IntEnum):
    """0 to 5 are the BARs."""

    ROM = 6
    CONFIG = 7
    VGA = 8
    FIRST_OWN = 9  # from here on regions are the device's own, and say what they are in a capability


DOORBELLS = 0x0D0B
"""The subtype of the region with the tails of an 82599 function's queues, which its client maps; the vendor is Intel."""


class IrqKind(IntEnum):
    """The interrupt types of a device."""

    INTX = 0
    MSI = 1
    MSIX = 2
    ERROR = 3
    REQUEST = 4


class InfoFlags(IntFlag):
    """Flags of DEVICE_GET_INFO."""

    RESET = 1
    PCI = 2


class RegionFlags(IntFlag):
    """Flags of DEVICE_GET_REGION_INFO."""

    READ = 1
    WRITE = 2
    MMAP = 4
    CAPS = 8

    WAKES = 1 << 31
    """Ours, for DOORBELLS. In the question: this client wakes a device that rests when it has written a tail. In the answer:
    a second descriptor is an eventfd to do so by, when the word at the start of the last area is not 0."""


class IrqFlags(IntFlag):
    """Abilities of an interrupt, in the answer to GET_IRQ_INFO."""

    EVENTFD = 1
    MASKABLE = 2
    AUTOMASKED = 4
    NO_RESIZE = 8


class IrqSet(IntFlag):
    """SET_IRQS: one kind of data, one action."""

    NONE = 1
    BOOL = 2
    EVENTFD = 4
    MASK = 8
    UNMASK = 16
    TRIGGER = 32

    DATA = 7
    ACTION = 56


class DmaFlags(IntFlag):
    """DMA_MAP: what the device may do. DMA_UNMAP: ALL takes everything away."""

    READ = 1
    WRITE = 2

    DIRTY = 1
    ALL = 2


class _Struct:
    """Fixed fields, in the order of LAYOUT."""

    LAYOUT: ClassVar[struct.Struct]
    _values: ClassVar[Callable[[Any], tuple[int, ...]]]  # of the fields, without a loop in Python

    def __init_subclass__(cls) -> None:
        cls._values = attrgetter(*(name for name in cls.__annotations__ if name != "LAYOUT"))

    def pack(self) -> bytes:
        """The struct's bytes. Raises ValueError for a value that does not fit its field."""
        try:
            return self.LAYOUT.pack(*type(self)._values(self))
        except struct.error as error:
            raise ValueError(f"{self}: {error}") from None

    @classmethod
    def unpack(cls, data: bytes, at: int = 0) -> Self:
        """The struct at that place; bytes behind it do not matter. Raises Malformed if it is cut short."""
        if len(data) - at < cls.LAYOUT.size:
            raise Malformed(f"{cls.__name__} has {cls.LAYOUT.size} bytes, here are {len(data) - at}")
        return cls(*cls.LAYOUT.unpack_from(data, at))

    @classmethod
    def struct_size(cls) -> int:
        return cls.LAYOUT.size


_KIND, _NO_REPLY, _ERROR = 0xF, 1 << 4, 1 << 5


@dataclass(frozen=True, slots=True)
class MessageHeader(_Struct):
    """id: the sender's choice, the reply has the same. size: of the message, header included. error: an errno."""

    LAYOUT = struct.Struct("<HHIII")

    id: int
    command: int
    size: int
    flags: int = 0
    error: int = 0

    @property
    def kind(self) -> int:
        """Command or reply."""
        return self.flags & _KIND

    @property
    def no_reply(self) -> bool:
        """Whether the sender wants no answer."""
        return bool(self.flags & _NO_REPLY)

    @property
    def failed(self) -> bool:
        """Whether it is a reply with an error."""
        return bool(self.flags & _ERROR)

    @classmethod
    def of_command(cls, id: int, command: int, body: int, no_reply: bool = False) -> Self:
        """The header of a command with `body` bytes behind it. no_reply: the sender wants no answer."""
        return cls(id, command, cls.struct_size() + body, _NO_REPLY if no_reply else 0)

    @classmethod
    def of_reply(cls, to: MessageHeader, body: int, error: int = 0) -> Self:
        """The header of a reply to `to` with a body of `body` bytes. error: an errno, 0 for none."""
        return cls(to.id, to.command, cls.struct_size() + body, Kind.REPLY | (_ERROR if error else 0), error)


@dataclass(frozen=True, slots=True)
class DmaMap(_Struct):
    """offset: of the memory in the file whose descriptor comes along. address: the IOVA."""

    LAYOUT = struct.Struct("<IIQQQ")

    argsz: int
    flags: int
    offset: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class DmaUnmap(_Struct):
    """The body of DMA_UNMAP."""

    LAYOUT = struct.Struct("<IIQQ")

    argsz: int
    flags: int
    address: int
    length: int


DmaUnmapped = DmaUnmap  # the reply; length: what was mapped


@dataclass(frozen=True, slots=True)
class DeviceInfo(_Struct):
    """The body of DEVICE_GET_INFO."""

    LAYOUT = struct.Struct("<IIII")

    argsz: int
    flags: int
    regions: int
    irqs: int


@dataclass(frozen=True, slots=True)
class RegionInfo(_Struct):
    """capabilities: where the first one starts in the reply, 0: none. offset: of the region in its file, for mmap."""

    LAYOUT = struct.Struct("<IIIIQQ")

    argsz: int
    flags: int
    index: int
    capabilities: int
    length: int
    offset: int


_CAP_SPARSE_MMAP, _CAP_TYPE = 1, 2
_CAPABILITY = struct.Struct("<HHI")  # id, version, where the next one starts
_SPARSE = struct.Struct("<II")  # number of areas, reserved
_AREA = struct.Struct("<QQ")  # offset, size
_TYPE = struct.Struct("<II")
_PCI_VENDOR_TYPE = 1 << 31


@dataclass(frozen=True)
class SparseMmap:
    """The parts of a region that may be mapped: (offset, size) in bytes."""

    areas: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class RegionType:
    """What a region of the device's own is: a PCI vendor's number and that vendor's name for it."""

    vendor: int
    subtype: int


def pack_capabilities(capabilities: list[SparseMmap | RegionType], at: int) -> bytes:
    """A chain of capabilities that starts `at` bytes into the reply."""
    out = b""
    for index, capability in enumerate(capabilities):
        if isinstance(capability, SparseMmap):
            identifier = _CAP_SPARSE_MMAP
            body = _SPARSE.pack(len(capability.areas), 0) + b"".join(
                _AREA.pack(*area) for area in capability.areas
            )
        else:
            identifier = _CAP_TYPE
            body = _TYPE.pack(_PCI_VENDOR_TYPE | capability.vendor, capability.subtype)
        start = at + len(out)
        following = start + _CAPABILITY.size + len(body) if index + 1 < len(capabilities) else 0
        out += _CAPABILITY.pack(identifier, 1, following) + body
    return out


def unpack_capabilities(data: bytes, at: int) -> list[SparseMmap | RegionType]:
    """The capabilities from `at` on, those of other kinds left out. Raises Malformed for a chain that is none."""
    found: list[SparseMmap | RegionType] = []
    while at:
        try:
            identifier, _, following = _CAPABILITY.unpack_from(data, at)
            body = at + _CAPABILITY.size
            if identifier == _CAP_SPARSE_MMAP:
                count, _ = _SPARSE.unpack_from(data, body)
                start = body + _SPARSE.size
                if count * _AREA.size > len(data) - start:
                    raise Malformed(f"{count} areas to map in a reply of {len(data)} bytes")
                areas = (_AREA.unpack_from(data, start + n * _AREA.size) for n in range(count))
                found.append(SparseMmap(tuple(areas)))
            elif identifier == _CAP_TYPE:
                kind, subtype = _TYPE.unpack_from(data, body)
                found.append(RegionType(kind & 0xFFFF, subtype))
        except struct.error as error:
            raise Malformed(f"a capability at {at} of {len(data)} bytes: {error}") from None
        if following and following <= at:
            raise Malformed(f"the chain of capabilities goes back from {at} to {following}")
        at = following
    return found


@dataclass(frozen=True, slots=True)
class IrqInfo(_Struct):
    """The body of DEVICE_GET_IRQ_INFO."""

    LAYOUT = struct.Struct("<IIII")

    argsz: int
    flags: int
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class SetIrqs(_Struct):
    """start, count: which of the interrupts of kind `index`. Data of `count` bytes, or descriptors, come along."""

    LAYOUT = struct.Struct("<IIIII")

    argsz: int
    flags: int
    index: int
    start: int
    count: int


@dataclass(frozen=True, slots=True)
class RegionAccess(_Struct):
    """REGION_READ and REGION_WRITE, and their replies; data of `count` bytes follow a write and the reply to a read."""

    LAYOUT = struct.Struct("<QII")

    offset: int
    region: int
    count: int


@dataclass(frozen=True)
class Version:
    """major, minor, and what the sender can: a dictionary."""

    major: int
    minor: int
    capabilities: dict[str, Any]

    _NUMBERS: ClassVar[struct.Struct] = struct.Struct("<HH")

    def pack(self) -> bytes:
        """The bytes on the socket."""
        text = json.dumps({"capabilities": self.capabilities}, separators=(",", ":"))
        return self._NUMBERS.pack(self.major, self.minor) + text.encode() + b"\0"

    @classmethod
    def unpack(cls, data: bytes) -> Version:
        """Raises Malformed. A sender that has nothing to say of itself may leave the text away."""
        if len(data) < cls._NUMBERS.size:
            raise Malformed(f"a version has {cls._NUMBERS.size} bytes at least, here are {len(data)}")
        major, minor = cls._NUMBERS.unpack_from(data)
        text = data[cls._NUMBERS.size :]
        if not text:
            return cls(major, minor, {})
        if text[-1]:
            raise Malformed("the capabilities of a version do not end in a 0 byte")
        try:
            said = json.loads(text[:-1] or b"{}")
        except (ValueError, RecursionError) as error:
            raise Malformed(f"the capabilities of a version are no JSON: {error}") from None
        found = said.get("capabilities", {}) if isinstance(said, dict) else None
        if not isinstance(found, dict):
            raise Malformed("the capabilities of a version are no dictionary")
        return cls(major, minor, found)

    def number(self, name: str, default: int) -> int:
        """A capability that is a number from 0 on; `default` when it is missing. Raises Malformed for what is none."""
        value = self.capabilities.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Malformed(f"{name} is {value!r}, not a number from 0 on")
        return value


BODIES: dict[int, type[_Struct]] = {
    Command.DMA_MAP: DmaMap,
    Command.DMA_UNMAP: DmaUnmap,
    Command.GET_INFO: DeviceInfo,
    Command.GET_REGION_INFO: RegionInfo,
    Command.GET_IRQ_INFO: IrqInfo,
    Command.SET_IRQS: SetIrqs,
    Command.REGION_READ: RegionAccess,
    Command.REGION_WRITE: RegionAccess,
}
"""The structure behind the header of each command."""
