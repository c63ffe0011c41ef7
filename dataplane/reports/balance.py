# SPDX-License-Identifier: BSD-3-Clause
"""Balances of the packets of a run (`Balance`) and of a port in it (`PortBalance`), the rate of a generator, a mempool."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, replace

from dataplane.reports.figures import packet_rate

__all__ = ["Balance", "Pace", "PoolUse", "PortBalance"]


@dataclass(frozen=True)
class Balance:
    """Where the packets of a run came from, and where they went: received + generated + copied = sent + dropped +
    consumed + held.

    received: from Rx queues. generated: by apps that make packets. copied: made by apps of packets that they had. sent:
    by ports, as far as they know. dropped: by apps, and by ports because of an error or because their link was down.
    consumed: ended as they should, as in a sink. held: still in apps, or in descriptor rings, unsent. A packet that passes
    several pipelines, over a ring or a wire, is received and sent in each.
    """

    received: int = 0
    generated: int = 0
    copied: int = 0
    sent: int = 0
    dropped: int = 0
    consumed: int = 0
    held: int = 0

    def __add__(self, other: Balance) -> Balance:
        return Balance(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def missing(self) -> int:
        """Packets that came and are in no other term; negative: more went than came. 0 unless an app has a fault."""
        return (
            self.received
            + self.generated
            + self.copied
            - self.sent
            - self.dropped
            - self.consumed
            - self.held
        )

    def __str__(self) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in asdict(self).items() if count) or "no packets"


@dataclass(frozen=True)
class PortBalance:
    """Where the packets of one port came from in a run, and where they went. Counts of packets.

    Receive: arrived = received + rx_waiting. arrived: what the port received (`rx_good_packets`); received: what the run
    took from its Rx queues; rx_waiting: in Rx descriptors when the run or the port ended.
    Send: taken = sent + errors + link_down + tx_waiting. taken: by Tx queues from the run; sent: by the port
    (`tx_good_packets`); errors: refused, as too long; link_down: lost because the link was down; tx_waiting: in Tx
    descriptors when the run or the port ended.
    exact: whether both must hold: the run alone used the port, and the port counted whole packets, not those that it cut
    (TSO) or merged (RSC).
    """

    arrived: int = 0
    received: int = 0
    rx_waiting: int = 0
    taken: int = 0
    sent: int = 0
    errors: int = 0
    link_down: int = 0
    tx_waiting: int = 0
    exact: bool = False

    @property
    def rx_missing(self) -> int:
        """Packets that arrived and are in no other term; negative: more were taken than arrived. 0 if `exact`."""
        return self.arrived - self.received - self.rx_waiting

    @property
    def tx_missing(self) -> int:
        """Packets that Tx queues took and that are in no other term; negative: more left than were taken. 0 if `exact`."""
        return self.taken - self.sent - self.errors - self.link_down - self.tx_waiting

    def __add__(self, other: PortBalance) -> PortBalance:
        counts = (a + b for a, b in zip(astuple(self)[:-1], astuple(other)[:-1], strict=True))
        return replace(PortBalance(*counts), exact=self.exact and other.exact)

    def __str__(self) -> str:
        parts = [f"{name} {count:,}" for name, count in asdict(self).items() if count and name != "exact"]
        return ", ".join(parts) or "no packets"


# A shortage of time that a generator makes up for when it goes on: a machine that is shared has such stalls.
_STALL = 0.02  # s
_KEPT = 0.99  # of the rate that was asked for


@dataclass(frozen=True)
class Pace:
    """How well a generator has kept its rate.

    asked, reached: packets a second. seconds: from its first poll to its last. late: s that it was behind at the end,
    including the time that it gave up. skipped: frames that it gave up because they were 100 ms late. best_effort: whether a
    run is `ok` even if the generator was too slow.
    """

    asked: float
    reached: float
    seconds: float
    late: float
    skipped: int = 0
    best_effort: bool = False

    @property
    def kept(self) -> bool:
        """Whether it sent 99 % of what was due, or was at most 20 ms late: a stall of that length is made up for."""
        return self.late <= max(_STALL, (1 - _KEPT) * self.seconds)

    def __str__(self) -> str:
        asked, reached = (
            packet_rate(rate * self.seconds, self.seconds) for rate in (self.asked, self.reached)
        )
        skipped = f", {self.skipped:,} frames skipped" if self.skipped else ""
        return f"asked for {asked}, reached {reached}{skipped}"


@dataclass(frozen=True)
class PoolUse:
    """A mempool that was empty when mbufs were asked for. failures: how often in this run; n: mbufs that it has.

    enough: mbufs with which that cannot happen in this run: all descriptors of Rx queues that it fills and of all Tx
    queues, places of rings, caches of lcores, and a burst for each lcore; apps that hold packets need more.
    """

    failures: int
    n: int
    enough: int

    def __str__(self) -> str:
        return f"ran dry {self.failures:,} times: it has {self.n:,} mbufs, {self.enough:,} would do"
