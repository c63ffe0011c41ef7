# SPDX-License-Identifier: BSD-3-Clause
"""Tee: passes every packet on and sends copies of it elsewhere.

The copies are deep, so whoever gets one may change it. They are made before the original is passed on.
"""

from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy

from dataplane.app cimport MAX_BURST, MAX_EDGES, App, emit
from dataplane.machine cimport unlikely
from dataplane.mbuf cimport copy_out, data, mbuf, rearm, set_single
from dataplane.mempool cimport Mempool, alloc_bulk, free_packets

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

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef mbuf *made[MAX_BURST]
        cdef uint32_t edge
        cdef uint16_t i, filled
        for edge in range(1, self.copies + 1):
            filled = 0
            if self.out[edge].app == NULL:
                continue
            self.made += n
            for i in range(n):
                made[filled] = self._copy(pkts[i])
                if unlikely(made[filled] == NULL):
                    self.dropped[NO_MBUF] += 1
                else:
                    filled += 1
            if filled:
                emit(self, edge, made, filled)
        emit(self, 0, pkts, n)

    cdef mbuf *_copy(self, mbuf *source) noexcept nogil:
        """A packet with the same bytes and metadata, or NULL."""
        cdef mbuf *first = NULL
        cdef mbuf *last = NULL
        cdef mbuf *m
        cdef uint32_t at = 0, here
        while first == NULL or at < source.pkt_len:
            if unlikely(alloc_bulk(self.mempool.pool, &m, 1)):
                if first != NULL:
                    free_packets(&first, 1)
                return NULL
            here = min(self.mempool.pool.data_room, source.pkt_len - at)
            rearm(m, source.port)
            set_single(m, copy_out(source, at, data(m), here))
            at += here
            if first == NULL:
                first = m
            else:
                last.next = m
                first.nb_segs += 1
            last = m
        # Everything the NIC said of the packet and the offloads asked of the next one.
        first.ol_flags = source.ol_flags
        first.packet_type = source.packet_type
        first.pkt_len = source.pkt_len
        first.vlan_tci = source.vlan_tci
        first.vlan_tci_outer = source.vlan_tci_outer
        first.rss_hash = source.rss_hash
        first.l2_len = source.l2_len
        first.l3_len = source.l3_len
        first.l4_len = source.l4_len
        first.tso_segsz = source.tso_segsz
        first.timestamp_ns = source.timestamp_ns
        first.cut_len = source.cut_len
        memcpy(first.user, source.user, sizeof(source.user))
        return first
