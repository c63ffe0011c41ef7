# SPDX-License-Identifier: BSD-3-Clause
"""Handle the signals of the command in each phase, from its first module to its last closed port.

=============================  ================  =====================  ==========================================
phase                          SIGUSR1           SIGINT, TERM, HUP      SIGQUIT, or any of the others once more
=============================  ================  =====================  ==========================================
modules load (`begin`)         "no run yet"      one line, the end      the same
ports open (`Signals`)         "no run yet"      KeyboardInterrupt      the same
the run (`raising` is False)   one status line   noted: a clean stop    noted: a stop that waits for no app
ports close (`closing`)        nothing           noted                  one line, the end
=============================  ================  =====================  ==========================================

A SIGHUP that is ignored when the command starts stays so: that is what nohup asks for.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

__all__ = ["Signals", "begin", "end"]

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def begin() -> None:
    """Handlers for the time in which modules load. No exception: it could be raised where Python prints and ignores it."""

    def end(number: int, frame: FrameType | None) -> None:
        _write(f"dataplane: interrupted by {signal.Signals(number).name}\n".encode())
        os._exit(1)

    for number in _wanted():
        signal.signal(number, end)
    signal.signal(signal.SIGUSR1, lambda *_: _write(b"dataplane: no run yet\n"))


def end() -> None:
    """The command is over: nothing can interrupt the interpreter's last steps, where it would be a traceback."""
    for number in (*_wanted(), signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    # CPython remembers a KeyboardInterrupt that left an eval or exec of text (that of a dataclass or an expression), even
    # if it was caught, and would end the process by SIGINT. The next exec makes it forget.
    exec("")


class Signals:
    """The signals of a run, noted on the main thread. A context manager: leaving it restores the handlers before.

    caught: the name of the first that asked for an end. at_once: no more waiting. raising: an end is a KeyboardInterrupt
    (until the run begins). closing: ports close, and nothing more can be lost. between: the line that SIGUSR1 prints outside
    the run. status, resumed: set by SIGUSR1 and SIGCONT, cleared by the loop that reads them. hears: called with each signal
    that asks for an end; returns False for a signal that this command must ignore.
    """

    def __init__(self) -> None:
        self.caught = ""
        self.at_once = False
        self.raising = True
        self.closing = False
        self.status = False
        self.resumed = False
        self.between = "no run yet"
        self.hears: Callable[[signal.Signals], bool] = lambda number: True
        self._before: dict[int, object] = {}

    def is_set(self) -> bool:
        """Whether an end was asked for."""
        return bool(self.caught)

    def __enter__(self) -> Signals:
        for number in (*_wanted(), signal.SIGUSR1, signal.SIGCONT):
            self._before[number] = signal.getsignal(number)
            signal.signal(number, self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGCONT:
            self.resumed = True
        elif number == signal.SIGUSR1:
            self.status = not self.raising
            if self.raising:
                _write(f"dataplane: {self.between}\n".encode())
        else:
            self._end(signal.Signals(number))

    def _end(self, number: signal.Signals) -> None:
        if not self.hears(number):
            return
        self.at_once = bool(self.caught) or number == signal.SIGQUIT
        self.caught = self.caught or number.name
        if self.closing and self.at_once:
            _write(f"dataplane: {number.name} while ports were closed\n".encode())
            sys.stdout.flush()
            os._exit(1)
        if self.raising:
            raise KeyboardInterrupt


def _wanted() -> list[signal.Signals]:
    return [each for each in _ENDS if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN]


def _write(line: bytes) -> None:
    """Write to standard error from a handler, past the streams: those may be in the middle of a line."""
    with suppress(OSError):  # it is full: the signal must still do its work
        os.write(2, line)
