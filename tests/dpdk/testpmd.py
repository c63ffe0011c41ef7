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
from collections.abc import Sequence
from pathlib import Path

from pmd.foreign.slot import Slots

PROMPT = "testpmd> "
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Testpmd:
    """Runs on all of the slots. Raises AssertionError, with all it has said, when it does not answer in time or ends."""

    __test__ = False

    def __init__(
        self, slots: Slots, *words: str, eal: Sequence[str] = (), mbufs: int = 4096, timeout: float = 60.0
    ) -> None:
        self.said = ""
        here, there = pty.openpty()
        allowed = [word for slot in slots for word in ("-a", slot.address)]
        self.command = [
            "dpdk-testpmd", "-l", "0,1", "--in-memory", "--no-telemetry", "-m", "64", *allowed, *eal,
            "--", "-i", f"--total-num-mbufs={mbufs}", *words,
        ]  # fmt: skip
        self._terminal, self.timeout = here, timeout
        try:
            self.process = slots.start(
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
        """What it says by itself, up to `text`."""
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
