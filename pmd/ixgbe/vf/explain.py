# SPDX-License-Identifier: BSD-3-Clause
"""Why a VF sends or receives nothing, as it knows itself (datasheet 7.10.2.9, 9.4); its PF knows more: `explain`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet.vf import VFGPTC, VFRDH, VFRDT, VFTDH, VFTDT
from dataplane.pmd.ixgbe.control import ControlServer
from dataplane.pmd.ixgbe.findings import NOTE, PROBLEM, VfFinding
from dataplane.pmd.ixgbe.vf.watch import VfPort

__all__ = ["explain_vf", "listen"]

SAMPLE_TIME = 0.25  # seconds
_ASK = "ask its PF: dataplane vf explain PF N"


def listen(port: VfPort) -> ControlServer:
    """Answer other processes that ask this VF (`dataplane vf explain VF`), until the server is closed."""
    name = port.function.name

    def explain(vf: int | None = None) -> dict[str, Any]:
        if vf is not None:
            raise ConfigError(f"this is a VF, which reports only on itself: leave {vf} out, or ask its PF")
        return port.explain()

    # At a low level: VFs of one name in two processes matter only to `vf explain`.
    return ControlServer(name, {"explain": explain}, logging.DEBUG)


def explain_vf(port: VfPort) -> Iterator[VfFinding]:
    """Everything that keeps the VF of this port from sending or receiving. Waits a quarter of a second."""
    if not port.started:
        yield VfFinding(PROBLEM, "both", "its port is not started", "start it")
        return
    if not port.link.up:
        yield VfFinding(PROBLEM, "both", f"no link: {port.why_no_link()}")
        return
    yield from _receives(port)
    yield from _sends(port)
    yield VfFinding(NOTE, "rx", f"unicast: it has {port.mac}; its PF knows its other filters")
    if port.recoveries:
        yield VfFinding(
            NOTE,
            "both",
            f"it has reinitialised {port.recoveries} times, because its PF was reset or asked for it",
        )


def _receives(port: VfPort) -> Iterator[VfFinding]:
    bar = port.bar
    if not port.rx_queues:
        yield VfFinding(NOTE, "rx", "it has no Rx queue", "name one before the start: port.rx(0)")
    empty = [n for n in range(port.rx_queues) if bar.read(VFRDH[n]) == bar.read(VFRDT[n])]
    if empty:
        yield VfFinding(
            PROBLEM if len(empty) == port.rx_queues else NOTE,
            "rx",
            f"no buffers: Rx queue {', '.join(map(str, empty))} has no free descriptor",
            "its application takes packets too slowly, or its mempool is empty",
        )


def _sends(port: VfPort) -> Iterator[VfFinding]:
    bar, queues = port.bar, range(port.tx_queues)
    if not queues:
        yield VfFinding(NOTE, "tx", "it has no Tx queue", "name one before the start: port.tx(0)")
        return
    heads, sent = [bar.read(VFTDH[n]) for n in queues], bar.read(VFGPTC)
    waiting = [n for n in queues if heads[n] != bar.read(VFTDT[n])]
    bar.sleep(SAMPLE_TIME)
    moved = [n for n in queues if bar.read(VFTDH[n]) != heads[n]]
    if stuck := [n for n in waiting if n not in moved]:
        which = ", ".join(map(str, stuck))
        yield VfFinding(PROBLEM, "tx", f"frames wait in Tx queue {which} and none leaves", _ASK)
    elif moved and bar.read(VFGPTC) == sent:
        yield VfFinding(
            PROBLEM,
            "tx",
            "the chip takes frames from its queues and none leaves: their source address or VLAN is not its own",
            f"send from {port.mac}, ask for the VLAN (port.vlans.add), or {_ASK}",
        )
