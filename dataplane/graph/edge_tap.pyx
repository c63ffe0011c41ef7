# SPDX-License-Identifier: BSD-3-Clause
"""EdgeTap: the app that a tap puts on an edge. Passes packets on, and then sends copies of them elsewhere.

The original never waits for a copy: if the pool has no mbuf, the packet goes on without one. The apps that get the copies
run after those that get the original.
"""

from libc.stdint cimport uint16_t

from dataplane.app cimport App, emit, pass_on
from dataplane.graph.copying cimport copy_packet
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.machine cimport likely
from dataplane.mbuf cimport mbuf
from dataplane.mempool cimport Mempool

from dataplane.errors import ConfigError, GraphError

cdef enum:
    OUT = 0  # edges
    COPY = 1
    NO_MBUF = 0  # drops
    MBUFS = 4096


cdef class EdgeTap(App):
    """Edges: "out" for the original, "copy". A copy for which there is no mbuf is dropped as "no_mbuf".

    name: in reports; mempool: where copies come from, None: a pool of 4,096 mbufs, made before the run or when the tap is set.
    """

    edges = ("out", "copy")
    drops = ("no_mbuf",)

    cdef readonly Mempool mempool

    def __init__(self, name="tap", mempool=None):
        if self.mempool is not None:
            raise ConfigError(f"{self!r} is made already: make another EdgeTap")
        if mempool is not None and not isinstance(mempool, Mempool):
            raise ConfigError(f"mempool={mempool!r}: expected a Mempool, or None for one of its own")
        if not isinstance(name, str) or not name:
            raise ConfigError(f"name={name!r}: expected the name of a tap in reports")
        self.name, self.mempool = name, mempool

    def prepare(self):
        """Make its pool, in the thread that starts the run: the lcore goes on meanwhile."""
        if self.mempool is None:
            self.mempool = Mempool(MBUFS, name=self.name)

    cdef int check_ready(self) except -1:
        if self.mempool is None:
            raise GraphError(f"{self!r} has no mempool: call prepare() first")
        return 0

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef mbuf *copies[BURST_MAX_PACKETS]
        cdef uint16_t i, filled = 0
        for i in range(n):
            copies[filled] = copy_packet(self.mempool.pool, pkts[i])
            filled += likely(copies[filled] != NULL)
        self.made += n
        self.dropped[NO_MBUF] += n - filled
        pass_on(self, OUT, pkts, n)
        if likely(filled):
            emit(self, COPY, copies, filled)
