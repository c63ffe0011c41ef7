# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane nic serve | run | qemu-args`: an 82599 for virtual machines and for other people's drivers."""

from __future__ import annotations

import argparse
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TextIO

from dataplane.apps.command.system.served import default_folder
from dataplane.apps.command.terminal.signals import Signals
from dataplane.apps.command.terminal.streams import complain, log_to_stderr
from dataplane.errors import ConfigError
from dataplane.files.output import Lines

if TYPE_CHECKING:
    from dataplane.pmd.model.card import Card
    from dataplane.pmd.model.strict.findings import Findings, ViolationKind


_SERVE = (
    "serve an 82599 in software to other processes and virtual machines until Ctrl-C, with one vfio-user socket for each "
    "function"
)
_TICK = 0.05  # s in which a signal is noticed
_NO_PATIENCE = 0.5  # s that a program has after SIGQUIT or a second signal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    verbs = parser.add_subparsers(title="verbs", dest="verb", required=True, metavar="VERB")
    serve = verbs.add_parser("serve", help="serve a card until Ctrl-C", description=_SERVE)
    _add_card(serve)
    serve.add_argument(
        "--vfs", type=int, default=0, metavar="N", help="make sockets for N VFs of each port (default 0)"
    )
    serve.add_argument(
        "--dir",
        type=Path,
        metavar="DIR",
        help="folder for the sockets DIR/pf0.sock, DIR/pf0.vf3.sock (default: $XDG_RUNTIME_DIR/dataplane/nicN, for root "
        "/run/dataplane/nicN; N is the card's number)",
    )
    serve.add_argument(
        "--no-doorbells",
        dest="doorbells",
        action="store_false",
        help="make clients send a message for each write of a tail (--trace does so, too)",
    )
    serve.add_argument(
        "--client-memory",
        default="128G",
        metavar="SIZE",
        help="limit for the memory in a client's DMA maps (default 128G)",
    )
    serve.add_argument(
        "--client-maps",
        type=int,
        default=16384,
        metavar="N",
        help="limit for the number of a client's DMA maps (default 16384)",
    )
    serve.add_argument("--verbose", action="store_true", help="log each client that connects or disconnects")
    program = verbs.add_parser(
        "run",
        help="run a program with a userspace driver, which sees the card's PFs as cards bound to igb_uio",
    )
    _add_card(program)
    program.add_argument("--vfs", type=int, default=0, metavar="N", help="VFs of each PF (default 0)")
    program.add_argument(
        "program",
        nargs=argparse.REMAINDER,
        metavar="-- PROGRAM",
        help="the program and its arguments, as in -- dpdk-testpmd -l 0,1 --in-memory -- -i, or -- ./my-driver 0000:01:00.0",
    )
    guest = verbs.add_parser(
        "qemu-args", help="print the QEMU options that give functions of a served NIC to a guest"
    )
    guest.add_argument("dir", type=Path, metavar="DIR", help="the folder with the sockets")
    guest.add_argument(
        "functions", nargs="*", metavar="FUNCTION", help="pf0, pf0.vf3, ... (default: every PF)"
    )
    guest.add_argument("--memory", default="512M", metavar="SIZE", help="the guest's memory (default 512M)")
    guest.add_argument(
        "--posted-writes",
        action="store_true",
        help="let register writes return before the server has done them (default: each write waits). Faster where a guest "
        "writes a tail for each packet: 34,100 instead of 10,300 packets a second with Linux's ixgbe. But after writes in a "
        "busy loop the guest's next read can take seconds",
    )


