# SPDX-License-Identifier: BSD-3-Clause
"""The hot loops of the 82599: one copy for PF and VF.

`rx_burst` and `tx_burst` are the only code that runs per packet. They touch the descriptor, the pointer beside it and the
first cache line of the mbuf, and one register: the tail. What they do for the usual packet is in the kernels (kernel.h),
as wide as the CPU's vectors are; here is everything else: wraps, pools, packets in several pieces, and what is odd.
Whoever made the queue attaches memory to it before the NIC's queue is enabled, and detaches it after it has been
disabled; a detached queue receives nothing and takes nothing.
"""

cimport cython
from libc.errno cimport ENODEV
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from dataplane.eventfd cimport send_signal
from dataplane.machine cimport likely, read32, read64, rmb, unlikely
from dataplane.mbuf cimport (
    MBUF_HEADROOM, MBUF_REARM, TX_IP_CSUM, TX_IPV4, TX_STAMP, TX_TCP_CSUM, TX_TSO, TX_UDP_CSUM, TX_VLAN,
    data_iova,
)
from dataplane.mempool cimport Mempool, alloc_bulk, free_bulk, free_packets
from dataplane.pmd.datasheet.hw82599 cimport *
from dataplane.pmd.ixgbe.queues.gate cimport enter, leave, pause_gate, resume_gate
from dataplane.pmd.ixgbe.queues.kernels cimport AHEAD, CHECKSUMS, KIND, OFFLOADS, kernels_of, one_by_one, put_chain, set_rules
from dataplane.pmd.ixgbe.queues.merged cimport begin_merging, end_merging, take_merged
from dataplane.pmd.ixgbe.queues.checks cimport check_out, check_port, length_of
from dataplane.pmd.ixgbe.queues.sendable cimport FRAME_MIN, fits, headers_of, pad
from dataplane.pmd.ixgbe.queues.tail cimport move_tail, tail_at, tail_t

from dataplane.errors import MempoolError
from dataplane.pmd.datasheet import limits
from dataplane.pmd.ixgbe.errors import queue_gone

cdef enum:
    BATCH = 32              # mbufs moved between queue and pool at once
    GONE_MASK = 0xFFFF      # polls in vain between two looks at the device: 1 us in a tenth of a millisecond or more
    SEGMENTS_MAX = 40       # limits.TX_SEGMENTS_MAX: checked at import
    ETHERNET = 14

cdef uint32_t ALL_ONES = 0xFFFFFFFF
cdef uint32_t PLAIN = HW_TXD_CMD_EOP | HW_TXD_CMD_IFCS | HW_TXD_CMD_DEXT | HW_TXD_DTYP_DATA
assert (SEGMENTS_MAX, FRAME_MIN) == (limits.TX_SEGMENTS_MAX, limits.TX_FRAME_MIN)

cdef const kernels_t *scalar = kernels_of("scalar")

# What a detached queue works on: no packet ever arrives here, and nobody reads this tail.
cdef hw_rx_desc[2] nothing
cdef mbuf *nobody[2 + AHEAD]
cdef uint32_t nowhere = 0


