# SPDX-License-Identifier: BSD-3-Clause
"""The folder of a served NIC: what is planted there, or in its place, is neither followed nor overwritten."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rawclient import TIMEOUT, RawClient

from dataplane.errors import PortError
from dataplane.pmd.datasheet import STATUS
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.server.server import NicServer
from dataplane.pmd.vfio_user.messages import Command


@pytest.fixture
def parent() -> Iterator[Path]:
    """Short: a socket's name has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="dp-") as name:
        yield Path(name)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[NicServer]:
    with NicServer(Card(1, threaded=True, names=["pf0"]), folder) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


def test_a_link_in_the_folder_is_not_written_through(parent: Path) -> None:
    precious, folder = parent / "precious", parent / "nic"
    precious.write_text("mine")
    folder.mkdir(mode=0o700)
    (folder / ".nic.json").symlink_to(precious)
    with serving(folder):
        assert precious.read_text() == "mine"
        assert "process" in json.loads((folder / "nic.json").read_text())
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("name", ["pf0.sock", "nic.json"])
def test_a_link_in_place_of_what_is_made_is_refused(parent: Path, name: str) -> None:
    precious, folder = parent / "precious", parent / "nic"
    precious.write_text("mine")
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(precious)
    with pytest.raises(PortError, match=r"move it away") if name == "pf0.sock" else contextlib.nullcontext():
        NicServer(Card(1, threaded=True), folder).close()
    assert precious.read_text() == "mine"
    assert name == "nic.json" or (folder / name).is_symlink()


def test_another_folder_in_place_of_ours_is_left_alone(parent: Path) -> None:
    """The owner of the parent can move the folder, and put another one there, full of links."""
    folder, moved, precious = parent / "nic", parent / "moved", parent / "precious"
    precious.write_text("mine")
    with serving(folder):
        folder.rename(moved)
        folder.mkdir()
        for name in (".nic.json", "nic.json", "pf0.sock"):
            (folder / name).symlink_to(precious)
        with RawClient(moved / "pf0.sock") as client:
            client.enable()
            assert client.read(0, STATUS.offset) != 0xFFFF_FFFF
            deadline = time.monotonic() + TIMEOUT
            while "pf0" not in json.loads((moved / "nic.json").read_text())["clients"]:
                assert time.monotonic() < deadline, "nic.json does not say who has pf0"
                time.sleep(0.02)
    assert precious.read_text() == "mine"
    assert len(list(folder.iterdir())) == 3
    assert not list(moved.iterdir()), "its own it takes away, wherever that is"


def test_a_plain_file_in_a_sockets_place_is_refused(parent: Path) -> None:
    folder = parent / "nic"
    folder.mkdir(mode=0o700)
    (folder / "pf0.sock").write_text("mine")
    with pytest.raises(PortError, match=r"pf0\.sock: there is something else than a socket: move it away"):
        NicServer(Card(1, threaded=True), folder).close()
    assert (folder / "pf0.sock").read_text() == "mine"


def test_a_socket_that_a_killed_server_left_is_replaced(parent: Path) -> None:
    folder = parent / "nic"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "pf0.sock"))
    with serving(folder), RawClient(folder / "pf0.sock") as client:
        client.enable()


def test_a_link_to_a_folder_is_refused(parent: Path) -> None:
    (parent / "real").mkdir(mode=0o700)
    (parent / "nic").symlink_to(parent / "real")
    with pytest.raises(PortError, match="it is a link: name the folder that it leads to"):
        NicServer(Card(1, threaded=True), parent / "nic").close()
    assert not list((parent / "real").iterdir())


# ---- unexpected errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("a mistake of ours"), MemoryError(), OSError(24, "full")])
@pytest.mark.parametrize("when", ["message", "end"])
def test_an_error_ends_the_client_that_caused_it_and_no_other(
    parent: Path, caplog: pytest.LogCaptureFixture, error: Exception, when: str
) -> None:
    card = Card(2, threaded=True, names=["pf0", "pf1"])
    with NicServer(card, parent / "nic") as server:
        device = next(account.device for account in server._accounts if account.name == "pf0")
        thread = threading.Thread(target=server.run)
        thread.start()
        with RawClient(parent / "nic/pf0.sock") as hostile, RawClient(parent / "nic/pf1.sock") as other:
            hostile.enable()
            other.enable()

            def fail() -> None:
                raise error

            real = device.reset
            device.reset = fail  # type: ignore[method-assign]
            if when == "message":
                with contextlib.suppress(ConnectionError):
                    hostile.ask(Command.RESET).close()
            else:
                hostile.socket.close()
            deadline = time.monotonic() + TIMEOUT
            while "pf0" in server.clients and (when == "end" or isinstance(error, RuntimeError)):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert thread.is_alive()
            assert other.read(0, STATUS.offset) != 0xFFFF_FFFF
            device.reset = real  # type: ignore[method-assign]
        server.stop()
        thread.join()
    assert "pf0: " in caplog.text
    assert "pf1" not in caplog.text
    shutil.rmtree(parent / "nic")