def _add_card(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that describe a card."""
    parser.add_argument("--ports", type=int, choices=(1, 2), default=2, help="ports of the card (default 2)")
    parser.add_argument(
        "--wire",
        action="append",
        default=[],
        metavar="WIRE",
        help="connect a port: pf0-pf1 (the default), pf0=tap:NAME, pf0=pcap:IN>OUT, pf0=listen:PATH or pf0=connect:PATH "
        "(the two ends of a wire between processes), pf0=loop or pf0=none; once for each port. Options follow, as in "
        "pf0-pf1,delay=1ms,loss=0.1%%. A port loses and counts frames that its driver does not read in time; with "
        "elastic=on the sender waits",
    )
    parser.add_argument(
        "--manner",
        choices=("lenient", "strict"),
        default="lenient",
        help="strict: report what a driver does although the datasheet forbids it (default lenient)",
    )
    parser.add_argument(
        "--findings",
        type=Path,
        metavar="FILE",
        help="write the findings of --manner strict to FILE (default: standard error)",
    )
    parser.add_argument(
        "--trace", type=Path, metavar="FILE", help="log each register access to FILE, by the register's name"
    )
    parser.add_argument(
        "--clock-ppm",
        action="append",
        default=[],
        metavar="PORT=PPM",
        help="pf0=25: the crystal of that port's IEEE 1588 clock is so much too fast, in 1e-6; below 0: too slow",
    )
    parser.add_argument(
        "--index",
        type=int,
        default=0,
        metavar="N",
        help="the card's number, which is part of its MAC addresses (default 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    return {"serve": _serve, "run": _run, "qemu-args": _qemu_args}[args.verb](args)


def _qemu_args(args: argparse.Namespace) -> int:
    from dataplane.apps.command.qemu_args import functions_of, qemu_args, shown

    functions = args.functions or [name for name in functions_of(args.dir) if "vf" not in name]
    words = qemu_args(args.dir, functions, args.memory, posted_writes=args.posted_writes)
    print(shown(words, sys.stdout.isatty()))
    return 0


def _serve(args: argparse.Namespace) -> int:
    from dataplane.pmd.model.server.account import Limits
    from dataplane.pmd.model.server.server import NicServer
    from dataplane.port import format_mac

    args.dir = args.dir or default_folder(args.index)
    if args.verbose:
        log_to_stderr(logging.INFO)
    with Signals() as signals, ExitStack() as stack:
        card, findings, out = _card(args, stack)
        trace = stack.enter_context(Lines(args.trace, "--trace")) if args.trace else None
        server = stack.enter_context(
            NicServer(
                card,
                args.dir,
                args.vfs,
                doorbells=args.doorbells and not args.trace,
                limits=Limits(_bytes_of(args.client_memory), args.client_maps),
            )
        )
        for pull in plug_wires(card, args.wire):
            stack.callback(pull)
        server.tell()
        _begin(card, args, out, trace)
        began = monotonic()

        def end(number: signal.Signals) -> bool:
            server.stop()
            return True

        def status() -> None:
            if signals.status:
                signals.status = False
                clients = ", ".join(server.clients) or "none"
                complain(
                    f"nic serve: {monotonic() - began:.1f} s, {card.moved:,} packets, functions in use: {clients}"
                )

        signals.hears, signals.raising = end, False
        for n in range(args.ports):
            vfs = f", and {args.vfs} VFs" if args.vfs else ""
            print(f"{args.dir}/pf{n}.sock: {format_mac(card.mac(n))}{vfs}")
        print("serving; Ctrl-C ends it", flush=True)
        server.run(status)
        signals.closing = True
        _sum_up(args, card, findings, out)
    return 0


def _bytes_of(text: str) -> int:
    """512M, 64G or 2T. Raises ConfigError."""
    found = re.fullmatch(r"(\d+)([MGT])", text)
    if not found or not int(found[1]):
        raise ConfigError(f"--client-memory {text}: write 512M, 64G or 2T")
    return int(found[1]) << {"M": 20, "G": 30, "T": 40}[found[2]]


def _run(args: argparse.Namespace) -> int:
    from dataplane.pmd.bus.model import ModelFunction
    from dataplane.pmd.foreign.slot import Slots

    command = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not command:
        raise ConfigError("no program given: dataplane nic run -- dpdk-testpmd -l 0,1 --in-memory -- -i")
    if not shutil.which(command[0]):
        raise ConfigError(
            f"program {command[0]!r} not found: give its path (dpdk-testpmd is in Debian's dpdk-dev)"
        )
    with Signals() as signals, ExitStack() as stack:
        card, findings, out = _card(args, stack)
        trace = stack.enter_context(Lines(args.trace, "--trace")) if args.trace else None
        stack.enter_context(card)
        for pull in plug_wires(card, args.wire):
            stack.callback(pull)
        functions = [ModelFunction(card, n) for n in range(args.ports)]
        for function in functions:
            stack.enter_context(function)
            function.set_vfs(args.vfs)
        slots = stack.enter_context(Slots(functions, doorbells=not args.trace))
        _begin(card, args, out, trace)
        for slot in slots:
            print(f"{slot.address}: {slot.function.name}", file=sys.stderr)
        signals.hears = lambda number: not _from_terminal(number)
        signals.raising = False
        status = _attend(slots.start(command), card, signals)
        signals.closing = True
        _sum_up(args, card, findings, out)
    return status if status >= 0 else 128 - status


def _attend(program: subprocess.Popen[Any], card: Card, signals: Signals) -> int:
    """Wait for the program; what asks us for an end, asks it. Returns its status, as `Popen` has it."""
    began, passed, deadline = monotonic(), "", 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            return program.wait(_TICK)
        if signals.status:
            signals.status = False
            complain(
                f"nic run: {monotonic() - began:.1f} s, {card.moved:,} packets, process {program.pid} runs"
            )
        if signals.caught and not passed:
            passed = signals.caught
            program.send_signal(signal.Signals[passed])
        if signals.at_once and not deadline:
            deadline = monotonic() + _NO_PATIENCE
        if deadline and monotonic() > deadline:
            program.kill()


def _from_terminal(number: signal.Signals) -> bool:
    """Whether a signal comes from the keyboard: then the program, which shares our terminal, has it as well."""
    if number not in (signal.SIGINT, signal.SIGQUIT):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False  # no terminal, or not ours


def _card(args: argparse.Namespace, stack: ExitStack) -> tuple[Card, Findings | None, TextIO | Lines]:
    """The card of the command line, its findings (None unless strict) and the file that they are written to."""
    from dataplane.pmd.model.card import Card
    from dataplane.pmd.model.strict.findings import Findings

    if args.findings and args.manner != "strict":
        raise ConfigError("--findings FILE requires --manner strict")
    out = stack.enter_context(Lines(args.findings, "--findings")) if args.findings else sys.stderr

    def say(finding: ViolationKind) -> None:
        out.write(f"{finding.text}\n")
        out.flush()

    findings = Findings(say) if args.manner == "strict" else None
    names = [f"pf{n}" for n in range(args.ports)]
    card = Card(args.ports, manner=args.manner, threaded=True, index=args.index, names=names, report=findings)
    for text in args.clock_ppm:
        set_clock(card, text)
    return card, findings, out


def set_clock(card: Card, text: str) -> None:
    """One --clock-ppm of the command line. Raises ConfigError."""
    found = re.fullmatch(r"pf([01])=([-+]?\d+(?:\.\d+)?)", text)
    if not found or int(found[1]) >= len(card.ports):
        raise ConfigError(
            f"--clock-ppm {text}: write pf0=25 or pf1=-12.5; the card has {len(card.ports)} ports"
        )
    card.set_clock_ppm(int(found[1]), float(found[2]))


def _begin(card: Card, args: argparse.Namespace, out: TextIO | Lines, trace: Lines | None) -> None:
    """All checks are over: what is to be written is opened, and the trace begins."""
    files = [each for each in (out, trace) if isinstance(each, Lines)]
    wires = [chip.engine.wire for chip in card.ports if chip.engine.wire is not None]
    for file in files:
        file.prepare()
    with card.lock:
        for wire in wires:
            wire.prepare()
        for wire in wires:
            wire.begin()
    for file in files:
        file.open()
    if trace is not None:
        for port in range(args.ports):
            card.trace(port, keep=0, file=trace)
            for vf in range(args.vfs):
                card.trace_vf(port, vf, keep=0, file=trace)


def _sum_up(args: argparse.Namespace, card: Card, findings: Findings | None, out: TextIO | Lines) -> None:
    """Print the counters of the wires, and write the findings."""
    from dataplane.pmd.model.wire.explain import wire_counters

    for chip in card.ports:
        for line in wire_counters(chip.engine):
            complain(line)
    if findings is None:
        return
    out.write(f"{findings}\n")
    if args.findings:
        print(f"{args.findings}: {len(findings)} kinds of violations, {findings.total} in all")


def plug_wires(card: Card, wires: list[str]) -> list[Callable[[], None]]:
    """Plug the wires of the command line in; returns what pulls them out. Raises ConfigError, PortError.

    The wires lose frames that no driver reads: a driver under test may stop, and a card then loses and counts packets.
    """
    from dataplane.pmd.bus.wiring import plug
    from dataplane.pmd.portstring import PortString

    first = 2 * card.index
    pulls = []
    for text in wires:
        found = re.fullmatch(r"pf([01])(?:-pf([01])((?:,.*)?)|=(.+))", text)
        if not found or int(found[1]) >= len(card.ports):
            raise ConfigError(
                f"--wire {text}: write pf0-pf1, pf0=tap:NAME, pf0=pcap:FILE, pf0=listen:PATH, pf0=connect:PATH, "
                f"pf0=loop or pf0=none; the card has {len(card.ports)} ports"
            )
        target = f"model{first + int(found[2])}{found[3]}" if found[2] else found[4]
        spec = PortString.split_options(f"--wire {text}", "", f"pf{found[1]}", f",wire={target}")
        pull = plug(card, int(found[1]), spec, elastic=False)
        spec.done()
        if pull is not None:
            pulls.append(pull)
    if not wires:
        plug(card, 0, PortString("", "", "pf0", {}), elastic=False)
    return pulls
