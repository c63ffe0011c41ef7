# SPDX-License-Identifier: BSD-3-Clause
"""The folder with a server's sockets, held by descriptor: an owner of the folders above can only move it.

Every name is looked up in that descriptor, and nothing is written through a link or over a file that was there before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from dataplane.errors import PortError
from dataplane.pmd.model.wire.private_socket import listen

__all__ = ["ServedFolder"]


class ServedFolder:
    """Makes the folder if it is not there, and holds its lock until `close`.

    Raises PortError for a link, for a folder where others may write, and for one where a NIC is served already.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made: set[str] = set()
        self._fd = _claim(path)

    def listen(self, name: str) -> socket.socket:
        """A socket that listens under that name. One that a killed server left is replaced; PortError for anything else."""
        self._clear(name, stat.S_ISSOCK, "something else than a socket")
        listening = listen(self.path / name, socket.SOCK_STREAM, f"/proc/{os.getpid()}/fd/{self._fd}/{name}")
        self._made.add(name)
        return listening

    def write(self, name: str, text: str) -> None:
        """Put a file there, whole at any time. Raises OSError, PortError if something that is no file has that name."""
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
        """Remove what was made here, and let go of the lock."""
        for name in sorted(self._made):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._fd)
        self._made.clear()
        os.close(self._fd)

    def _clear(self, name: str, ours: Callable[[int], bool], what: str) -> None:
        """Nothing has that name any more. Raises PortError for what no server of ours can have left there."""
        try:
            mode = os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not ours(mode):
            raise PortError(f"{self.path / name}: there is {what}: move it away, or choose another folder")
        os.unlink(name, dir_fd=self._fd)


def _claim(folder: Path) -> int:
    """A descriptor that holds the folder's lock as long as it is open."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if folder.is_symlink():
            raise PortError(f"{folder}: it is a link: name the folder that it leads to") from None
        raise PortError(f"{folder}: {error.strerror}: choose a folder that you may write to") from None
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
            raise PortError(
                f"{folder}: others may write there, and could put their sockets in place of ours: choose a folder that is "
                f"yours alone (chmod go-w)"
            )
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise PortError(
            f"{folder}: a NIC is served there already: stop it, or choose another folder"
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return fd
