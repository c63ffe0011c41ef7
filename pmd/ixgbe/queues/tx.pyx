# SPDX-License-Identifier: BSD-3-Clause
"""The Tx queue of an 82599, for PF and VF.

`tx_burst` runs for each burst. It accesses the descriptors, `sw` (the mbuf of each descriptor), the first cache line of each
mbuf, and one register: the tail. The kernels (kernel.h) write the descriptors of the usual packets, as many at once as the
CPU's vectors allow. This module does the rest: reports of the NIC, mempools, contexts, packets of several segments.
The port attaches memory to the queue before it enables the NIC's queue, and detaches it after it has disabled that. A detached
queue takes no packets.
"""

cimport cython
from libc.errno cimport ENODEV
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from dataplane.files.eventfd cimport send_signal
from dataplane.limits cimport ETHERNET_HEADER_BYTES
from dataplane.machine cimport likely, read32, rmb, unlikely
from dataplane.mbuf cimport TX_IP_CSUM, TX_IPV4, TX_STAMP, TX_TCP_CSUM, TX_TSO, TX_UDP_CSUM, TX_VLAN, data_iova
from dataplane.mempool cimport free_bulk, free_packets
from dataplane.pmd.datasheet.hw82599 cimport *
from dataplane.pmd.datasheet.limits cimport TX_PACKET_MIN_WITHOUT_FCS_BYTES, TX_SEGMENTS_MAX
from dataplane.pmd.ixgbe.queues.checks cimport check_out, check_port, length_of
from dataplane.pmd.ixgbe.queues.gate cimport enter, leave, pause_gate, resume_gate
from dataplane.pmd.ixgbe.queues.kernels cimport CHECKSUMS, KIND, OFFLOADS, kernels_of, put_chain
from dataplane.pmd.ixgbe.queues.leftover cimport count_unsent
from dataplane.pmd.ixgbe.queues.sendable cimport fits, headers_of, pad
from dataplane.pmd.ixgbe.queues.tail cimport GONE_MASK, is_gone, move_tail, tail_at, tail_t

from dataplane.pmd.ixgbe.errors import queue_gone

cdef enum:
    BATCH = 32              # descriptors between two reports of the NIC

cdef uint32_t PLAIN = HW_TXD_CMD_EOP | HW_TXD_CMD_IFCS | HW_TXD_CMD_DEXT | HW_TXD_DTYP_DATA

cdef const kernels_t *scalar = kernels_of("scalar")

# The tail of a detached queue: no device reads it.
cdef uint32_t nowhere = 0


