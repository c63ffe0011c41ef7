# SPDX-License-Identifier: BSD-3-Clause
"""Messages on a Unix stream socket, whole, each with the descriptors that came along with it.

A message is read header first and then its body, never further: so a descriptor that arrives can only be of this message.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections.abc import Callable, Iterable

from dataplane.pmd.vfio_user.messages import Malformed, MessageHeader

__all__ = ["DESCRIPTORS", "Hangup", "Incoming", "Receiver", "close_all", "descriptors_of"]

DESCRIPTORS = 253  # the most that the kernel lets one sendmsg carry
_CUT = int(socket.MSG_CTRUNC)  # an enum of Python costs more than the call


class Hangup(ConnectionError):
    """The other end is gone."""


class Incoming:
    """A message: its header, what follows it, and descriptors, which are closed with it unless taken."""

    __slots__ = ("body", "descriptors", "header")

    def __init__(self, header: MessageHeader, body: bytes, descriptors: list[int]) -> None:
        self.header, self.body, self.descriptors = header, body, descriptors

    def close(self) -> None:
        """Close the descriptors that were not taken."""
        close_all(self.descriptors)

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def take(self) -> list[int]:
        """Hand over the descriptors; the caller must close them."""
        taken, self.descriptors = self.descriptors, []
        return taken


class Receiver:
    """Puts messages together from a socket.

    most: bytes that a message may have, header included. descriptors: how many may come along with one. took: called with
    the number of each batch of descriptors that has arrived; what it raises is raised by `receive`.
    """

    def __init__(
        self,
        connection: socket.socket,
        most: int,
        descriptors: int = DESCRIPTORS,
        took: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._socket, self.most, self._descriptors_most, self._took = connection, most, descriptors, took
        # The kernel hands over no more than fit here, and says so.
        self._room = socket.CMSG_SPACE(descriptors * array.array("i").itemsize)
        self._header: MessageHeader | None = None
        self._data = bytearray()
        self._descriptors: list[int] = []

    def receive(self) -> Incoming | None:
        """The next message; None if the rest of it has not arrived, on a socket that does not block.

        Raises Hangup when the other end has closed, Malformed for a header after which nothing can be understood.
        """
        header_size = MessageHeader.struct_size()
        while True:
            wanted = (self._header.size if self._header else header_size) - len(self._data)
            if wanted and not self._more(wanted):
                return None
            if self._header is None and len(self._data) >= header_size:
                self._header = self._check(MessageHeader.unpack(bytes(self._data)))
            if self._header is not None and len(self._data) == self._header.size:
                message = Incoming(self._header, bytes(self._data[header_size:]), self._descriptors)
                self._header, self._data, self._descriptors = None, bytearray(), []
                return message

    def close(self) -> None:
        """Close the descriptors of a message that never became whole."""
        close_all(self._descriptors)

    def take(self) -> list[int]:
        """The descriptors of a message that never became whole; the caller closes them."""
        taken, self._descriptors = self._descriptors, []
        return taken

    def _check(self, header: MessageHeader) -> MessageHeader:
        if not MessageHeader.struct_size() <= header.size <= self.most:
            raise Malformed(
                f"a message of {header.size} bytes: must be {MessageHeader.struct_size()} to {self.most}"
            )
        return header

    def _more(self, wanted: int) -> bool:
        try:
            data, ancillary, flags, _ = self._socket.recvmsg(wanted, self._room, socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionError as error:
            raise Hangup(str(error)) from None
        if ancillary:
            came = descriptors_of(ancillary)
            self._descriptors += came
            self._took(len(came))
        if flags & _CUT or len(self._descriptors) > self._descriptors_most:
            raise Malformed(
                f"descriptors came along that could not be received: {self._descriptors_most} are the most"
            )
        if not data:
            raise Hangup("the other end has closed the connection")
        self._data += data
        return True


def descriptors_of(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in what recvmsg returned."""
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def close_all(descriptors: list[int]) -> None:
    """Close them, and forget them."""
    while descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptors.pop())
