# SPDX-License-Identifier: BSD-3-Clause
"""Flows: scapy's own set notation as the language for traffic.

``Flows(Ether()/IP(dst="10.0.0.0/28")/UDP(sport=(1024, 1039)), size=64)`` is the 256 frames that
``list(packet)`` would be, in the same order, with the same lengths and checksums. They are described by one
template per layout and a short program of stamps, so a billion flows take no more memory than two, and no
packet is built while traffic flows.

Addresses that scapy would look up on its host have fixed values, the same on each machine: source MAC address
02:00:00:00:00:01, destination MAC address ff:ff:ff:ff:ff:ff, source addresses 198.18.0.1 and 2001:2::1. A random
value (``RandShort()``) is drawn again for each frame.

- `expression`: reads a packet expression from text
- `axes`: finds what varies in a packet
- `layout`: the bytes of a packet, and where fields and checksums are in them
- `compile`: makes a program of a packet, and compares its frames with scapy's
- `program`: the program: which template a frame copies, and what is written into it
- `render`: runs a program in NumPy
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataplane.apps.flows.compile import PacketCompiler
from dataplane.apps.flows.expression import EXAMPLE, parse
from dataplane.apps.flows.program import Builder, Program
from dataplane.apps.flows.render import render
from dataplane.errors import ConfigError
from dataplane.limits import FCS_BYTES, FRAME_MAX_WITH_FCS_BYTES

__all__ = ["Flows", "Table"]

SLOT_ALIGNMENT = 64  # a cache line
MOST_TABLE_FRAMES = 65_536
MOST_TABLE_BYTES = 4 << 20


@dataclass(frozen=True)
class Table:
    """Every frame of a cycle, rendered.

    frames: uint8, shape (count, slot), contiguous, the first byte on a cache line, zeros behind a frame's
        end.
    lengths: uint16, shape (count,), bytes without FCS.
    """

    frames: NDArray[np.uint8]
    lengths: NDArray[np.uint16]

    @property
    def slot(self) -> int:
        """Bytes from one frame to the next, a multiple of 64."""
        return int(self.frames.shape[1])


class Flows:
    """The frames that a packet with sets in its fields describes.

    packet: a scapy packet, a list of them (one after the other), or such an expression as text. A packet
        that starts with IP, IPv6 or ARP gets an Ethernet header.
    size: bytes of each frame on the wire, with the 4 bytes of FCS, so 64 means 60 bytes in the buffer;
        the innermost payload grows by zeros. None: as scapy builds it.
    shortest: the least bytes of a frame on the wire, with FCS, when `size` is None.
    seed: of the random values.
    trailer: leave the payload's last 16 bytes to a sequence number and a clock, which the sender writes.

    Raises ConfigError for an expression that is not one, a size that does not fit and sets that cannot be
    generated.
    """

    def __init__(
        self, packet: Any, size: int | None = None, *, shortest: int = 0, seed: int = 0, trailer: bool = False
    ) -> None:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int)):
            raise ConfigError(f"size={size!r} is not a whole number of bytes; give for example size=64")
        if size is not None and not 1 <= size <= FRAME_MAX_WITH_FCS_BYTES:
            raise ConfigError(
                f"size {size} is out of range; give 64 to {FRAME_MAX_WITH_FCS_BYTES} bytes, FCS included"
            )
        self.size = size
        self.trailer = trailer
        builder = Builder()
        self._names: list[str] = []
        for number, each in enumerate(_packets(packet)):
            compiler = PacketCompiler(each, size, shortest, seed + (number << 8), trailer)
            compiler.compile(builder)
            varying = " x ".join(
                f"{axis.name} random" if axis.free else f"{axis.name} {axis.count}" for axis in compiler.axes
            )
            self._names.append(f"{compiler.name}: {varying}" if varying else compiler.name)
        self.program: Program = builder.build()

    @property
    def count(self) -> int:
        """Frames in one cycle."""
        return self.program.count

    def __len__(self) -> int:
        return self.count

    @property
    def mean_length(self) -> float:
        """Mean bytes of a frame over the cycle, without FCS."""
        total = 0.0
        for part in self.program.parts:
            first = int(part["first_template"])
            lengths = self.program.templates["length"][first : first + int(part["templates"])]
            total += float(lengths.mean()) * int(part["count"])
        return total / self.count

    def frame(self, number: int) -> bytes:
        """Frame `number` (0 is the first; past the last the cycle starts again), without FCS."""
        frames, lengths = self.render(number, 1)
        return frames[0, : lengths[0]].tobytes()

    def render(self, start: int, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
        """`count` frames from `start` on: uint8 of shape (count, longest) and their lengths without FCS."""
        numbers = np.arange(start, start + count, dtype=np.uint64)
        return render(self.program, numbers, self.program.longest)

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, self.count, 4096):
            frames, lengths = self.render(start, min(4096, self.count - start))
            for frame, length in zip(frames, lengths, strict=True):
                yield frame[:length].tobytes()

    @property
    def fits_table(self) -> bool:
        """Whether a cycle is small enough to stay in cache once rendered."""
        slot = -(-self.program.longest // SLOT_ALIGNMENT) * SLOT_ALIGNMENT
        return self.count <= MOST_TABLE_FRAMES and self.count * slot <= MOST_TABLE_BYTES

    def table(self) -> Table:
        """Every frame of the cycle, rendered. Raises ConfigError above 65,536 frames."""
        if self.count > MOST_TABLE_FRAMES:
            raise ConfigError(
                f"{self.count} frames are too many for a table of {MOST_TABLE_FRAMES}; use the program"
            )
        slot = -(-self.program.longest // SLOT_ALIGNMENT) * SLOT_ALIGNMENT
        memory = np.zeros(self.count * slot + SLOT_ALIGNMENT, np.uint8)
        skip = -memory.ctypes.data % SLOT_ALIGNMENT
        frames = memory[skip : skip + self.count * slot].reshape(self.count, slot)
        rendered, lengths = render(self.program, np.arange(self.count, dtype=np.uint64), slot)
        frames[:] = rendered
        return Table(frames, lengths)

    def __repr__(self) -> str:
        shortest, longest = self.program.shortest + FCS_BYTES, self.program.longest + FCS_BYTES
        size = f"{longest}" if shortest == longest else f"{shortest} to {longest}"
        names = "; ".join(self._names[:4]) + (
            f"; {len(self._names) - 4} more" if len(self._names) > 4 else ""
        )
        return f"<Flows {self.count} frames of {size} bytes: {names}>"


def _packets(packet: Any) -> list[Any]:
    """The packets to send one after the other."""
    from scapy.packet import Packet

    if isinstance(packet, str):
        return [parse(packet)]
    if isinstance(packet, Packet):
        return [packet]
    try:
        packets = list(packet)
    except TypeError:
        raise ConfigError(
            f"flows: {packet!r} is neither a packet nor a list of them; give {EXAMPLE}"
        ) from None
    if not packets:
        raise ConfigError("flows: an empty list, so there is no packet to send; give at least one packet")
    for each in packets:
        if not isinstance(each, Packet):
            raise ConfigError(f"flows: {each!r} in the list is not a packet; give {EXAMPLE}")
    return packets
