# SPDX-License-Identifier: BSD-3-Clause
"""L2Fwd: passes every packet on, with new MAC addresses if some are given. Which port leads where is the pipeline's word."""

from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy

from dataplane.app cimport App, emit
from dataplane.mbuf cimport data, mbuf

from dataplane.port import parse_mac

UNUSED = "00:00:00:00:00:00"


cdef class L2Fwd(App):
    """Forward; src and dst are MAC addresses ("02:00:00:00:00:01") to write, None leaves what is there."""
    edges = ("out",)

    cdef readonly str src
    cdef readonly str dst
    cdef uint8_t header[16]  # dst and src as they stand in the frame
    cdef bint write_src
    cdef bint write_dst

    def __init__(self, src=None, dst=None):
        self.src = src
        self.dst = dst
        self.write_src = src is not None
        self.write_dst = dst is not None
        cdef bytes both = parse_mac(UNUSED if dst is None else dst) + parse_mac(UNUSED if src is None else src)
        memcpy(self.header, <const char *> both, 12)

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t i
        if self.write_dst and self.write_src:
            for i in range(n):
                memcpy(data(pkts[i]), self.header, 12)
        elif self.write_src:
            for i in range(n):
                memcpy(data(pkts[i]) + 6, &self.header[6], 6)
        elif self.write_dst:
            for i in range(n):
                memcpy(data(pkts[i]), self.header, 6)
        emit(self, 0, pkts, n)

    def __repr__(self):
        return f"L2Fwd(src={self.src!r}, dst={self.dst!r})" if self.src or self.dst else "L2Fwd()"
