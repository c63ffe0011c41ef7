# SPDX-License-Identifier: BSD-3-Clause
"""What the engine puts round a queue so that it is an app like any other: the head and the tail of a pipeline.

A Tx queue may be full. The tail tries again as long as the queue makes progress, and for `PATIENCE_US` without any; what is
left then is dropped as "tx_full". A lossless pipeline tries until the lcore is stopped, and what is left then is dropped as
"stopped". A queue that has failed gets no second try.
"""

from dataplane.clock cimport tsc_hz
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.machine cimport likely, pause, tsc, unlikely
from dataplane.mbuf cimport bytes_of

from dataplane.app cimport drop, emit_bytes

from dataplane.errors import ConfigError, GraphError

cdef extern from "<sched.h>" nogil:
    int sched_yield()


cdef enum:
    PATIENCE_US = 100
    SPINS = 64  # polls before it yields the core, perhaps to the thread of the model

cdef double LOOK_SECONDS = 0.1


cdef class RxStage(Source):
    """The head of a pipeline: polls an Rx queue."""

    def __init__(self, RxQueue queue not None, uint16_t burst=32):
        if self.queue is not None:
            raise ConfigError(f"{self!r} is made already: make another RxStage")
        if not 1 <= burst <= BURST_MAX_PACKETS:
            raise ConfigError(f"{queue!r}: a burst of {burst}: expected 1 to {BURST_MAX_PACKETS}")
        self.queue = queue
        self.burst = burst
        self.name = repr(queue)

    cdef uint16_t poll(self) noexcept nogil:
        cdef mbuf *pkts[BURST_MAX_PACKETS]
        cdef uint16_t n = self.queue.rx_burst(pkts, min(self.burst, <uint16_t> BURST_MAX_PACKETS))
        if likely(n):
            emit_bytes(self, 0, pkts, n, self.queue.burst_bytes or bytes_of(pkts, n))
        elif unlikely(self.queue.exhausted):
            self.done = True
        return n

    cdef int check_ready(self) except -1:
        if self.queue is None:
            raise GraphError(f"{self!r} has no queue: give RxStage one")
        return 0


cdef class TxStage(App):
    """The tail of a pipeline: hands packets to a Tx queue. lossless: wait for room until the lcore is stopped."""

    edges = ()
    drops = ("tx_full", "stopped")

    def __init__(self, TxQueue queue not None, bint lossless=False):
        if self.queue is not None:
            raise ConfigError(f"{self!r} is made already: make another TxStage")
        self.queue = queue
        self.name = repr(queue)
        self.be_lossless(lossless)

    def be_lossless(self, bint lossless):
        """Wait for room until the lcore is stopped; or not, and drop as "tx_full". Not while a thread polls it."""
        if self.poller:
            raise GraphError(f"{self!r} is polled by thread {self.polled_by}: stop that run first")
        self.patience = 0 if lossless else <uint64_t> (tsc_hz() * 1e-6 * PATIENCE_US)

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t sent
        self.queue.burst_bytes = self.incoming
        self.incoming = 0
        sent = self.queue.tx_burst(pkts, n)
        self.sent += sent
        if unlikely(sent < n):
            self._wait(pkts + sent, n - sent)

    cdef void _wait(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t patience = self.patience
        cdef uint64_t since = tsc()
        cdef uint64_t look_cycles = <uint64_t> (LOOK_SECONDS * tsc_hz())
        cdef uint32_t spins = 0
        cdef uint16_t sent
        self.retries += 1
        if self.halt == NULL and patience == 0:
            patience = <uint64_t> (tsc_hz() * 1e-6 * PATIENCE_US)
        while not self.queue.fault:
            self.queue.burst_bytes = 0
            self.queue.flush()
            sent = self.queue.tx_burst(pkts, n)
            self.sent += sent
            pkts += sent
            n -= sent
            if n == 0:
                return
            if sent:
                since = tsc()
            elif tsc() - self.looked > look_cycles:
                self.looked = tsc()
                self.queue.look()
            elif patience and tsc() - since > patience:
                drop(self, DROP_TX_FULL, pkts, n)
                return
            # Whatever time this takes, there is another try after it: the one who makes room may have had our core.
            spins += 1
            if spins < SPINS:
                pause()
            else:
                sched_yield()
            if self.halt != NULL and self.halt[0]:
                drop(self, DROP_STOPPED, pkts, n)
                return
        drop(self, DROP_TX_FULL, pkts, n)

    cdef void idle(self) noexcept nogil:
        self.queue.flush()

    cdef int check_ready(self) except -1:
        if self.queue is None:
            raise GraphError(f"{self!r} has no queue: give TxStage one")
        return 0
