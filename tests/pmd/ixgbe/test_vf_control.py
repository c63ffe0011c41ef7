# SPDX-License-Identifier: BSD-3-Clause
"""The socket by which other processes speak with a PF."""

from __future__ import annotations

import logging
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.ixgbe.control import ControlServer, call, running, socket_paths


def fail() -> None:
    raise PortError("as planned")


def crash() -> None:
    raise ZeroDivisionError("as planned")


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # Sockets have names of at most 107 bytes: pytest's folders are too deep for them on some machines.
    with tempfile.TemporaryDirectory(prefix="control-", dir="/tmp") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        mine = Path(short) / "dataplane"
        # PFs of other processes on this machine are none of this test's.
        monkeypatch.setattr("dataplane.pmd.ixgbe.control.run_folders", lambda: [mine])
        yield mine


@pytest.fixture
def server(folder: Path) -> Iterator[ControlServer]:
    made = ControlServer("nic0", {"add": lambda a, b: a + b, "fail": fail, "crash": crash})
    yield made
    made.close()
    made.close()


def test_a_question_and_its_answer(server: ControlServer, folder: Path) -> None:
    assert call("nic0", "add", a=1, b=2) == 3
    assert call("nic0", "add", a="x", b="y") == "xy"
    assert running() == ["nic0"]
    assert server.path == folder / "nic0.sock"
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_second_init_closes_the_first(server: ControlServer, folder: Path) -> None:
    """Its thread would wait for questions for ever (the fixture that looks for leaks finds it)."""
    server.__init__("nic1", {"add": lambda: 7})  # type: ignore[misc]
    assert running() == ["nic1"]
    assert call("nic1", "add") == 7


@pytest.mark.parametrize(
    ("verb", "args", "why"),
    [
        ("fail", {}, "^nic0: as planned$"),
        ("crash", {}, "crash failed: ZeroDivisionError"),
        ("add", {"a": 1}, "add: .*missing"),
        ("nothing", {}, "expected one of add, fail, crash"),
    ],
)
def test_what_goes_wrong_is_told(server: ControlServer, verb: str, args: dict[str, object], why: str) -> None:
    with pytest.raises(PortError, match=why):
        call("nic0", verb, **args)
    assert call("nic0", "add", a=1, b=1) == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_garbage_is_answered_and_harms_nobody(server: ControlServer, data: bytes) -> None:
    assert server.path is not None
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.fspath(server.path))
        connection.sendall(data.replace(b"\n", b"") + b"\n")
        connection.settimeout(5)
        assert b"unknown verb" in connection.recv(1000)
    assert call("nic0", "add", a=1, b=1) == 2


def test_whoever_goes_away_in_the_middle_harms_nobody(server: ControlServer) -> None:
    assert server.path is not None
    for data in (b"", b'{"verb"'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.fspath(server.path))
            connection.sendall(data)
    assert call("nic0", "add", a=1, b=1) == 2


def test_nobody_there(folder: Path) -> None:
    with pytest.raises(PortError, match=r"no PF of nic0 runs here .*start one with nic0,vfs=N"):
        call("nic0", "add")
    assert running() == []


def test_what_a_dead_process_left_is_replaced(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(folder / "nic0.sock"))
    with pytest.raises(PortError, match="no PF of nic0 runs here"):
        call("nic0", "add")
    server = ControlServer("nic0", {"add": lambda: 5})
    assert call("nic0", "add") == 5
    server.close()
    assert not (folder / "nic0.sock").exists()


def test_two_of_one_name(server: ControlServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes may each have a model0: the second goes to the next directory, or without."""
    monkeypatch.setattr("dataplane.pmd.ixgbe.control.run_folders", lambda: [folder, folder.parent / "next"])
    second = ControlServer("nic0", {"add": lambda a, b: 0})
    try:
        assert second.path != server.path
        assert call("nic0", "add", a=1, b=2) == 3
    finally:
        second.close()


def test_a_directory_that_is_not_ours_alone_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trap = folder.parent / "trap"
    trap.mkdir()
    trap.chmod(0o777)
    monkeypatch.setattr("dataplane.pmd.ixgbe.control.run_folders", lambda: [trap])
    with caplog.at_level(logging.WARNING, "dataplane"):
        server = ControlServer("nic0", {})
    assert server.path is None
    assert "others may write there" in caplog.text
    server.close()


def test_names_that_are_too_long_are_told(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dataplane"):
        ControlServer("n" * 120, {}).close()
    assert "at most 107 bytes" in caplog.text
    with pytest.raises(PortError, match=r"no PF of n+ runs here"):
        call("n" * 120, "add")


def test_a_folder_of_another_user_is_passed_over(
    server: ControlServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's folder must not hide an ordinary user's PF."""
    if os.geteuid() == 0:
        pytest.skip("needs an ordinary user: root may look everywhere")
    foreign = folder.parent / "foreign"
    foreign.mkdir(mode=0o000)
    monkeypatch.setattr("dataplane.pmd.ixgbe.control.run_folders", lambda: [foreign, folder])
    assert call("nic0", "add", a=1, b=2) == 3
    assert running() == ["nic0"]


@pytest.mark.parametrize("name", ["", "../nic0", "a/b", ".hidden"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="no name of a NIC"):
        socket_paths(name)


def test_a_pf_that_hangs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataplane.pmd.ixgbe.control.TIMEOUT", 0.1)
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.fspath(folder / "nic0.sock"))
        silent.listen()
        with pytest.raises(PortError, match=r"does not answer within 0\.1 s"):
            call("nic0", "add")


def test_a_nic_that_goes_by_the_path_of_a_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert socket_paths("vfio-user:/run/nic/pf0.sock") == socket_paths("vfio-user:run/nic/pf0.sock")
    assert socket_paths("vfio-user:/run/nic/pf0.sock") != socket_paths("vfio-user:/run/other/pf0.sock")
    server = ControlServer("vfio-user:/run/nic/pf0.sock", {"add": lambda a, b: a + b})
    try:
        assert server.path is not None and server.path.name.startswith("pf0-")
        assert call("vfio-user:/run/nic/pf0.sock", "add", a=1, b=2) == 3
    finally:
        server.close()
    for none in ("a/b", "vfio-user:/run/", "/pf0.sock"):
        with pytest.raises(ConfigError, match="is no name of a NIC"):
            socket_paths(none)
