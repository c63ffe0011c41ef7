# SPDX-License-Identifier: BSD-3-Clause
"""The server's answer to a request that it refuses."""

from __future__ import annotations

import os

__all__ = ["ClientRequestRefused"]


class ClientRequestRefused(Exception):
    """The request is answered with this errno; the connection stays. over: it is about a quota, and the log hears of it."""

    def __init__(self, errno: int, why: str = "", *, over: bool = False) -> None:
        super().__init__(why or os.strerror(errno))
        self.errno, self.over = errno, over
