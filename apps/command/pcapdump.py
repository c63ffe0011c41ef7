# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane pcapdump PORT FILE`: what a port receives goes to a capture file."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataplane.apps.command.options import add_run_arguments, count, size_or_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("port", metavar="PORT", help="a port string; 'dataplane ports' lists them")
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="the capture to write, - is standard output; an existing file is replaced",
    )
    parser.add_argument(
        "--snaplen",
        type=count,
        default=262144,
        metavar="BYTES",
        help="bytes to keep of each frame (default: all)",
    )
    parser.add_argument("--count", type=count, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--rotate",
        type=size_or_time,
        default=(None, None),
        metavar="LIMIT",
        help="start a new file at this size (64k, 100M, 2G) or age (90s, 10min, 1h); a number is added to FILE",
    )
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    from dataplane.apps.command.session import CommandSession, Outcome
    from dataplane.apps.counter import Sink
    from dataplane.apps.pcapdump import PcapDump
    from dataplane.pipeline import Pipeline
    from dataplane.reports.stats import Report

    def outcome(report: Report) -> Outcome:
        unmet = [f"{dump.frames:,} of {args.count:,} frames came"] if args.count and not dump.full else []
        files = [str(file) for file in dump.files]
        line = f"  {dump.frames:,} frames in {files[0] if len(files) == 1 else f'{len(files)} files'}"
        return {"frames": dump.frames, "files": files}, [line], unmet

    rotate_bytes, rotate_seconds = args.rotate
    with CommandSession(args, "pcapdump") as session:
        port = session.open(args.port)
        port.promiscuous = True
        dump = PcapDump(
            args.file,
            count=args.count,
            rotate_bytes=rotate_bytes,
            rotate_seconds=rotate_seconds,
            snaplen=args.snaplen,
        )
        pipeline = Pipeline(port.rx(0) >> dump >> Sink(), name="pcapdump", burst=args.burst)
        return session.run(pipeline, until=lambda: dump.full, outcome=outcome)
