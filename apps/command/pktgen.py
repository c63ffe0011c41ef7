# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane pktgen PORT`: generated traffic, described in scapy's own notation."""

from __future__ import annotations

import argparse

from dataplane.apps.command.options import add_run_arguments, count

FLOWS = 'Ether(src="{mac}", dst="02:00:00:00:00:01")/IP(src="10.0.0.1", dst="10.0.1.0/28")/UDP(sport=(1024, 1039))'
DEFAULT_MAC = "02:00:00:00:00:02"  # of a port that has none


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("port", metavar="PORT", help="a port string; 'dataplane ports' lists them")
    parser.add_argument(
        "--flows",
        metavar="EXPR",
        help="a packet with sets in its fields, as in 'Ether()/IP(dst=\"10.0.0.0/28\")/UDP(sport=(1024, 1039))' "
        "(default: 256 UDP flows from the port's address)",
    )
    parser.add_argument(
        "--size",
        type=count,
        metavar="BYTES",
        help="size of each frame with FCS (default: that of the packet in --flows, at least 64)",
    )
    parser.add_argument(
        "--rate",
        metavar="RATE",
        help="rate to send, as in '5 Mpps', '2 Gbps', '50%%' (default: as fast as possible)",
    )
    parser.add_argument(
        "--gaps",
        choices=("even", "poisson", "burst"),
        default="even",
        help="gaps between frames (default even)",
    )
    parser.add_argument(
        "--best-effort",
        action="store_true",
        help="do not fail if the rate was not reached; the report says what was",
    )
    parser.add_argument("--count", type=count, metavar="N", help="stop after N frames")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    from dataplane.apps.command.session import CommandSession, Outcome, mac_of
    from dataplane.apps.pktgen import PktGen
    from dataplane.apps.rate import LINE_RATE
    from dataplane.pipeline import Pipeline
    from dataplane.reports.stats import Report

    def outcome(report: Report) -> Outcome:
        left = report.ports[port.name].get("tx_good_packets", 0)
        unmet = (
            [f"{left:,} of {args.count:,} frames left the port"] if args.count and left != args.count else []
        )
        return {"sent": left, "skipped": generator.skipped}, [], unmet

    with CommandSession(args, "pktgen") as session:
        port = session.open(args.port)
        flows = args.flows or FLOWS.format(mac=mac_of(port) or DEFAULT_MAC)
        generator = PktGen(
            flows,
            size=args.size,
            rate=args.rate,
            gaps=args.gaps,
            count=args.count,
            burst=args.burst,
            line_rate=port.info.line_rate or LINE_RATE,
            best_effort=args.best_effort,
        )
        return session.run(Pipeline(generator >> port.tx(0), name="pktgen", lossless=True), outcome=outcome)
