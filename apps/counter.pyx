# SPDX-License-Identifier: BSD-3-Clause
"""Counter and Sink: a place to read how much came by, and a place for it to end."""

from libc.stdint cimport uint16_t, uint64_t

from dataplane.app cimport App, drop, pass_on
from dataplane.mbuf cimport mbuf


cdef class Counter(App):
    """Passes every packet on; its edge counts them."""
    edges = ("out",)

    def clone(self):
        """One that counts for itself."""
        return type(self)()

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        pass_on(self, 0, pkts, n)

    @property
    def packets(self):
        """Packets that came by."""
        return self.out[0].packets

    @property
    def bytes(self):
        """Bytes of those packets, without FCS."""
        return self.out[0].bytes


cdef class Sink(App):
    """The end of a pipeline whose packets are no longer wanted: frees them, as "done"."""
    edges = ()
    drops = ("done",)
    consumes = drops

    cdef readonly uint64_t bytes  # without FCS

    def clone(self):
        """One that counts for itself."""
        return type(self)()

    def start(self):
        """Count from 0 on."""
        self.bytes = 0

    @property
    def packets(self):
        """Packets that ended here since the run began."""
        return self.dropped[0]

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t i
        for i in range(n):
            self.bytes += pkts[i].pkt_len
        drop(self, 0, pkts, n)
