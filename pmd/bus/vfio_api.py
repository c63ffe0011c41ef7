# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's VFIO interface (linux/vfio.h): request numbers, structures, flags; nothing that decides anything."""

from __future__ import annotations

import fcntl
import struct
import uuid
from collections.abc import Iterator, Sequence

__all__ = [
    "CONFIG_REGION",
    "GROUP_VIABLE",
    "IRQ_MSIX",
    "REGION_MMAP",
    "TYPE1V2",
    "check_extension",
    "dma_map",
    "dma_unmap",
    "group_device",
    "group_join",
    "group_status",
    "iova_ranges",
    "irq_count",
    "region",
    "reset",
    "set_iommu",
    "set_irqs",
    "set_vf_token",
    "version",
]

VERSION = 0
TYPE1V2 = 3
GROUP_VIABLE = 1 << 0
REGION_MMAP = 1 << 2
CONFIG_REGION = 7
IRQ_MSIX = 2
_DMA_READ, _DMA_WRITE = 1 << 0, 1 << 1
_IRQ_DATA_NONE, _IRQ_DATA_EVENTFD, _IRQ_TRIGGER = 1 << 0, 1 << 2, 1 << 5
_FEATURE_SET, _FEATURE_VF_TOKEN = 1 << 17, 0
_INFO_CAPS, _CAP_IOVA_RANGES = 1 << 1, 1


def _request(number: int) -> int:
    return ord(";") << 8 | 100 + number


def version(container: int) -> int:
    """The interface's version; `VERSION` is the one known here."""
    return fcntl.ioctl(container, _request(0))


def check_extension(container: int, extension: int) -> bool:
    """Whether the kernel supports this IOMMU type (VFIO_CHECK_EXTENSION)."""
    return fcntl.ioctl(container, _request(1), extension) > 0


def set_iommu(container: int, kind: int) -> None:
    """Choose the IOMMU type of a container (VFIO_SET_IOMMU)."""
    fcntl.ioctl(container, _request(2), kind)


def group_status(group: int) -> int:
    """Flags of a group."""
    answer = bytearray(struct.pack("=II", 8, 0))
    fcntl.ioctl(group, _request(3), answer)
    return int(struct.unpack("=II", answer)[1])


def group_join(group: int, container: int) -> None:
    """Put a group into a container (VFIO_GROUP_SET_CONTAINER)."""
    fcntl.ioctl(group, _request(4), struct.pack("=i", container))


def group_device(group: int, name: str) -> int:
    """A file descriptor of a device in the group. name: its address, and ` vf_token=UUID` if its PF asks for one."""
    # A buffer that may be changed: for another, fcntl.ioctl returns its content and not the descriptor.
    return int(fcntl.ioctl(group, _request(6), bytearray(name.encode() + b"\0")))


def region(device: int, index: int) -> tuple[int, int, int]:
    """(flags, size, offset in the device's file) of a region."""
    answer = bytearray(struct.pack("=IIIIQQ", 32, 0, index, 0, 0, 0))
    fcntl.ioctl(device, _request(8), answer)
    _, flags, _, _, size, offset = struct.unpack("=IIIIQQ", answer)
    return flags, size, offset


def irq_count(device: int, index: int) -> int:
    """How many interrupts of that kind the device has."""
    answer = bytearray(struct.pack("=IIII", 16, 0, index, 0))
    fcntl.ioctl(device, _request(9), answer)
    return int(struct.unpack("=IIII", answer)[3])


def set_irqs(device: int, index: int, eventfds: Sequence[int]) -> None:
    """Vectors from 0 on signal these eventfds, -1 none; an empty list switches interrupts off."""
    if eventfds:
        flags, data = _IRQ_DATA_EVENTFD | _IRQ_TRIGGER, struct.pack(f"={len(eventfds)}i", *eventfds)
    else:
        flags, data = _IRQ_DATA_NONE | _IRQ_TRIGGER, b""
    head = struct.pack("=IIIII", 20 + len(data), flags, index, 0, len(eventfds))
    fcntl.ioctl(device, _request(10), head + data)


def reset(device: int) -> None:
    """Reset the device (VFIO_DEVICE_RESET)."""
    fcntl.ioctl(device, _request(11))


def iova_ranges(container: int) -> list[tuple[int, int]]:
    """(first, last) of what may be mapped; empty if the kernel does not say."""
    head = struct.Struct("=IIQII")
    answer = bytearray(head.pack(head.size, 0, 0, 0, 0))
    fcntl.ioctl(container, _request(12), answer)
    size = head.unpack(answer)[0]
    answer = bytearray(head.pack(size, 0, 0, 0, 0)) + bytes(size - head.size)
    fcntl.ioctl(container, _request(12), answer)
    _, flags, _, first, _ = head.unpack_from(answer)
    if not flags & _INFO_CAPS:
        return []
    for at, identifier in _chain(answer, first):
        if identifier == _CAP_IOVA_RANGES:
            (count,) = struct.unpack_from("=I", answer, at + 8)
            return [struct.unpack_from("=QQ", answer, at + 16 + 16 * n) for n in range(count)]
    return []


def _chain(answer: bytearray, at: int) -> Iterator[tuple[int, int]]:
    while at:
        identifier, _, following = struct.unpack_from("=HHI", answer, at)
        yield at, identifier
        at = following if following > at else 0


def dma_map(container: int, address: int, iova: int, size: int) -> None:
    """Map `size` bytes at `address` to `iova` (VFIO_IOMMU_MAP_DMA)."""
    fcntl.ioctl(
        container, _request(13), struct.pack("=IIQQQ", 32, _DMA_READ | _DMA_WRITE, address, iova, size)
    )


def dma_unmap(container: int, iova: int, size: int) -> None:
    """Remove a mapping (VFIO_IOMMU_UNMAP_DMA)."""
    fcntl.ioctl(container, _request(14), bytearray(struct.pack("=IIQQ", 24, 0, iova, size)))


def set_vf_token(device: int, token: uuid.UUID) -> None:
    """Set the token that programs must give to open VFs of this PF. OSError: the kernel is below 5.7, or it is no PF."""
    fcntl.ioctl(device, _request(17), struct.pack("=II", 24, _FEATURE_SET | _FEATURE_VF_TOKEN) + token.bytes)
