# SPDX-License-Identifier: BSD-3-Clause
"""The app contract: a stage in a pipeline takes a burst and emits bursts."""


cdef class App(Stage):
    edges = ("out",)
    optional = ()
    drops = ()

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        pass

    cdef void idle(self) noexcept nogil:
        pass


cdef class Source(App):
    cdef uint16_t poll(self) noexcept nogil:
        return 0


cdef void lost(App self, mbuf **pkts, uint16_t n) noexcept nogil:
    self.dropped[MAX_DROPS - 1] += n
    free_packets(pkts, n)
