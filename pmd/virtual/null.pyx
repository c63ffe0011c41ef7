# SPDX-License-Identifier: BSD-3-Clause
"""null: an endless source of packets, and a sink that forgets them: ``null:`` or ``null:size=1500,zero=on``.

size: bytes of a frame without FCS, 64 by default. zero: fill each frame with zeroes, for 3 cycles a packet; without it
a frame holds what its buffer held before: zeroes from a new mempool.
"""

from libc.string cimport memset

from dataplane.limits cimport ETHERNET_HEADER_BYTES, FCS_BYTES
from dataplane.machine cimport unlikely
from dataplane.mbuf cimport data
from dataplane.mempool cimport free_bulk, free_packets
from dataplane.pmd.virtual.queue cimport VirtualRx, VirtualTx, arrived, mbuf, mempool_t, take, uint16_t, uint32_t, uint64_t, weight

from dataplane.errors import ConfigError, PortError
from dataplane.mempool import Mempool
from dataplane.port import PortInfo
from dataplane.pmd.portstring import PortString
from dataplane.pmd.virtual.port import VirtualPort

cdef enum:
    LONGEST = 16384  # bytes of a frame without FCS


cdef class NullRx(VirtualRx):
    cdef uint32_t size
    cdef bint zero

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint32_t size = self.size
        cdef uint32_t clear = size if self.zero else 0
        cdef uint32_t at
        cdef uint16_t i
        if unlikely(self.pool == NULL):
            return 0
        n = take(self, pkts, n)
        for i in range(n):
            arrived(pkts[i], size)
            for at in range(0, clear, 64):  # data rooms are whole multiples of it
                memset(data(pkts[i]) + at, 0, 64)
        self.packets += n
        self.burst_bytes = <uint64_t> n * size
        self.bytes += self.burst_bytes
        return n

    cdef int check_ready(self) except -1:
        VirtualRx.check_ready(self)
        if self.size > self.pool.data_room:
            raise PortError(f"{self!r}: its frames of {self.size} bytes do not fit {self._mempool!r}: give it a larger data_room")
        return 0


cdef class NullTx(VirtualTx):
    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint64_t total = weight(self, pkts, n), odd = 0
        cdef mempool_t *pool
        cdef uint16_t i
        if unlikely(n == 0):
            return 0
        pool = pkts[0].pool
        for i in range(n):
            odd |= <uint64_t> pkts[i].next | (<uint64_t> pkts[i].pool ^ <uint64_t> pool)
        if unlikely(odd):
            free_packets(pkts, n)
        else:
            free_bulk(pool, pkts, n)
        self.packets += n
        self.bytes += total
        return n


class NullPort(VirtualPort):
    """Rx never ends, Tx forgets. size: bytes of the frames it makes; zero: whether they are cleared."""

    info = PortInfo("null", max_rx_queues=64, max_tx_queues=64, max_frame=LONGEST + FCS_BYTES)

    def __init__(self, name, size=64, zero=False):
        super().__init__(name)
        if not ETHERNET_HEADER_BYTES <= size <= LONGEST:
            raise ConfigError(f"{name}: size={size}: must be {ETHERNET_HEADER_BYTES} (a bare Ethernet header) to {LONGEST} bytes")
        self.size = size
        self.zero = zero

    @property
    def mempool(self):
        """Where Rx takes its mbufs from; one of its own has room for a whole frame."""
        if self._mempool is None:
            self._mempool = Mempool(2048, data_room=max(2048, -(-self.size // 64) * 64), name=f"{self.name}-pool")
        return self._mempool

    def _make_rx(self, index):
        cdef NullRx queue = NullRx(self, index)
        queue.size = self.size
        queue.zero = self.zero
        return queue

    def _make_tx(self, index):
        return NullTx(self, index)

    def _start(self):
        if self.rx_queues and self.mempool.data_room < self.size:
            raise ConfigError(
                f"{self.name}: frames of {self.size} bytes do not fit {self.mempool!r}: configure a mempool with a larger "
                "data_room"
            )
        super()._start()


def open_port(spec):
    """``null:``, ``null:size=1500,zero=on``."""
    if spec.target:  # nothing stands between the colon and the options
        spec = PortString.parse(spec.text, spec.scheme, f",{spec.text.partition(':')[2]}")
    if spec.target:
        raise ConfigError(f"{spec.text}: a null port has no target: write null: or null:size=64")
    size, zero = spec.integer("size", 64), spec.flag("zero", False)
    spec.done()
    return NullPort(spec.text, size, zero)
