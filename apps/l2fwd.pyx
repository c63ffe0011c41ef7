# SPDX-License-Identifier: BSD-3-Clause
"""L2Fwd: passes every packet on, with new MAC addresses if some are given. Which port leads where is the pipeline's word."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from dataplane.app cimport App, pass_on
from dataplane.mbuf cimport mbuf

from dataplane.port import parse_mac

cdef extern from *:
    """
    #include <string.h>
    #include "dataplane.h"

    static inline void l2fwd_write(struct dp_mbuf **pkts, uint32_t n, uint32_t at, uint32_t bytes, const uint8_t *header)
    {
        uint8_t here[12]; /* in registers: a frame could lie over the header, for all the compiler knows */
        memcpy(here, header + at, bytes);
        #pragma GCC unroll 4
        for (uint32_t i = 0; i < n; i++)
            memcpy((uint8_t *)pkts[i]->buf_addr + pkts[i]->data_off + at, here, bytes);
    }
    """
    # `bytes` of the header, from `at` on, into each frame; inline, as both are constants where it is called.
    void write "l2fwd_write" (mbuf **pkts, uint32_t n, uint32_t at, uint32_t bytes, const uint8_t *header) noexcept nogil

UNUSED = "00:00:00:00:00:00"


cdef class L2Fwd(App):
    """Forward; src and dst are MAC addresses ("02:00:00:00:00:01") to write, None leaves what is there."""
    edges = ("out",)

    cdef readonly str src
    cdef readonly str dst
    cdef uint8_t header[16]  # dst and src as the frame has them
    cdef bint write_src
    cdef bint write_dst

    def __init__(self, src=None, dst=None):
        self.src = src
        self.dst = dst
        self.write_src = src is not None
        self.write_dst = dst is not None
        cdef bytes both = parse_mac(UNUSED if dst is None else dst) + parse_mac(UNUSED if src is None else src)
        memcpy(self.header, <const char *> both, 12)

    def clone(self):
        """One with the same addresses."""
        return type(self)(self.src, self.dst)

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        if self.write_dst and self.write_src:
            write(pkts, n, 0, 12, self.header)
        elif self.write_src:
            write(pkts, n, 6, 6, self.header)
        elif self.write_dst:
            write(pkts, n, 0, 6, self.header)
        pass_on(self, 0, pkts, n)

    def __repr__(self):
        return f"L2Fwd(src={self.src!r}, dst={self.dst!r})" if self.src or self.dst else "L2Fwd()"