@cython.final
cdef class IxgbeRxQueue(RxQueue):
    """Advanced one-buffer descriptors (datasheet 7.1.6, 7.1.9)."""

    def __cinit__(self):
        self._idle()

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        if unlikely(not enter(&self.gate)):
            return 0
        # What a queue without a packet costs is all in these lines: no call, and no register is saved.
        if (
            read64(&self.ring[self.next].qword[1]) & HW_RXD_STAT_DD == 0
            and self.missing < self.threshold
            and self.patience
        ):
            self.patience -= 1
            leave(&self.gate)
            return 0
        return self.receive(pkts, n)

    cdef int check_ready(self) except -1:
        return check_port(self.port)

    cdef uint16_t receive(self, mbuf **pkts, uint16_t n) noexcept nogil:
        """The same, once inside, when there is something to do."""
        cdef uint32_t before = self.seen, stretch, done, i
        cdef uint16_t taken = 0
        cdef mbuf *m
        while taken < n and read64(&self.ring[self.next].qword[1]) & HW_RXD_STAT_DD:
            # Descriptors without a buffer still say DD from the last time round: no kernel may see them.
            stretch = min(<uint32_t> n - taken, min(self.length - self.next, self.length - self.missing))
            done = 0
            if self.first == NULL:
                done = self.kernel.take(&self.ring[self.next], &self.sw[self.next], &pkts[taken], stretch, &self.rules)
                if unlikely(self.hides):
                    for i in range(done):
                        pkts[taken + i].vlan_tci = 0
                taken += done
                self.advance(done)
            if unlikely(done == 0):
                rmb()  # nothing of the packet or the descriptor is read before DD was seen
                m = self.take_piece()
                if m != NULL:
                    pkts[taken] = m
                    taken += 1
        if self.missing >= self.threshold:
            self.refill()  # also when nothing arrived: the pool may have been empty the last time
        if unlikely(self.seen == before):
            self.look_for_device()
        leave(&self.gate)
        return taken

    cdef inline void advance(self, uint32_t n) noexcept nogil:
        """n descriptors were taken."""
        self.seen += n
        self.missing += n
        self.next += n
        if self.next == self.length:
            self.next = 0

    cdef void refill(self) noexcept nogil:
        """Buffers for the descriptors that have none, a batch at a time; the doorbell once."""
        cdef uint32_t fill = self.fill, missing = self.missing, length = self.length, batch
        cdef mbuf **sw
        while missing >= self.threshold:
            batch = min(self.threshold, length - fill)
            sw = &self.sw[fill]
            if unlikely(alloc_bulk(self.pool, sw, batch)):
                self.alloc_failures += 1
                # With most of the descriptors still armed there is time: the next poll tries again. Close to the end,
                # or with too few for the longest frame, one buffer is better than none: a pool with a few left would
                # never let a packet in again.
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
            # The last buffer is kept back: with the tail on the head the ring would be empty, not full (7.1.9).
            if unlikely(move_tail(&self.tail, (fill if fill else length) - 1)):
                send_signal(self.wakes)

    cdef mbuf *take_piece(self) noexcept nogil:
        """The next buffer of a packet that has several. Returns the packet with its last one, NULL until then."""
        cdef hw_rx_desc *desc = &self.ring[self.next]
        cdef hw_rx_desc alone = desc[0]
        cdef bint last = desc.wb.status & HW_RXD_STAT_EOP != 0
        cdef mbuf *first = self.first
        cdef mbuf *m
        if self.merge.chains != NULL:
            m = take_merged(&self.merge, self.ring, self.sw, self.next, self.length, &self.rules)
            self.advance(1)
            return m
        alone.wb.status |= HW_RXD_STAT_EOP
        scalar.take(&alone, &self.sw[self.next], &m, 1, &self.rules)
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
        first.ol_flags = m.ol_flags  # what holds for the packet is said in its last descriptor (7.1.6.2)
        first.packet_type = m.packet_type
        first.vlan_tci = m.vlan_tci
        first.rss_hash = m.rss_hash
        self.first = NULL
        return first

    cdef void look_for_device(self) noexcept nogil:
        """A device that was pulled out writes no descriptor: its registers read all ones, STATUS too, never otherwise."""
        if self.patience:
            self.patience -= 1
            return
        self.patience = GONE_MASK
        if read32(self.status) == ALL_ONES:
            self.fault = ENODEV

    cpdef object fault_error(self):
        return queue_gone(self)

    # ---- set-up ---------------------------------------------------------------------------------------------

    def attach(
        self, memory, size_t tail, size_t status, Mempool mempool not None, uint16_t number, bint strip, str simd="auto",
        *, uint32_t pieces=1, bint hide=False, bint merges=False, waker=None,
    ):
        """Arm every descriptor of `memory` (a Block) with a buffer.

        tail, status: where those registers are in this process; number: `port` of the mbufs; strip: tags are removed;
        simd: one of `kernels.widths()`, or "auto"; pieces: buffers that the longest frame takes, below the number of
        descriptors: the NIC always has as many, or holds that frame for ever; hide: the tag is not to be seen; merges: the
        NIC merges packets (7.11), and each descriptor is looked at by itself, whatever `simd` says; waker: the Waker of a
        device that may rest.
        The NIC may be given `length - 1` descriptors, from 0 on: write that to the tail once its queue is enabled.
        Raises MempoolError if the pool has too few mbufs.
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
        set_rules(&self.rules, strip)
        self.rules.rearm = MBUF_REARM | <uint64_t> number << 48
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
        """Keep the queue's poller out, whoever it is; returns when it is. The queue may be taken apart until `resume`."""
        pause_gate(&self.gate, self)

    def resume(self):
        """Let it in again."""
        resume_gate(&self.gate)

    def detach(self):
        """Give every mbuf back. The NIC must have let go of the queue. Raises PortError while it is polled and not paused."""
        cdef uint32_t at
        check_out(self, &self.gate)
        if self._memory is None:
            return
        if self.first != NULL:
            free_packets(&self.first, 1)
        for i in range(self.length - self.missing):
            at = (self.next + i) % self.length
            free_packets(&self.sw[at], 1)
        end_merging(&self.merge, self.length)
        free(self.sw)
        self._idle()

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
        """How many packets came within larger ones, how many these were, and how many were freed for a wrong NEXTP."""
        return self.merge.merged, self.merge.into, self.merge.broken

    @property
    def armed(self):
        """Descriptors that have a buffer."""
        return self.length - self.missing if self._memory is not None else 0


