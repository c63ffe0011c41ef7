# SPDX-License-Identifier: BSD-3-Clause
"""The fast path of a port: one Rx queue, one Tx queue. One lcore at a time polls a queue."""


cdef class RxQueue(Stage):
    """Where a pipeline begins: packets that arrived at a port. Made by `port.rx(index)`."""

    def __init__(self, port, index):
        self.port = port
        self.index = index

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        return 0

    def __repr__(self):
        return f"{self.port.name}.rx({self.index})"


cdef class TxQueue(Stage):
    """Where a pipeline ends: packets to send. Made by `port.tx(index)`."""

    def __init__(self, port, index):
        self.port = port
        self.index = index

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        return 0

    cdef void flush(self) noexcept nogil:
        pass

    def __repr__(self):
        return f"{self.port.name}.tx({self.index})"
