# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane ports`: what can be opened on this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from dataplane.apps.command.options import json_report
from dataplane.apps.command.system.host import CAP_NET_RAW, Host, Interface, NicFunction
from dataplane.apps.command.system.served import ServedNic, served_nics

__all__ = ["Entry", "entries"]


@dataclass(frozen=True)
class Entry:
    """A port string, what it is, and the state it is in. driver: the kernel driver that holds it now."""

    port: str
    what: str
    driver: str
    state: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="also list the served NIC in DIR (may be repeated)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the list to FILE")


def run(args: argparse.Namespace) -> int:
    report = json_report(args)
    rows = entries(Host(), args.dir)
    heads = ("port", "what", "kernel driver", "state")
    table = [heads, *((row.port, row.what, row.driver or "-", row.state) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(3)]
    for line in table:
        print(
            "  ".join(
                [*(f"{cell:<{width}}" for cell, width in zip(line[:3], widths, strict=True)), line[3]]
            ).rstrip()
        )
    if report is not None:
        report.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


def entries(host: Host, folders: Iterable[Path] = ()) -> list[Entry]:
    """Every port string that means something here, cards first."""
    allowed = host.has_capability(CAP_NET_RAW)
    return [
        *map(_card, host.cards()),
        *(entry for nic in served_nics(host, folders) for entry in _served(nic)),
        Entry(
            "model0, model1",
            "the model: the two ports of an 82599 in software",
            "",
            "always there; elastic wires unless elastic=off is given",
        ),
        Entry(
            "model2, model3 ...", "the model: the two ports of another card, and so on", "", "always there"
        ),
        *(_interface(face, allowed) for face in host.interfaces() if not face.loopback),
        Entry("tap:NAME", "a new interface of the kernel, with the port at its other end", "", _tap(host)),
        Entry("pcap:FILE", "frames of a capture file", "", "always there"),
        Entry("null:, ring:NAME", "packets without end; packets from another pipeline", "", "always there"),
    ]


def _card(card: NicFunction) -> Entry:
    state = [
        f"can be opened ({card.node})" if card.node else f"first 'sudo dataplane bind {card.address}'",
        f"IOMMU group {card.group}" if card.group else "no IOMMU group",
    ]
    if card.vfs:
        state.append(f"{card.vfs} VFs")
    if card.interfaces:
        state.append(f"is {', '.join(card.interfaces)}")
    return Entry(card.address, card.kind, card.driver, ", ".join(state))


def _served(nic: ServedNic) -> Iterator[Entry]:
    """The functions that this user may open, or one line with the reason why the list is empty."""
    doctor = f"run 'dataplane doctor --dir {nic.folder}'"
    if nic.why or not nic.functions:
        yield Entry(
            f"vfio-user:{nic.folder}", "a served NIC", "", f"{nic.why or 'no sockets there'}; {doctor}"
        )
        return
    for function in nic.functions:
        kind = (
            "VF of a served NIC"
            if "vf" in function.name
            else f"PF of a served NIC {nic.macs.get(function.name, '')}"
        )
        if nic.wires.get(function.name):
            kind += f", wire {nic.wires[function.name]}"
        if not nic.process:
            state = f"its server has ended; {doctor}"
        elif function.client:
            state = f"process {function.client} ({function.program or 'of another user'}) has it"
        elif function.usable:
            state = "free"
        else:
            continue
        yield Entry(f"vfio-user:{function.path}", kind.strip(), "", state)


def _interface(face: Interface, allowed: bool) -> Entry:
    speed = f", {face.speed / 1000:g} Gbit/s" if face.speed else ""
    right = "" if allowed else "; needs CAP_NET_RAW: run 'dataplane doctor'"
    return Entry(
        f"af_packet:{face.name}", f"interface {face.mac}", face.driver, f"{face.state}{speed}{right}"
    )


def _tap(host: Host) -> str:
    return (
        "can be made" if host.usable("/dev/net/tun") else "no access to /dev/net/tun: run 'dataplane doctor'"
    )
