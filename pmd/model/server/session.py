# SPDX-License-Identifier: BSD-3-Clause
"""One client of one function: what it asks for, and what is given back when it goes, however it goes."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack, suppress

from dataplane.errors import DataplaneError
from dataplane.pmd.datasheet import pci
from dataplane.pmd.model.datapath.doorbell import Doorbells
from dataplane.pmd.model.server.account import Account
from dataplane.pmd.model.server.devices import RegionSpec
from dataplane.pmd.model.server.interrupts import IrqUnit
from dataplane.pmd.model.server.memory import DmaMaps
from dataplane.pmd.model.server.refusal import ClientRequestRefused
from dataplane.pmd.vfio_user.framing import Hangup, Incoming, Receiver, close_all
from dataplane.pmd.vfio_user.messages import (
    DOORBELLS,
    Command,
    DeviceInfo,
    DmaFlags,
    DmaMap,
    DmaUnmap,
    InfoFlags,
    IrqInfo,
    IrqSet,
    Kind,
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
)

__all__ = ["ClientSession"]

FDS_MOST = 16  # that a message may have, as we tell clients; QEMU refuses a server that says more
_HEADERS = 4096  # bytes of a message beside its data
_MAJOR = 0

Reply = tuple[bytes, list[int]]


class ClientSession:
    """A connection to `account.device`. The server calls `serve_next` when a request waits, and `flush` when there is room.

    doorbells: whether the client may map the tails of its queues. The next client gets others.
    empty_at: when the connection was last seen empty, in ns of the card's clock: what is read later was sent later.
    """

    def __init__(self, connection: socket.socket, account: Account, doorbells: bool = True) -> None:
        connection.setblocking(False)
        self.connection, self.account, self.device = connection, account, account.device
        device = self.device
        self.irqs = IrqUnit(device)
        self.maps = DmaMaps(device.card.lock, device.domain, account.memory, account.maps, account.closer)
        self.why = ""  # it ended early
        self.empty_at = device.card.clock.now_ns
        self._strict = device.chip.strict is not None
        self._offers_doorbells = doorbells
        self._doorbells: Doorbells | None = None
        self._data_most = account.limits.message
        self._receiver = Receiver(connection, self._data_most + _HEADERS, FDS_MOST, self._took)
        self._uncounted = 0  # descriptors beyond the quota
        self._out = bytearray()  # of replies, what the socket has not taken
        self._out_descriptors: list[int] = []
        self._agreed = False
        self._commands: dict[int, Callable[[bytes, list[int]], Reply]] = {
            Command.VERSION: self._version,
            Command.DMA_MAP: self._dma_map,
            Command.DMA_UNMAP: self._dma_unmap,
            Command.GET_INFO: self._get_info,
            Command.GET_REGION_INFO: self._get_region_info,
            Command.GET_IRQ_INFO: self._get_irq_info,
            Command.SET_IRQS: self._set_irqs,
            Command.REGION_READ: self._region_read,
            Command.REGION_WRITE: self._region_write,
            Command.RESET: self._reset,
        }
        device.on_return(self.maps.again)

    @property
    def blocked(self) -> bool:
        """Whether the client does not take its replies: nothing more is read from it until it does."""
        return bool(self._out)

    @property
    def behind(self) -> bool:
        """Whether so many of its descriptors wait to be closed that its next message could be one too many.

        The closing thread may be slow, which is not the client's fault: nothing more is read from it meanwhile.
        """
        held = self.account.descriptors
        return held.used > held.most - FDS_MOST and self.account.closer.left > 0

    def serve_next(self) -> bool:
        """Handle the next request. False: no request is waiting.

        Raises Hangup when the client is gone, Malformed when it has to be cut off.
        """
        if self.blocked:
            return False
        now = self.device.card.clock.now_ns
        message = self._receiver.receive()
        if message is None:
            self.empty_at = now
            return False
        try:
            if self._strict:
                # A client that wants a reply has waited since now. A message without a reply may have been here for a while.
                self.device.asks(self.empty_at if message.header.no_reply else 0)
            self._answer(message)
        finally:
            if self._strict:
                self.device.asks(0)
            if message.descriptors:
                self.account.closer.close_all(message.take(), self.account.descriptors)
        return True

    def flush(self) -> None:
        """Send what is left of replies. Raises Hangup when the client is gone."""
        try:
            while self._out:
                sent = self._send(memoryview(self._out))
                del self._out[:sent]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise Hangup(str(error)) from None

    def end(self) -> None:
        """The client is gone: the function is reset, then its memory, eventfds and descriptors are let go.

        Each of these is done even if one before it fails, which is raised in the end.
        """
        self.device.on_return(None)
        self._commands.clear()  # bound to this object, which would wait for the collector
        with ExitStack() as last_first:
            last_first.callback(self.connection.close)
            last_first.callback(self._give_back)
            last_first.callback(self.maps.clear)
            last_first.callback(self.irqs.clear)
            last_first.callback(self._take_doorbells)
            last_first.callback(self._reset_quietly)

    def _reset_quietly(self) -> None:
        with suppress(DataplaneError):
            self.device.reset()

    def _take_doorbells(self) -> None:
        self.device.attach(None)
        self._doorbells = None

    def _give_back(self) -> None:
        """Descriptors of a message that never became whole."""
        left = self._receiver.take()
        counted = len(left) - self._uncounted
        self.account.closer.close_all(left[:counted], self.account.descriptors)
        self.account.closer.close_all(left[counted:])

    def _took(self, count: int) -> None:
        if not self.account.descriptors.take(count):
            self._uncounted = count
            held = self.account.descriptors
            raise Malformed(
                f"{count} more descriptors than its {held.used}: {held.most} are the most at a time"
            )

    def _close(self, descriptors: list[int]) -> None:
        """Close descriptors of files that are also open elsewhere, which takes no time."""
        count = len(descriptors)
        close_all(descriptors)
        if count:
            self.account.descriptors.give(count)

    # ---- messages ---------------------------------------------------------------------------------------------

    def _answer(self, message: Incoming) -> None:
        header = message.header
        if header.kind != Kind.COMMAND:
            raise Malformed(f"a message of kind {header.kind} without a request")
        if not self._agreed and header.command != Command.VERSION:
            raise Malformed(f"command {header.command} before a version was agreed on")
        body: bytes
        try:
            handler = self._commands.get(header.command)
            if handler is None:
                raise ClientRequestRefused(errno.ENOTSUP, f"command {header.command}")
            body, descriptors = handler(message.body, message.descriptors)
            reply = MessageHeader.of_reply(header, len(body)).pack() + body
        except ClientRequestRefused as error:
            if error.over:
                self.account.say(logging.WARNING, str(error))
            reply, descriptors = MessageHeader.of_reply(header, 0, error.errno).pack(), []
        except Malformed:
            reply, descriptors = MessageHeader.of_reply(header, 0, errno.EINVAL).pack(), []
        except (
            OSError,
            MemoryError,
        ) as error:  # the kernel refuses: so do we, and the client may go on without it
            number = getattr(error, "errno", None) or errno.ENOMEM
            self.account.say(logging.WARNING, f"{_name(header.command)} is refused: {os.strerror(number)}")
            reply, descriptors = MessageHeader.of_reply(header, 0, number).pack(), []
        if not header.no_reply:
            self._out += reply
            self._out_descriptors += descriptors
            self.flush()
        if not self._agreed:
            raise Malformed("no version was agreed on")

    def _send(self, data: memoryview) -> int:
        try:
            if not self._out_descriptors:
                return self.connection.send(data, socket.MSG_NOSIGNAL)
            sent = socket.send_fds(self.connection, [data], self._out_descriptors, socket.MSG_NOSIGNAL)
            self._out_descriptors = []
            return sent
        finally:
            data.release()

    def _version(self, body: bytes, descriptors: list[int]) -> Reply:
        asked = Version.unpack(body)
        if self._agreed or asked.major != _MAJOR:
            raise ClientRequestRefused(errno.EINVAL, f"version {asked.major}.{asked.minor}")
        self._agreed = True
        can = {"max_msg_fds": FDS_MOST, "max_data_xfer_size": self._data_most}
        return Version(_MAJOR, 0, can).pack(), []

    def _dma_map(self, body: bytes, descriptors: list[int]) -> Reply:
        ask = DmaMap.unpack(body)
        if len(descriptors) > 1:
            raise ClientRequestRefused(errno.EINVAL, f"{len(descriptors)} descriptors for one DMA map")
        self.maps.map(ask.address, ask.length, ask.flags, ask.offset, descriptors[0] if descriptors else None)
        self._close(descriptors)  # the mapping has the file
        return b"", []

    def _dma_unmap(self, body: bytes, descriptors: list[int]) -> Reply:
        ask = DmaUnmap.unpack(body)
        if ask.flags == DmaFlags.ALL and not ask.address and not ask.length:
            size = self.maps.clear()
        elif ask.flags:
            raise ClientRequestRefused(errno.ENOTSUP, f"a DMA unmap with flags {ask.flags:#x}")
        else:
            size = self.maps.unmap(ask.address, ask.length)
        return DmaUnmap(DmaUnmap.struct_size(), ask.flags, ask.address, size).pack(), []

    def _get_info(self, body: bytes, descriptors: list[int]) -> Reply:
        DeviceInfo.unpack(body)
        flags = InfoFlags.PCI | InfoFlags.RESET
        regions = Region.FIRST_OWN + self._offers_doorbells
        return DeviceInfo(DeviceInfo.struct_size(), flags, regions, 5).pack(), []

    def _get_region_info(self, body: bytes, descriptors: list[int]) -> Reply:
        ask = RegionInfo.unpack(body)
        if ask.index == Region.FIRST_OWN and self._offers_doorbells:
            return self._get_doorbells(ask)
        if ask.index >= Region.FIRST_OWN:
            raise ClientRequestRefused(errno.EINVAL, f"region {ask.index}")
        region = self.device.regions.get(ask.index)
        size, flags = (region.size, RegionFlags.READ | RegionFlags.WRITE) if region else (0, RegionFlags(0))
        return RegionInfo(RegionInfo.struct_size(), flags, ask.index, 0, size, 0).pack(), []

    def _get_doorbells(self, ask: RegionInfo) -> Reply:
        """The client maps this region; nothing else can be done with it. A short question gets a short answer.

        Its first question says whether it wakes a card that rests.
        """
        if self._doorbells is None:
            bells = Doorbells(self.device.number >= 0, bool(ask.flags & RegionFlags.WAKES))
            self.device.attach(bells)
            self._doorbells = bells
        start = RegionInfo.struct_size()
        chain = pack_capabilities(
            [SparseMmap(self._doorbells.areas), RegionType(pci.INTEL, DOORBELLS)], start
        )
        whole = start + len(chain)
        flags = RegionFlags.READ | RegionFlags.WRITE | RegionFlags.MMAP | RegionFlags.CAPS
        descriptors = [self._doorbells.fd]
        if self._doorbells.wakes and ask.flags & RegionFlags.WAKES:
            flags |= RegionFlags.WAKES
            descriptors.append(self._doorbells.eventfd)
        asked = ask.argsz >= whole
        info = RegionInfo(whole, flags, ask.index, start if asked else 0, self._doorbells.size, 0).pack()
        return (info + chain, descriptors) if asked else (info, [])

    def _get_irq_info(self, body: bytes, descriptors: list[int]) -> Reply:
        return self.irqs.info(IrqInfo.unpack(body).index).pack(), []

    def _set_irqs(self, body: bytes, descriptors: list[int]) -> Reply:
        ask = SetIrqs.unpack(body)
        self.irqs.set(ask, body[SetIrqs.struct_size() :], descriptors)
        if ask.flags == IrqSet.EVENTFD | IrqSet.TRIGGER:
            self._close(descriptors)  # eventfds, all of them: others were refused
        return b"", []

    def _region_read(self, body: bytes, descriptors: list[int]) -> Reply:
        ask = RegionAccess.unpack(body)
        region = self._region(ask)
        return ask.pack() + region.read(ask.offset, ask.count), []

    def _region_write(self, body: bytes, descriptors: list[int]) -> Reply:
        ask = RegionAccess.unpack(body)
        data = body[RegionAccess.struct_size() :]
        if len(data) != ask.count:
            raise ClientRequestRefused(errno.EINVAL, f"{len(data)} bytes of data for a write of {ask.count}")
        self._region(ask).write(ask.offset, data)
        self.device.card.nudge()
        return ask.pack(), []

    def _own_region(self, index: int) -> RegionSpec | None:
        bells = self._doorbells
        if index == Region.FIRST_OWN and bells is not None:
            return RegionSpec(bells.size, bells.read, bells.write)
        return self.device.regions.get(index)

    def _region(self, ask: RegionAccess) -> RegionSpec:
        region = self._own_region(ask.region)
        if region is None or not 0 < ask.count <= self._data_most or ask.offset + ask.count > region.size:
            raise ClientRequestRefused(
                errno.EINVAL, f"{ask.count} bytes at {ask.offset:#x} of region {ask.region}"
            )
        return region

    def _reset(self, body: bytes, descriptors: list[int]) -> Reply:
        self.device.reset()
        self.device.card.nudge()
        return b"", []


def _name(command: int) -> str:
    return Command(command).name if command in set(Command) else f"command {command}"
