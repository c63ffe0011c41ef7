# SPDX-License-Identifier: BSD-3-Clause
"""Statistics: the result of a run (`Report`), its rates while it runs (`Sampler`), and totals of hardware counters.

Edges and queues count; nothing here is on the path of a packet. Counters are read while lcores write them: each is one
aligned word, so each is true, but two of them are not of the same moment.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any, TypeVar

from dataplane.reports.balance import Balance, Pace, PoolUse, PortBalance
from dataplane.reports.figures import bit_rates, duration, l1_bits, l2_bits, packet_rate

__all__ = [
    "Accumulator",
    "Balance",
    "Cost",
    "Count",
    "Readings",
    "Report",
    "Sample",
    "Sampler",
    "add",
    "growth",
    "mpps",
    "queue_xstat",
]


@dataclass(frozen=True)
class Count:
    """Packets, bytes (without FCS) and bursts that left by an edge."""

    packets: int = 0
    bytes: int = 0
    bursts: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.packets + other.packets, self.bytes + other.bytes, self.bursts + other.bursts)

    def __sub__(self, other: Count) -> Count:
        return Count(self.packets - other.packets, self.bytes - other.bytes, self.bursts - other.bursts)


@dataclass(frozen=True)
class Cost:
    """The cost of an app to its lcore, without the apps behind it.

    cycles: TSC cycles per packet that it is given. packets, bursts: those that were measured.
    """

    cycles: float = 0.0
    packets: int = 0
    bursts: int = 0

    def __add__(self, other: Cost) -> Cost:
        packets = self.packets + other.packets
        spent = self.cycles * self.packets + other.cycles * other.packets
        return Cost(spent / packets if packets else 0.0, packets, self.bursts + other.bursts)


# Edges ("app.edge"), drops ("app.reason") and the xstats of ports, all by name.
Readings = tuple[dict[str, Count], dict[str, int], dict[str, dict[str, int]]]


@dataclass
class Report:
    """The result of a run.

    app: the name of the run. seconds: from its first lap to its last. packets: received and generated together; a packet
    that is generated and comes back over a wire, or that passes two pipelines, counts twice: `balance` has the terms apart.
    edges: "app.edge" -> Count. drops, consumed, held: "app.reason" -> packets, only reasons that happened; Tx queues add
    "port.tx_errors", "port.link_down" and "port.tx_waiting" for packets that they took and did not send. ports: name ->
    growth of its xstats in this run; the second of several ports with one name is "name#2". port_balances: name ->
    `PortBalance`. paces: app -> `Pace`, of generators with a rate. pools: name -> `PoolUse`, of mempools that ran dry.
    profile: app -> `Cost`, of a run with ``profile=True``. ok: whether the run did what was asked. unmet: the reasons why
    it is not `ok`.
    """

    app: str
    seconds: float
    packets: int = 0
    edges: dict[str, Count] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    consumed: dict[str, int] = field(default_factory=dict)
    balance: Balance = field(default_factory=Balance)
    held: dict[str, int] = field(default_factory=dict)
    ports: dict[str, dict[str, int]] = field(default_factory=dict)
    port_balances: dict[str, PortBalance] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)
    pools: dict[str, PoolUse] = field(default_factory=dict)
    profile: dict[str, Cost] = field(default_factory=dict)
    ok: bool = True
    unmet: list[str] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """Packets dropped in all, by apps and by ports; not those that a port never received (`rx_missed_errors`)."""
        return sum(self.drops.values())

    @property
    def mpps(self) -> float:
        """`packets` in millions a second: all sources together, so that a packet of two pipelines counts twice."""
        return mpps(self.packets, self.seconds)

    def rate(self, edge: str) -> float:
        """Millions of packets a second over an edge ("app.edge")."""
        return mpps(self.edges[edge].packets, self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every field, with the names that they have here, and `mpps`."""
        return {
            "app": self.app,
            "seconds": self.seconds,
            "packets": self.packets,
            "mpps": self.mpps,
            "balance": asdict(self.balance),
            "ports": self.ports,
            "edges": {
                name: {"packets": count.packets, "bytes": count.bytes, "bursts": count.bursts}
                for name, count in self.edges.items()
            },
            "drops": self.drops,
            "consumed": self.consumed,
            "held": self.held,
            "port_balances": {name: asdict(port) for name, port in self.port_balances.items()},
            "paces": {name: {**asdict(pace), "kept": pace.kept} for name, pace in self.paces.items()},
            "pools": {name: asdict(pool) for name, pool in self.pools.items()},
            "profile": {name: asdict(cost) for name, cost in self.profile.items()},
            "ok": self.ok,
            "unmet": self.unmet,
        }

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=2)

    @property
    def headline(self) -> str:
        """One line: what became of the packets, and the rates at which they came."""
        rates = [
            f"{word} at {packet_rate(count, self.seconds)}"
            for word, count in (("received", self.balance.received), ("generated", self.balance.generated))
            if count
        ]
        return "; ".join([f"{self.app}: {self.balance} in {duration(self.seconds)}", *rates])

    @property
    def remarks(self) -> list[str]:
        """A line for each reason why packets were dropped or are held, for each rate, and for each mempool that ran dry."""
        return [
            *(f"dropped by {name}: {count:,}" for name, count in self.drops.items()),
            *(f"held by {name}: {count:,}" for name, count in self.held.items()),
            *(f"{name}: {pace}" for name, pace in self.paces.items()),
            *(f"mempool {name} {pool}" for name, pool in self.pools.items()),
        ]

    def __str__(self) -> str:
        lines = [
            f"{name}: {count.packets:,} packets, {count.bytes:,} bytes"
            + (f", {bit_rates(count.packets, count.bytes, self.seconds)}" if count.packets else "")
            for name, count in self.edges.items()
        ]
        costs = [f"{name}: {cost.cycles:.1f} cycles per packet" for name, cost in self.profile.items()]
        return "\n  ".join([self.headline, *lines, *self.remarks, *costs])


