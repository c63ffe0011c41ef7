# SPDX-License-Identifier: BSD-3-Clause
"""The fast path of a port: one Rx queue, one Tx queue. One lcore at a time polls a queue."""

from dataplane.errors import PortError


cdef class RxQueue(Stage):
    """Where a pipeline begins: packets that arrived at a port. Made by `port.rx(index)`."""

    def __init__(self, port, index):
        self.port = port
        self.index = index

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        return 0

    cdef int check_ready(self) except -1:
        _check_port(self.port, "rx")
        return 0

    def __repr__(self):
        return _name(self.port, "rx", self.index)


cdef class TxQueue(Stage):
    """Where a pipeline ends: packets to send. Made by `port.tx(index)`."""

    def __init__(self, port, index):
        self.port = port
        self.index = index

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        return 0

    cdef void flush(self) noexcept nogil:
        pass

    cdef int check_ready(self) except -1:
        _check_port(self.port, "tx")
        return 0

    def __repr__(self):
        return _name(self.port, "tx", self.index)


def halt(port, tuple queues not None):
    """Set `started` of a port to False, unless a thread polls one of its queues.

    Returns None, or the queue that is polled; then nothing has changed. No thread can claim a queue between the look and
    the change: it would go on polling a port that is taken apart.
    """
    for queue in queues:
        if (<Stage?> queue).poller:
            return queue
    port.started = False
    return None


def _name(port, verb, index):
    return f"<a queue of no port: take one from port.{verb}(0)>" if port is None else f"{port.name}.{verb}({index})"


def _check_port(port, verb):
    """Raise PortError unless that port is there and runs."""
    if port is None:
        raise PortError(f"this queue is of no port: take one from port.{verb}(0)")
    if getattr(port, "closed", False):
        raise PortError(f"{port.name} is closed: probe it again")
    if not getattr(port, "started", True):
        raise PortError(f"{port.name} is not started, so its queues move no packets: start() it first")
