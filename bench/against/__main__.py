# SPDX-License-Identifier: BSD-3-Clause
"""``python -m bench.against REV``: is this tree slower than another revision of it? ``make bench-against REV=...`` runs it.

Builds that revision in a temporary folder and measures both by turns, each row in 9 pairs at least. Prints a table. Ends
with 0, with 1 when a row is slower, and with 2 when there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.against.report import Line, line_of, show
from bench.against.tree import Failed, build, changed, checkout, resolve, title
from bench.against.turns import SLICES, Found, measure
from bench.against.workloads import WORKLOADS
from bench.ending import ended
from bench.noise import Noise, wobble
from dataplane import machine
from dataplane.errors import FileError
from dataplane.files.output import Whole
from dataplane.memory.hugepage import free_hugepages

ROOT = Path(__file__).resolve().parents[2]
PAIRS, MOST = 9, 36  # of a row, and of one that these do not decide
SECONDS = 300  # after which no row gets more than PAIRS
HUGE = 512  # free hugepages of 2 MiB that are enough for both trees


def main(words: Sequence[str] | None = None) -> int:
    ask = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    ask.add_argument("revision", metavar="REV", help="a commit, branch or tag to compare this tree with")
    ask.add_argument(
        "-k", dest="chosen", metavar="WORD", default="", help="only rows with this word in their name"
    )
    ask.add_argument("--json", type=Path, metavar="FILE", help="write the rows to this file too")
    ask.add_argument("--slices", type=int, default=SLICES, help="of either tree in a pair (%(default)s)")
    ask.add_argument("--pairs", type=int, default=PAIRS, help="of each row (%(default)s)")
    ask.add_argument("--most", type=int, default=MOST, help="of a row that is still open then (%(default)s)")
    ask.add_argument("--seconds", type=float, default=SECONDS, help="before no row gets more (%(default)s)")
    told = ask.parse_args(words)
    names = [name for name in WORKLOADS if told.chosen in name]
    limits = {"pairs": told.pairs, "most": told.most, "slices": told.slices, "seconds": told.seconds}
    if not told.revision or not names:
        missing = (
            "no revision: make bench-against REV=HEAD~5" if names else f"-k {told.chosen!r}: no such row"
        )
        print(f"bench-against: {missing}", file=sys.stderr)
        return 2
    try:
        target = Whole(told.json, "--json") if told.json else None
        with orderly():
            commit = resolve(ROOT, told.revision)
            here = title(ROOT, resolve(ROOT, "HEAD")) + (", and changes" if changed(ROOT) else "")
            with checkout(ROOT, commit) as tree:
                print(f"this tree: {here}\nbuilding   {title(ROOT, commit)}", flush=True)
                build(tree)
                lines, noise = compare((ROOT, tree), names, **limits)
        if target is not None:
            target.write(json.dumps([vars(line) for line in lines], indent=1) + "\n")
    except (Failed, FileError) as reason:
        print(f"bench-against: {reason}", file=sys.stderr)
        return 2
    show(lines, told.revision, noise)
    return status(lines)


def compare(
    trees: tuple[Path, Path],
    names: Sequence[str],
    *,
    pairs: int = PAIRS,
    most: int = MOST,
    slices: int = SLICES,
    seconds: float = SECONDS,
) -> tuple[list[Line], str]:
    """The rows `names` of two trees, and how noisy the machine was. Raises Failed.

    pairs: of each row. A row that they do not decide gets up to `most`, one that seems to be slower twice as many as others,
    as long as it all takes less than `seconds`.
    """
    rows, noise = {name: Found() for name in names}, Noise()
    pages = "huge" if free_hugepages() >= HUGE else "plain"
    cpu, undecided, deadline = machine.usable_cpus()[-1], list(names), time.monotonic() + seconds
    for done in range(1, max(pairs, most) + 1):
        say(f"pair {done} of {len(undecided)} rows")
        measure(trees, rows, undecided, cpu=cpu, pages=pages, slices=slices)
        if done >= pairs:
            verdicts = {name: line_of(name, WORKLOADS[name][0], rows[name]).verdict for name in undecided}
            again = ("not judged", "slower") if done < 2 * pairs else ("not judged",)
            undecided = [name for name, verdict in verdicts.items() if verdict in again]
        if not undecided or (done >= pairs and time.monotonic() > deadline):
            break
    say("")
    wobbles = [wobble(costs) for found in rows.values() for costs in found.slices]
    return [line_of(name, WORKLOADS[name][0], rows[name]) for name in names], noise.say(wobbles)


def say(line: str) -> None:
    """Show the present step on a terminal, over the previous one."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def status(lines: Sequence[Line]) -> int:
    """The exit status: 0, 1 if a row is slower, 2 if a row has no figure in this tree."""
    verdicts = {line.verdict for line in lines}
    return 2 if "not here" in verdicts else int("slower" in verdicts)


@contextmanager
def orderly() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does; a second signal does not keep it from tidying up."""

    def end(number: int, frame: Any) -> None:
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for each in before:
        signal.signal(each, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    ended(main)
