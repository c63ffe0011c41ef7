# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane bind ADDRESS ...`: take a card from the kernel's driver and let programs drive it."""

from __future__ import annotations

import argparse

from dataplane.apps.command.system.binding import DRIVERS, Binder, addresses, neighbours
from dataplane.apps.command.system.host import Host
from dataplane.apps.command.terminal.signals import Signals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "cards", nargs="+", metavar="ADDRESS", help="PCI address, as in 0000:03:00.0 or 03:00.0"
    )
    parser.add_argument(
        "--driver",
        choices=DRIVERS,
        default=DRIVERS[0],
        help="vfio-pci with an IOMMU (default); uio_pci_generic or igb_uio without one",
    )
    parser.add_argument("--force", action="store_true", help="bind the card even if it is in use")


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    with Signals() as signals:
        signals.raising = False  # the card in hand is finished first
        host = Host()
        for address in addresses(args.cards):
            if signals.is_set():
                raise KeyboardInterrupt
            print(Binder(host).bind(address, args.driver, args.force))
            if args.driver == DRIVERS[0] and (others := neighbours(host, address)):
                print(
                    f"{address} shares its IOMMU group with {', '.join(others)}: VFIO opens it only when no kernel "
                    "driver has one of them"
                )
        return 0
