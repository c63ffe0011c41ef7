# SPDX-License-Identifier: BSD-3-Clause
"""How the two ends of a wire between processes meet: one message each way, the second with the memory of the wire.

The connecting end sends first. The listening end answers, with a memfd of RING_MEMORY bytes, sealed so that neither end can
shrink it. A message has four bytes: kind, 0, version, 0. Version 1 had frames as messages.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
from collections.abc import Sequence

from dataplane.files.closer import Closer
from dataplane.memory.guard import seals_of
from dataplane.pmd.model.wire.peer import RING_MEMORY

__all__ = ["HELLO", "VERSION", "WireRefused", "hear", "make_memory", "say"]

VERSION = 2
HELLO = bytes((2, 0, VERSION, 0))
_FIRST_STATES = (b"\0\0\1\0", b"\0\1\1\0")  # what version 1 says first
_DESCRIPTORS = 253  # the most that the kernel lets one message carry: it drops none, which could wait
_ROOM = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
_F_ADD_SEALS, _SEAL, _SHRINK, _GROW = 1033, 0x1, 0x2, 0x4


class WireRefused(Exception):
    """The other end is no end of a wire for us. why: empty for what needs no words. answer: what tells the other end."""

    def __init__(self, why: str, answer: bytes = b"") -> None:
        super().__init__(why)
        self.answer = answer


def make_memory() -> int:
    """A file for both rings of a wire, empty. Raises OSError."""
    fd = os.memfd_create("dataplane-wire", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, RING_MEMORY)
        fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL | _SHRINK | _GROW)
    except BaseException:
        os.close(fd)
        raise
    return fd


def say(connection: socket.socket, message: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send a greeting. Never waits. Raises OSError."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([message], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def hear(connection: socket.socket, closer: Closer, *, memory: bool) -> int | None:
    """The other end's greeting: the memory that came along (-1 if none is expected), None if it has not come yet.

    closer: closes unexpected descriptors. Raises WireRefused for any other message, and OSError.
    """
    try:
        data, ancillary, _, _ = connection.recvmsg(64, _ROOM, socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC)
    except (BlockingIOError, InterruptedError):
        return None
    came = array.array("i")
    for level, kind, rights in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            came.frombytes(rights[: len(rights) - len(rights) % came.itemsize])
    try:
        if not data:
            raise WireRefused("it has another peer, or does not want this process" if memory else "")
        _check_words(data)
        if not memory:
            return -1
        if len(came) != 1:
            raise WireRefused(
                f"it sent {len(came)} descriptors with its greeting: expected that of the memory"
            )
        _check_memory(came[0])
        return came.pop()
    finally:
        if came:
            closer.close_all(came)


def _check_words(data: bytes) -> None:
    if data == HELLO:
        return
    version = 1 if data in _FIRST_STATES else data[2] if len(data) == 4 and data[:2] == HELLO[:2] else None
    if version is None or version == VERSION:
        raise WireRefused("what answers there is no end of a wire")
    raise WireRefused(
        f"it speaks version {version} of the wire and this process version {VERSION}: run the same release at both ends",
        HELLO,
    )


def _check_memory(fd: int) -> None:
    """Whether mapping it is safe: nothing here asks a file system that the sender may run itself."""
    seals = seals_of(fd)
    if seals < 0:
        raise WireRefused("what it sent as memory is no memfd")
    if not seals & _SHRINK:
        raise WireRefused("the memory that it sent is not sealed: it could be cut short under us")
    size = os.fstat(fd).st_size
    if size != RING_MEMORY:
        raise WireRefused(f"the memory that it sent has {size} bytes: expected {RING_MEMORY}")