@cython.final
cdef class IxgbeTxQueue(TxQueue):
    """Advanced descriptors (datasheet 7.2.3); one report of the NIC (RS) for every `rs_thresh` of them."""

    def __cinit__(self):
        self._idle()

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t taken = 0
        if enter(&self.gate):
            taken = self.send(pkts, n)
            leave(&self.gate)
        return taken

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
            if unlikely(self.refusals & GONE_MASK == 0) and read32(self.status) == ALL_ONES:
                self.fault = ENODEV
        return taken

    cdef void flush(self) noexcept nogil:
        # Up to rs_thresh - 1 packets behind the last report stay until more are sent, or the port stops.
        if enter(&self.gate):
            self.reclaim()
            leave(&self.gate)

    cdef void reclaim(self) noexcept nogil:
        """Free what the NIC has reported as done: eagerly, so that the same few mbufs go round and stay in the cache."""
        cdef run_t *run
        while self.run_first != self.run_end:
            run = &self.runs[self.run_first & self.runs_mask]
            if not read32(&self.ring[run.last].data.upper) & HW_TXD_STAT_DD:
                break
            rmb()  # the NIC has read the data before it wrote DD; nobody may write to it before DD was seen
            self.release(run)
            self.run_first += 1

    cdef void release(self, run_t *run) noexcept nogil:
        """Free the mbufs from `clean` to the end of the run: by bulk, without a look at them, if one pool has them all."""
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
        """Ask for a report of the last descriptor written, which ends a packet."""
        cdef uint32_t last = (self.next if self.next else self.length) - 1
        cdef run_t *run = &self.runs[self.run_end & self.runs_mask]
        self.ring[last].data.lower |= HW_TXD_CMD_RS
        run.last = last
        run.pool = self.open_pool if self.open_mixed == 0 else NULL
        self.run_end += 1
        self.open_run = 0
        self.open_mixed = 0

    cdef uint32_t send_alike(self, mbuf **pkts, uint32_t n) noexcept nogil:
        """Packets of one segment as expected, and the first that is not so. Returns how many were taken; 0: no room."""
        # As far as no descriptor reports, the ring does not wrap and there is room.
        cdef uint32_t most = min(min(n, self.free), min(self.rs_thresh - self.open_run, self.length - self.next))
        cdef uint32_t done = self.kernel.put(
            &self.ring[self.next], &self.sw[self.next], pkts, most, &self.alike, self.open_pool, &self.open_mixed
        )
        self.wrote(done)
        if unlikely(done < most):
            done += self.send_one(pkts[done])
        return done

    cdef uint32_t send_chain(self, mbuf *m) noexcept nogil:
        """A packet of several segments. 0: there is no room for it now."""
        cdef uint32_t most = min(self.most_segments, min(self.free, self.length - self.next))
        cdef uint32_t done = put_chain(
            &self.ring[self.next], &self.sw[self.next], m, most, &self.alike, self.open_pool, &self.open_mixed
        )
        self.wrote(done)
        return done != 0 or self.send_one(m)

    cdef inline void wrote(self, uint32_t n) noexcept nogil:
        """n descriptors are written, and end a packet."""
        self.free -= n
        self.open_run += n
        self.next += n
        if self.next == self.length:
            self.next = 0
        if self.open_run >= self.rs_thresh:
            self.close_run()

    cdef bint send_one(self, mbuf *m) noexcept nogil:
        """A packet that is not as expected. False: there is no room for it now; else it was taken."""
        cdef uint32_t total = 0, need = 0, lower = PLAIN & ~HW_TXD_CMD_EOP, upper = self.check, at = self.next
        cdef mbuf *segment = m
        cdef mbuf *following
        while segment != NULL:
            total += segment.data_len
            need += segment.data_len != 0  # a descriptor of 0 bytes is forbidden (7.2.3.2.4): an empty segment gets none
            segment = segment.next
        if total < FRAME_MIN and total == m.pkt_len and pad(m):
            total = FRAME_MIN
        if total != m.pkt_len or total < FRAME_MIN or need > self.most_segments or not fits(m, self.frame_max):
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
                total -= m.l2_len + m.l3_len + m.l4_len
        if not m.ol_flags & TX_TSO:
            self.expect(m, lower | HW_TXD_CMD_EOP | <uint64_t> upper << 32)
        upper |= total << HW_TXD_PAYLEN_SHIFT
        self.open_run += need
        self.free -= need
        segment = m
        while segment != NULL:
            following = segment.next
            segment.next = NULL  # each goes back to its pool by itself
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
        """More packets like this one: from now on the kernel sends them. m NULL: like those of which nothing is asked."""
        cdef alike_t *alike = &self.alike
        memset(alike, 0, sizeof(alike_t))
        alike.command = command
        alike.shortest = FRAME_MIN
        alike.longest = <uint16_t> self.frame_max
        if m == NULL:
            return
        alike.flags = m.ol_flags & KIND
        if alike.flags & TX_VLAN:
            alike.tag, alike.tag_mask = m.vlan_tci, 0xFFFF
        if alike.flags & CHECKSUMS:
            alike.headers, alike.headers_mask = m.l2_len | <uint32_t> m.l3_len << 16, 0xFFFFFFFF
            alike.shortest = <uint16_t> max(<uint32_t> FRAME_MIN, headers_of(m))

    cdef int context_for(self, mbuf *m) noexcept nogil:
        """The slot with this packet's context; written to the slot used longest ago if neither has it (7.2.3.2.3)."""
        cdef uint32_t vlan = m.vlan_tci if m.ol_flags & TX_VLAN else 0
        cdef uint32_t slot = 0, lengths = vlan << HW_TXC_VLAN_SHIFT
        cdef uint32_t command = HW_TXD_CMD_DEXT | HW_TXD_DTYP_CTX
        # Without a checksum to find nobody has said how long the headers are.
        lengths |= m.l3_len | m.l2_len << HW_TXC_MACLEN_SHIFT if m.ol_flags & CHECKSUMS else ETHERNET << HW_TXC_MACLEN_SHIFT
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
        self.expect(NULL, PLAIN | <uint64_t> self.check << 32)  # what it expected may have named this slot
        self.contexts[which][0] = lengths
        self.contexts[which][1] = wanted
        at = self.next
        self.ring[at].qword[0] = lengths
        self.ring[at].qword[1] = wanted | <uint64_t> which << 32 + HW_TXC_IDX_SHIFT
        self.sw[at] = NULL
        self.open_mixed = 1  # there is a descriptor without an mbuf in this run
        self.open_run += 1
        self.free -= 1
        self.next = at + 1 if at + 1 < self.length else 0
        return which

    cpdef object fault_error(self):
        return queue_gone(self)

    # ---- set-up ---------------------------------------------------------------------------------------------

    def attach(
        self, memory, size_t tail, size_t status, uint32_t frame_max, bint check=False, str simd="auto", *, waker=None
    ):
        """Work on the descriptors of `memory` (a Block). Head and tail of the NIC must be 0.

        tail, status: where those registers are in this process; frame_max: bytes of the longest frame, without FCS and tags.
        check: pools share the port, so every descriptor must name a context (7.2.3.2.4, CC); the first in the ring sets it.
        simd: one of `kernels.widths()`, or "auto". waker: the Waker of a device that may rest.
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
        self.runs = <run_t *> calloc(runs, sizeof(run_t))
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
        self.free = length - 1  # with all of them written the tail would be on the head: empty, not full (7.2.3)
        self.tail, self.status = place, <volatile uint32_t *> status
        self.wakes = -1 if waker is None else waker.eventfd
        self._memory, self._waker = memory, waker
        self.fault = 0
        self.check = HW_TXD_CC if check else 0
        self.expect(NULL, PLAIN | <uint64_t> self.check << 32)
        # Of a short ring, what the run still open may keep back, one descriptor and the first context are not free at times.
        self.most_segments = min(SEGMENTS_MAX, length - self.rs_thresh - 1 - check)
        if check:
            self.contexts[0][0] = ETHERNET << HW_TXC_MACLEN_SHIFT
            self.contexts[0][1] = HW_TXD_CMD_DEXT | HW_TXD_DTYP_CTX
            self.ring[0].qword[0] = self.contexts[0][0]
            self.ring[0].qword[1] = self.contexts[0][1]
            # It is not counted in its run, or every burst of a run's length would have a report in its middle.
            self.next = self.open_mixed = 1
            self.free -= 1

    def pause(self):
        """Keep the queue's poller out, whoever it is; returns when it is. The queue may be taken apart until `resume`."""
        pause_gate(&self.gate, self)

    def resume(self):
        """Let it in again."""
        resume_gate(&self.gate)

    def detach(self):
        """Give every mbuf back, sent or not. The NIC must have let go of it. Raises PortError while it is polled and not paused."""
        check_out(self, &self.gate)
        if self._memory is None:
            return
        while self.clean != self.next:
            free_packets(&self.sw[self.clean], 1)
            self.clean = (self.clean + 1) % self.length
        free(self.sw)
        free(self.runs)
        self._idle()

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
        """Descriptors whose mbufs are not back in their pools."""
        return self.length - 1 - self.free
