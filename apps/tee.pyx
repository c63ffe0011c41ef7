# SPDX-License-Identifier: BSD-3-Clause
"""Tee: passes every packet on and sends copies of it elsewhere.

The copies are deep: the apps that get them may change them. They are made before the original is passed on.
"""

from libc.stdint cimport uint16_t, uint32_t

from dataplane.app cimport MAX_EDGES, App, emit
from dataplane.graph.copying cimport copy_packet
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.machine cimport unlikely
from dataplane.mbuf cimport mbuf
from dataplane.mempool cimport Mempool

from dataplane.errors import ConfigError

cdef enum:
    NO_MBUF = 0


cdef class Tee(App):
    """Edges: "out" for the original, then "copy" (copies=1) or "copy1", "copy2", ...; the copies' edges may stay open.

    mempool: where copies come from; None: a pool of its own. A copy for which there is no mbuf is dropped as "no_mbuf";
    the original goes on in any case. Raises ConfigError.
    """
    drops = ("no_mbuf",)

    cdef readonly tuple edges
    cdef readonly tuple optional
    cdef readonly Mempool mempool
    cdef uint32_t copies

    def __init__(self, copies=1, mempool=None):
        if isinstance(copies, bool) or not isinstance(copies, int) or not 1 <= copies < MAX_EDGES:
            raise ConfigError(f"copies={copies!r}: a Tee makes 1 to {MAX_EDGES - 1} copies")
        if self.mempool is not None:
            raise ConfigError(f"{self!r} is made already: make another Tee")
        if mempool is not None and not isinstance(mempool, Mempool):
            raise ConfigError(f"mempool={mempool!r}: expected a Mempool, or None for one of its own")
        self.copies = copies
        self.optional = ("copy",) if copies == 1 else tuple(f"copy{number + 1}" for number in range(copies))
        self.edges = ("out", *self.optional)
        self.mempool = mempool if mempool is not None else Mempool(8192, name="tee")

    def clone(self):
        """One with as many copies, from the same mempool."""
        return type(self)(self.copies, self.mempool)

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef mbuf *made[BURST_MAX_PACKETS]
        cdef uint32_t edge
        cdef uint16_t i, filled
        for edge in range(1, self.copies + 1):
            filled = 0
            if self.out[edge].app == NULL:
                continue
            self.made += n
            for i in range(n):
                made[filled] = copy_packet(self.mempool.pool, pkts[i])
                if unlikely(made[filled] == NULL):
                    self.dropped[NO_MBUF] += 1
                else:
                    filled += 1
            if filled:
                emit(self, edge, made, filled)
        emit(self, 0, pkts, n)
