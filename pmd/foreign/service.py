# SPDX-License-Identifier: BSD-3-Clause
"""What a slot's socket answers: accesses to BARs and to configuration space, and the memory that the driver maps.

The other end is link.c; the meaning of a request's fields is in trap.h.
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
from typing import Protocol, cast

from dataplane.errors import DeviceError, DeviceGone
from dataplane.files.private_socket import listen
from dataplane.memory.hugepage import Arena
from dataplane.pmd.bus.model import ModelFunction
from dataplane.pmd.bus.model_vf import ModelVfFunction
from dataplane.pmd.datasheet import RDT, TDT, decode, pci

__all__ = ["KernelSide", "Memory", "TrapService"]

log = logging.getLogger("dataplane")

_REQUEST = struct.Struct("<IIQQQII")  # op, bar, offset, value, address, size, pid
_REPLY, _COUNT = struct.Struct("<Q"), struct.Struct("<I")
_READ, _WRITE, _CONFIG_READ, _CONFIG_WRITE, _MAP, _UNMAP, _TAIL, _ENTER, _RESET, _SET_DRIVER = range(10)
_UIO_VECTOR, _VECTOR_CONTROL = 0, 12  # the one that goes to /dev/uioN; where its mask bit is
_ANSWER_SECONDS = 10  # for a thread that is to end


class KernelSide(Protocol):
    """The kernel's part for a function, apart from its registers."""

    def place(self) -> None:
        """Write the addresses of the BARs again, after a reset of the function."""

    def bind(self, on: bool) -> None:
        """Note that a driver has been bound to the function (on=True) or unbound from it."""


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


