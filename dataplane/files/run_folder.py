# SPDX-License-Identifier: BSD-3-Clause
"""Folders for the sockets of running programs: where they are, and that only their user can write there.

A folder is held by descriptor: who may write to the folders above it can only move it. Every name is looked up in that
descriptor, and nothing is written through a link or over a file that was there before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

from dataplane.errors import PortError, check_new
from dataplane.files.private_socket import is_listening, listen

__all__ = ["SYSTEM", "RunFolder", "run_folders", "user_folder"]

SYSTEM = Path("/run/dataplane")  # root's


def user_folder() -> Path | None:
    """$XDG_RUNTIME_DIR/dataplane, None unless the variable is an absolute path (XDG Base Directory Specification)."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    return runtime / "dataplane" if runtime.is_absolute() else None


def run_folders() -> list[Path]:
    """Where sockets of this user's programs and of root's may be, best first. They need not exist."""
    own = user_folder()
    return [*([own] if own else []), SYSTEM, Path(f"/tmp/dataplane-{os.geteuid()}")]


class RunFolder:
    """A folder to which only this user may write, until `close`.

    path: made with mode 0700 if it does not exist. parents: make the folders above it, too. exclusive: for one RunFolder at
    a time, of all processes. Raises PortError if it cannot be made, is a link, is another user's, may be written by others,
    or is in use.
    """

    def __init__(self, path: Path, *, parents: bool = False, exclusive: bool = False) -> None:
        check_new(self, "path")
        self._exclusive = exclusive
        self._made: set[str] = set()
        self._fd = _open(path, parents)
        self._release = weakref.finalize(self, os.close, self._fd)
        self.path = path
        try:
            _check(path, self._fd)
            if exclusive:
                _lock(path, self._fd)
        except BaseException:
            self._release()
            raise

    def listen(self, name: str, backlog: int = 8) -> socket.socket:
        """A non-blocking stream socket that listens under `name`; see `private_socket.listen`.

        The socket of a process that has ended is replaced. Raises PortError if a process listens there, or if the name
        belongs to something else than a socket.
        """
        path = self.path / name
        self._clear(name, stat.S_ISSOCK, "something else than a socket")
        made = listen(path, socket.SOCK_STREAM, self._at(name), backlog)
        self._made.add(name)
        return made

    def write(self, name: str, text: str) -> None:
        """Write `text` to the file `name`, which readers see as it was or as it is. Raises OSError; PortError if the name
        belongs to something else than a file.
        """
        new = f".{name}"
        self._clear(new, lambda mode: not stat.S_ISDIR(mode), "a folder")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(new, flags, 0o644, dir_fd=self._fd), "w") as file:
            file.write(text)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode):
                raise PortError(f"{self.path / name}: something that is no file: move it away")
        os.replace(new, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self._made.add(name)

    def close(self) -> None:
        """Remove what was made here, and release the folder, which stays. A second call does nothing."""
        for name in sorted(self._made):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._fd)
        self._made.clear()
        self._release()
        self._fd = -1

    def _at(self, name: str) -> str:
        """A name of the file `name` that stays right when the folder is moved."""
        return f"/proc/{os.getpid()}/fd/{self._fd}/{name}"

    def _clear(self, name: str, ours: Callable[[int], bool], what: str) -> None:
        """Remove what an ended process left under `name`. Raises PortError for what no RunFolder can have made."""
        if self._fd < 0:
            raise PortError(f"{self.path}: the folder is closed: make another RunFolder")
        try:
            mode = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not ours(mode):
            raise PortError(f"{self.path / name}: there is {what}: move it away, or choose another folder")
        if stat.S_ISSOCK(mode) and not self._exclusive:
            self._check_ended(name)
        os.unlink(name, dir_fd=self._fd)

    def _check_ended(self, name: str) -> None:
        """Raise PortError unless the process that made the socket `name` has ended."""
        try:
            used = is_listening(Path(self._at(name)))
        except OSError as error:
            raise PortError(f"{self.path / name}: {error.strerror}: move it away") from None
        if used:
            raise PortError(
                f"{self.path / name}: one of this name listens already, in this process or another"
            )


def _open(path: Path, parents: bool) -> int:
    """A descriptor of the folder, which is made if it does not exist. Raises PortError."""
    try:
        path.mkdir(mode=0o700, parents=parents, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise PortError(f"{path}: it is a link: name the folder that it leads to") from None
        raise PortError(f"{path}: {error.strerror}: choose a folder that you may write to") from None


def _check(path: Path, fd: int) -> None:
    """Raise PortError if another user can put sockets in place of ours."""
    status = os.fstat(fd)
    if status.st_uid != os.geteuid():
        raise PortError(f"{path}: it belongs to user {status.st_uid}: choose a folder of your own")
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise PortError(
            f"{path}: others may write there, and could put their sockets in place of ours: 'chmod go-w {path}', or choose "
            "another folder"
        )


def _lock(path: Path, fd: int) -> None:
    """Lock the folder as long as `fd` is open. Raises PortError if it is locked."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PortError(f"{path}: a NIC is served there already: stop it, or choose another folder") from None
