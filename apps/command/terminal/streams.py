# SPDX-License-Identifier: BSD-3-Clause
"""Standard output and standard error of the command: closed, full, or without a reader, they raise nothing.

A program whose standard output is closed would get its number for the next file it opens. `guard` comes before everything
else: it puts /dev/null in the place of what is closed, and keeps the first error of each stream instead of raising it.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

__all__ = ["complain", "failure", "guard", "log_to_stderr", "out"]

_BLOCKED_MS = 10_000  # a stream that does not block, and takes nothing for that long, has failed

_guards: dict[int, _Guard] = {}
_streams: dict[int, TextIO] = {}
_closed: set[int] = set()


class _Guard(io.RawIOBase):
    """Writes to a descriptor until that fails, and drops everything after that. error: the failure."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.error: OSError | None = None

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        at = 0
        while at < len(view) and self.error is None:
            try:
                at += os.write(self._fd, view[at:])
            except BlockingIOError as error:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                if not poll.poll(_BLOCKED_MS):
                    self.error = error
            except OSError as error:
                self.error = error
        return len(view)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)


def guard() -> None:
    """Make the process's standard streams safe. Call it once, before anything is opened or printed."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            _closed.add(fd)
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is fd
    sys.stdout, sys.stderr = _guarded(1, sys.stdout), _guarded(2, sys.stderr)


def _guarded(fd: int, stream: TextIO | None) -> TextIO:
    raw = _guards[fd] = _Guard(fd)
    lines = fd == 2 or raw.isatty()
    encoding = stream.encoding if stream is not None else "utf-8"
    # What the terminal cannot show is written as \u2026: a name of a file may hold anything.
    _streams[fd] = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding,
        errors="backslashreplace",
        line_buffering=lines,
        write_through=fd == 2,
    )
    return _streams[fd]


def out() -> TextIO:
    """Where totals go: standard output; standard error if that is a capture, was closed, or is full."""
    from dataplane.files.output import standard_output_taken

    elsewhere = 1 in _closed or standard_output_taken() or failure() is not None
    return sys.stderr if elsewhere else sys.stdout


def failure() -> str | None:
    """Why standard output could not be written, None if it could. A reader that has gone is no failure: it has enough."""
    raw = _guards.get(1)
    if raw is None:
        return None
    _streams[1].flush()
    if raw.error is None or raw.error.errno == errno.EPIPE:
        return None
    return f"standard output: {os.strerror(raw.error.errno or errno.EIO)}"


def log_to_stderr(level: int) -> None:
    """Our log lines of that level, no other library's, go to standard error from here on. In a guarded process only."""
    if not _guards:
        return
    logger = logging.getLogger("dataplane")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("dataplane: %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(level)


def complain(message: str) -> None:
    """One line on standard error."""
    with suppress(OSError):  # a process that is not guarded (a test, a script) goes on as well
        print(f"dataplane: {' '.join(message.split())}", file=sys.stderr, flush=True)
