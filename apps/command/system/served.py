# SPDX-License-Identifier: BSD-3-Clause
"""Find the NICs served on this machine: their folders, their functions, and the processes that use those.

A server writes NAME into its folder and holds the folder's lock. The search covers the default folders of `nic serve`, the
listening sockets that the kernel lists, and the folders that the caller gives.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataplane.apps.command.system.host import Host
from dataplane.errors import ConfigError
from dataplane.files.run_folder import SYSTEM, run_folders, user_folder

__all__ = ["FUNCTION", "ServedFunction", "ServedNic", "default_folder", "order", "served_nics"]

NAME = "nic.json"  # as pmd.model.server.server has it
FUNCTION = r"pf([01])(?:\.vf(\d+))?"

_LISTENS = re.compile(r"^\S+ \S+ \S+ 00010000 \S+ \S+ +\d+ (/.*)/" + FUNCTION + r"\.sock$", re.MULTILINE)


@dataclass(frozen=True)
class ServedFunction:
    """ "pf0" or "pf0.vf3". client: the process that has it, 0 if none. program: its name, "" if it is not known."""

    name: str
    path: Path
    mode: int
    usable: bool
    client: int = 0
    program: str = ""


@dataclass(frozen=True)
class ServedNic:
    """A folder with the sockets of a NIC. process: its server, 0 if that has ended. why: the reason if it is unreadable."""

    folder: Path
    process: int = 0
    mode: int = 0
    owner: int = 0
    why: str = ""
    macs: dict[str, str] = field(default_factory=dict)
    wires: dict[str, str] = field(default_factory=dict)
    functions: tuple[ServedFunction, ...] = ()


def default_folder(index: int) -> Path:
    """The default folder of card `index`. Raises ConfigError if this user has no folder for sockets."""
    if os.geteuid() == 0:
        return SYSTEM / f"nic{index}"
    folder = user_folder()
    if folder is None:
        raise ConfigError("XDG_RUNTIME_DIR is not set: give the folder for the sockets with --dir DIR")
    return folder / f"nic{index}"


def order(name: str) -> tuple[bool, int, int]:
    """The sort key of a function, PFs first: (whether it is a VF, its port, its number). Raises ConfigError."""
    found = re.fullmatch(FUNCTION, name)
    if not found:
        raise ConfigError(f"{name!r}: expected a function, as in pf0 or pf0.vf3")
    return found[2] is not None, int(found[1]), int(found[2] or 0)


def served_nics(host: Host, told: Iterable[Path] = ()) -> list[ServedNic]:
    """Those of the machine and those in the folders of `told`, which are in the list whatever is there."""
    asked = [folder.absolute() for folder in told]
    found = [child for place in run_folders() for child in _children(host.path(str(place)))]
    found += [_named(host, match[1]) for match in _LISTENS.finditer(host.read("/proc/net/unix"))]
    nics = [_look(host, folder) for folder in dict.fromkeys(found) if folder not in asked]
    return [_look(host, folder) for folder in asked] + [nic for nic in nics if nic.functions]


def _children(place: Path) -> list[Path]:
    try:
        return sorted(child for child in place.iterdir() if child.is_dir())
    except OSError:
        return []


def _named(host: Host, folder: str) -> Path:
    """A folder by its name, where a server has bound its sockets by the descriptor with which it holds the folder."""
    path = host.path(folder)
    if re.fullmatch(r"/proc/\d+/fd/\d+", folder):
        with suppress(OSError):  # another user's process, or it has ended
            return path.readlink()
    return path


def _look(host: Host, folder: Path) -> ServedNic:
    try:
        status = folder.stat()
        sockets = dict(_sockets(folder))
    except OSError as error:
        return ServedNic(folder, why=error.strerror or "it cannot be read")
    told = _told(folder)
    process = told.get("process", 0)
    if not _holds(host, process, status.st_ino):
        told, process = {}, 0
    clients = told.get("clients", {})
    functions = []
    for path, mode in sorted(sockets.items(), key=lambda item: order(item[0].stem)):
        client = clients.get(path.stem, 0)
        program = host.read(f"/proc/{client}/comm") if client else ""
        usable = os.access(path, os.R_OK | os.W_OK)
        functions.append(ServedFunction(path.stem, path, mode, usable, client, program))
    mode = stat.S_IMODE(status.st_mode)
    return ServedNic(
        folder,
        process,
        mode,
        status.st_uid,
        "",
        told.get("macs", {}),
        told.get("wires", {}),
        tuple(functions),
    )


def _sockets(folder: Path) -> Iterator[tuple[Path, int]]:
    """Functions' sockets, each with its mode. A server may end, and take them away, while they are looked at."""
    for path in folder.iterdir():  # not by glob, which finds nothing where it may not look
        if re.fullmatch(FUNCTION + r"\.sock", path.name):
            with suppress(FileNotFoundError):
                status = path.stat()
                if stat.S_ISSOCK(status.st_mode):
                    yield path, stat.S_IMODE(status.st_mode)


def _told(folder: Path) -> dict[str, Any]:
    """The content of NAME in `folder`; empty if the file is missing or is not a JSON object."""
    try:
        told = json.loads((folder / NAME).read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _holds(host: Host, process: int, inode: int) -> bool:
    """Whether that process has a lock on the folder with that inode."""
    return bool(
        re.search(
            rf"^\d+: FLOCK +ADVISORY +WRITE {process} \w+:\w+:{inode} ",
            host.read("/proc/locks"),
            re.MULTILINE,
        )
    )
