# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane macswap PORT`: what a port receives goes back to where it came from."""

from __future__ import annotations

import argparse

from dataplane.apps.command.options import add_run_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument("port", metavar="PORT", help="a port string; 'dataplane ports' lists them")
    add_run_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    from dataplane.apps.command.session import CommandSession
    from dataplane.apps.reflect import Reflect
    from dataplane.pipeline import Pipeline

    with CommandSession(args, "macswap") as session:
        port = session.open(args.port)
        port.promiscuous = True
        return session.run(Pipeline(port.rx(0) >> Reflect() >> port.tx(0), name="macswap", burst=args.burst))
