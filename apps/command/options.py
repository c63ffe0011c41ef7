# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that every command which moves packets has, and how their text is read."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from dataplane.apps.command.system.host import parse_cpu_list
from dataplane.files.output import Whole

__all__ = ["add_run_arguments", "count", "duration", "json_report", "picture_file", "size_or_time"]

_BYTES = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SECONDS = {"s": 1, "min": 60, "h": 3600}


def add_run_arguments(parser: argparse.ArgumentParser, seconds: float | None = None) -> None:
    """Add the options of every run: duration, CPUs, queues, report. seconds: default of --seconds, None: no limit."""
    group = parser.add_argument_group("the run")
    ends = f"{seconds:g}" if seconds else "run until Ctrl-C or until the source ends"
    group.add_argument(
        "--seconds",
        type=duration,
        default=seconds,
        metavar="S",
        help=f"stop after S seconds (default: {ends})",
    )
    group.add_argument(
        "--lcores",
        type=_lcores,
        default=(),
        metavar="CPUS",
        help="CPUs to poll on, as in 2 or 0,1 or 2-3 (default: one thread, not pinned)",
    )
    group.add_argument(
        "--burst", type=_burst, default=32, metavar="N", help="packets per burst, 1 to 256 (default 32)"
    )
    group.add_argument(
        "--idle",
        type=_idle,
        default="yield",
        metavar="POLICY",
        help="what a CPU does while no packet comes: spin, yield (default), sleep, or with a bound as in sleep:50us",
    )
    group.add_argument(
        "--profile",
        action="store_true",
        help="measure the cycles per packet of each app: in the report and the totals",
    )
    group.add_argument(
        "--explain",
        type=Path,
        metavar="FILE",
        help="write a picture of the run to FILE: as SVG if its name ends in .svg, else as text",
    )
    group.add_argument("--rx-desc", type=count, metavar="N", help="descriptors of each Rx queue")
    group.add_argument("--tx-desc", type=count, metavar="N", help="descriptors of each Tx queue")
    group.add_argument(
        "--pf",
        action="append",
        default=[],
        metavar="PORT",
        help="open this PF first and serve its VFs during the run, as in --pf model0,vfs=4 (may be repeated)",
    )
    group.add_argument(
        "--vf-state",
        type=_option_path,
        metavar="FILE",
        help="start with the VF settings in FILE, and save changes ('dataplane vf set') there",
    )
    group.add_argument(
        "--json", type=Path, metavar="FILE", help="write a report of the run to FILE, - is standard output"
    )


def json_report(args: argparse.Namespace) -> Whole | None:
    """The file of --json, checked before the run begins; None without --json.

    Raises FileError, FileInUse.
    """
    return Whole(args.json, "--json") if args.json is not None else None


def picture_file(args: argparse.Namespace) -> Whole | None:
    """The file of --explain, checked likewise; None if it is not asked for. Raises FileError, FileInUse."""
    return Whole(args.explain, "--explain") if args.explain is not None else None


def _option_path(text: str) -> str:
    """A path that can be the option of a port string."""
    if not text or "," in text:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a path without a comma")
    return text


def duration(text: str) -> float:
    """Seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of seconds above 0, as in 2.5")
    return value


def count(text: str) -> int:
    """A whole number above 0; 2_000_000 is one."""
    if not re.fullmatch(r"\d[\d_]*", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer above 0")
    return int(text)


def size_or_time(text: str) -> tuple[int | None, float | None]:
    """(bytes, None) of "64k", "100M", "2G"; (None, seconds) of "90s", "10min", "1h"."""
    found = re.fullmatch(r"(\d+)(k|M|G|s|min|h)?", text)
    if not found or int(found[1]) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a size (64k, 100M, 2G) or a time (90s, 10min, 1h)"
        )
    number, unit = int(found[1]), found[2] or ""
    return (number * _BYTES[unit], None) if unit in _BYTES else (None, float(number * _SECONDS[unit]))


def _idle(text: str) -> str:
    from dataplane.engine.idle import Idle
    from dataplane.errors import ConfigError

    try:
        Idle(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _burst(text: str) -> int:
    number = count(text)
    if number > 256:
        raise argparse.ArgumentTypeError(f"a burst of {text}: must be 1 to 256")
    return number


def _lcores(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected CPU numbers, as in 2 or 0,1 or 2-3")
    cpus = tuple(parse_cpu_list(text))
    if not cpus or len(set(cpus)) != len(cpus):
        raise argparse.ArgumentTypeError(f"{text!r}: must name at least one CPU, and each only once")
    return cpus