class TrapService:
    """Answers one slot's sockets, for one program after the other, in a thread of its own.

    path: the socket for accesses. uio: that of /dev/uioN, and what is said there is what igb_uio says: each read gives the
    number of interrupts (4 bytes); writing 1 or 0 turns them on and off. doorbells: whether tails may be stored to memory.

    One program drives the function at a time; any number look into its configuration space meanwhile.
    """

    def __init__(
        self,
        function: ModelFunction | ModelVfFunction,
        path: Path,
        uio: Path,
        host: KernelSide,
        doorbells: bool = True,
    ) -> None:
        self._function, self._doorbells, self._host = function, doorbells, host
        self._master(False)  # until a driver says so
        self._registers = function.vf if isinstance(function, ModelVfFunction) else function.chip
        self._memory: dict[int, Memory] = {}
        self._interrupt, self._ending = os.eventfd(0, os.EFD_NONBLOCK), os.eventfd(0)
        self._doors = {_listen(path): self._enter, _listen(uio): self._open_uio}
        self._visitors: list[socket.socket] = []  # programs that have mapped nothing
        self._accesses: socket.socket | None = None  # of the program that drives the function
        self._uio: socket.socket | None = None
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
        for door in self._doors:
            door.close()
        os.close(self._interrupt)
        os.close(self._ending)

    # ---- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            known: list[int | socket.socket] = [self._interrupt, self._ending]
            known += [
                each
                for each in (*self._doors, *self._visitors, self._accesses, self._uio)
                if each is not None
            ]
            ready, _, _ = select.select(known, [], [])
            if self._ending in ready:
                break
            if self._interrupt in ready:
                self._tell(os.eventfd_read(self._interrupt))
            # A program that has ended has left before the next one is heard.
            if self._uio in ready and self._uio is not None:
                self._control(self._uio)
            if self._accesses in ready and self._accesses is not None:
                self._serve(self._accesses)
            for visitor in [each for each in self._visitors if each in ready]:
                self._serve(visitor)
            for door, enter in self._doors.items():
                if door in ready:
                    enter(door.accept()[0])
        for visitor in self._visitors:
            visitor.close()
        self._leave()
        self._close_uio()

    def _enter(self, connection: socket.socket) -> None:
        """A program looks at configuration space, or is about to map the device."""
        self._visitors.append(connection)

    def _drive(self, connection: socket.socket) -> None:
        """A program maps the device. The one before it has gone, or goes now."""
        if connection is not self._accesses:
            self._visitors.remove(connection)
            self._leave()
            self._accesses = connection

    def _leave(self) -> None:
        """As the host does when a program ends, in whatever way: no DMA, and a reset, so that the next one starts afresh.

        A PF that has VFs is not reset: that would take them from those who have them.
        """
        if self._accesses is None:
            return
        self._accesses.close()
        self._accesses = None
        self._master(False)
        for iova in tuple(self._memory):
            self._unmap(iova)
        self._reset()
        self._host.bind(True)

    def _reset(self) -> None:
        if not self._function.vfs:
            with suppress(DeviceGone):
                self._function.reset()
                self._host.place()

    def _serve(self, connection: socket.socket) -> None:
        """One request."""
        data, fds = _receive(connection)
        if len(data) != _REQUEST.size:
            if connection is self._accesses:
                self._leave()
            else:
                self._visitors.remove(connection)
                connection.close()
            return
        try:
            request = _REQUEST.unpack(data)
            if request[0] == _ENTER:
                self._drive(connection)
            reply = self._answer(request, fds)
        finally:
            for each in fds:
                os.close(each)
        with suppress(OSError):  # it may be gone by now
            connection.send(_REPLY.pack(reply))

    # ---- /dev/uioN --------------------------------------------------------------------------------------------

    def _open_uio(self, connection: socket.socket) -> None:
        """Opening it makes the device a bus master, with one MSI-X message for all causes."""
        self._close_uio()
        self._uio = connection
        connection.setblocking(False)
        self._master(True)
        self._function.interrupt(_UIO_VECTOR, self._interrupt)

    def _close_uio(self) -> None:
        if self._uio is not None:
            self._uio.close()
            self._uio = None
            self._master(False)
            self._function.interrupt(_UIO_VECTOR, None)

    def _control(self, uio: socket.socket) -> None:
        """1 or 0: the mask bit of the message's entry in the MSI-X table."""
        data = _receive(uio)[0]
        if len(data) != _COUNT.size:
            self._close_uio()
            return
        table = pci.VF_BAR_MSIX if isinstance(self._function, ModelVfFunction) else pci.PF_BAR_MSIX
        self._function.bar(table).write32(_VECTOR_CONTROL, int(_COUNT.unpack(data)[0] == 0))

    def _tell(self, count: int) -> None:
        if self._uio is not None:
            try:
                self._uio.send(_COUNT.pack(count & 0xFFFF_FFFF))
            except BlockingIOError:
                log.warning("%s: its driver leaves interrupts unread", self._function.name)
            except OSError:
                self._close_uio()

    def _master(self, on: bool) -> None:
        config = self._function.config
        command = config.read16(pci.COMMAND) & ~pci.COMMAND_BUS_MASTER
        config.write16(pci.COMMAND, command | (pci.COMMAND_BUS_MASTER if on else 0))

    # ---- requests ---------------------------------------------------------------------------------------------

    def _answer(self, request: tuple[int, ...], fds: list[int]) -> int:
        op, bar, offset, value, address, size, pid = request
        if op == _READ:
            return self._read(bar, offset, size)
        if op == _WRITE:
            self._write(bar, offset, size, value)
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
        elif op == _RESET:
            self._reset()
        elif op == _SET_DRIVER:
            if not value:
                self._master(False)  # as the kernel's driver does when it lets go
            self._host.bind(bool(value))
        return 0

    def _read(self, bar: int, offset: int, size: int) -> int:
        """1 to 8 bytes of a BAR; registers are dwords (8.1.1), so of another size parts of them are seen."""
        if size == 4 and not offset & 3:
            return self._function.bar(bar).read32(offset)
        if bar == pci.PF_BAR_REGISTERS:
            return int.from_bytes(self._registers.read_bytes(offset, size), "little")
        first = offset & ~3
        words = (
            self._function.bar(bar).read32(at).to_bytes(4, "little") for at in range(first, offset + size, 4)
        )
        return int.from_bytes(b"".join(words)[offset - first : offset - first + size], "little")

    def _write(self, bar: int, offset: int, size: int, value: int) -> None:
        """1 to 8 bytes of a BAR; what does not cover a whole dword is discarded (8.1.1)."""
        if size == 4 and not offset & 3:
            self._function.bar(bar).write32(offset, value & 0xFFFF_FFFF)
            return
        data = value.to_bytes(8, "little")[:size]
        if bar == pci.PF_BAR_REGISTERS:
            self._registers.write_bytes(offset, data)
            return
        for skip in range(-offset % 4, size - 3, 4):
            self._function.bar(bar).write32(offset + skip, int.from_bytes(data[skip : skip + 4], "little"))

    def _tail(self, offset: int) -> int:
        """Where in the register file the tail of a queue is, plus one; 0: there is no tail at that offset of BAR0."""
        if not self._doorbells:
            return 0
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


def _listen(path: Path) -> socket.socket:
    door = listen(path, socket.SOCK_SEQPACKET, backlog=1)
    door.setblocking(True)
    return door


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
