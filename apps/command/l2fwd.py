# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane l2fwd PORT PORT ...`: what one port receives, another sends."""

from __future__ import annotations

import argparse
import logging
import re

from dataplane.apps.command.options import add_run_arguments, count
from dataplane.errors import ConfigError

log = logging.getLogger("dataplane")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "ports", nargs="+", metavar="PORT", help="a port string; 'dataplane ports' lists them"
    )
    parser.add_argument(
        "--no-mac-updating",
        dest="mac_updating",
        action="store_false",
        help="do not change addresses (default: set the source MAC to that of the sending port)",
    )
    parser.add_argument(
        "--portmap",
        type=_portmap,
        metavar="MAP",
        help="forward from:to, as in 0:1,1:2,2:0 (default: ports in pairs, in both directions)",
    )
    parser.add_argument(
        "--queues",
        type=count,
        default=1,
        metavar="N",
        help="Rx queues of each port; RSS distributes flows over them, and the lcores share them (default 1)",
    )
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    from dataplane.apps.command.session import CommandSession, mac_of
    from dataplane.apps.l2fwd import L2Fwd
    from dataplane.pipeline import Pipeline
    from dataplane.stage import Chain

    ways = args.portmap if args.portmap is not None else _pairs(len(args.ports))
    if most := [port for way in ways for port in way if port >= len(args.ports)]:
        raise ConfigError(f"--portmap names port {most[0]}: must be 0 to {len(args.ports) - 1}")
    with CommandSession(args, "l2fwd") as session:
        ports = [session.open(text) for text in args.ports]
        # Each queue of each way is a chain; lcores take turns, so that a port's queues go to different ones.
        work = [(origin, target, queue) for origin, target in ways for queue in range(args.queues)]
        lanes: list[list[Chain]] = [[] for _ in range(min(len(args.lcores) or 1, len(work)))]
        if idle := args.lcores[len(lanes) :]:
            log.warning(
                "nothing to do for lcore %s: --queues N lets N lcores receive from one port, by RSS",
                ", ".join(map(str, idle)),
            )
        senders: list[dict[int, int]] = [{} for _ in ports]  # a port's Tx queue by who sends: one lcore each
        for n, (origin, target, queue) in enumerate(work):
            lane = n % len(lanes)
            ports[origin].promiscuous = True
            forward = L2Fwd(src=mac_of(ports[target]) if args.mac_updating else None)
            mine = senders[target].setdefault(lane, len(senders[target]))
            lanes[lane].append(ports[origin].rx(queue) >> forward >> ports[target].tx(mine))
        names = [f"l2fwd on lcore {cpu}" for cpu in args.lcores] if len(lanes) > 1 else ["l2fwd"]
        return session.run(
            *(
                Pipeline(*chains, name=name, burst=args.burst)
                for name, chains in zip(names, lanes, strict=False)
            )
        )


def _pairs(ports: int) -> list[tuple[int, int]]:
    """0 and 1, 2 and 3, ...; a port left over sends back what it receives."""
    return [(port, min(port ^ 1, ports - 1)) for port in range(ports)]


def _portmap(text: str) -> list[tuple[int, int]]:
    if not re.fullmatch(r"\d+:\d+(,\d+:\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected from:to pairs, as in 0:1,1:0")
    ways = [(int(way.split(":")[0]), int(way.split(":")[1])) for way in text.split(",")]
    if len({origin for origin, _ in ways}) != len(ways):
        raise argparse.ArgumentTypeError(f"{text!r}: each port may be the origin of only one pair")
    return ways
