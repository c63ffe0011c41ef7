# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane nic serve | qemu-args`: an 82599 in a process of its own, and how a virtual machine gets its functions."""

from __future__ import annotations

import argparse
import logging
import re
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from dataplane.errors import ConfigError

if TYPE_CHECKING:
    from pmd.model.card import Card

HELP = "serve an 82599 in software to other processes and virtual machines, one vfio-user socket for each function"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="verbs", dest="verb", required=True, metavar="VERB")
    serve = verbs.add_parser("serve", help="serve a card until Ctrl-C", description=HELP)
    serve.add_argument("--ports", type=int, choices=(1, 2), default=2, help="ports of the card (default 2)")
    serve.add_argument(
        "--vfs", type=int, default=0, metavar="N", help="sockets for N VFs of each port (default 0)"
    )
    serve.add_argument(
        "--dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="where the sockets are: DIR/pf0.sock, DIR/pf0.vf3.sock",
    )
    serve.add_argument(
        "--wire",
        action="append",
        default=[],
        metavar="WIRE",
        help="pf0-pf1 (the default), pf0=tap:NAME, pf0=pcap:IN>OUT, pf0=loop or pf0=none; once for each port",
    )
    serve.add_argument(
        "--manner",
        choices=("lenient", "strict"),
        default="lenient",
        help="strict: say what the datasheet forbids and a driver does all the same",
    )
    serve.add_argument(
        "--findings",
        type=Path,
        metavar="FILE",
        help="write what the strict manner finds to FILE (default: standard error)",
    )
    serve.add_argument(
        "--trace", type=Path, metavar="FILE", help="write every access to a register to FILE, by its name"
    )
    serve.add_argument(
        "--no-doorbells",
        dest="doorbells",
        action="store_false",
        help="clients write the tails of their queues by messages only; so it is with --trace",
    )
    serve.add_argument(
        "--index",
        type=int,
        default=0,
        metavar="N",
        help="the card's number, which its MAC addresses contain (default 0)",
    )
    serve.add_argument("--verbose", action="store_true", help="say who comes and goes")
    guest = verbs.add_parser(
        "qemu-args", help="QEMU's options that give functions of a served NIC to a guest"
    )
    guest.add_argument("dir", type=Path, metavar="DIR", help="the folder with the sockets")
    guest.add_argument(
        "functions", nargs="*", metavar="FUNCTION", help="pf0, pf0.vf3, ... (default: every PF)"
    )
    guest.add_argument("--memory", default="512M", metavar="SIZE", help="the guest's memory (default 512M)")


def run(args: argparse.Namespace) -> int:
    return {"serve": _serve, "qemu-args": _qemu_args}[args.verb](args)


def _qemu_args(args: argparse.Namespace) -> int:
    from apps.command.qemu_args import functions_of, qemu_args, shown

    functions = args.functions or [name for name in functions_of(args.dir) if "vf" not in name]
    print(shown(qemu_args(args.dir, functions, args.memory), sys.stdout.isatty()))
    return 0


def _serve(args: argparse.Namespace) -> int:
    from dataplane.port import format_mac
    from pmd.model.card import Card
    from pmd.model.findings import Findings
    from pmd.model.server.server import NicServer

    if args.findings and args.manner != "strict":
        raise ConfigError("--findings FILE: findings are those of --manner strict: say that, too")
    if args.verbose:
        logging.basicConfig(format="%(message)s", level=logging.INFO)
    with ExitStack() as stack:
        out = stack.enter_context(args.findings.open("w", buffering=1)) if args.findings else sys.stderr
        strict = args.manner == "strict"
        findings = Findings(lambda finding: print(finding.text, file=out, flush=True)) if strict else None
        card = Card(
            args.ports,
            manner=args.manner,
            threaded=True,
            index=args.index,
            names=[f"pf{n}" for n in range(args.ports)],
            report=findings,
        )
        if args.trace:
            _trace(card, args, stack)
        server = stack.enter_context(
            NicServer(card, args.dir, args.vfs, doorbells=args.doorbells and not args.trace)
        )
        for pull in plug_wires(card, args.wire):
            stack.callback(pull)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        for n in range(args.ports):
            vfs = f", and {args.vfs} VFs" if args.vfs else ""
            print(f"{args.dir}/pf{n}.sock: {format_mac(card.mac(n))}{vfs}")
        print("serving; Ctrl-C ends it", flush=True)
        server.run()
        if findings is not None:
            print(findings, file=out)
            if args.findings:
                print(f"{args.findings}: {len(findings)} kinds of violations, {findings.total} in all")
    return 0


def _trace(card: Card, args: argparse.Namespace, stack: ExitStack) -> None:
    file = stack.enter_context(args.trace.open("w", buffering=1))
    for port in range(args.ports):
        card.trace(port, keep=0, file=file)
        for vf in range(args.vfs):
            card.trace_vf(port, vf, keep=0, file=file)


def plug_wires(card: Card, wires: list[str]) -> list[Callable[[], None]]:
    """Plug the wires of the command line in; returns what pulls them out. Raises ConfigError, PortError."""
    from pmd.bus.wiring import plug
    from pmd.portstring import PortString

    first = 2 * card.index
    pulls = []
    for text in wires:
        found = re.fullmatch(r"pf([01])(?:-pf([01])|=(.+))", text)
        if not found or int(found[1]) >= len(card.ports):
            raise ConfigError(
                f"--wire {text}: write pf0-pf1, pf0=tap:NAME, pf0=pcap:FILE, pf0=loop or pf0=none; the card has "
                f"{len(card.ports)} ports"
            )
        target = f"model{first + int(found[2])}" if found[2] else found[3]
        spec = PortString.split_options(f"--wire {text}", "", f"pf{found[1]}", f",wire={target}")
        pull = plug(card, int(found[1]), spec)
        spec.done()
        if pull is not None:
            pulls.append(pull)
    if not wires:
        plug(card, 0, PortString("", "", "pf0", {}))
    return pulls
