# SPDX-License-Identifier: BSD-3-Clause
"""Folders for sockets: where they are, who may use them, and what is removed. tests/pmd/model/server has the attacks."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.errors import ConfigError, PortError
from dataplane.files.private_socket import PATH_MOST, is_listening, is_ours, listen, process_of
from dataplane.files.run_folder import SYSTEM, RunFolder, run_folders, user_folder


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder with a short name, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="run-", dir="/tmp") as short:
        yield Path(short)


@pytest.fixture
def folder(parent: Path) -> Iterator[RunFolder]:
    made = RunFolder(parent / "mine")
    yield made
    made.close()


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("runtime", ["/run/user/7", None, "", "relative"])
def test_where_they_are(monkeypatch: pytest.MonkeyPatch, runtime: str | None) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if runtime is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    others = [SYSTEM, Path("/tmp/dataplane-1000")]
    if runtime == "/run/user/7":
        assert user_folder() == Path("/run/user/7/dataplane")
        assert run_folders() == [Path("/run/user/7/dataplane"), *others]
    else:
        assert user_folder() is None
        assert run_folders() == others


def test_it_is_made_for_this_user_alone_and_stays(parent: Path) -> None:
    folder = RunFolder(parent / "mine")
    assert stat.S_IMODE((parent / "mine").stat().st_mode) == 0o700
    folder.listen("a.sock").close()
    folder.write("facts", "text")
    (parent / "mine/other").write_text("not ours")
    folder.close()
    folder.close()
    assert [path.name for path in (parent / "mine").iterdir()] == ["other"]
    with pytest.raises(PortError, match="the folder is closed"):
        folder.listen("a.sock")


def test_folders_above_it_are_made_only_on_demand(parent: Path) -> None:
    with pytest.raises(PortError, match=r"none/mine: No such file or directory: choose a folder"):
        RunFolder(parent / "none/mine")
    RunFolder(parent / "none/mine", parents=True).close()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_where_others_may_write(parent: Path, mode: int) -> None:
    (parent / "mine").mkdir()
    (parent / "mine").chmod(mode)
    with pytest.raises(PortError, match=r"others may write there.*chmod go-w"):
        RunFolder(parent / "mine")


def test_a_folder_of_another_user(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (parent / "mine").mkdir(mode=0o700)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(PortError, match=rf"mine: it belongs to user {owner}: choose a folder of your own"):
        RunFolder(parent / "mine")


def test_one_at_a_time_if_it_is_exclusive(parent: Path) -> None:
    first = RunFolder(parent / "mine", exclusive=True)
    with pytest.raises(PortError, match="is served there already"):
        RunFolder(parent / "mine", exclusive=True)
    first.close()
    RunFolder(parent / "mine", exclusive=True).close()


def test_no_descriptor_is_lost(parent: Path) -> None:
    before = open_files()
    (parent / "bad").mkdir()
    (parent / "bad").chmod(0o777)
    for name in ("bad", "none/mine"):
        with pytest.raises(PortError):
            RunFolder(parent / name)
    forgotten = RunFolder(parent / "mine")
    with pytest.raises(ConfigError, match="made already"):
        forgotten.__init__(parent / "mine")  # type: ignore[misc]
    del forgotten
    assert open_files() == before


def test_a_socket_that_is_in_use_is_kept_and_a_dead_one_is_replaced(folder: RunFolder, parent: Path) -> None:
    second = RunFolder(parent / "mine")
    with folder.listen("a.sock", backlog=0):
        while True:  # a process that accepts no connection: its backlog gets full
            caller = socket.socket(socket.AF_UNIX)
            caller.setblocking(False)
            try:
                caller.connect(str(parent / "mine/a.sock"))
            except BlockingIOError:
                break
            finally:
                caller.close()
        with pytest.raises(PortError, match="one of this name listens already"):
            second.listen("a.sock")
    with second.listen("a.sock"):
        assert is_listening(parent / "mine/a.sock")
    second.close()


def test_what_is_no_socket_is_kept(folder: RunFolder, parent: Path) -> None:
    (parent / "mine/file").write_text("mine")
    with pytest.raises(PortError, match="something else than a socket"):
        folder.listen("file")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(str(parent / "mine/datagrams"))
        with pytest.raises(PortError, match=r"datagrams: .*move it away"):
            folder.listen("datagrams")
    assert {path.name for path in (parent / "mine").iterdir()} == {"file", "datagrams"}


def test_a_socket_is_private_from_its_first_moment(parent: Path) -> None:
    """Other threads make files meanwhile: their modes are their own."""
    modes, stop = set[int](), threading.Event()

    def make_files() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            fd = os.open(parent / f"file{number % 8}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
            modes.add(stat.S_IMODE(os.fstat(fd).st_mode))
            os.close(fd)
            (parent / f"file{number % 8}").unlink()

    thread = threading.Thread(target=make_files)
    thread.start()
    before = os.umask(0)
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET) * 200:
            with listen(parent / "a.sock", kind):
                assert stat.S_IMODE((parent / "a.sock").stat().st_mode) == 0o600
            (parent / "a.sock").unlink()
    finally:
        os.umask(before)
        stop.set()
        thread.join()
    assert modes == {0o644}


def test_who_is_at_the_other_end(folder: RunFolder, parent: Path) -> None:
    with folder.listen("a.sock") as listening, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(parent / "mine/a.sock"))
        listening.setblocking(True)
        connection, _ = listening.accept()
        with connection:
            assert is_ours(connection) and process_of(connection) == os.getpid()


def test_a_name_that_is_too_long(folder: RunFolder) -> None:
    with pytest.raises(ConfigError, match=f"at most {PATH_MOST} bytes"):
        folder.listen("n" * PATH_MOST)
