# SPDX-License-Identifier: BSD-3-Clause
"""A run from opened ports to totals: signals, live statistics, the JSON report, and whether it did what was asked."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from time import monotonic
from types import TracebackType
from typing import Any

from dataplane.apps.command.options import json_report, picture_file
from dataplane.apps.command.terminal.display import Display, totals
from dataplane.apps.command.terminal.signals import Signals
from dataplane.apps.command.terminal.streams import complain, failure, log_to_stderr, out
from dataplane.engine.running import Run, start
from dataplane.errors import ConfigError, DataplaneError, FileError, LcoreStuck, PortError
from dataplane.pipeline import Pipeline
from dataplane.pmd import probe
from dataplane.port import Port
from dataplane.reports.figures import packet_rate
from dataplane.reports.stats import Report, Sampler

__all__ = ["Outcome", "CommandSession", "mac_of"]

log = logging.getLogger("dataplane")

_REFRESH = 0.25  # s between two pictures of the display
_TICK = 0.05  # s in which a stop notices a signal
_HINT = 1.0  # s after which a stop says what it waits for
_PATIENCE = 10.0  # s for apps to return after the end of the run, and
_NO_PATIENCE = 0.5  # after SIGQUIT or a second signal

# What a command adds to the totals once its run is over: figures for the JSON, lines to print, and complaints (what was
# asked for and not done).
Outcome = tuple[dict[str, Any], list[str], list[str]]


class CommandSession:
    """The ports and the run of one command. A context manager: leaving it closes the ports.

    The JSON report is written whatever happens: a run that fails, at its opening even, leaves one whose "ok" is false and
    whose "error" says why.
    """

    def __init__(self, args: argparse.Namespace, app: str) -> None:
        self.args = args
        self.app = app
        self.report = Report(app, 0.0, ok=False)
        self._json = json_report(args)
        try:
            self._picture = picture_file(args)
        except DataplaneError:
            if self._json is not None:
                self._json.release()
            raise
        self.signals = Signals()
        self._ports = ExitStack()
        self._opened: list[Port] = []
        self._lost = ""  # the app that has not returned, if the run was given up
        self._names: dict[str, int] = {}
        self._first = list(args.pf)
        self._written = False
        self._hosts: list[Port] = []
        self._state_of = ""  # the PF that --vf-state is for
        level = logging.DEBUG if args.debug else logging.WARNING
        log_to_stderr(level)

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
        self._opened.append(port)
        # Reports go by name, and "null:" may well be opened twice.
        self._names[text] = self._names.get(text, 0) + 1
        if self._names[text] > 1:
            port.name = f"{text}#{self._names[text]}"
        port.configure(rx_desc=self.args.rx_desc, tx_desc=self.args.tx_desc)
        if port.hosts_vfs:
            self._hosts.append(port)
            port.rx(0)
            for queue in range(port.info.max_tx_queues):
                port.tx(queue)
            port.start()
        return port

    def _state_option(self, text: str) -> str:
        """The option that --vf-state adds to the string of a PF with VFs, else "". Raises ConfigError for a second PF."""
        if not self.args.vf_state or not re.search(r",vfs=(?!0*(,|$))", text):
            return ""
        if self._state_of:
            raise ConfigError(
                f"--vf-state is for one PF, not for {self._state_of} and {text}: write ,vf_state=FILE after each instead"
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

        headline: print what became of the packets; where one passes several pipelines the command has a line of its own.
        """
        if self.args.vf_state and not self._state_of:
            raise ConfigError(
                f"--vf-state {self.args.vf_state}: no port is a PF with VFs: open one with vfs=N"
            )
        # Steps that may wait (for the reader of a FIFO) come first, while a signal still raises an exception.
        for port in self._opened:
            port.prepare()
        for pipeline in pipelines:
            for app in pipeline.check().apps:
                app.prepare()
        self.signals.raising = False
        running = start(
            *pipelines,
            lcores=self.args.lcores[: len(pipelines)] or (None,),
            profile=self.args.profile,
            idle=self.args.idle,
        )
        try:
            for port in self._hosts:
                port.begin()
            over = self._wait(running, until)
            self.report = self._stop(running)
        except DataplaneError:
            with suppress(DataplaneError):
                running.stop(_PATIENCE)
            self.report = running.report or self.report
            raise
        self.report.app = self.app
        complaints = []
        if self.args.seconds and self.signals.is_set() and not over:
            complaints.append(
                f"{self.signals.caught} came after {self.report.seconds:.1f} of {self.args.seconds:g} s"
            )
        if self._lost:
            complaints.append(f"{self._lost}; totals are those known by then")
        elif not self.report.ok:
            complaints += self.report.unmet or ["an lcore failed"]
        figures, lines, unmet = self._outcome(outcome)
        complaints += unmet
        lost = {"error": self._lost} if self._lost else {}
        try:
            self._write({**figures, "ok": not complaints, **lost})
            self._draw(running)
        finally:
            _print([*totals(self.report, headline), *lines])
            for complaint in complaints:
                complain(f"{self.app}: {complaint}")
        if self._lost:
            self._leave()
        return 1 if complaints else 0

    def _wait(self, running: Run, until: Callable[[], bool] | None) -> bool:
        """Returns whether the run came to an end that was asked for."""
        view = _View(self.app, running, self.args.seconds, self.signals)
        deadline = None if self.args.seconds is None else monotonic() + self.args.seconds

        def ended() -> bool:
            view.answer()
            return self.signals.is_set() or (until is not None and until())

        try:
            while not (over := running.wait(view.pause(deadline), ended)):
                if ended() or (deadline is not None and monotonic() >= deadline):
                    break
                view.update()
        finally:
            view.close()
        return over or not self.signals.is_set()

    def _stop(self, running: Run) -> Report:
        """Stop the lcores; give up those that do not return from an app, sooner or later as the signals say."""
        began, hinted = monotonic(), False
        while True:
            try:
                return running.stop(_TICK)
            except LcoreStuck as error:
                waited = monotonic() - began
                if waited > (_NO_PATIENCE if self.signals.at_once else _PATIENCE):
                    self._lost = str(error)
                    return running.abandon()
                if waited > _HINT and not hinted:
                    hinted = True
                    complain(f"{self.app}: {error}; SIGQUIT (Ctrl-\\) ends the run without it")

    def _outcome(self, outcome: Callable[[Report], Outcome] | None) -> Outcome:
        """The outcome that the command makes of the report. That may take time, as for the second half of the demo."""
        if outcome is None:
            return {}, [], []
        self.signals.between, self.signals.raising = "ending", True
        try:
            return outcome(self.report)
        except KeyboardInterrupt:
            return {}, [], [f"{self.signals.caught} came before the end"]
        finally:
            self.signals.raising = False

    def _leave(self) -> None:
        """End the process beside a thread that does not return: no device may write to its memory any more."""
        self.signals.closing = True
        for port in self._opened:
            if port.started:
                with suppress(DataplaneError):
                    port.abandon()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    def _draw(self, running: Run) -> None:
        """Write the picture of --explain. Raises FileError."""
        if self._picture is not None and not self._picture.contested:
            kind = "svg" if self.args.explain.suffix == ".svg" else "text"
            self._picture.write(running.explain(kind).rstrip("\n") + "\n")

    def _write(self, more: dict[str, Any]) -> None:
        self._written = True
        if self._json is not None and not self._json.contested:  # another user of that file may read it
            self._json.write(json.dumps({**self.report.to_dict(), **more}, indent=2) + "\n")

    def __enter__(self) -> CommandSession:
        self.signals.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.signals.raising, self.signals.closing = False, True
        try:
            if error is not None and not self._written:
                self.report.app = self.app
                try:
                    self._write({"ok": False, "error": str(error) or type(error).__name__})
                except FileError as other:
                    complain(str(other))  # the error that is on its way goes first
            elif self._json is not None:
                self._json.release()
            if self._picture is not None:
                self._picture.release()
        finally:
            try:
                self._ports.close()
            finally:
                self.signals.__exit__()


