# SPDX-License-Identifier: BSD-3-Clause
"""A wire in words: where it leads, whether it waits for its receiver, what it does to frames and what it has done."""

from __future__ import annotations

from dataplane.pmd.model.datapath.engine import Engine

__all__ = ["explain_wire", "wire_counters"]


def explain_wire(engine: Engine) -> str:
    """The port's wire in words, as in "to model1, losing, delay 1ms"; empty without a wire."""
    wire = engine.wire
    if wire is None:
        return ""
    words = [f"to {wire.leads_to(engine)}", "elastic" if wire.elastic else "losing"]
    words += [str(way.netem) for way in wire.flights[:1]]
    return ", ".join(words)


def wire_counters(engine: Engine) -> list[str]:
    """One line for each direction of a wire that does something to frames: what left the port, and what came to it."""
    wire = engine.wire
    if wire is None or not wire.flights:
        return []
    ways = zip(("from", "to"), wire.flights, strict=True)
    if getattr(wire, "b", None) is engine:  # its other end: what left there comes here
        ways = zip(("from", "to"), reversed(wire.flights), strict=True)
    return [
        f"wire {way} {engine.name}: "
        + ", ".join(f"{name} {n}" for name, n in flight.counters.items() if n or name == "sent")
        for way, flight in ways
    ]
