# SPDX-License-Identifier: BSD-3-Clause
"""A NIC served by a process of its own, for tests of its clients."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, Self

__all__ = ["SANITIZED", "TIMEOUT", "Served", "Use"]

TIMEOUT = 20  # seconds for anything that a busy machine may delay
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")  # all of it takes several times as long


class Use(NamedTuple):
    """The resources that a server holds at a moment."""

    descriptors: int
    mappings: int
    memory: int  # KiB, resident

    def exceeds(self, before: Use, spare: int) -> bool:
        """Whether it holds more than `before`: any descriptor, or more than `spare` mappings."""
        return self.descriptors > before.descriptors or self.mappings > before.mappings + spare


class Served:
    """`dataplane nic serve` with these arguments, in a folder of its own with a short name; a context.

    quiet: what it complains about is not kept. Its wires are elastic unless --wire says something else: what these
    tests send must arrive, however little CPU the receiver gets.
    """

    def __init__(self, *arguments: str, quiet: bool = False) -> None:
        # pytest's own folders have names too long for sockets.
        self._folder = tempfile.TemporaryDirectory(prefix="dp-nic-")
        self.folder = Path(self._folder.name) / "nic"
        if "--wire" not in arguments and "--ports" not in arguments:
            arguments += ("--wire", "pf0-pf1,elastic=on")
        command = [sys.executable, "-m", "dataplane", "nic", "serve", "--dir", str(self.folder), *arguments]
        errors = subprocess.DEVNULL if quiet else subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if line.startswith("serving"):
                break
        else:
            _, why = self.process.communicate(timeout=TIMEOUT)
            self._folder.cleanup()
            raise AssertionError(f"the server did not start: {why}")

    def port(self, function: str, options: str = "") -> str:
        """The port string of "pf0" or "pf0.vf3"."""
        return f"vfio-user:{self.path(function)}{options}"

    def path(self, function: str) -> Path:
        return self.folder / f"{function}.sock"

    def descriptors(self) -> int:
        """How many the server has open."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def use(self) -> Use:
        """The server's resources; with a sanitizer, without mappings that have no file: its own memory comes and goes."""
        process = Path(f"/proc/{self.process.pid}")
        mappings = [line.split(maxsplit=5) for line in (process / "maps").read_text().splitlines()]
        if SANITIZED:
            mappings = [fields for fields in mappings if fields[4] != "0"]  # the inode
        resident = re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())
        assert resident
        return Use(self.descriptors(), len(mappings), int(resident[1]))

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """End it; returns its exit status, the rest of its output, and its errors."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out, errors or ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if self.process.stdout is not None and not self.process.stdout.closed:
                status, _, errors = self.stop()
                assert status == 0, errors
        finally:
            self._folder.cleanup()
