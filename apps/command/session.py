# SPDX-License-Identifier: BSD-3-Clause
"""A run from opened ports to totals: signals, live statistics, the JSON report, and whether it did what was asked."""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from dataplane.apps.command.display import Display, totals
from dataplane.apps.command.options import json_report
from dataplane.errors import ConfigError, DataplaneError, FileError, PortError
from dataplane.output import standard_output_taken
from dataplane.pipeline import Pipeline
from dataplane.pmd import probe
from dataplane.port import Port
from dataplane.running import Run, start
from dataplane.stats import Report

__all__ = ["Outcome", "Session", "mac_of"]

_REFRESH = 0.25  # s

# What a command adds to the totals once its run is over: figures for the JSON, lines to print, and complaints (what was
# asked for and not done).
Outcome = tuple[dict[str, Any], list[str], list[str]]


class Session:
    """The ports and the run of one command. A context manager: leaving it closes the ports.

    The JSON report is written whatever happens: a run that fails, at its opening even, leaves one whose "ok" is false and
    whose "error" says why.
    """

    def __init__(self, args: argparse.Namespace, app: str) -> None:
        self.args = args
        self.app = app
        self.report = Report(app, 0.0, ok=False)
        self._json = json_report(args)
        self._ports = ExitStack()
        self._names: dict[str, int] = {}
        self._first = list(args.pf)
        self._written = False
        self._ruling: list[Port] = []
        self._state_of = ""  # the PF that --vf-state is for
        level = logging.DEBUG if args.debug else logging.WARNING
        logging.basicConfig(format="dataplane: %(message)s", level=level)

    def open(self, text: str) -> Port:
        """The port of a port string, with the ring lengths that were asked for; it is closed with the session.

        A PF with VFs runs when this returns, or they could not be opened: with Rx queue 0 and all its Tx queues.
        """
        while self._first:
            self._open(self._first.pop(0))
        return self._open(text)

    def _open(self, text: str) -> Port:
        option = self._state_option(text)
        port: Port = self._ports.enter_context(probe(text + option))
        if option:
            port.name = text
        # Reports go by name, and "null:" may well be opened twice.
        self._names[text] = self._names.get(text, 0) + 1
        if self._names[text] > 1:
            port.name = f"{text}#{self._names[text]}"
        port.configure(rx_desc=self.args.rx_desc, tx_desc=self.args.tx_desc)
        if port.rules:
            self._ruling.append(port)
            port.rx(0)
            for queue in range(port.info.max_tx_queues):
                port.tx(queue)
            port.start()
        return port

    def _state_option(self, text: str) -> str:
        """What --vf-state adds to the port string of the PF."""
        if not self.args.vf_state or not re.search(r",vfs=(?!0*(,|$))", text):
            return ""
        if self._state_of:
            raise ConfigError(
                f"--vf-state is for one PF, not for {self._state_of} and {text}: write ,vf_state=FILE behind each instead"
            )
        self._state_of = text
        return f",vf_state={self.args.vf_state}"

    def run(
        self,
        *pipelines: Pipeline,
        until: Callable[[], bool] | None = None,
        outcome: Callable[[Report], Outcome] | None = None,
        headline: bool = True,
    ) -> int:
        """Run until the pipelines are done, the time is over, `until` holds or a signal comes. Returns the exit status.

        headline: print how many packets the sources made; where one packet passes several pipelines that says little.
        """
        if self.args.vf_state and not self._state_of:
            raise ConfigError(
                f"--vf-state {self.args.vf_state}: none of the ports is a PF with VFs: open one with vfs=N"
            )
        with _signals() as stop:
            for port in self._ruling:
                port.prepare()
            running = start(*pipelines, lcores=self.args.lcores or (None,))
            try:
                for port in self._ruling:
                    port.begin()
                over = self._wait(running, stop, until)
                self.report = running.stop()
            except DataplaneError:
                with suppress(DataplaneError):
                    running.stop()
                self.report = running.report or self.report
                raise
        self.report.app = self.app
        complaints = []
        if self.args.seconds and stop.caught and not over:
            complaints.append(
                f"{stop.caught} came after {self.report.seconds:.1f} of {self.args.seconds:g} s"
            )
        if not self.report.ok:
            complaints.append("an lcore failed")
        figures, lines, unmet = outcome(self.report) if outcome else ({}, [], [])
        complaints += unmet
        for line in (*totals(self.report, headline), *lines):
            print(line, file=sys.stderr if standard_output_taken() else sys.stdout)
        for complaint in complaints:
            print(f"dataplane: {self.app}: {complaint}", file=sys.stderr)
        self._write({**figures, "ok": not complaints})
        return 1 if complaints else 0

    def _wait(self, running: Run, stop: _Stop, until: Callable[[], bool] | None) -> bool:
        """Returns whether the run came to an end that was asked for."""

        def ended() -> bool:
            return stop.is_set() or (until is not None and until())

        if not sys.stdout.isatty():
            return running.wait(self.args.seconds, ended) or not stop.is_set()
        with Display(self.app, running.sampler(), self.args.seconds) as display:
            while not running.wait(display.until_next(_REFRESH), ended):
                if ended() or display.over:
                    break
                display.update()
        return not stop.is_set()

    def _write(self, more: dict[str, Any]) -> None:
        self._written = True
        if self._json is not None and not self._json.contested:  # what else wants that file may be its input
            self._json.write(json.dumps({**self.report.to_dict(), **more}, indent=2) + "\n")

    def __enter__(self) -> Session:
        # Until the run begins, SIGTERM is like Ctrl-C: what was opened is closed again.
        self._ports.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ports.close()
        finally:
            if error is not None and not self._written:
                self.report.app = self.app
                try:
                    self._write({"ok": False, "error": str(error) or type(error).__name__})
                except FileError as other:
                    print(f"dataplane: {other}", file=sys.stderr)  # the error that is on its way goes first
            elif self._json is not None:
                self._json.release()


def mac_of(port: Port) -> str | None:
    """Its MAC address; None for a port that has none, such as null or a capture file."""
    try:
        return port.mac
    except PortError:
        return None


class _Stop(threading.Event):
    """Set by the first signal; `caught` is its name."""

    caught = ""


@contextmanager
def _signals() -> Iterator[_Stop]:
    """SIGINT and SIGTERM ask for an end; a second one takes it by force."""
    stop = _Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        stop.caught = signal.Signals(number).name
        stop.set()
        for each in before:
            signal.signal(each, signal.default_int_handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
