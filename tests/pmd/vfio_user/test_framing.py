# SPDX-License-Identifier: BSD-3-Clause
"""Messages over a socket: cut anywhere, with descriptors, and what cannot be one."""

from __future__ import annotations

import gc
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.pmd.vfio_user.framing import Hangup, Incoming, Receiver
from dataplane.pmd.vfio_user.messages import Malformed, MessageHeader

MOST = 4096
BODIES = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    far.setblocking(False)
    with near, far:
        yield near, far


def message(number: int, body: bytes = b"") -> bytes:
    return MessageHeader.of_command(number, 9, len(body)).pack() + body


@pytest.fixture(autouse=True)
def collected() -> None:
    """Close the objects of earlier tests now, and not between two counts of descriptors."""
    gc.collect()


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def everything(receiver: Receiver) -> list[Incoming]:
    found = []
    while (each := receiver.receive()) is not None:
        found.append(each)
    return found


@given(bodies=BODIES, cuts=st.lists(st.integers(1, 60), max_size=20))
def test_messages_are_whole_however_they_arrive(bodies: list[bytes], cuts: list[int]) -> None:
    near, far = socket.socketpair()
    with near, far:
        far.setblocking(False)
        receiver = Receiver(far, MOST)
        data = b"".join(message(number, body) for number, body in enumerate(bodies))
        got: list[Incoming] = []
        for cut in [*cuts, len(data)]:
            near.send(data[:cut])
            data = data[cut:]
            got += everything(receiver)
            if not data:
                break
        assert [each.body for each in got] == bodies
        assert [each.header.id for each in got] == list(range(len(bodies)))


@given(counts=st.lists(st.integers(0, 3), min_size=1, max_size=6), by_header=st.booleans())
def test_descriptors_belong_to_their_message(counts: list[int], by_header: bool) -> None:
    """Also when many messages are waiting, and whether descriptors come with the header or with what follows."""
    before = descriptors()
    near, far = socket.socketpair()
    with near, far:
        far.setblocking(False)
        receiver = Receiver(far, MOST)
        for number, count in enumerate(counts):
            own = [os.memfd_create(f"{number}-{n}") for n in range(count)]
            whole = message(number, b"body")
            pieces = [whole] if by_header else [whole[:16], whole[16:]]
            for piece in pieces[:-1]:
                near.send(piece)
            socket.send_fds(near, [pieces[-1]], own)
            for each in own:
                os.close(each)
        got = everything(receiver)
        names = [[Path(f"/proc/self/fd/{fd}").readlink().name for fd in each.descriptors] for each in got]
        assert names == [
            [f"memfd:{number}-{n} (deleted)" for n in range(count)] for number, count in enumerate(counts)
        ]
        for each in got:
            each.close()
    assert descriptors() == before


def test_descriptors_of_half_a_message_are_closed(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    receiver = Receiver(far, MOST)
    before = descriptors()
    socket.send_fds(near, [message(1, b"body")[:18]], [near.fileno()] * 3)
    assert receiver.receive() is None
    assert descriptors() == before + 3
    receiver.close()
    assert descriptors() == before


@pytest.mark.parametrize("size", [0, 15, MOST + 1, 0xFFFF_FFFF])
def test_a_size_that_cannot_be(ends: tuple[socket.socket, socket.socket], size: int) -> None:
    near, far = ends
    near.send(MessageHeader(1, 9, size).pack())
    with pytest.raises(Malformed, match=f"a message of {size} bytes: must be 16 to 4096"):
        Receiver(far, MOST).receive()


@pytest.mark.parametrize("sent", [b"", b"half", message(1, b"body")[:-1]])
def test_the_other_end_hangs_up(ends: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    near, far = ends
    near.send(sent)
    near.close()
    with pytest.raises(Hangup):
        everything(Receiver(far, MOST))


def test_the_other_end_is_killed_with_unread_data(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    far.send(b"never read")
    near.close()
    with pytest.raises(Hangup):
        Receiver(far, MOST).receive()


def test_too_many_descriptors_for_this_process(ends: tuple[socket.socket, socket.socket]) -> None:
    near, far = ends
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    socket.send_fds(near, [message(1)], [near.fileno()] * 20)
    receiver = Receiver(far, MOST)
    lowest = os.dup(near.fileno())
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 5, hard))
    try:
        with pytest.raises(Malformed, match="could not be received"):
            receiver.receive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        receiver.close()
    assert descriptors() == before
