# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane l2fwd PORT PORT ...`: what one port receives, another sends."""

from __future__ import annotations

import argparse
import re

from apps.command.options import add_run_arguments
from dataplane.errors import ConfigError

HELP = "forward between ports, pair by pair"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "ports", nargs="+", metavar="PORT", help="a port string; 'dataplane ports' lists what there is"
    )
    parser.add_argument(
        "--no-mac-updating",
        dest="mac_updating",
        action="store_false",
        help="leave addresses as they are (default: the source becomes that of the port that sends)",
    )
    parser.add_argument(
        "--portmap",
        type=_portmap,
        metavar="MAP",
        help="where packets go, as in 0:1,1:2,2:0 (default: neighbours in pairs, both ways)",
    )
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from apps.command.session import Session, mac_of
    from apps.l2fwd import L2Fwd
    from dataplane.pipeline import Pipeline

    ways = args.portmap if args.portmap is not None else _pairs(len(args.ports))
    if most := [port for way in ways for port in way if port >= len(args.ports)]:
        raise ConfigError(f"--portmap names port {most[0]}: there are 0 to {len(args.ports) - 1}")
    with Session(args, "l2fwd") as session:
        ports = [session.open(text) for text in args.ports]
        chains = []
        senders = [0] * len(ports)  # how many ways lead to a port
        for origin, target in ways:
            ports[origin].promiscuous = True
            forward = L2Fwd(src=mac_of(ports[target]) if args.mac_updating else None)
            # One lcore may use a Tx queue for several ways; two lcores must not.
            queue = senders[target] if len(args.lcores) > 1 else 0
            chains.append(ports[origin].rx(0) >> forward >> ports[target].tx(queue))
            senders[target] += 1
        if len(args.lcores) > 1:
            names = (f"{args.ports[origin]} to {args.ports[target]}" for origin, target in ways)
            pipelines = [
                Pipeline(chain, name=name, burst=args.burst)
                for name, chain in zip(names, chains, strict=True)
            ]
        else:
            pipelines = [Pipeline(*chains, name="l2fwd", burst=args.burst)]
        return session.run(*pipelines)


def _pairs(ports: int) -> list[tuple[int, int]]:
    """0 and 1, 2 and 3, ...; a port left over sends back what it receives."""
    return [(port, min(port ^ 1, ports - 1)) for port in range(ports)]


def _portmap(text: str) -> list[tuple[int, int]]:
    if not re.fullmatch(r"\d+:\d+(,\d+:\d+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no map: write from:to pairs, as in 0:1,1:0")
    ways = [(int(way.split(":")[0]), int(way.split(":")[1])) for way in text.split(",")]
    if len({origin for origin, _ in ways}) != len(ways):
        raise argparse.ArgumentTypeError(f"{text!r}: a port is named twice as origin; its packets go one way")
    return ways