@cython.final
cdef class IxgbeTxQueue(TxQueue):
    """A Tx queue with advanced descriptors (datasheet 7.2.3). The NIC reports (RS) once in `rs_thresh` of them."""

    def __cinit__(self):
        self._idle()

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t taken = 0
        if enter(&self.gate):
            taken = self.send(pkts, n)
            leave(&self.gate)
        return taken

    cdef void look(self) noexcept nogil:
        if enter(&self.gate):  # a port that stops takes the register away
            if is_gone(self.status):
                self.fault = ENODEV
            leave(&self.gate)

    cdef int check_ready(self) except -1:
        return check_port(self.port)

    cdef uint16_t send(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint32_t before = self.next, done
        cdef uint16_t taken = 0
        self.reclaim()
        while taken < n and self.free:
            if self.open_run == 0:
                self.open_pool = pkts[taken].pool
            if likely(pkts[taken].nb_segs == 1):
                done = self.send_alike(&pkts[taken], n - taken)
            else:
                done = self.send_chain(pkts[taken])
            if unlikely(done == 0):
                break
            taken += done
        if self.next != before:
            if unlikely(move_tail(&self.tail, self.next)):
                send_signal(self.wakes)
        elif unlikely(n != 0):
            self.refusals += 1
            if unlikely(self.refusals & GONE_MASK == 0) and is_gone(self.status):
                self.fault = ENODEV
        return taken

    cdef void flush(self) noexcept nogil:
        # Up to rs_thresh - 1 packets after the last report stay until more are sent, or the port stops.
        if enter(&self.gate):
            self.reclaim()
            leave(&self.gate)

    cdef void reclaim(self) noexcept nogil:
        """Free the mbufs of reported runs. Early, so that the same few mbufs are used again and stay in the cache."""
        cdef descriptor_run_t *run
        while self.run_first != self.run_end:
            run = &self.runs[self.run_first & self.runs_mask]
            if not read32(&self.ring[run.last].data.upper) & HW_TXD_STAT_DD:
                break
            rmb()  # the NIC has read the data before it wrote DD; do not reuse them before DD
            self.release(run)
            self.run_first += 1

    cdef void release(self, descriptor_run_t *run) noexcept nogil:
        """Free the mbufs from `clean` to the end of the run: in bulk, without reading them, if all are of one pool."""
        cdef uint32_t clean = self.clean, length = self.length, end = run.last + 1
        cdef uint32_t wrapped = 0 if end > clean else end
        cdef uint32_t straight = (length if wrapped else end) - clean
        if run.pool != NULL:
            free_bulk(run.pool, &self.sw[clean], straight)
            if wrapped:
                free_bulk(run.pool, self.sw, wrapped)
        else:
            free_packets(&self.sw[clean], straight)
            free_packets(self.sw, wrapped)
        self.free += straight + wrapped
        self.clean = end if end < length else 0

    cdef void close_run(self) noexcept nogil:
        """Request a report (RS) for the last descriptor, which ends a packet."""
        cdef uint32_t last = (self.next if self.next else self.length) - 1
        cdef descriptor_run_t *run = &self.runs[self.run_end & self.runs_mask]
        self.ring[last].data.lower |= HW_TXD_CMD_RS
        run.last = last
        run.pool = self.open_pool if self.open_mixed == 0 else NULL
        self.run_end += 1
        self.open_run = 0
        self.open_mixed = 0

    cdef uint32_t send_alike(self, mbuf **pkts, uint32_t n) noexcept nogil:
        """Send packets of one segment that match `alike`, and the first that does not. Returns how many; 0: no room."""
        # Up to the next report, the wrap, or the end of the room.
        cdef uint32_t most = min(min(n, self.free), min(self.rs_thresh - self.open_run, self.length - self.next))
        cdef uint32_t done = self.kernel.put(
            &self.ring[self.next], &self.sw[self.next], pkts, most, &self.alike, self.open_pool, &self.open_mixed
        )
        self.wrote(done)
        if unlikely(done < most):
            done += self.send_one(pkts[done])
        return done

    cdef uint32_t send_chain(self, mbuf *m) noexcept nogil:
        """Send a packet of several segments. 0: there is no room for it now."""
        cdef uint32_t most = min(self.most_segments, min(self.free, self.length - self.next))
        cdef uint32_t done = put_chain(
            &self.ring[self.next], &self.sw[self.next], m, most, &self.alike, self.open_pool, &self.open_mixed
        )
        self.wrote(done)
        return done != 0 or self.send_one(m)

    cdef inline void wrote(self, uint32_t n) noexcept nogil:
        """Count n descriptors as written; the last one ends a packet."""
        self.free -= n
        self.open_run += n
        self.next += n
        if self.next == self.length:
            self.next = 0
        if self.open_run >= self.rs_thresh:
            self.close_run()

    cdef bint send_one(self, mbuf *m) noexcept nogil:
        """Send a packet that does not match `alike`. False: there is no room for it now; otherwise it was taken."""
        cdef uint32_t total = 0, need = 0, lower = PLAIN & ~HW_TXD_CMD_EOP, upper = self.check, at = self.next
        cdef mbuf *segment = m
        cdef mbuf *following
        while segment != NULL:
            total += segment.data_len
            need += segment.data_len != 0  # a descriptor of 0 bytes is forbidden (7.2.3.2.4): an empty segment gets none
            segment = segment.next
        if total < TX_PACKET_MIN_WITHOUT_FCS_BYTES and total == m.pkt_len and pad(m):
            total = TX_PACKET_MIN_WITHOUT_FCS_BYTES
        if (
            total != m.pkt_len
            or total < TX_PACKET_MIN_WITHOUT_FCS_BYTES
            or need > self.most_segments
            or not fits(m, self.frame_max)
        ):
            self.errors += 1
            free_packets(&m, 1)
            return True
        if self.free < need + 1:  # and one for a context
            return False
        if self.open_run == 0:
            self.open_pool = m.pool
        if m.ol_flags & TX_STAMP:
            lower |= HW_TXD_MAC_1588
        if m.ol_flags & OFFLOADS:
            upper |= <uint32_t> self.context_for(m) << HW_TXD_IDX_SHIFT
            at = self.next
            upper |= HW_TXD_POPTS_IXSM if m.ol_flags & TX_IP_CSUM else 0
            upper |= HW_TXD_POPTS_TXSM if m.ol_flags & (TX_UDP_CSUM | TX_TCP_CSUM | TX_TSO) else 0
            lower |= HW_TXD_CMD_VLE if m.ol_flags & TX_VLAN else 0
            if m.ol_flags & TX_TSO:
                lower |= HW_TXD_CMD_TSE
                self.cuts = True
                total -= m.l2_len + m.l3_len + m.l4_len
        if not m.ol_flags & TX_TSO:
            self.expect(m, lower | HW_TXD_CMD_EOP | <uint64_t> upper << 32)
        upper |= total << HW_TXD_PAYLEN_SHIFT
        self.open_run += need
        self.free -= need
        segment = m
        while segment != NULL:
            following = segment.next
            segment.next = NULL  # each is freed by itself
            if segment.data_len == 0:
                free_bulk(segment.pool, &segment, 1)
            else:
                need -= 1
                self.ring[at].data.address = data_iova(segment)
                self.ring[at].data.lower = lower | segment.data_len | (HW_TXD_CMD_EOP if need == 0 else 0)
                self.ring[at].data.upper = upper
                self.sw[at] = segment
                self.open_mixed |= <uint64_t> segment.pool ^ <uint64_t> self.open_pool
                at = at + 1 if at + 1 < self.length else 0
            segment = following
        self.next = at
        if self.open_run >= self.rs_thresh:
            self.close_run()
        return True

    cdef void expect(self, mbuf *m, uint64_t command) noexcept nogil:
        """Have the kernel send packets like this one from now on. m NULL: packets without offloads."""
        cdef alike_t *alike = &self.alike
        memset(alike, 0, sizeof(alike_t))
        alike.command = command
        alike.shortest = TX_PACKET_MIN_WITHOUT_FCS_BYTES
        alike.longest = <uint16_t> self.frame_max
        if m == NULL:
            return
        alike.flags = m.ol_flags & KIND
        if alike.flags & TX_VLAN:
            alike.tag, alike.tag_mask = m.vlan_tci, 0xFFFF
        if alike.flags & CHECKSUMS:
            alike.headers, alike.headers_mask = m.l2_len | <uint32_t> m.l3_len << 16, 0xFFFFFFFF
            alike.shortest = <uint16_t> max(<uint32_t> TX_PACKET_MIN_WITHOUT_FCS_BYTES, headers_of(m))

    cdef int context_for(self, mbuf *m) noexcept nogil:
        """The slot with this packet's context. If neither has it, write it to the slot used less recently (7.2.3.2.3)."""
        cdef uint32_t vlan = m.vlan_tci if m.ol_flags & TX_VLAN else 0
        cdef uint32_t slot = 0, lengths = vlan << HW_TXC_VLAN_SHIFT
        cdef uint32_t command = HW_TXD_CMD_DEXT | HW_TXD_DTYP_CTX
        # Without a checksum offload the mbuf does not give the lengths of its headers.
        if m.ol_flags & CHECKSUMS:
            lengths |= m.l3_len | m.l2_len << HW_TXC_MACLEN_SHIFT
        else:
            lengths |= ETHERNET_HEADER_BYTES << HW_TXC_MACLEN_SHIFT
        command |= HW_TXC_TUCMD_IPV4 if m.ol_flags & (TX_IPV4 | TX_IP_CSUM) else 0
        command |= HW_TXC_TUCMD_TCP if m.ol_flags & (TX_TCP_CSUM | TX_TSO) else HW_TXC_TUCMD_UDP
        if m.ol_flags & TX_TSO:
            slot = <uint32_t> m.l4_len << HW_TXC_L4LEN_SHIFT | <uint32_t> m.tso_segsz << HW_TXC_MSS_SHIFT
        cdef uint64_t wanted = command | <uint64_t> slot << 32
        cdef uint32_t at, which = self.context
        for _ in range(2):
            if self.contexts[which][0] == lengths and self.contexts[which][1] == wanted:
                self.context = which
                return which
            which ^= 1
        which = self.context = 1 if self.check else self.context ^ 1
        self.expect(NULL, PLAIN | <uint64_t> self.check << 32)  # `alike` may name this slot
        self.contexts[which][0] = lengths
        self.contexts[which][1] = wanted
        at = self.next
        self.ring[at].qword[0] = lengths
        self.ring[at].qword[1] = wanted | <uint64_t> which << 32 + HW_TXC_IDX_SHIFT
        self.sw[at] = NULL
        self.open_mixed = 1  # this run has a descriptor without an mbuf
        self.open_run += 1
        self.free -= 1
        self.next = at + 1 if at + 1 < self.length else 0
        return which

    cpdef object fault_error(self):
        """The error for a device that is gone: DeviceGone, with its cause."""
        return queue_gone(self)

    # ---- set-up ---------------------------------------------------------------------------------------------

    def attach(
        self, memory, size_t tail, size_t status, uint32_t frame_max, bint check=False, str simd="auto", *, waker=None
    ):
        """Use the descriptors of `memory` (a Block). Head and tail of the NIC must be 0.

        tail, status: addresses of these registers in this process. frame_max: bytes of the longest frame, without FCS and
        tags. check: pools share the port, so every descriptor must name a context (7.2.3.2.4, CC); the first descriptor of
        the ring sets it. simd: one of `kernels.widths()`, or "auto". waker: the Waker of a device that may sleep.
        Raises ConfigError for memory that is no descriptor ring.
        """
        cdef tail_t place = tail_at(tail, waker)
        cdef uint32_t length = length_of(self, memory, status, &place), runs = 4
        cdef const kernels_t *kernel = kernels_of(simd)
        self.detach()
        self.kernel = kernel
        self.rs_thresh = min(BATCH, length // 4)
        while runs < length // self.rs_thresh + 2:
            runs *= 2
        self.sw = <mbuf **> calloc(length, sizeof(mbuf *))
        self.runs = <descriptor_run_t *> calloc(runs, sizeof(descriptor_run_t))
        if self.sw == NULL or self.runs == NULL:
            free(self.sw)
            free(self.runs)
            self._idle()
            raise MemoryError
        self.ring = <hw_tx_desc *> <size_t> memory.address
        memset(self.ring, 0, length * sizeof(hw_tx_desc))
        memset(self.contexts, 0, sizeof(self.contexts))
        self.runs_mask = runs - 1
        self.length = length
        self.frame_max = frame_max
        self.free = length - 1  # with all written the tail would equal the head: empty, not full (7.2.3)
        self.tail, self.status = place, <volatile uint32_t *> status
        self.wakes = -1 if waker is None else waker.eventfd
        self._memory, self._waker = memory, waker
        self.fault = 0
        self.check = HW_TXD_CC if check else 0
        self.expect(NULL, PLAIN | <uint64_t> self.check << 32)
        # Reserve rs_thresh descriptors, one empty slot, and the first context descriptor.
        self.most_segments = min(TX_SEGMENTS_MAX, length - self.rs_thresh - 1 - check)
        if check:
            self.contexts[0][0] = ETHERNET_HEADER_BYTES << HW_TXC_MACLEN_SHIFT
            self.contexts[0][1] = HW_TXD_CMD_DEXT | HW_TXD_DTYP_CTX
            self.ring[0].qword[0] = self.contexts[0][0]
            self.ring[0].qword[1] = self.contexts[0][1]
            # Not counted in its run: otherwise each burst of a run's length would have a report in its middle.
            self.next = self.open_mixed = 1
            self.free -= 1

    def pause(self):
        """Keep pollers out of the queue until `resume`. Returns when none is inside. Raises DeviceError after 5 s."""
        pause_gate(&self.gate, self)

    def resume(self):
        """End one `pause`. Raises DeviceError if the queue is not paused."""
        resume_gate(&self.gate)

    def detach(self, head=None):
        """Return every mbuf, sent or not, and the number of packets not sent. The NIC's queue must be off.

        head: as for `waiting`. Raises PortError while it is polled and not paused.
        """
        check_out(self, &self.gate)
        if self._memory is None:
            return 0
        self.reclaim()
        unsent = self.waiting(head)
        while self.clean != self.next:
            free_packets(&self.sw[self.clean], 1)
            self.clean = (self.clean + 1) % self.length
        free(self.sw)
        free(self.runs)
        self._idle()
        return unsent

    def waiting(self, head=None):
        """Packets in the descriptor ring that the NIC has not sent.

        head: the NIC's head (TDH); None if it cannot be read: then packets whose end the NIC has not reported.
        """
        if self._memory is None:
            return 0
        return count_unsent(self.ring, self.clean if head is None else <uint32_t> head, self.next, self.length)

    def _idle(self):
        self.kernel = scalar
        self.ring, self.sw, self.runs, self.length = NULL, NULL, NULL, 1
        self.tail, self.status = tail_at(<size_t> &nowhere, None), &nowhere
        self.wakes = -1
        self.next = self.clean = self.free = self.open_run = self.run_first = self.run_end = 0
        self.open_mixed = 0
        self.open_pool = NULL
        self.context = self.refusals = self.check = 0
        self.rs_thresh = 1
        self._memory = self._waker = None

    @property
    def held(self):
        """Descriptors whose mbufs are not in their pools again."""
        return self.length - 1 - self.free
