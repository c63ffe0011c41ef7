# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane unbind ADDRESS ...`: undo `dataplane bind`."""

from __future__ import annotations

import argparse

from dataplane.apps.command.system.binding import Binder, addresses
from dataplane.apps.command.system.host import Host
from dataplane.apps.command.terminal.signals import Signals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "cards", nargs="+", metavar="ADDRESS", help="PCI address, as in 0000:03:00.0 or 03:00.0"
    )
    parser.add_argument("--force", action="store_true", help="unbind the card even if a program has it open")


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    with Signals() as signals:
        signals.raising = False  # the card in hand is finished first
        binder = Binder(Host())
        for address in addresses(args.cards):
            if signals.is_set():
                raise KeyboardInterrupt
            print(binder.unbind(address, args.force))
        return 0
