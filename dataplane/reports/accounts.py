# SPDX-License-Identifier: BSD-3-Clause
"""The accounts of a run: what it did with each port (`PortBalance`), and the mempools that ran dry (`PoolUse`).

Nothing here is called for packets: ports and mempools are read when a run, or the part of a port in it, begins and ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from dataplane.app import App
from dataplane.errors import DataplaneError
from dataplane.graph.endpoint import RxStage, TxStage
from dataplane.graph.graph import Graph
from dataplane.limits import HEADER_AND_FCS_BYTES
from dataplane.mempool import CACHE_MOST, Mempool
from dataplane.port import Port
from dataplane.reports.balance import Balance, PoolUse, PortBalance

__all__ = ["Mark", "MempoolAccounts", "moved", "port_balance", "settle"]

_REFILL = 32  # mbufs that a driver takes at once for its Rx descriptors


@dataclass(frozen=True)
class Mark:
    """The packets that a port holds at a moment, and those moved by hand so far: both as (received, sent)."""

    waiting: tuple[int, int]
    by_hand: tuple[int, int]

    @classmethod
    def of(cls, port: Port) -> Mark:
        """The port as it is now; one that does not answer holds nothing that is known."""
        waiting = 0, 0
        with suppress(DataplaneError):
            waiting = port.waiting()
        received, sent = port.by_hand
        return cls(waiting, (received, sent))


def moved(apps: Iterable[App]) -> Counter[tuple[int, str]]:
    """Packets that these apps took from Rx queues ("received") and that Tx queues took from them ("taken"), by id of the
    port."""
    found: Counter[tuple[int, str]] = Counter()
    for app in apps:
        if isinstance(app, RxStage):
            left = sum(packets for packets, _, _ in app.edge_counts.values()) + sum(app.drop_counts.values())
            found[id(app.queue.port), "received"] += left
        elif isinstance(app, TxStage):
            found[id(app.queue.port), "taken"] += app.sent
    return found


def port_balance(
    grown: Mapping[str, int], before: Mark, now: Mark, received: int, taken: int, exact: bool
) -> PortBalance:
    """The balance of a port. grown: growth of its xstats; received, taken: by the run; exact: see `PortBalance`."""
    of = grown.get
    return PortBalance(
        arrived=of("rx_good_packets", 0),
        received=received + now.by_hand[0] - before.by_hand[0],
        rx_waiting=of("rx_untaken_packets", 0) + now.waiting[0] - before.waiting[0],
        taken=taken + now.by_hand[1] - before.by_hand[1],
        sent=of("tx_good_packets", 0),
        errors=of("tx_errors", 0),
        link_down=of("tx_link_down_packets", 0),
        tx_waiting=of("tx_unsent_packets", 0) + now.waiting[1] - before.waiting[1],
        exact=exact,
    )


def settle(
    balance: Balance, ports: Mapping[str, PortBalance], taken: Mapping[str, int]
) -> tuple[Balance, dict[str, int], dict[str, int]]:
    """Take what ports did not send out of the sent packets of a run.

    taken: packets that each port took from this run: not more are charged to it. Returns the balance, packets dropped by
    ports ("port.reason") and packets that ports hold ("port.tx_waiting").
    """
    dropped: dict[str, int] = {}
    held: dict[str, int] = {}
    for name, port in ports.items():
        left = taken.get(name, 0)
        for reason, count, book in (
            ("tx_errors", port.errors, dropped),
            ("link_down", port.link_down, dropped),
            ("tx_waiting", port.tx_waiting, held),
        ):
            count = min(max(count, 0), left)
            left -= count
            if count:
                book[f"{name}.{reason}"] = count
    lost, kept = sum(dropped.values()), sum(held.values())
    balance = replace(
        balance,
        sent=balance.sent - lost - kept,
        dropped=balance.dropped + lost,
        held=balance.held + kept,
    )
    return balance, dropped, held


class MempoolAccounts:
    """The mempools of a run, and how often each was empty when mbufs were asked for.

    Holds no reference to a mempool for longer than the graph that uses it is in the run.
    """

    def __init__(self) -> None:
        self._before: dict[int, int] = {}  # by id of a mempool: its failures when the run met it
        self._dry: dict[str, PoolUse] = {}  # of mempools that have left the run

    def meet(self, graphs: Iterable[Graph]) -> None:
        """These graphs are about to join the run: remember what their mempools have counted so far."""
        for pool, _ in _pools(graphs):
            self._before.setdefault(id(pool), pool.alloc_failures)

    def leave(self, leaving: Iterable[Graph], staying: Iterable[Graph], lcores: int) -> None:
        """Graphs have left the run: keep what is known of the mempools that go with them."""
        leaving = list(leaving)
        kept = {id(pool) for pool, _ in _pools(staying)}
        self._dry |= self.dry(leaving, lcores)
        for pool, _ in _pools(leaving):
            if id(pool) not in kept:
                self._before.pop(id(pool), None)

    def dry(self, graphs: Iterable[Graph], lcores: int) -> dict[str, PoolUse]:
        """The mempools that ran dry in this run, by name. lcores: how many the run has."""
        graphs = list(graphs)
        found = dict(self._dry)
        for pool, ports in _pools(graphs):
            failures = pool.alloc_failures - self._before.get(id(pool), 0)
            if failures > 0:
                found[pool.name] = PoolUse(failures, pool.n, _enough(pool, ports, graphs, lcores))
        return found


def _pools(graphs: Iterable[Graph]) -> list[tuple[Mempool, list[Port]]]:
    """The mempools that graphs take mbufs from, each with the ports whose Rx queues it fills."""
    found: dict[int, tuple[Mempool, list[Port]]] = {}
    for graph in graphs:
        for app in graph.apps:
            if isinstance(app.mempool, Mempool):
                found.setdefault(id(app.mempool), (app.mempool, []))
        for port in graph.ports:
            pool = port.rx_pool
            if pool is not None and all(
                port is not other for other in found.setdefault(id(pool), (pool, []))[1]
            ):
                found[id(pool)][1].append(port)
    return list(found.values())


def _enough(pool: Mempool, ports: list[Port], graphs: list[Graph], lcores: int) -> int:
    """Mbufs with which that pool cannot run dry: all of them at once in every place where one may wait.

    ports: whose Rx queues it fills. The caches are those of the lcores of the run, and of earlier ones, which keep theirs.
    """
    every = {id(port): port for graph in graphs for port in graph.ports}.values()
    segments = max((-(-(port.mtu + HEADER_AND_FCS_BYTES) // pool.data_room) for port in every), default=1)
    rx = sum(port.room[0] for port in ports)
    tx = sum(port.room[1] for port in every)
    burst = max(app.burst for graph in graphs for app in graph.sources)
    # A full burst in each lcore's hands, and one more that is being asked for.
    in_hand = (lcores + 1) * max(burst, _REFILL) * segments
    return rx + tx * segments + in_hand + max(lcores, pool.caches) * CACHE_MOST
