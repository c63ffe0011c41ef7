# SPDX-License-Identifier: BSD-3-Clause
"""What a slot's socket answers: accesses to BARs and to configuration space, and the memory that the driver maps.

The other end, and the meaning of a request's fields, is in trap.c.
"""

from __future__ import annotations

import array
import ctypes
import logging
import mmap
import os
import select
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import cast

from dataplane.errors import DeviceError, DeviceGone
from dataplane.hugepage import Arena
from pmd.bus.model import ModelFunction
from pmd.bus.model_vf import ModelVfFunction
from pmd.datasheet import RDT, TDT, decode, pci

__all__ = ["Memory", "Service"]

log = logging.getLogger("dataplane")

_REQUEST = struct.Struct("<IIQQQII")  # op, bar, offset, value, address, size, pid
_REPLY = struct.Struct("<Q")
_READ, _WRITE, _CONFIG_READ, _CONFIG_WRITE, _MAP, _UNMAP, _TAIL = range(7)
_UIO_VECTOR = 0  # the one that goes to /dev/uioN
_ANSWER_SECONDS = 10  # for a thread that is to end


class Memory:
    """A hugepage of the driver's at its physical address: as much of an arena as a function's DMA map wants."""

    contiguous = True

    def __init__(self, iova: int, size: int, address: int, fd: int, offset: int) -> None:
        """address: where it is in this process already; 0: it is another's, at `offset` of the file `fd`."""
        self.iova, self.size, self.address = iova, size, address
        self._map: mmap.mmap | None = None
        if not address:
            self._map = mmap.mmap(fd, size, flags=mmap.MAP_SHARED, offset=offset)
            self._anchor = ctypes.c_char.from_buffer(self._map)
            self.address = ctypes.addressof(self._anchor)

    def close(self) -> None:
        """The device no longer reaches it."""
        if self._map is not None:
            del self._anchor
            self._map.close()
            self._map = None


class Service:
    """Answers one slot's socket, for one program after the other, in a thread of its own."""

    def __init__(self, function: ModelFunction | ModelVfFunction, path: Path, uio: Path) -> None:
        self._function, self._uio = function, uio
        self._memory: dict[int, Memory] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(1)
        self._interrupt = os.eventfd(0, os.EFD_NONBLOCK)
        self._ending = os.eventfd(0)
        self._thread = threading.Thread(target=self._run, name=f"slot-{function.name}", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more; the driver's memory is out of the device's reach then. DeviceError if an answer hangs."""
        os.eventfd_write(self._ending, 1)
        if self._thread.ident is not None:
            self._thread.join(_ANSWER_SECONDS)
            if self._thread.is_alive():
                raise DeviceError(
                    f"{self._function.name}: an access to it has not ended after {_ANSWER_SECONDS} s"
                )
        self._listener.close()
        os.close(self._interrupt)
        os.close(self._ending)

    # ---- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._readable(self._listener.fileno()):
            connection, _ = self._listener.accept()
            with connection:
                self._function.interrupt(_UIO_VECTOR, self._interrupt)
                try:
                    self._serve(connection)
                finally:
                    self._leave()

    def _serve(self, connection: socket.socket) -> None:
        """Until the program or this process ends it."""
        fd = connection.fileno()
        while self._readable(fd):
            data, fds = _receive(connection)
            if len(data) != _REQUEST.size:
                return
            try:
                reply = self._answer(_REQUEST.unpack(data), fds)
            finally:
                for each in fds:
                    os.close(each)
            try:
                connection.send(_REPLY.pack(reply))
            except OSError:
                return

    def _readable(self, fd: int) -> bool:
        """Wait for `fd`, and hand on interrupts meanwhile. False: it is time to end."""
        while True:
            ready, _, _ = select.select([fd, self._interrupt, self._ending], [], [])
            if self._ending in ready:
                return False
            if self._interrupt in ready:
                self._to_uio(os.eventfd_read(self._interrupt))
            if fd in ready:
                return True

    def _to_uio(self, count: int) -> None:
        """A read of /dev/uioN gives the number of interrupts, 4 bytes."""
        try:
            fifo = os.open(self._uio, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return  # the driver has not opened it
        try:
            os.write(fifo, struct.pack("<I", count & 0xFFFF_FFFF))
        except BlockingIOError:
            log.warning("%s: its driver leaves interrupts unread", self._function.name)
        finally:
            os.close(fifo)

    def _leave(self) -> None:
        """As the host does when a program ends, in whatever way: no DMA, and a reset, so that the next one starts afresh.

        A PF that has VFs is not reset: that would take them from those who have them.
        """
        function = self._function
        function.config.write16(pci.COMMAND, function.config.read16(pci.COMMAND) & ~pci.COMMAND_BUS_MASTER)
        function.interrupt(_UIO_VECTOR, None)
        for iova in tuple(self._memory):
            self._unmap(iova)
        if not function.vfs:
            with suppress(DeviceGone):
                function.reset()

    # ---- requests ---------------------------------------------------------------------------------------------

    def _answer(self, request: tuple[int, ...], fds: list[int]) -> int:
        op, bar, offset, value, address, size, pid = request
        if op == _READ:
            return self._function.bar(bar).read32(offset)
        if op == _WRITE:
            self._function.bar(bar).write32(offset, value)
        elif op == _CONFIG_READ:
            return int.from_bytes(self._config_read(offset, size), "little")
        elif op == _CONFIG_WRITE:
            self._function.config.write(offset, value.to_bytes(8, "little")[:size])
        elif op == _MAP:
            here = pid == os.getpid()
            self._map(Memory(value, size, address if here else 0, fds[0] if fds else -1, offset))
        elif op == _UNMAP:
            self._unmap(value)
        elif op == _TAIL:
            return self._tail(offset)
        return 0

    def _tail(self, offset: int) -> int:
        """Where in the register file the tail of a queue is, plus one; 0: there is no tail at that offset of BAR0."""
        if isinstance(self._function, ModelFunction):
            register = decode(offset)
            if register is None or register.register not in (RDT, TDT):
                return 0
        try:
            address = self._function.bar(0).address(offset)
        except DeviceError:
            return 0
        return address - int(self._function.chip.registers.address) + 1

    def _config_read(self, offset: int, size: int) -> bytes:
        """As the host's kernel shows it: a VF has no identity of its own, and gets the one that the PF says."""
        data = bytearray(self._function.config.read(offset, size))
        for at, value in (
            (pci.VENDOR_ID, self._function.vendor_id),
            (pci.DEVICE_ID, self._function.device_id),
        ):
            for byte, shown in enumerate(value.to_bytes(2, "little"), at):
                if offset <= byte < offset + size:
                    data[byte - offset] = shown
        return bytes(data)

    def _map(self, memory: Memory) -> None:
        self._memory[memory.iova] = memory
        self._function.dma_map(cast(Arena, memory))

    def _unmap(self, iova: int) -> None:
        memory = self._memory.pop(iova, None)
        if memory is not None:
            self._function.dma_unmap(cast(Arena, memory))
            memory.close()


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """A request, and the descriptors that came with it. Empty: the program has ended."""
    fds = array.array("i")
    try:
        data, control, _, _ = connection.recvmsg(_REQUEST.size, socket.CMSG_SPACE(fds.itemsize))
    except ConnectionError:
        return b"", []
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
    return data, list(fds)
