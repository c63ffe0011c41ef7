# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane ports` and `dataplane doctor` on served NICs: found, in use, left behind, or open to others."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rawclient import RawClient
from served import TIMEOUT, Served

from dataplane.apps.command import ports
from dataplane.apps.command.cli import main
from dataplane.apps.command.doctor import MISSING, OK, UNNEEDED, DoctorFinding, examine
from dataplane.apps.command.system.host import Host
from dataplane.apps.command.system.served import default_folder, served_nics
from dataplane.errors import ConfigError


@pytest.fixture
def nic() -> Iterator[Served]:
    with Served("--ports", "1", "--vfs", "1") as served:
        yield served


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dp-nic-") as name:
        yield Path(name)


def states(folder: Path) -> dict[str, str]:
    """The states that `ports` lists for the functions in that folder, which it must find by itself."""
    rows = ports.entries(Host())
    return {Path(row.port).stem: row.state for row in rows if row.port.startswith(f"vfio-user:{folder}/")}


def finding(folder: Path, *told: Path) -> DoctorFinding:
    (found,) = (each for each in examine(Host(), folders=told) if each.name == f"served NIC {folder}")
    return found


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(path))


def test_ports_finds_a_served_nic_and_says_who_has_it(nic: Served) -> None:
    assert states(nic.folder) == {"pf0": "free", "pf0.vf0": "free"}
    assert finding(nic.folder).state == OK
    with RawClient(nic.path("pf0")):
        deadline = time.monotonic() + TIMEOUT
        while states(nic.folder)["pf0"] == "free" and time.monotonic() < deadline:
            time.sleep(0.01)
        program = Path("/proc/self/comm").read_text().strip()
        assert states(nic.folder) == {"pf0": f"process {os.getpid()} ({program}) has it", "pf0.vf0": "free"}
        assert f"process {nic.process.pid} serves 2 functions, 1 of them" in finding(nic.folder).found
    deadline = time.monotonic() + TIMEOUT
    while states(nic.folder)["pf0"] != "free" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert states(nic.folder)["pf0"] == "free"


def test_what_ports_shows_can_be_opened(
    nic: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "ports.json"
    assert main(["ports", "--dir", str(nic.folder), "--json", str(file)]) == 0
    (row,) = (row for row in json.loads(file.read_text()) if row["port"] == nic.port("pf0"))
    assert row["what"].startswith("PF of a served NIC 02:82:59:")
    assert main(["macswap", row["port"], "--seconds", "0.1"]) == 0


def test_a_killed_server(nic: Served) -> None:
    nic.process.send_signal(signal.SIGKILL)
    nic.process.communicate(timeout=TIMEOUT)
    assert states(nic.folder) == {}, "nobody listens there"
    found = finding(nic.folder, nic.folder)
    assert found.state == MISSING
    assert "its server has ended and left 2 sockets behind" in found.found
    (row, *_) = ports.entries(Host(), [nic.folder])
    assert "its server has ended; run 'dataplane doctor --dir" in row.state
    assert os.system(found.mend) == 0  # as a person would
    assert "no sockets there" in finding(nic.folder, nic.folder).found


def test_permissions_that_let_others_in(nic: Served) -> None:
    nic.path("pf0.vf0").chmod(0o666)
    found = finding(nic.folder)
    assert found.state == MISSING and "pf0.vf0.sock has mode 0666, not 0600" in found.found
    assert os.system(found.mend) == 0
    assert finding(nic.folder).state == OK
    nic.folder.chmod(0o777)
    found = finding(nic.folder)
    assert found.state == MISSING and "other users can write to its folder" in found.found
    assert os.system(found.mend) == 0
    assert finding(nic.folder).state == OK


def test_a_server_that_ends_while_one_looks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bind(folder / "pf0.sock")
    seen = [folder / "pf0.sock", folder / "pf0.vf0.sock"]  # the second was there when the folder was read
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(seen if path == folder else ()))
    (nic,) = (nic for nic in served_nics(Host(), [folder]) if nic.folder == folder)
    assert [function.name for function in nic.functions] == ["pf0"]


@pytest.mark.skipif(os.geteuid() == 0, reason="needs an ordinary user: root may open everything")
def test_a_folder_that_this_user_may_not_read(folder: Path) -> None:
    bind(folder / "pf0.sock")
    folder.chmod(0)
    try:
        found = finding(folder, folder)
        assert (found.state, found.found, found.mend) == (MISSING, "Permission denied", "")
    finally:
        folder.chmod(0o700)


def test_a_nic_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Its sockets may not be opened: `ports` has no line for them, `doctor` says whose they are."""
    bind(folder / "pf0.sock")
    (folder / "pf0.sock").chmod(0o600)
    (folder / "nic.json").write_text(json.dumps({"process": 77}))
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/locks").write_text(f"1: FLOCK  ADVISORY  WRITE 77 00:1a:{folder.stat().st_ino} 0 EOF\n")
    monkeypatch.setattr(os, "access", lambda *_: False)
    host = Host(tmp_path)
    (found,) = (each for each in examine(host, folders=[folder]) if each.name.startswith("served NIC"))
    assert found.state == UNNEEDED and f"belongs to user {os.getuid()}" in found.found
    assert not [row for row in ports.entries(host, [folder]) if row.port.startswith("vfio-user")]


def test_folders_that_are_no_nics(tmp_path: Path, folder: Path) -> None:
    assert finding(tmp_path / "nowhere", tmp_path / "nowhere").found == "No such file or directory"
    (folder / "pf0.sock").touch()
    (folder / "nic.json").write_text("[1]")
    assert served_nics(Host(tmp_path), [folder])[0].functions == ()
    assert finding(folder, folder).mend == f"dataplane nic serve --dir {folder}"


def test_the_default_folders_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_folder(3) == Path("/run/user/1000/dataplane/nic3")
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    for place in ("run/user/1000/dataplane/nic3", "run/dataplane/nic0"):
        Path(place).mkdir(parents=True)
        monkeypatch.chdir(place)
        bind(Path("pf0.sock"))
        monkeypatch.chdir(tmp_path)
    assert [nic.folder.name for nic in served_nics(Host(tmp_path))] == ["nic3", "nic0"]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    with pytest.raises(ConfigError, match="give the folder for the sockets with --dir DIR"):
        default_folder(0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_folder(1) == Path("/run/dataplane/nic1")
