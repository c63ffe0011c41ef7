# SPDX-License-Identifier: BSD-3-Clause
"""Stages that tests of runs share."""

from __future__ import annotations

import threading
from typing import NamedTuple

from dataplane import App, machine


class Call(NamedTuple):
    """A call of a hook: its app, its name, and the thread and lcore that it ran on."""

    app: str
    hook: str
    thread: str
    lcore: int | None


class Hooked(App):
    """Passes everything, and records its hooks. fails: the hook that raises; calls: a list that several may share."""

    def __init__(self, fails="", *, name=None, calls=None):
        self.calls = [] if calls is None else calls
        self.fails = fails
        self.name = name or "hooked"
        self.started = False

    def start(self):
        self._call("start")
        self.started = True

    def stop(self):
        self.started = False
        self._call("stop")

    def _call(self, hook):
        self.calls.append(Call(self.name, hook, threading.current_thread().name, machine.current_lcore()))
        if self.fails == hook:
            raise RuntimeError(f"{hook} is broken")

    def process(self, burst):
        if not self.started:
            raise AssertionError("a burst before start(), or after stop()")


class Discard(App):
    """Drops everything."""

    edges = ()
    drops = ("all",)

    def process(self, burst):
        burst.drop(True, "all")
