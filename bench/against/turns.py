# SPDX-License-Identifier: BSD-3-Clause
"""Two trees measured by turns on one CPU: a process each, one of which stands still while the other runs a slice."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.against.tree import Failed, running
from bench.judge import figure

SLICES = 48  # of either tree in a pair, by turns
LIMIT, END = 120.0, 30.0  # seconds for an answer of a process, and for its end


class Absent(Exception):
    """Why a tree has no figure for a row."""


@dataclass
class Found:
    """The result of a row: pairs of (this tree's figure, the other's), the costs of slices, and why a tree has no figure."""

    pairs: list[tuple[float, float]] = field(default_factory=list)
    slices: list[list[float]] = field(default_factory=list)
    absent_here: str = ""
    absent_there: str = ""


class Side:
    """A process in a tree, which answers one call after the other."""

    def __init__(self, process: subprocess.Popen[bytes], tree: Path, log: Path) -> None:
        self._process, self._tree, self._log, self._heard = process, tree, log, b""

    def ask(self, name: str, *words: str) -> Any:
        """Call the worker's method `name`; returns its result. Raises Absent with its error, Failed without an answer."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps([name, *words]).encode() + b"\n")
            answer = json.loads(self._line(" ".join((name, *words))))
        except BrokenPipeError:
            raise self._ended() from None
        if "error" in answer:
            raise Absent(answer["error"])
        return answer["result"]

    def _line(self, asked: str) -> bytes:
        assert self._process.stdout is not None
        pipe, deadline = self._process.stdout.fileno(), time.monotonic() + LIMIT
        while b"\n" not in self._heard:
            if not select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise Failed(f"the process in {self._tree} does not answer {asked!r} within {LIMIT} s")
            said = os.read(pipe, 65536)
            if not said:
                raise self._ended()
            self._heard += said
        line, self._heard = self._heard.split(b"\n", 1)
        return line

    def _ended(self) -> Failed:
        return Failed(f"the process in {self._tree} ended:\n{self._log.read_text()[-2000:]}")

    def end(self) -> None:
        """Let it close what it has open."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END)
        except subprocess.TimeoutExpired:
            raise Failed(f"the process in {self._tree} does not end within {END} s") from None
        if self._process.returncode:
            raise self._ended()


@contextmanager
def side(tree: Path, cpu: int, pages: str) -> Iterator[Side]:
    """The worker in that tree on that CPU; it is gone when this ends. pages: "huge" or "plain". Raises Failed."""
    worker = Path(__file__).with_name("worker.py")
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # captures are written there
    with tempfile.TemporaryDirectory(prefix="dataplane-against-", dir=memory) as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "PYTHONPATH": str(tree),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": folder,
            "XDG_RUNTIME_DIR": folder,
        }
        words = [sys.executable, "-P", str(worker), str(cpu), pages, str(tree)]
        with (
            log.open("w") as said,
            running(
                words,
                tree,
                environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                bufsize=0,
            ) as process,
        ):
            found = Side(process, tree, log)
            yield found
            found.end()


def by_turns(here: Side, there: Side, slices: int) -> tuple[list[float], list[float]]:
    """The costs of slices of both sides, by turns: the side that is first in one turn is second in the next."""
    found: tuple[list[float], list[float]] = [], []
    for turn in range(slices):
        for which in (0, 1) if turn % 2 else (1, 0):
            found[which].append((here, there)[which].ask("slice"))
    return found


def measure(
    trees: tuple[Path, Path],
    rows: dict[str, Found],
    names: Sequence[str],
    *,
    cpu: int,
    pages: str,
    slices: int = SLICES,
) -> None:
    """Both trees in new processes, and a pair of each of the rows `names`. Raises Failed.

    New ones for each pair: where its memory happens to lie makes a process faster or slower for as long as it lives, by as
    much as 70 % where buffers get into each other's way in a cache.
    """
    with side(trees[0], cpu, pages) as here, side(trees[1], cpu, pages) as there:
        for name in names:
            row = rows[name]
            row.absent_here, row.absent_there = (_open(each, name) for each in (here, there))
            if not row.absent_here and not row.absent_there:
                ours, theirs = by_turns(here, there, slices)
                row.pairs.append((figure(ours), figure(theirs)))
                row.slices += [ours, theirs]
            here.ask("close")
            there.ask("close")


def _open(side: Side, name: str) -> str:
    """Why that tree has no such row; nothing if it has."""
    try:
        side.ask("open", name)
    except Absent as reason:
        return str(reason)
    return ""