class _View:
    """The output during a run: the display, on a terminal, and a line for each SIGUSR1."""

    def __init__(self, app: str, running: Run, seconds: float | None, signals: Signals) -> None:
        self._app, self._running, self._signals = app, running, signals
        self._status: Sampler = running.sampler()
        self._packets = 0
        self._display: Display | None = None
        with suppress(OSError, ValueError):  # no terminal, or none that has a display
            self._display = Display(app, running.sampler(), seconds, sys.stdout)

    def pause(self, deadline: float | None) -> float | None:
        """Seconds to the next picture, or to `deadline` if that is sooner; None: there is nothing to wait for."""
        waits = [] if self._display is None else [_REFRESH]
        if deadline is not None:
            waits.append(max(deadline - monotonic(), 0.0))
        return min(waits, default=None)

    def update(self) -> None:
        """The next picture."""
        if self._display is not None and self._signals.resumed:
            self._signals.resumed = False
            self._display.forget()  # the shell has written to the terminal meanwhile
        self._draw(Display.update)

    def answer(self) -> None:
        """Print the status line that SIGUSR1 asked for."""
        if not self._signals.status:
            return
        self._signals.status = False
        sample, packets = self._status.sample(), self._running.packets
        rate = packet_rate(packets - self._packets, sample.interval)
        self._packets = packets
        dropped = sum(self._running.read()[1].values())
        self._draw(Display.hide)
        complain(f"{self._app}: {sample.seconds:.1f} s, {packets:,} packets, {rate} now, {dropped:,} dropped")

    def close(self) -> None:
        """Clear the display away."""
        if self._display is not None:
            self._display.close()
            self._display = None

    def _draw(self, how: Callable[[Display], None]) -> None:
        """A display that fails is gone; the run goes on without it."""
        if self._display is not None:
            try:
                how(self._display)
            except Exception as error:
                log.debug("the display ends: %r", error)
                self.close()


def _print(lines: list[str]) -> None:
    """Totals, to standard output if that takes them, else to standard error."""
    stream = out()
    for line in lines:
        print(line, file=stream)
    if failure() and stream is not sys.stderr:
        for line in lines:
            print(line, file=sys.stderr)


def mac_of(port: Port) -> str | None:
    """Its MAC address; None for a port that has none, such as null or a capture file."""
    try:
        return port.mac
    except PortError:
        return None
