# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd at a terminal: commands typed at its prompt, and what it answers."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataplane.clock import hz

PROMPT = "testpmd> "
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
_LOOKS, _VAGUE = 50, 0.001  # how often it is asked until its answer took less than these seconds
_SETTLE = 0.02  # seconds after a start, until caches and clocks are as they will be


def cpu_seconds(pid: int) -> float:
    """CPU time of another process: what other programs do to it meanwhile does not count.

    Its clock, unlike the files in /proc, is exact while it runs (clock_getcpuclockid makes the same number).
    """
    return time.clock_gettime(~pid << 3 | 2)


class Testpmd:
    """devices: EAL's words for what it is to run on; words: its own. cores: main, and those that forward (EAL's --lcores).

    start: what starts a program, as `subprocess.Popen` does. Raises AssertionError, with all it has said, when it does not
    answer in time or ends.
    """

    __test__ = False

    def __init__(
        self,
        devices: Sequence[str],
        *words: str,
        cores: str = "0,1",
        mbufs: int = 4096,
        megabytes: int = 64,
        start: Callable[..., subprocess.Popen[Any]] = subprocess.Popen,
        timeout: float = 60.0,
    ) -> None:
        self.said = ""
        here, there = pty.openpty()
        self.command = [
            "dpdk-testpmd", "--lcores", cores, "--in-memory", "--no-telemetry", "-m", str(megabytes), *devices,
            "--", "-i", f"--total-num-mbufs={mbufs}", *words,
        ]  # fmt: skip
        self._terminal, self.timeout = here, timeout
        try:
            self.process = start(
                self.command, stdin=there, stdout=there, stderr=there, start_new_session=True
            )
        finally:
            os.close(there)
        self.begin = self._until(PROMPT, timeout)

    def ask(self, command: str, timeout: float | None = None) -> str:
        """Type a command; returns what it prints until the next prompt."""
        os.write(self._terminal, f"{command}\n".encode())
        return self._until(PROMPT, timeout or self.timeout).removeprefix(command).removesuffix(PROMPT)

    def until(self, text: str, timeout: float = 20.0) -> str:
        """The output that it prints without a command, up to `text`. timeout: s."""
        return self._until(text, timeout)

    def counts(self, port: int) -> dict[str, int]:
        """`show port stats`: "RX-packets" and so on."""
        said = self.ask(f"show port stats {port}")
        return {name: int(value) for name, value in re.findall(r"([RT]X-[a-z]+): *(\d+)", said)}

    def xstats(self, port: int) -> dict[str, int]:
        """`show port xstats`, by name."""
        said = self.ask(f"show port xstats {port}")
        return {name: int(value) for name, value in re.findall(r"^(\w+): (\d+)$", said, re.MULTILINE)}

    def clear(self) -> None:
        """From here on it counts from 0."""
        self.ask("clear port stats all")
        self.ask("clear port xstats all")

    def cost(self, seconds: float, direction: str = "RX", start: str = "start") -> float:
        """Cycles of its CPU time a packet, forwarding for that time; it stands still before and after."""
        self.ask(start)
        time.sleep(_SETTLE)
        (began, first) = self._forwarded(direction)
        for _ in range(_LOOKS):  # on a busy machine its turn may not have come yet
            time.sleep(seconds)
            (ended, last) = self._forwarded(direction)
            if last > first:
                break
        self.ask("stop")
        assert last > first, f"testpmd forwards nothing:\n{self.said[-2000:]}"
        return (ended - began) / (last - first)

    def _forwarded(self, direction: str) -> tuple[float, int]:
        """(cycles of CPU time, packets) up to now: it has counted them somewhere between two looks at its clock."""
        for _ in range(_LOOKS):
            before = cpu_seconds(self.process.pid)
            said = self.ask("show fwd stats all")
            after = cpu_seconds(self.process.pid)
            if after - before < _VAGUE:
                break
        found = re.findall(rf"{direction}-packets: (\d+)", said)
        return (before + after) / 2 * hz(), int(found[-1])  # the last are those of all ports together

    def quit(self) -> None:
        """End it in the orderly way."""
        os.write(self._terminal, b"quit\n")
        self._until("Bye...", self.timeout)
        assert self.process.wait(20) == 0, self.said

    def kill(self) -> None:
        """End it in no way at all, if it is still there."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1

    def _until(self, text: str, timeout: float) -> str:
        deadline, heard = time.monotonic() + timeout, ""
        while text not in heard:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self._terminal], [], [], left)[0]
            try:
                data = os.read(self._terminal, 65536) if ready else b""
            except OSError:  # the other end of the terminal is closed
                data = b""
            assert data, f"{self._how()}: no {text!r} within {timeout} s, after\n{self.said}"
            new = _ESCAPES.sub("", data.decode(errors="replace"))
            self.said += new
            heard += new
        return heard

    def _how(self) -> str:
        try:
            status = self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            return " ".join(self.command)
        return f"{Path(self.command[0]).name} ended with status {status}"
