# SPDX-License-Identifier: BSD-3-Clause
"""Two ends of a wire between processes, here two cards of one: who comes first, who goes, who is not wanted."""

import contextlib
import os
import resource
import socket
import stat
import tempfile
import time
from pathlib import Path

import pytest

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.wire.ends import WireEnd
from tests.pmd.model.wire_raw import HELLO, MEMORY, Raw, descriptors_open, mappings, memory

TIMEOUT = 10.0


@pytest.fixture
def path():
    with tempfile.TemporaryDirectory(prefix="dp-wire-") as folder:
        yield Path(folder) / "a.wire"


@pytest.fixture
def cards():
    with Card(1, threaded=True, index=30) as a, Card(1, threaded=True, index=31) as b:
        a.start(), b.start()
        yield a, b


def end(card, path, listens):
    return contextlib.closing(WireEnd(card.lock, card.ports[0].engine, path, listens=listens))


def up(*cards):
    return all(card.ports[0].engine.is_wire_up for card in cards)


def wait(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def stranger(path):
    """A connection to the socket at `path`, as any process can open it."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    caller.settimeout(TIMEOUT)
    caller.connect(os.fspath(path))
    return caller


def test_either_end_may_come_first_and_come_again(cards, path):
    a, b = cards
    with end(b, path, False):  # no end listens yet
        for _ in range(2):
            with end(a, path, True):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600
                wait(lambda: up(a, b))
            wait(lambda: not up(b))
            assert not path.exists() and not up(a)
    with end(a, path, True):
        for _ in range(2):
            with end(b, path, False):
                wait(lambda: up(a, b))
            wait(lambda: not up(a))


def test_a_dark_port_takes_the_link_away(cards, path):
    a, b = cards
    with end(a, path, True), end(b, path, False):
        wait(lambda: up(a, b))
        with a.lock:
            a.ports[0].shine(False)
        wait(lambda: not up(b))
        assert up(a)
        with a.lock:
            a.ports[0].shine(True)
        wait(lambda: up(b))


def test_the_end_that_is_taken_is_not_given_twice(cards, path, caplog):
    a, b = cards
    with end(a, path, True), end(b, path, False):
        wait(lambda: up(a, b))
        with stranger(path) as third:
            assert third.recv(100) == b""
        assert up(a, b)
        assert "another process has the other end" in caplog.text


@pytest.mark.parametrize(
    ("says", "hears", "why"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", b"", "what answers there is no end of a wire"),
        (b"\0\1\1\0", HELLO, "it speaks version 1 of the wire and this process version 2"),
        (b"\0\0\1\0", HELLO, "it speaks version 1 of the wire and this process version 2"),
        (b"\2\0\3\0", HELLO, "it speaks version 3 of the wire and this process version 2"),
        (b"\2\0\2\1", b"", "what answers there is no end of a wire"),
        (HELLO * 2, b"", "what answers there is no end of a wire"),
        (None, b"", "it does not greet: cut off after 2 s"),
    ],
    ids=str,
)
def test_a_caller_that_is_no_end_makes_room_for_the_next(cards, path, caplog, says, hears, why):
    a, b = cards
    with end(a, path, True):
        with stranger(path) as caller:
            if says is not None:
                caller.send(says)
            assert caller.recv(100) == hears
            assert caller.recv(100) == b""
        with end(b, path, False):
            wait(lambda: up(a, b))
        assert why in caplog.text


def descriptors(kind):
    """What a listening end may send as memory: some descriptors, and those that are ours to close as well."""
    read, write = os.pipe()
    found = {
        "none": [],
        "a pipe": [read],
        "a socket": [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).detach()],
        "a plain file": [os.open(__file__, os.O_RDONLY)],
        "not sealed": [memory(seals=0)],
        "sealed against growth alone": [memory(seals=0x4)],
        "too short": [memory(MEMORY - 4096)],
        "too long": [memory(MEMORY + 4096)],
        "sealed against writing": [memory(seals=0x8 | 0x2)],
        "for reading": [os.open(f"/proc/self/fd/{memory()}", os.O_RDONLY)],
        "two": [memory(), memory()],
        "two hundred": [read] * 200,
    }
    return found[kind], {read, write, *(fd for each in found.values() for fd in each)}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("none", "it sent 0 descriptors with its greeting"),
        ("a pipe", "what it sent as memory is no memfd"),
        ("a socket", "what it sent as memory is no memfd"),
        ("a plain file", "what it sent as memory is no memfd"),
        ("not sealed", "is not sealed"),
        ("sealed against growth alone", "is not sealed"),
        ("too short", f"has {MEMORY - 4096} bytes: expected {MEMORY}"),
        ("too long", f"has {MEMORY + 4096} bytes: expected {MEMORY}"),
        ("sealed against writing", "Operation not permitted"),
        ("for reading", "Permission denied"),
        ("two", "it sent 2 descriptors with its greeting"),
        ("two hundred", "it sent 200 descriptors with its greeting"),
    ],
)
def test_a_listener_that_gives_wrong_memory(cards, path, caplog, kind, why):
    """Refused with a reason; nothing of it is kept, and the next listener is as welcome as ever."""
    a, b = cards
    sent, ours = descriptors(kind)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.settimeout(TIMEOUT)
        listening.bind(os.fspath(path))
        listening.listen()
        with end(b, path, False):
            counts = []
            for _ in range(3):
                caller, _ = listening.accept()
                with caller:
                    caller.settimeout(TIMEOUT)
                    assert caller.recv(100) == HELLO
                    socket.send_fds(caller, [HELLO], sent)
                    assert caller.recv(100) == b""
                    wait(lambda: why in caplog.text)
                counts.append(descriptors_open())
            assert not up(b) and not mappings()
            # A thread closes the descriptors that arrived, soon; and meanwhile the end calls again.
            wait(lambda: descriptors_open() <= counts[0] + 1)
            listening.close(), path.unlink()
            with end(a, path, True):
                wait(lambda: up(a, b))
    for fd in ours:
        os.close(fd)


def test_a_listener_of_version_1(cards, path, caplog):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.settimeout(TIMEOUT)
        listening.bind(os.fspath(path))
        listening.listen()
        with end(cards[1], path, False):
            caller, _ = listening.accept()
            caller.settimeout(TIMEOUT)
            caller.send(b"\0\1\1\0")  # its light is on
            assert caller.recv(100) == HELLO, "which it understands: another version"
            wait(lambda: "it speaks version 1 of the wire and this process version 2" in caplog.text)
            caller.close()


def test_silent_callers_do_not_keep_others_out(cards, path):
    """Several may greet at a time, and those that do not are cut off."""
    a, b = cards
    with end(a, path, True), contextlib.ExitStack() as silent:
        for _ in range(5):
            silent.enter_context(stranger(path))
        with end(b, path, False):
            wait(lambda: up(a, b))


def test_a_process_without_descriptors_waits_and_goes_on(cards, path, caplog):
    a, b = cards
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with end(a, path, True), contextlib.ExitStack() as callers:
        caller = callers.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        used = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
        fillers = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 4, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    fillers.append(os.open("/dev/null", os.O_RDONLY))
            caller.connect(os.fspath(path))
            wait(lambda: "it has to wait: Too many open files" in caplog.text)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for fd in fillers:
                os.close(fd)
        callers.close()
        with end(b, path, False):
            wait(lambda: up(a, b))


def test_who_connects_and_goes_again_and_again_leaves_nothing(cards, path):
    a, _ = cards
    with end(a, path, True):

        def meet():
            with stranger(path) as caller:
                caller.send(HELLO)
                _, fds, _, _ = socket.recv_fds(caller, 100, 4)
                raw = Raw(caller, fds[0], False)
                os.close(fds[0])
                raw.shine()
                wait(lambda: up(a))
                raw.close()
            wait(lambda: not up(a))

        meet()
        wait(lambda: mappings() == 0)
        before = descriptors_open()
        for _ in range(10):
            meet()
        wait(lambda: mappings() == 0)
        assert descriptors_open() == before


def test_nobody_answers_is_said_once(cards, path, caplog):
    with end(cards[0], path, False):
        wait(lambda: "no answer: No such file or directory" in caplog.text)
        time.sleep(0.2)
    assert caplog.text.count("no answer") == 1


def test_a_socket_left_behind_is_no_obstacle_and_a_file_is(cards, path):
    a, b = cards
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as killed:
        killed.bind(os.fspath(path))
        killed.listen()
    with end(a, path, True):
        with pytest.raises(
            PortError, match=f"another wire already listens there: use connect:{path} for the other end"
        ):
            WireEnd(b.lock, b.ports[0].engine, path, listens=True)
        assert b.ports[0].engine.wire is None
    path.write_text("mine")
    with pytest.raises(ConfigError, match="something that is no socket"):
        WireEnd(a.lock, a.ports[0].engine, path, listens=True)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("listens", [True, False])
def test_names_that_cannot_be(cards, listens):
    a, _ = cards
    with pytest.raises(ConfigError, match="at most 107 bytes"):
        WireEnd(a.lock, a.ports[0].engine, Path("/tmp") / ("x" * 120), listens=listens)
    assert a.ports[0].engine.wire is None
    if listens:
        with pytest.raises(PortError, match="No such file"):
            WireEnd(a.lock, a.ports[0].engine, Path("/nowhere/at/all"), listens=True)
