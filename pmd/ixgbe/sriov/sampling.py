# SPDX-License-Identifier: BSD-3-Clause
"""Observes VFs for a moment, for `vf explain` (datasheet 7.10.3, 8.2.3.23, 8.2.3.27).

All VFs share two counters: SSVPC, frames dropped by the spoof check, and a set of queue counters for frames dropped because
there was no descriptor. To tell the VFs apart, both count for one VF at a time. All figures are totals of `Counters`, so
other readers of counters do not change them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from dataplane.pmd.datasheet import PVFGPRC, PVFGPTC, RDH, RDT, TDH, TDLEN, limits
from dataplane.pmd.ixgbe.counters import VF_DROPS
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.sriov.table import VfTable

__all__ = ["VfSample", "VfSampler"]

SAMPLE_TIME = 0.25  # seconds
SHARE_TIME = 0.05  # of one VF, when several are suspected

T = TypeVar("T")


@dataclass(frozen=True)
class VfSample:
    """The events of `seconds`.

    spoofed: frames of this VF that the spoof check dropped. no_buffers: frames to it dropped because there was no
    descriptor. tx_moved: Tx descriptors done. sent, received: frames. oversize: frames from the wire that were too long.

    lent: the seconds for which drops were counted, 0: all of them.
    """

    seconds: float = 0.0
    spoofed: int = 0
    no_buffers: int = 0
    tx_moved: int = 0
    sent: int = 0
    received: int = 0
    oversize: int = 0
    lent: float = 0.0

    @property
    def drop_seconds(self) -> float:
        """For how long drops were counted."""
        return self.lent or self.seconds


class VfSampler:
    """Watches VFs of a port, one measurement at a time: a second one waits."""

    def __init__(self, table: VfTable) -> None:
        self.table, self.bar = table, table.bar
        self._turn = threading.Lock()

    def sample(self, states: Sequence[VfState]) -> dict[int, VfSample]:
        """Observe these VFs. Returns a sample by number, except for a port that went down meanwhile. Raises DeviceGone.

        It is done by a thread of its own: an interrupt of the caller (Ctrl-C) cannot come between lending and giving back.
        """
        return _apart(f"{self.table.name}-sample", lambda: self._sample(states))

    def _sample(self, states: Sequence[VfState]) -> dict[int, VfSample]:
        with self._turn:
            if len(states) == 1:
                with self._lent(states[0]):
                    return self._watch(states, SAMPLE_TIME)
            seen = self._watch(states, SAMPLE_TIME)
            # After all VFs together, sample only those alone that may have lost frames.
            for state in states:
                found = seen.get(state.number)
                if found and self._suspected(state, found):
                    with self._lent(state):
                        alone = self._watch([state], SHARE_TIME).get(state.number)
                    if alone:
                        seen[state.number] = replace(
                            found, spoofed=alone.spoofed, no_buffers=alone.no_buffers, lent=alone.seconds
                        )
                elif found:
                    seen[state.number] = replace(found, spoofed=0, no_buffers=0)
            return seen

    def _suspected(self, state: VfState, seen: VfSample) -> bool:
        """Whether drops of all VFs can be this one's."""
        if seen.spoofed and seen.tx_moved > seen.sent:
            return True
        queues = self.table.layout.queues_of(state.number)
        return bool(seen.no_buffers) and any(self.bar.read(RDH[q]) == self.bar.read(RDT[q]) for q in queues)

    @contextmanager
    def _lent(self, state: VfState) -> Iterator[None]:
        """Both counters are this VF's until the block ends, whatever ends it. Meanwhile drops of others go uncounted."""
        table = self.table
        with table.lock:
            epoch = table.epoch
        try:
            self._lend(state.number, epoch)
            yield
        finally:
            self._lend(None, epoch)

    def _lend(self, number: int | None, epoch: int) -> None:
        table = self.table
        with table.lock:
            if not table.up or table.epoch != epoch:
                return  # the port went down: its start lends nothing, and registers may be in reset
            table.lent = number
            table.counters.lend(range(0) if number is None else table.layout.queues_of(number))
            table.count_spoofed()

    def _watch(self, states: Sequence[VfState], seconds: float) -> dict[int, VfSample]:
        table = self.table
        with table.lock:
            if not table.up:
                return {}
            epoch = table.epoch
            before, ports = {state.number: self._figures(state) for state in states}, self._port_figures()
        self.bar.sleep(seconds)
        with table.lock:
            if not table.up or table.epoch != epoch:
                return {}
            spoofed, no_buffers, oversize = (
                now - then for now, then in zip(self._port_figures(), ports, strict=True)
            )
            return {
                state.number: VfSample(
                    seconds, spoofed, no_buffers, *self._difference(state, before[state.number]), oversize
                )
                for state in states
            }

    def _port_figures(self) -> tuple[int, int, int]:
        counters = self.table.counters
        counters.collect()
        drops = VF_DROPS if self.table.lent is None else VF_DROPS[1:]
        return (
            counters.total("vf_spoofed_packets"),
            counters.total(*drops),
            counters.total("rx_oversize_errors"),
        )

    def _figures(self, state: VfState) -> list[int]:
        """9.4: frames that it has sent and received, which wrap, and the heads of its Tx queues."""
        read, number = self.bar.read, state.number
        heads = [read(TDH[queue]) for queue in self.table.layout.queues_of(number)]
        return [read(PVFGPTC[number]), read(PVFGPRC[number]), *heads]

    def _difference(self, state: VfState, before: list[int]) -> tuple[int, int, int]:
        """Tx descriptors done, frames sent and received."""
        now = self._figures(state)
        moved = 0
        for queue, head, then in zip(
            self.table.layout.queues_of(state.number), now[2:], before[2:], strict=True
        ):
            moved += (head - then) % max(self.bar.read(TDLEN[queue]) // limits.DESCRIPTOR_SIZE, 1)
        return moved, now[0] - before[0] & 0xFFFF_FFFF, now[1] - before[1] & 0xFFFF_FFFF


def _apart(name: str, work: Callable[[], T]) -> T:
    """Do it in a thread, and wait for that."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return outcome.result()
