# SPDX-License-Identifier: BSD-3-Clause
"""The Rx queue of an 82599, for PF and VF.

`rx_burst` runs for each burst. It accesses the descriptors, `sw` (the mbuf of each descriptor), the first cache line of each
mbuf, and one register: the tail. The kernels (kernel.h) take the usual packets, as many at once as the CPU's vectors allow.
This module does the rest: wraps, mempools, packets in several buffers.
The port attaches memory to the queue before it enables the NIC's queue, and detaches it after it has disabled that. A detached
queue receives nothing.
"""

cimport cython
from libc.errno cimport ENODEV
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from dataplane.files.eventfd cimport send_signal
from dataplane.machine cimport read64, rmb, unlikely
from dataplane.mbuf cimport MBUF_HEADROOM, MBUF_REARM
from dataplane.mempool cimport Mempool, alloc_bulk, free_packets
from dataplane.pmd.datasheet.hw82599 cimport *
from dataplane.pmd.ixgbe.queues.checks cimport check_out, check_port, length_of
from dataplane.pmd.ixgbe.queues.gate cimport enter, leave, pause_gate, resume_gate
from dataplane.pmd.ixgbe.queues.kernels cimport AHEAD, kernels_of, one_by_one, set_meta
from dataplane.pmd.ixgbe.queues.leftover cimport count_received
from dataplane.pmd.ixgbe.queues.merged cimport begin_merging, end_merging, take_merged
from dataplane.pmd.ixgbe.queues.tail cimport GONE_MASK, is_gone, move_tail, tail_at, tail_t

from dataplane.errors import MempoolError
from dataplane.pmd.ixgbe.errors import queue_gone

cdef enum:
    BATCH = 32              # mbufs moved between queue and pool at once

cdef const kernels_t *scalar = kernels_of("scalar")

# The descriptor ring and the tail of a detached queue: no packet arrives in the ring, and no device reads the tail.
cdef hw_rx_desc[2] nothing
cdef mbuf *nobody[2 + AHEAD]
cdef uint32_t nowhere = 0


