# SPDX-License-Identifier: BSD-3-Clause
"""What a server answers when it does not do what a message asks for."""

from __future__ import annotations

import os

__all__ = ["Refused"]


class Refused(Exception):
    """The request is answered with this errno; the connection stays."""

    def __init__(self, errno: int, why: str = "") -> None:
        super().__init__(why or os.strerror(errno))
        self.errno = errno
