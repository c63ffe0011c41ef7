# SPDX-License-Identifier: BSD-3-Clause
"""A client of vfio-user that sends the messages that a test gives it, valid or not."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from dataplane.pmd.datasheet import pci
from dataplane.pmd.vfio_user.framing import Hangup, Incoming, Receiver
from dataplane.pmd.vfio_user.messages import (
    Command,
    DmaMap,
    DmaUnmap,
    MessageHeader,
    Region,
    RegionAccess,
    SetIrqs,
    Version,
)

__all__ = ["RawClient", "memory"]

TIMEOUT = 20


class RawClient:
    """A connection; `agree` before anything else that a server is to take seriously."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(str(path))
        self._receiver = Receiver(self.socket, 1 << 21)
        self._id = 0

    def agree(self) -> Self:
        assert not self.ask(Command.VERSION, Version(0, 0, {"max_msg_fds": 8}).pack()).header.failed
        return self

    def enable(self) -> Self:
        """Agree, and let the function decode its BARs and be a bus master."""
        self.agree()
        assert self.write(Region.CONFIG, pci.COMMAND, pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER, 2) == 0
        return self

    def send(self, command: int, body: bytes = b"", fds: Sequence[int] = (), no_reply: bool = False) -> None:
        self._id += 1
        self.raw(MessageHeader.of_command(self._id, command, len(body), no_reply).pack() + body, fds)

    def raw(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send these bytes. Hangup when the server has cut us off, which a send may see before a read does."""
        try:
            if fds:
                sent = socket.send_fds(self.socket, [data], list(fds))
                data = data[sent:]
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Hangup(str(error)) from error

    def answer(self) -> Incoming:
        """The next message; Hangup when the server has cut us off, TimeoutError when it says nothing."""
        found = self._receiver.receive()
        if found is None:
            raise TimeoutError(f"nothing within {TIMEOUT} s")
        return found

    def ask(self, command: int, body: bytes = b"", fds: Sequence[int] = ()) -> Incoming:
        self.send(command, body, fds)
        reply = self.answer()
        assert (reply.header.id, reply.header.command, reply.header.kind) == (self._id, command, 1)
        return reply

    def error(self, command: int, body: bytes = b"", fds: Sequence[int] = ()) -> int:
        """The errno of the reply, 0 if it is none."""
        with self.ask(command, body, fds) as reply:
            assert reply.header.failed == bool(reply.header.error)
            return reply.header.error

    # ---- in short ---------------------------------------------------------------------------------------------

    def read(self, region: int, offset: int, count: int = 4) -> int:
        with self.ask(Command.REGION_READ, RegionAccess(offset, region, count).pack()) as reply:
            return int.from_bytes(reply.body[16:], "little")

    def write(self, region: int, offset: int, value: int, count: int = 4) -> int:
        body = RegionAccess(offset, region, count).pack() + value.to_bytes(count, "little")
        return self.error(Command.REGION_WRITE, body)

    def map(self, iova: int, size: int, fd: int | None, *, offset: int = 0, flags: int = 3) -> int:
        body = DmaMap(32, flags, offset, iova, size).pack()
        return self.error(Command.DMA_MAP, body, [] if fd is None else [fd])

    def unmap(self, iova: int, size: int, flags: int = 0) -> int:
        return self.error(Command.DMA_UNMAP, DmaUnmap(24, flags, iova, size).pack())

    def irqs(
        self, flags: int, index: int, start: int, count: int, fds: Sequence[int] = (), data: bytes = b""
    ) -> int:
        return self.error(
            Command.SET_IRQS, SetIrqs(20 + len(data), flags, index, start, count).pack() + data, fds
        )

    def close(self) -> None:
        self._receiver.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def memory(size: int) -> int:
    """A descriptor of that many bytes."""
    fd = os.memfd_create("client")
    os.truncate(fd, size)
    return fd
