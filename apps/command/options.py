# SPDX-License-Identifier: BSD-3-Clause
"""Arguments that every command which moves packets has, and how their text is read."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from dataplane.apps.command.host import parse_cpu_list
from dataplane.output import Whole

__all__ = ["add_run_arguments", "count", "duration", "json_report", "size_or_time"]

_BYTES = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SECONDS = {"s": 1, "min": 60, "h": 3600}


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """How long, where, and what is told about it."""
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--seconds", type=duration, metavar="S", help="stop after S seconds (default: at Ctrl-C)"
    )
    group.add_argument(
        "--lcores", type=_lcores, default=(), metavar="CPUS", help="CPUs to poll on, as in 2 or 0,1 or 2-3"
    )
    group.add_argument(
        "--burst", type=_burst, default=32, metavar="N", help="packets taken at once (default 32)"
    )
    group.add_argument("--rx-desc", type=count, metavar="N", help="descriptors of each Rx queue")
    group.add_argument("--tx-desc", type=count, metavar="N", help="descriptors of each Tx queue")
    group.add_argument(
        "--pf",
        action="append",
        default=[],
        metavar="PORT",
        help="open and run this PF first, for its VFs that are ports here: --pf model0,vfs=4 (may be repeated)",
    )
    group.add_argument(
        "--vf-state",
        type=_option_path,
        metavar="FILE",
        help="keep what is decided about the PF's VFs ('dataplane vf set') in FILE, and begin with what is in it",
    )
    group.add_argument("--json", type=Path, metavar="FILE", help="write what happened to FILE")


def json_report(args: argparse.Namespace) -> Whole | None:
    """The file of --json, checked before anything is done that it will tell of; None if it is not asked for.

    Raises FileError, FileInUse.
    """
    return Whole(args.json, "--json") if args.json is not None else None


def _option_path(text: str) -> str:
    """A path that can be the option of a port string."""
    if not text or "," in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path for this: it must not have a comma in it")
    return text


def duration(text: str) -> float:
    """Seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give seconds above 0, as in 2.5")
    return value


def count(text: str) -> int:
    """A whole number above 0; 2_000_000 is one."""
    if not re.fullmatch(r"\d[\d_]*", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of things: give a whole number above 0")
    return int(text)


def size_or_time(text: str) -> tuple[int | None, float | None]:
    """(bytes, None) of "64k", "100M", "2G"; (None, seconds) of "90s", "10min", "1h"."""
    found = re.fullmatch(r"(\d+)(k|M|G|s|min|h)?", text)
    if not found or int(found[1]) < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a size (64k, 100M, 2G) nor a time (90s, 10min, 1h)"
        )
    number, unit = int(found[1]), found[2] or ""
    return (number * _BYTES[unit], None) if unit in _BYTES else (None, float(number * _SECONDS[unit]))


def _burst(text: str) -> int:
    number = count(text)
    if number > 256:
        raise argparse.ArgumentTypeError(f"a burst of {text}: 1 to 256 are possible")
    return number


def _lcores(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} names no CPUs: write 2 or 0,1 or 2-3")
    cpus = tuple(parse_cpu_list(text))
    if not cpus or len(set(cpus)) != len(cpus):
        raise argparse.ArgumentTypeError(f"{text!r} names a CPU twice, or none")
    return cpus
