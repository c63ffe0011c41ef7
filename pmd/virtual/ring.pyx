# SPDX-License-Identifier: BSD-3-Clause
"""ring: ports joined by rings between the lcores of a process.

``ring:NAME`` sends into the ring of that name and receives from it: opened once it is a loop, opened twice its two ends.
``ring:A>B`` receives from ring A and sends into ring B, so ``ring:A>B`` and ``ring:B>A`` are the two ends of a cable.
slots: how many packets a ring holds (a power of two, 1024). single: one sender and one receiver, which is faster.
A ring is drained when the last running port on it stops; packets in it count as rx_missed_errors of a port that receives from
it, or as tx_unsent_packets of those that send into it, if none receives.
"""

import threading
import weakref

from dataplane.limits cimport HEADER_AND_FCS_BYTES
from dataplane.machine cimport unlikely
from dataplane.mempool cimport free_packets
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.ring cimport Ring, dequeue_burst, enqueue_burst, ring_t
from dataplane.pmd.virtual.queue cimport VirtualRx, VirtualTx, bytes_of, mbuf, uint16_t, uint64_t, weight

from dataplane.errors import ConfigError, PortError
from dataplane.port import PortInfo
from dataplane.pmd.virtual.port import VirtualPort


cdef class RingRx(VirtualRx):
    cdef ring_t *ring
    cdef Ring _ring

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        n = <uint16_t> dequeue_burst(self.ring, <void **> pkts, n)
        self.packets += n
        self.burst_bytes = bytes_of(pkts, n)
        self.bytes += self.burst_bytes
        return n

    cdef int check_ready(self) except -1:
        RxQueue.check_ready(self)
        return _has_ring(self, self._ring)


cdef class RingTx(VirtualTx):
    cdef readonly uint64_t unsent  # left in the ring, which had no receiver
    cdef ring_t *ring
    cdef Ring _ring

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        # Summed before they are handed over: a receiver on another core may free them at once.
        cdef uint64_t total = weight(self, pkts, n)
        cdef uint16_t took = <uint16_t> enqueue_burst(self.ring, <void **> pkts, n)
        if unlikely(took < n):
            total -= bytes_of(pkts + took, n - took)
        self.packets += took
        self.bytes += total
        return took

    cdef int check_ready(self) except -1:
        TxQueue.check_ready(self)
        return _has_ring(self, self._ring)


cdef int _has_ring(queue, Ring ring) except -1:
    if ring is None:
        raise PortError(f"{queue!r} has no ring: it is none of its port's queues")
    return 0


class _Named:
    """A ring and the ports on it.

    ports: those that are open, as long as something else refers to them. senders, receivers: those with a queue on the ring.
    running: those of them that are started; sets, so that nothing changes if a port is counted twice.
    """

    def __init__(self, name, slots, single):
        self.ring = Ring(slots, single=single, name=name)
        self.single = single
        self.ports = weakref.WeakSet()
        self.running = set()
        self.senders = set()
        self.receivers = set()


_rings = {}
_lock = threading.Lock()


class RingPort(VirtualPort):
    """Receives from one named ring and sends into another, or the same."""

    info = PortInfo("ring", max_rx_queues=1, max_tx_queues=1, max_frame=65535 + HEADER_AND_FCS_BYTES)

    def __init__(self, name, source, target, slots=None, single=None):
        super().__init__(name)
        with _lock:
            self._source = _claim(self, source, slots, single)
            try:
                self._target = _claim(self, target, slots, single)
            except BaseException:
                _release(self, self._source)
                raise

    def _make_rx(self, index):
        self._only_one(self._source, self._source.receivers, "receives from")
        cdef RingRx queue = RingRx(self, index)
        queue._ring = self._source.ring
        queue.ring = queue._ring.ring
        return queue

    def _make_tx(self, index):
        self._only_one(self._target, self._target.senders, "sends into")
        cdef RingTx queue = RingTx(self, index)
        queue._ring = self._target.ring
        queue.ring = queue._ring.ring
        return queue

    def _only_one(self, named, ports, verb):
        with _lock:
            if named.single and ports - {self}:
                other = next(iter(ports - {self})).name
                raise ConfigError(
                    f"{self.name}: {other} {verb} ring {named.ring.name} already: open it without single=on for several"
                )
            ports.add(self)

    @property
    def room(self):
        """The places of the ring that it sends into."""
        return 0, self._target.ring.slots if self._tx else 0

    def _start(self):
        with _lock:
            for named in {self._source, self._target}:
                # A port without a queue moves no packet: none waits in the ring for it.
                if self in named.senders or self in named.receivers:
                    named.running.add(self)
        for queue in self._rx.values():
            queue.attach(None)  # its mbufs come with the packets
        for queue in self._tx.values():
            queue.attach()

    def _stop(self):
        with _lock:
            for named in {self._source, self._target}:
                named.running.discard(self)
                if not named.running and len(named.ring):
                    _drain(named)

    def _counted(self):
        return super()._counted() | {"tx_unsent_packets": sum(queue.unsent for queue in self._tx.values())}

    def _close(self):
        with _lock:
            for named in (self._source, self._target):
                named.receivers.discard(self)
                named.senders.discard(self)
                _release(self, named)


def _claim(port, name, slots, single):
    named = _rings.get(name)
    if named is None or not named.ports:  # none, or the last port on it was forgotten without close()
        named = _rings[name] = _Named(name, 1024 if slots is None else slots, bool(single))
    other_slots = slots is not None and slots != named.ring.slots
    if other_slots or (single is not None and single != named.single):
        raise ConfigError(
            f"{port.name}: {named.ring!r} is there already with other slots or single: say the same, or choose another name"
        )
    named.ports.add(port)
    return named


def _drain(named):
    """Free the packets in a ring that no running port is on. A receiver counts them as missed, or else senders as unsent."""
    cdef mbuf *m
    cdef VirtualRx rx
    cdef RingTx tx
    cdef uint64_t lost = 0, size = 0, share, weighed
    # By `get`: with a second call of dequeue_burst in this module, GCC does not inline it into rx_burst (0.6 ns a packet).
    for address in named.ring.get(named.ring.slots):
        m = <mbuf *> <size_t> address
        size += m.pkt_len
        lost += 1
        free_packets(&m, 1)
    if named.receivers:
        rx = next(iter(named.receivers)).rx()
        rx.missed += lost
        return
    for port in named.senders:
        # The packets do not name their sender: charge one sender after the other, up to the packets that it has put in.
        tx = port.tx()
        share = min(lost, tx.packets)
        weighed = min(size if share == lost else size * share // lost, tx.bytes)
        tx.unsent += share
        tx.packets -= share
        tx.bytes -= weighed
        lost -= share
        size -= weighed
        if lost == 0:
            return


def _release(port, named):
    named.ports.discard(port)
    if not named.ports and _rings.get(named.ring.name) is named:
        del _rings[named.ring.name]


def open_port(spec):
    """``ring:NAME``, ``ring:A>B``, with slots=N and single=on."""
    source, arrow, target = spec.target.partition(">")
    if not source or (arrow and not target):
        raise ConfigError(f"{spec.text}: a ring has a name: write ring:NAME, or ring:A>B to receive from A and send into B")
    slots, single = spec.integer("slots", 1024), spec.flag("single", False)
    spec.done()
    said = spec.options
    return RingPort(
        spec.text, source, target or source, slots if "slots" in said else None, single if "single" in said else None
    )
