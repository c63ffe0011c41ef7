# SPDX-License-Identifier: BSD-3-Clause
"""The flow rules of a port: which filter of the chip carries out which (datasheet 7.1.2).

EtherType filters (8) and 5-tuple filters (128) cost nothing. Other conditions, and those for which they have no room, go
to the flow director. It takes 64 to 256 KB of the packet buffer, and has one set of masks for all of its filters. The chip
searches in this order, then applies RSS.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import limits
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.steering.director import LARGEST, Director, Mask, capacity
from dataplane.pmd.ixgbe.steering.flow import Flow, Match
from dataplane.pmd.ixgbe.steering.pools import PoolLayout
from dataplane.pmd.ixgbe.steering.tuples import clear_tuple, clear_type, write_tuple, write_type

__all__ = ["FlowTable"]

_PRIORITIES = 8
_DIRECTED = "flow director filter "


class FlowTable:
    """The flow rules of a PF, written again after each reset. layout: which queues are the PF's.

    refill: called with a function that gives the flow director more memory; it runs that while reception is off.
    """

    def __init__(self, bar: Bar, layout: PoolLayout, refill: Callable[[Callable[[], None]], None]) -> None:
        self.bar, self._first, self._refill = bar, layout.pf_queues.start, refill
        self._pool = layout.pf_pool if layout.vfs else None
        self._queues = layout.queues
        self._director = Director(bar, self._pool)
        self._types: list[Flow | None] = [None] * limits.ETYPE_FILTERS
        self._stamped: int | None = None  # EtherType whose packets the chip looks at for PTP messages
        self._stamps_at: int | None = None  # the filter that does only that; None: a rule's does
        self._tuples: list[Flow | None] = [None] * limits.FIVE_TUPLES
        self._directed: dict[int, Flow] = {}
        self._numbers: list[int] = []  # that filters of the flow director had and have no longer
        self._of_match: dict[Match, Flow] = {}
        self._mask: Mask | None = None
        self.memory = 0  # FDIRCTRL.PBALLOC as it is, or will be at the next start
        self.running = False  # whether what is added is written at once
        self.drops = self.directs = (
            False  # whether there has been a rule that drops, or one of the flow director
        )
        self._lock = threading.RLock()

    @property
    def drop_queue(self) -> int:
        """The port's last possible queue, which must not be in use: packets to drop go there."""
        return self._queues - 1

    @property
    def kilobytes(self) -> int:
        """KiB of the packet buffer that the flow director has."""
        return 32 << self.memory if self.memory else 0

    @property
    def all(self) -> list[Flow]:
        """Every rule, in the order in which the chip looks."""
        with self._lock:
            tuples = sorted((f for f in self._tuples if f), key=lambda flow: -flow.priority)
            return [*(f for f in self._types if f), *tuples, *self._directed.values()]

    # ---- add and remove -----------------------------------------------------------------------------------------

    def add(self, match: Match, queue: int | None, priority: int | None, rx_queues: int) -> Flow:
        """Make a rule hold. rx_queues: that there are, or may be. Raises ConfigError and changes nothing."""
        with self._lock:
            self._check_queue(queue, rx_queues)
            if other := self._of_match.get(match):
                raise ConfigError(f"{match}: there is a rule for that already ({other!r}): remove it first")
            if priority is not None and not 0 <= priority < _PRIORITIES:
                raise ConfigError(f"priority={priority}: must be 0 to {_PRIORITIES - 1} (highest)")
            if priority is not None and match.ether_type is not None:
                raise ConfigError(
                    "priority is for 5-tuple filters: EtherType filters come before all of them"
                )
            # The more a rule says, the earlier it is looked at: 1 to 5.
            flow = Flow(match, queue, match.said if priority is None else priority, self.remove)
            self._place(flow, priority is not None)
            self._of_match[match] = flow
            self.drops |= flow.drop
            return flow

    def _place(self, flow: Flow, ranked: bool) -> None:
        match = flow.match
        if match.ether_type is not None:
            self._take(
                flow, self._types, f"all {len(self._types)} EtherType filters are in use: remove one first"
            )
            return
        not_tuple = self._no_tuple(match)
        if not not_tuple:
            self._take(flow, self._tuples, "")
            return
        not_directed = "it has no priorities" if ranked else self._not_directed(match)
        if not_directed:
            raise ConfigError(
                f"{match}: no 5-tuple filter, {not_tuple}; and not by the flow director: {not_directed}"
            )
        self._direct(flow)

    def _take(self, flow: Flow, places: list[Flow | None], full: str) -> None:
        at = self._free_place(places)
        if places is self._types and flow.match.ether_type == self._stamped and self._stamps_at is not None:
            at, self._stamps_at = self._stamps_at, None
        if at is None:
            raise ConfigError(full)
        places[at] = flow
        if self.running:
            self._write(flow, at)
        flow.where = f"{'EtherType' if places is self._types else '5-tuple'} filter {at}"

    def _free_place(self, places: list[Flow | None]) -> int | None:
        taken = self._stamps_at if places is self._types else None
        return next((n for n, flow in enumerate(places) if flow is None and n != taken), None)

    def seek(self, ether_type: int | None) -> None:
        """7.9: packets of that EtherType are looked at for PTP messages, whatever else happens to them; None: none are.

        Raises ConfigError if all EtherType filters are in use.
        """
        with self._lock:
            before, self._stamped = self._stamped, ether_type
            if before == ether_type:
                return
            if before is not None and self._stamps_at is not None:
                if self.running:
                    clear_type(self.bar, self._stamps_at)
                self._stamps_at = None
            carriers = [
                n for n, flow in enumerate(self._types) if flow and flow.match.ether_type == ether_type
            ]
            if ether_type is not None and not carriers:
                self._stamps_at = self._free_place(self._types)
                if self._stamps_at is None:
                    self._stamped = None
                    raise ConfigError(
                        f"no stamps: all {len(self._types)} EtherType filters are in use: remove one first"
                    )
            if self.running:
                self._write_types()

    def _no_tuple(self, match: Match) -> str:
        """Why a 5-tuple filter cannot do it; empty: it can."""
        if match.vlan is not None:
            return "which does not see VLANs"
        for name, network in (("src", match.src), ("dst", match.dst)):
            if network is not None and network.prefixlen < 32:
                return f"which compares whole addresses, not {name}={network}"
        return "" if None in self._tuples else f"all {len(self._tuples)} are in use"

    def _not_directed(self, match: Match) -> str:
        """Why the flow director cannot do it; empty: it can."""
        if (match.src_port, match.dst_port) != (None, None) and match.proto not in ("tcp", "udp"):
            return "it compares ports of tcp and udp alone: say proto"
        wanted = Mask.of(match)
        if self._directed and wanted != self._mask:
            return (
                f"all of its filters compare the same, which is {self._mask} as long as there are any; this is {wanted}. "
                f"Remove its {len(self._directed)} rules first, or say more or less here"
            )
        most = capacity(LARGEST)
        return f"its {most} filters are in use: remove some" if len(self._directed) >= most else ""

    def _direct(self, flow: Flow) -> None:
        number = self._numbers.pop() if self._numbers else len(self._directed)
        if not self._directed:
            self._mask = Mask.of(flow.match)
            if self.running and self.memory:
                self._director.set_mask(self._mask)
        self._directed[number] = flow
        flow.where = f"{_DIRECTED}{number}"
        self.directs = True
        if len(self._directed) > capacity(self.memory):
            self.memory += 1
            if self.running:
                self._refill(self.write_director)
        elif self.running:
            self._write(flow, number)

    def _check_queue(self, queue: int | None, rx_queues: int) -> None:
        if queue is None:
            if rx_queues > self.drop_queue and self.running:
                raise ConfigError(
                    f"nothing can be dropped by rule: that takes an Rx queue that is off, and all {rx_queues} are in use. "
                    f"Start the port with fewer"
                )
        elif not 0 <= queue < rx_queues:
            raise ConfigError(
                f"queue={queue}: this port has Rx queues 0 to {rx_queues - 1}. Name more before it starts: port.rx({queue})"
            )

    def remove(self, flow: Flow) -> None:
        """A rule holds no longer."""
        with self._lock:
            if not flow.where:
                return
            for places, clear in ((self._types, clear_type), (self._tuples, clear_tuple)):
                if flow in places:
                    at = places.index(flow)
                    places[at] = None
                    stays = places is self._types and flow.match.ether_type == self._stamped
                    if stays:
                        self._stamps_at = at
                    if self.running and stays:
                        self._write_types()
                    elif self.running:
                        clear(self.bar, at)
            if flow.where.startswith(_DIRECTED):
                number = int(flow.where.removeprefix(_DIRECTED))
                if self.running:
                    self._director.remove(flow.match, number)
                del self._directed[number]
                self._numbers.append(number)
            self._of_match.pop(flow.match, None)
            flow.where = ""

    # ---- the chip -----------------------------------------------------------------------------------------------

    def check(self, rx_queues: int) -> None:
        """Before a start: whether every rule's queue is there. Raises ConfigError."""
        for flow in self.all:
            if flow.queue is not None and flow.queue >= rx_queues:
                raise ConfigError(
                    f"rule {flow}: this port starts with {rx_queues} Rx queues. Name queue {flow.queue} before "
                    f"(port.rx({flow.queue})), or remove the rule"
                )
            if flow.drop and rx_queues > self.drop_queue:
                raise ConfigError(
                    f"rule {flow}: that takes an Rx queue that is off, and all {rx_queues} are in use. Use fewer queues, or "
                    f"remove the rule"
                )

    def write_filters(self) -> None:
        """7.1.2.3, 7.1.2.5: after a reset, EtherType and 5-tuple filters as they should be; the others are off."""
        self._write_types()
        for at, flow in enumerate(self._tuples):
            if flow is not None:
                self._write(flow, at)

    def _write_types(self) -> None:
        for at, flow in enumerate(self._types):
            if flow is not None:
                self._write(flow, at)
        if self._stamped is not None and self._stamps_at is not None:
            write_type(self.bar, self._stamps_at, self._stamped, None, stamps=True)

    def write_director(self) -> None:
        """7.1.2.7: the flow director with its memory and every filter, while reception is off. Without rules: nothing."""
        if not self.memory or self._mask is None:
            return
        self._director.set_up(self.memory, self._first + self.drop_queue)
        self._director.set_mask(self._mask)
        for number, flow in self._directed.items():
            self._write(flow, number)

    def fit(self) -> None:
        """Before a start: as much memory as the rules that there are need."""
        self.memory = next(m for m in range(LARGEST + 1) if capacity(m) >= len(self._directed))

    def _write(self, flow: Flow, at: int) -> None:
        queue = self._first + (self.drop_queue if flow.queue is None else flow.queue)
        if flow.match.ether_type is not None:
            write_type(self.bar, at, flow.match.ether_type, queue, flow.match.ether_type == self._stamped)
        elif flow in self._tuples:
            write_tuple(self.bar, at, flow.match, queue, flow.priority, self._pool)
        else:
            self._director.add(flow.match, at, queue, flow.drop)
