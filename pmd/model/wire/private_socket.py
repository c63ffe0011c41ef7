# SPDX-License-Identifier: BSD-3-Clause
"""Unix sockets that belong to one user: mode 0600, and the kernel is asked who is at the other end."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from dataplane.errors import ConfigError, PortError

__all__ = ["PATH_MOST", "is_ours", "listen", "process_of"]

PATH_MOST = 107  # bytes of a Unix socket's name


def listen(path: Path, kind: socket.SocketKind, bind_at: str = "") -> socket.socket:
    """A non-blocking socket that listens at `path`, which must not exist.

    bind_at: another name of that place, through a descriptor of its folder (/proc/PID/fd/N/NAME). Raises ConfigError for a
    name that is too long, PortError for what the kernel refuses.
    """
    if len(os.fsencode(path)) > PATH_MOST:
        raise ConfigError(
            f"{path}: the name of a socket has at most {PATH_MOST} bytes: choose a shorter folder"
        )
    listening = socket.socket(socket.AF_UNIX, kind)
    before = os.umask(0o177)
    try:
        listening.bind(bind_at or os.fspath(path))
        listening.setblocking(False)
        listening.listen(8)
    except OSError as error:
        listening.close()
        raise PortError(f"{path}: {error.strerror}: choose another folder") from None
    finally:
        os.umask(before)
    return listening


def is_ours(connection: socket.socket) -> bool:
    """Whether the other end is a process of this user's, or root's."""
    return _credentials(connection)[1] in (0, os.geteuid())


def process_of(connection: socket.socket) -> int:
    """The process at the other end, when it connected."""
    return _credentials(connection)[0]


def _credentials(connection: socket.socket) -> tuple[int, int]:
    process, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return process, user