def mpps(packets: float, seconds: float) -> float:
    """Millions of packets a second; 0 for no time."""
    return packets / seconds / 1e6 if seconds > 0 else 0.0


@dataclass(frozen=True)
class Sample:
    """The growth of counters between two readings.

    seconds: since the first reading. interval: s since the previous one. edges, drops, ports: growth in the interval.
    totals: the present xstats.
    """

    seconds: float
    interval: float
    edges: dict[str, Count]
    drops: dict[str, int]
    ports: dict[str, dict[str, int]]
    totals: dict[str, dict[str, int]]

    def mpps(self, edge: str) -> float:
        """Millions of packets a second over an edge in the interval."""
        return mpps(self.edges[edge].packets, self.interval)

    def gbps(self, edge: str, layer: str = "L2") -> float:
        """Gbit/s over an edge in the interval. layer: "L2" counts frames with FCS, "L1" preamble and gap, too."""
        bits = {"L1": l1_bits, "L2": l2_bits}[layer]
        return mpps(bits(self.edges[edge].packets, self.edges[edge].bytes), self.interval) / 1e3

    def per_second(self, port: str, name: str) -> float:
        """Growth of an xstat a second in the interval."""
        return self.ports[port].get(name, 0) / self.interval if self.interval > 0 else 0.0


class Sampler:
    """Reads the counters of running pipelines without disturbing them. `sample()` gives what changed since the last.

    source: gives edges, drops and xstats by name, as `Run.read` does.
    """

    def __init__(self, source: Callable[[], Readings]) -> None:
        self._source = source
        self._began = self._last_time = monotonic()
        self._last = source()

    def sample(self) -> Sample:
        """The growth since the last call."""
        now, (edges, drops, ports) = monotonic(), self._source()
        old_edges, old_drops, old_ports = self._last
        sample = Sample(
            seconds=now - self._began,
            interval=now - self._last_time,
            edges={name: count - old_edges.get(name, Count()) for name, count in edges.items()},
            drops={name: count - old_drops.get(name, 0) for name, count in drops.items()},
            ports={name: growth(xstats, old_ports.get(name, {})) for name, xstats in ports.items()},
            totals=ports,
        )
        self._last_time, self._last = now, (edges, drops, ports)
        return sample


Number = TypeVar("Number", int, Count, Cost)


def add(totals: dict[str, Number], more: dict[str, Number]) -> None:
    """Add numbers to totals, by name."""
    for name, number in more.items():
        totals[name] = totals[name] + number if name in totals else number


def growth(now: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    """By how much each counter grew."""
    return {name: value - before.get(name, 0) for name, value in now.items()}


def queue_xstat(direction: str, queue: int, what: str) -> str:
    """DPDK's name of a queue's counter: ``queue_xstat("rx", 0, "packets")`` is "rx_q0_packets"."""
    return f"{direction}_q{queue}_{what}"


class Accumulator:
    """Totals of hardware counters over any length of run, whatever the width of the register.

    A counter that is cleared by reading goes through `cleared`, one that runs freely and wraps through `wrapping`; each must
    be read before it can wrap twice (36 bits of bytes at 10 Gbit/s: 55 s). `totals` has what they add up to.
    """

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def cleared(self, name: str, value: int) -> int:
        """Add what a clear-on-read register gave; returns the total."""
        self.totals[name] = total = self.totals.get(name, 0) + value
        return total

    def wrapping(self, name: str, value: int, bits: int) -> int:
        """Add the growth of a register of `bits` bits since the last reading, the first being zero; returns the total."""
        grown = (value - self._last.get(name, 0)) % (1 << bits)
        self._last[name] = value
        return self.cleared(name, grown)

    def rebase(self, name: str, value: int = 0) -> None:
        """The register was set (a reset of the device): growth counts from `value` on. The total stays."""
        self._last[name] = value

    def clear(self) -> None:
        """Totals count from zero again; registers keep running."""
        self.totals.clear()