@cython.final
cdef class IxgbeRxQueue(RxQueue):
    """An Rx queue with advanced one-buffer descriptors (datasheet 7.1.6, 7.1.9)."""

    def __cinit__(self):
        self._idle()

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        if unlikely(not enter(&self.gate)):
            return 0
        # An empty poll costs only these lines: no call, and no register is saved.
        if (
            read64(&self.ring[self.next].qword[1]) & HW_RXD_STAT_DD == 0
            and self.missing < self.threshold
            and self.patience
        ):
            self.patience -= 1
            leave(&self.gate)
            return 0
        return self.receive(pkts, n)

    cdef void look(self) noexcept nogil:
        if enter(&self.gate):  # a port that stops takes the register away
            if is_gone(self.status):
                self.fault = ENODEV
            leave(&self.gate)

    cdef int check_ready(self) except -1:
        return check_port(self.port)

    cdef uint16_t receive(self, mbuf **pkts, uint16_t n) noexcept nogil:
        """rx_burst, inside the gate, if there may be something to do."""
        cdef uint32_t before = self.seen, stretch, done, i
        cdef uint16_t taken = 0
        cdef mbuf *m
        while taken < n and read64(&self.ring[self.next].qword[1]) & HW_RXD_STAT_DD:
            # Descriptors without a buffer still have DD from the previous wrap: no kernel may read them.
            stretch = min(<uint32_t> n - taken, min(self.length - self.next, self.length - self.missing))
            done = 0
            if self.first == NULL:
                done = self.kernel.take(&self.ring[self.next], &self.sw[self.next], &pkts[taken], stretch, &self.meta)
                if unlikely(self.hides):
                    for i in range(done):
                        pkts[taken + i].vlan_tci = 0
                taken += done
                self.advance(done)
            if unlikely(done == 0):
                rmb()  # read packet and descriptor only after DD
                m = self.take_piece()
                if m != NULL:
                    pkts[taken] = m
                    taken += 1
        if self.missing >= self.threshold:
            self.refill()  # even without a packet: the pool may have been empty before
        if unlikely(self.seen == before):
            self.look_for_device()
        leave(&self.gate)
        return taken

    cdef inline void advance(self, uint32_t n) noexcept nogil:
        """Count n descriptors as taken."""
        self.seen += n
        self.missing += n
        self.next += n
        if self.next == self.length:
            self.next = 0

    cdef void refill(self) noexcept nogil:
        """Give buffers to the descriptors without one, a batch at a time, and write the tail once."""
        cdef uint32_t fill = self.fill, missing = self.missing, length = self.length, batch
        cdef mbuf **sw
        while missing >= self.threshold:
            batch = min(self.threshold, length - fill)
            sw = &self.sw[fill]
            if unlikely(alloc_bulk(self.pool, sw, batch)):
                self.alloc_failures += 1
                # While most descriptors are armed, the next poll tries again. Near the end, or with too few for the
                # longest frame, take single buffers: with fewer than a batch in the pool no packet would ever arrive.
                if missing + self.reserve < length or alloc_bulk(self.pool, sw, 1):
                    break
                batch = 1
            self.kernel.arm(&self.ring[fill], sw, batch)
            missing -= batch
            fill += batch
            if fill == length:
                fill = 0
        if missing != self.missing:
            self.fill = fill
            self.missing = missing
            # Keep one buffer back: with the tail equal to the head the ring would be empty, not full (7.1.9).
            if unlikely(move_tail(&self.tail, (fill if fill else length) - 1)):
                send_signal(self.wakes)

    cdef mbuf *take_piece(self) noexcept nogil:
        """Take the next buffer of a packet that has several. Returns the packet with its last buffer, otherwise NULL."""
        cdef hw_rx_desc *desc = &self.ring[self.next]
        cdef hw_rx_desc alone = desc[0]
        cdef bint last = desc.wb.status & HW_RXD_STAT_EOP != 0
        cdef mbuf *first = self.first
        cdef mbuf *m
        if self.merge.chains != NULL:
            m = take_merged(&self.merge, self.ring, self.sw, self.next, self.length, &self.meta)
            self.advance(1)
            return m
        alone.wb.status |= HW_RXD_STAT_EOP
        scalar.take(&alone, &self.sw[self.next], &m, 1, &self.meta)
        if self.hides:
            m.vlan_tci = 0
        self.advance(1)
        if first == NULL:
            self.first = self.last = m
            return NULL
        self.last.next = m
        self.last = m
        first.nb_segs += 1
        first.pkt_len += m.data_len
        if not last:
            return NULL
        first.ol_flags = m.ol_flags  # the last descriptor describes the packet (7.1.6.2)
        first.packet_type = m.packet_type
        first.vlan_tci = m.vlan_tci
        first.rss_hash = m.rss_hash
        self.first = NULL
        return first

    cdef void look_for_device(self) noexcept nogil:
        """Notice a device that was pulled out: it writes no descriptor, and its STATUS reads all ones."""
        if self.patience:
            self.patience -= 1
            return
        self.patience = GONE_MASK
        if is_gone(self.status):
            self.fault = ENODEV

    cpdef object fault_error(self):
        """The error for a device that is gone: DeviceGone, with its cause."""
        return queue_gone(self)

    # ---- set-up ---------------------------------------------------------------------------------------------

    def attach(
        self, memory, size_t tail, size_t status, Mempool mempool not None, uint16_t number, bint strip, str simd="auto",
        *, uint32_t pieces=1, bint hide=False, bint merges=False, waker=None,
    ):
        """Arm every descriptor of `memory` (a Block) with a buffer of `mempool`.

        tail, status: addresses of these registers in this process. number: `port` of the mbufs. strip: the NIC strips tags.
        simd: one of `kernels.widths()`, or "auto".
        pieces: buffers of the longest frame, fewer than the descriptors. The NIC always has that many, otherwise it would
        keep such a frame for ever.
        hide: do not report stripped tags. merges: the NIC merges packets (7.11), so descriptors are read one at a time.
        waker: the Waker of a device that may sleep.

        Afterwards enable the NIC's queue and write `length - 1` to its tail. Raises MempoolError if the pool has too few
        mbufs, ConfigError for memory that is no descriptor ring.
        """
        cdef tail_t place = tail_at(tail, waker)
        cdef uint32_t i, length = length_of(self, memory, status, &place)
        cdef const kernels_t *kernel = kernels_of(simd)
        self.detach()
        self.kernel = one_by_one() if merges else kernel
        self.ring = <hw_rx_desc *> <size_t> memory.address
        self.sw = <mbuf **> calloc(length + AHEAD, sizeof(mbuf *))
        if self.sw == NULL:
            self._idle()
            raise MemoryError
        memset(self.ring, 0, length * sizeof(hw_rx_desc))
        for i in range(length):
            if alloc_bulk(mempool.pool, &self.sw[i], 1):
                free_packets(self.sw, i)
                free(self.sw)
                self._idle()
                raise MempoolError(
                    f"{self!r}: {mempool!r} has {i} mbufs left for a descriptor ring of {length}: "
                    "make the pool larger or rx_desc smaller"
                )
            self.ring[i].qword[0] = self.sw[i].buf_iova + MBUF_HEADROOM
        set_meta(&self.meta, strip)
        self.meta.rearm = MBUF_REARM | <uint64_t> number << 48
        self.length = length
        self.next = self.fill = self.missing = 0
        self.patience = GONE_MASK
        self.threshold = min(BATCH, length // 4, max(length - pieces, 1))
        self.reserve = max(2 * self.threshold, pieces)
        self.hides = hide
        self.pool = mempool.pool
        self.tail, self.status = place, <volatile uint32_t *> status
        self.wakes = -1 if waker is None else waker.eventfd
        self._mempool, self._memory, self._waker = mempool, memory, waker
        self.fault = 0
        if merges:
            begin_merging(&self.merge, length)

    def pause(self):
        """Keep pollers out of the queue until `resume`. Returns when none is inside. Raises DeviceError after 5 s."""
        pause_gate(&self.gate, self)

    def resume(self):
        """End one `pause`. Raises DeviceError if the queue is not paused."""
        resume_gate(&self.gate)

    def detach(self):
        """Return every mbuf to its pool, and the number of packets that waited. The NIC's queue must be off.

        Raises PortError while it is polled and not paused.
        """
        cdef uint32_t at
        check_out(self, &self.gate)
        if self._memory is None:
            return 0
        untaken = self.waiting
        if self.first != NULL:
            free_packets(&self.first, 1)
        for i in range(self.length - self.missing):
            at = (self.next + i) % self.length
            free_packets(&self.sw[at], 1)
        end_merging(&self.merge, self.length)
        free(self.sw)
        self._idle()
        return untaken

    @property
    def waiting(self):
        """Packets that the NIC has written to descriptors and `rx_burst` has not returned."""
        if self._memory is None:
            return 0
        return count_received(self.ring, self.next, self.length - self.missing, self.length)

    def _idle(self):
        self.kernel = scalar
        self.ring, self.sw, self.length = nothing, nobody, 2
        self.tail, self.status = tail_at(<size_t> &nowhere, None), &nowhere
        self.wakes = -1
        self.next = self.fill = self.missing = 0
        self.threshold = 2
        self.reserve = 4
        self.hides = False
        self.first = self.last = NULL
        self.pool = NULL
        self._mempool = self._memory = self._waker = None

    @property
    def merging(self):
        """Packets that arrived merged, the packets they became, and packets freed because of a wrong NEXTP."""
        return self.merge.merged, self.merge.into, self.merge.broken

    @property
    def armed(self):
        """Descriptors that have a buffer."""
        return self.length - self.missing if self._memory is not None else 0
