# SPDX-License-Identifier: BSD-3-Clause
"""The app contract. *The app owns the burst: each mbuf is emitted once on an edge, or dropped once with a name.*"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.machine cimport likely
from dataplane.mbuf cimport bytes_of, mbuf
from dataplane.mempool cimport free_packets
from dataplane.stage cimport Stage

cdef enum:
    MAX_EDGES = 16
    MAX_DROPS = 16
    # The last two drops of every app have fixed names; an app names at most 14 of its own.
    DROP_ERROR = MAX_DROPS - 2        # "error": its Python code raised
    DROP_UNCONNECTED = MAX_DROPS - 1  # "unconnected": an optional edge that leads nowhere
    # `fault` of an app whose Python code raised; `_error` has the exception.
    FAULT_RAISED = -1


cdef struct edge_t:
    void *app        # the App behind this edge; NULL: unconnected. `_behind` keeps it alive.
    uint64_t packets
    uint64_t bytes   # without FCS
    uint64_t bursts


cdef class App(Stage):
    """A stage in a pipeline: takes a burst, emits bursts.

    Class attributes, each a tuple of str:

    - ``edges``: the names of its exits, ("out",) by default.
    - ``optional``: edges that may stay unconnected. Packets for them are freed and counted as the drop "unconnected".
    - ``drops``: the names of its drop reasons.
    - ``consumes``: drop reasons that are the purpose of the app, as of a sink. Reports do not count them as dropped.
    """
    cdef edge_t out[MAX_EDGES]
    # Bytes of the burst that `push` was called with, if the app that emitted it counted them; otherwise 0. See `pass_on`.
    cdef uint64_t incoming
    cdef uint64_t dropped[MAX_DROPS]
    # Packets that `push` added to those it was given: copies, answers. For the balance of a run.
    cdef uint64_t made
    cdef public object name
    cdef object _error
    cdef object _burst
    cdef object _process  # the bound method, from the first burst of a run to its end
    cdef dict _behind     # by edge: the App that its pointer leads to

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil
    # Flush what was held back. The lcore calls it once a loop that polled nothing anywhere, and now and then under load.
    cdef void idle(self) noexcept nogil


cdef class Source(App):
    """An app that makes bursts by itself: `poll` emits at most `burst` packets and returns how many."""
    cdef public uint16_t burst
    # Set by poll when there will be no more packets (count reached, file at its end): the lcore may stop.
    cdef bint done

    cdef uint16_t poll(self) noexcept nogil


# Emit a burst on an edge / drop it under a name (an index into `drops`).
cdef inline void emit(App self, unsigned int edge, mbuf **pkts, uint16_t n) noexcept nogil:
    emit_bytes(self, edge, pkts, n, bytes_of(pkts, n))


# The same for who knows how many bytes it is.
cdef inline void emit_bytes(App self, unsigned int edge, mbuf **pkts, uint16_t n, uint64_t total) noexcept nogil:
    cdef edge_t *out = &self.out[edge]
    if likely(out.app != NULL):
        out.packets += n
        out.bytes += total
        out.bursts += 1
        (<App> out.app).incoming = total
        (<App> out.app).push(pkts, n)
    else:
        lost(self, pkts, n)


# The same for a whole burst as it came, all lengths unchanged: what it weighs has been found out already.
cdef inline void pass_on(App self, unsigned int edge, mbuf **pkts, uint16_t n) noexcept nogil:
    cdef uint64_t total = self.incoming
    self.incoming = 0
    emit_bytes(self, edge, pkts, n, total if likely(total != 0) else bytes_of(pkts, n))


cdef inline void drop(App self, unsigned int reason, mbuf **pkts, uint16_t n) noexcept nogil:
    self.dropped[reason] += n
    free_packets(pkts, n)


# An optional edge with nothing behind it.
cdef void lost(App self, mbuf **pkts, uint16_t n) noexcept nogil

# Emit or drop each packet by its own fate: 0 .. MAX_EDGES - 1 an edge, MAX_EDGES + r the drop r. Keeps their order.
cdef void split(App self, mbuf **pkts, uint16_t n, const uint8_t *fate) noexcept nogil

# For the engine, before and after a run. `connect` takes the index of an edge; `reset` zeroes counters and errors. Both raise
# GraphError for an app that must not be touched: `connect` beyond its edges, `reset` while it is polled. `disconnect` returns
# what the edges led to. Letting go of that may run Python, and so may other threads: do it when the last app is disconnected.
cdef int connect(App self, unsigned int edge, App to) except -1
cdef object disconnect(App self)
cdef int reset(App self) except -1
