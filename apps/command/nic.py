# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane nic serve | qemu-args`: an 82599 in a process of its own, and how a virtual machine gets its functions."""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dataplane.errors import ConfigError

if TYPE_CHECKING:
    from pmd.model.card import Card
    from pmd.model.findings import Finding, Findings

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
        "--findings", type=Path, metavar="FILE", help="write what the strict manner found to FILE"
    )
    serve.add_argument(
        "--index",
        type=int,
        default=0,
        metavar="N",
        help="the card's number, which its MAC addresses contain (default 0)",
    )


def run(args: argparse.Namespace) -> int:
    return {"serve": _serve}[args.verb](args)


def _serve(args: argparse.Namespace) -> int:
    from pmd.model.card import Card
    from pmd.model.findings import Findings
    from pmd.model.server.server import NicServer

    if args.findings and args.manner != "strict":
        raise ConfigError("--findings are those of --manner strict")
    with ExitStack() as stack:
        out = stack.enter_context(args.findings.open("w", buffering=1)) if args.findings else sys.stderr
        findings = Findings(lambda finding: _tell(finding, out)) if args.manner == "strict" else None
        card = Card(
            args.ports,
            manner=args.manner,
            threaded=True,
            index=args.index,
            names=[f"pf{n}" for n in range(args.ports)],
            report=findings,
        )
        server = stack.enter_context(NicServer(card, args.dir, args.vfs))
        for pull in plug_wires(card, args.wire):
            stack.callback(pull)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: server.stop())
        for n, chip in enumerate(card.ports):
            vfs = f", {args.vfs} VFs" if args.vfs else ""
            print(f"{args.dir}/pf{n}.sock: {_mac(card, n)}{vfs}, wire to {_end(chip, card)}")
        print("serving; Ctrl-C ends it", flush=True)
        server.run()
    if findings is not None:
        _summary(findings, out)
    return 0


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


def _end(chip: object, card: Card) -> str:
    wire = chip.engine.wire  # type: ignore[attr-defined]
    kind = type(wire).__name__
    if kind == "PortWire":
        return "the other port" if len(card.ports) > 1 else "itself"
    return {"TapWire": "a tap", "PcapWire": "captures", "LoopPlug": "itself", "NoneType": "nothing"}[kind]


def _mac(card: Card, port: int) -> str:
    from dataplane.port import format_mac

    return format_mac(card.mac(port))


def _tell(finding: Finding, out: TextIO) -> None:
    print(finding.text, file=out, flush=True)


def _summary(findings: Findings, out: TextIO) -> None:
    print(findings, file=sys.stdout)
