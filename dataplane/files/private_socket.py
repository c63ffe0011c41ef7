# SPDX-License-Identifier: BSD-3-Clause
"""Unix sockets that belong to one user: they have mode 0600, and the kernel says which process is at the other end."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from dataplane.errors import ConfigError, PortError

__all__ = ["PATH_MOST", "check_path", "is_listening", "is_ours", "listen", "process_of"]

PATH_MOST = 107  # bytes of a Unix socket's name (unix(7))
_PATIENCE = 1.0  # seconds for a connection


def check_path(path: Path) -> None:
    """Raise ConfigError if `path` is too long for a socket."""
    if len(os.fsencode(path)) > PATH_MOST:
        raise ConfigError(
            f"{path}: the name of a socket has at most {PATH_MOST} bytes: choose a shorter folder"
        )


def listen(path: Path, kind: socket.SocketKind, bind_at: str = "", backlog: int = 8) -> socket.socket:
    """A non-blocking socket of mode 0600 that listens at `path`, which must not exist.

    kind: SOCK_STREAM or SOCK_SEQPACKET. bind_at: another name of the same place, through a descriptor of its folder
    (/proc/PID/fd/N/NAME). backlog: connections that wait to be accepted. Raises ConfigError for a name that is too long,
    PortError if the kernel refuses.
    """
    check_path(path)
    listening = socket.socket(socket.AF_UNIX, kind)
    try:
        # Linux gives the file the mode that the socket has, so other users cannot connect even for a moment. A umask would
        # do the same, but it holds for all threads of the process.
        os.fchmod(listening.fileno(), 0o600)
        listening.bind(bind_at or os.fspath(path))
        listening.setblocking(False)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise PortError(f"{path}: {error.strerror}: choose another folder") from None
    return listening


def is_listening(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether a process listens at `path`, also one that does not accept connections at the moment. It sees the attempt.

    Raises OSError if that cannot be known: no access, or not a socket of that kind.
    """
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.settimeout(_PATIENCE)
        try:
            probe.connect(os.fspath(path))
        except (BlockingIOError, TimeoutError):
            return True  # its backlog is full
        except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
            return False
    return True


def is_ours(connection: socket.socket) -> bool:
    """Whether the other end is a process of this user's, or root's."""
    return _credentials(connection)[1] in (0, os.geteuid())


def process_of(connection: socket.socket) -> int:
    """The process at the other end, when it connected."""
    return _credentials(connection)[0]


def _credentials(connection: socket.socket) -> tuple[int, int]:
    process, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return process, user
