# SPDX-License-Identifier: BSD-3-Clause
"""Two ends of a wire between processes, here two cards of one: who comes first, who goes, who is not wanted."""

import contextlib
import os
import socket
import stat
import tempfile
import time
from pathlib import Path

import pytest

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.wire_ends import WireEnd

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


def test_either_end_may_come_first_and_come_again(cards, path):
    a, b = cards
    with end(b, path, False):  # nobody listens yet
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
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as third:
            third.settimeout(TIMEOUT)
            third.connect(os.fspath(path))
            assert third.recv(100) == b""
        assert up(a, b)
        assert "another process has the other end" in caplog.text


def test_who_talks_nonsense_makes_room_for_the_next(cards, path, caplog):
    a, b = cards
    with end(a, path, True):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            stranger.settimeout(TIMEOUT)
            stranger.connect(os.fspath(path))
            assert stranger.recv(100) == b"\0\1\1\0"
            stranger.send(b"GET / HTTP/1.0\r\n\r\n")
            assert stranger.recv(100) == b""
        with end(b, path, False):
            wait(lambda: up(a, b))
        assert "it is no wire of this version" in caplog.text


def test_nobody_answers_is_said_once(cards, path, caplog):
    with end(cards[0], path, False):
        wait(lambda: "nobody answers: No such file or directory" in caplog.text)
        time.sleep(0.2)
    assert caplog.text.count("nobody answers") == 1


def test_a_socket_left_behind_is_no_obstacle_and_a_file_is(cards, path):
    a, b = cards
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as killed:
        killed.bind(os.fspath(path))
        killed.listen()
    with end(a, path, True):
        with pytest.raises(
            PortError, match=f"somebody listens there already: the other end is connect:{path}"
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
