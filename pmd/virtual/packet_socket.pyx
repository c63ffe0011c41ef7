# SPDX-License-Identifier: BSD-3-Clause
"""The queues of an af_packet port: Rx from a mapped TPACKET_V3 ring, Tx by sendmmsg.

The kernel says in front of each frame (PACKET_VNET_HDR) what its sender left to the device. Rx does it: it finishes
checksums, cuts large frames to the size that their sender had in mind, and puts VLAN tags back.
"""
import errno as codes
import os
import struct

import numpy as np

from libc.errno cimport EAGAIN, EINTR, ENETDOWN, ENOBUFS, ENODEV, ENOMEM, ENXIO, errno
from libc.string cimport memcpy, memmove, memset

from dataplane.clock cimport tsc_hz
from dataplane.limits cimport ETHERNET_HEADER_BYTES
from dataplane.machine cimport load_acquire, store_release, tsc, unlikely
from dataplane.mbuf cimport copy_out, data
from dataplane.mempool cimport free_bulk, free_packets
from dataplane.pmd.virtual.offload cimport cut_begin, cut_length, cut_next, finish_checksum
from dataplane.pmd.virtual.queue cimport arrived_at, check_unused, take

from dataplane.errors import PortError, PortGone


cdef extern from *:
    """
    #include <stddef.h>
    #include <sys/ioctl.h>
    #include <linux/if_packet.h>
    enum { DP_BLOCK_HEADER = offsetof(struct tpacket_block_desc, hdr),
           DP_LINK = TPACKET_ALIGN(sizeof(struct tpacket3_hdr)) };
    """
    enum:
        BLOCK_HEADER "DP_BLOCK_HEADER"  # in a block
        LINK "DP_LINK"                  # in a frame
        TP_STATUS_KERNEL
        TP_STATUS_USER
        TP_STATUS_VLAN_VALID
        TP_STATUS_VLAN_TPID_VALID
        PACKET_OTHERHOST
        PACKET_OUTGOING

cdef extern from "<sys/socket.h>" nogil:
    ctypedef uint32_t socklen_t
    int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
    int ioctl(int fd, unsigned long request, void *argument)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int n, int flags)
    enum:
        SOL_SOCKET
        SO_ERROR
        MSG_DONTWAIT

cdef extern from "<net/if.h>" nogil:
    ctypedef struct ifreq_t "struct ifreq":
        int number "ifr_ifindex"
    enum:
        SIOCGIFNAME

cdef extern from "<arpa/inet.h>" nogil:
    uint32_t htonl(uint32_t)

cdef enum:
    NEEDS_CSUM = 1      # VIRTIO_NET_HDR_F_NEEDS_CSUM
    TAG_8021Q = 0x8100

SOL_PACKET, PACKET_STATISTICS = 263, 6


cdef bint is_there(int fd, int interface) noexcept nogil:
    """Whether the network namespace of socket fd still has the interface of that number. A new one has another number."""
    cdef ifreq_t request
    memset(&request, 0, sizeof(request))
    request.number = interface
    return ioctl(fd, SIOCGIFNAME, &request) == 0


RING_BLOCKS, RING_BLOCK_SIZE = BLOCKS, BLOCK_SIZE


cdef class PacketRx(VirtualRx):
    def __cinit__(self):
        self.fd = -1
        self.cut.left = 0

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t got = 0, have
        cdef uint64_t total = 0
        if unlikely(self.fault or self.pool == NULL):
            return 0
        if self.frames == 0 and self.cut.left == 0 and not self._next_block():
            return 0
        # After a poll that had no mbufs for a long frame it gets all that there are.
        have = take(self, pkts, 1 if self.starved else n)
        self.starved = False
        while got < have:
            if self.cut.left:
                if self._segment(pkts[got]):
                    break
            elif self.frames == 0:
                if not self._next_block():
                    break
                continue
            elif not self._frame(pkts[got]):
                if self.starved:
                    break
                continue
            total += pkts[got].pkt_len
            got += 1
        if got < have:
            free_bulk(self.pool, pkts + got, have - got)
        self.packets += got
        self.bytes += total
        return got

    cdef bint _next_block(self) noexcept nogil:
        """Give back the block that was read, and take the next if the kernel has handed it over."""
        cdef uint8_t *start = self.ring + <size_t> self.block * BLOCK_SIZE
        cdef tpacket_block_t *block = <tpacket_block_t *> (start + BLOCK_HEADER)
        if self.holding:
            store_release(&block.status, TP_STATUS_KERNEL)
            self.holding = False
            self.block = (self.block + 1) % BLOCKS
            start = self.ring + <size_t> self.block * BLOCK_SIZE
            block = <tpacket_block_t *> (start + BLOCK_HEADER)
        if not load_acquire(&block.status) & TP_STATUS_USER:
            self._look_after_the_socket()
            return False
        self.holding = True
        self.frames = block.frames
        self.frame = start + block.first
        return True

    cdef void _look_after_the_socket(self) noexcept nogil:
        """An interface that went down or away shows only as an error of the socket: ask for it now and then."""
        cdef int code = 0
        cdef socklen_t size = sizeof(code)
        cdef uint64_t now = tsc()
        if now - self.asked < self.pause:
            return
        self.asked = now
        if getsockopt(self.fd, SOL_SOCKET, SO_ERROR, &code, &size) == 0 and code:
            if code == ENETDOWN and is_there(self.fd, self.interface):
                self.outages += 1  # the kernel goes on with this socket when the interface is up again
            else:
                self.fault = code

    cdef bint _frame(self, mbuf *m) noexcept nogil:
        """The next frame of the block into m. False: it was skipped, will be cut, or (starved) waits for mbufs."""
        cdef tpacket_t *header = <tpacket_t *> self.frame
        cdef uint8_t *frame = self.frame + header.mac
        cdef virtio_t *virtio = <virtio_t *> (frame - sizeof(virtio_t))
        cdef uint8_t kind = (<sockaddr_ll_t *> (self.frame + LINK)).kind
        cdef uint32_t length = header.snaplen, tag
        if unlikely(kind == PACKET_OUTGOING or (kind == PACKET_OTHERHOST and not self.promiscuous)):
            pass
        elif unlikely(
            length < header.length or length < ETHERNET_HEADER_BYTES or length > <uint64_t> self.pool.n * self.pool.data_room
        ):
            self.errors += 1  # cut short by the kernel, no frame, or more than this pool will ever have room for
        elif virtio.gso_type:
            tag = vlan_tag(header)
            # Its bytes stay in the block, which is not given back before the last segment is out.
            if cut_begin(&self.cut, frame, length, virtio.gso_type, virtio.gso_size, virtio.csum_start, tag):
                self.cut.left = 0
                self.errors += 1
            self.cut_stamp = <uint64_t> header.sec * 1000000000 + header.nsec
        elif virtio.flags & NEEDS_CSUM and finish_checksum(frame, length, virtio.csum_start, virtio.csum_offset):
            self.errors += 1
        else:
            virtio.flags = 0  # finished, should this frame have to wait
            return self._whole_frame(m, header, frame, length)
        self._next_frame()
        return False

    cdef bint _whole_frame(self, mbuf *m, tpacket_t *header, uint8_t *frame, uint32_t length) noexcept nogil:
        cdef uint32_t tag = vlan_tag(header)
        cdef uint8_t head[16]
        if tag:
            # The bytes before a frame are the socket's header, already read: move the addresses there to make room.
            memcpy(head, frame - 4, 16)
            memmove(frame - 4, frame, 12)
            memcpy(frame + 8, &tag, 4)
            frame -= 4
            length += 4
        arrived_at(m, length, <uint64_t> header.sec * 1000000000 + header.nsec)
        if length <= self.pool.data_room:
            memcpy(data(m), frame, length)
        elif self.fill_chain(m, frame, length):
            if tag:
                memcpy(frame, head, 16)
            self._unchain(m)
            return False
        self._next_frame()
        return True

    cdef void _next_frame(self) noexcept nogil:
        self.frame += (<tpacket_t *> self.frame).next
        self.frames -= 1

    cdef int _segment(self, mbuf *m) noexcept nogil:
        """The next segment of the frame that is being cut. -1: there are not enough mbufs yet."""
        cdef uint32_t length = cut_length(&self.cut)
        cdef cutter_t before
        arrived_at(m, length, self.cut_stamp)
        if length <= self.pool.data_room:
            cut_next(&self.cut, data(m))
            return 0
        memcpy(&before, &self.cut, sizeof(cutter_t))
        cut_next(&self.cut, self.whole)
        if self.fill_chain(m, self.whole, length) == 0:
            return 0
        memcpy(&self.cut, &before, sizeof(cutter_t))
        self._unchain(m)
        return -1

    cdef void _unchain(self, mbuf *m) noexcept nogil:
        """No mbufs for all of it: the next poll tries again."""
        self.starved = True
        if m.next != NULL:
            free_packets(&m.next, 1)
            m.next = NULL

    cpdef object fault_error(self):
        """The error of the interface, from errno `fault`."""
        return gone(self.port, self.fault)

    cdef int check_ready(self) except -1:
        VirtualRx.check_ready(self)
        if self.ring == NULL:
            raise PortError(f"{self!r} has no socket: it is none of its port's queues, or the port was not started")
        return 0

    def open(self, packet_socket, ring, int interface):
        """Poll the ring that is mapped for that socket. interface: the kernel's number of the interface.

        Raises PortError while it is polled, or for another size.
        """
        check_unused(self)
        if len(ring) != <Py_ssize_t> BLOCKS * BLOCK_SIZE:
            raise PortError(f"{self!r}: a ring of {len(ring)} bytes: expected {BLOCKS * BLOCK_SIZE}")
        self.socket = packet_socket
        self.fd = packet_socket.fileno()
        self.interface = interface
        self._map = ring
        self._view = np.frombuffer(ring, np.uint8)
        self.ring = <uint8_t *> <size_t> self._view.ctypes.data
        self.block = self.frames = 0
        self.holding = self.starved = False
        self.cut.left = 0
        self.pause = <uint64_t> (tsc_hz() * 0.005)

    def pass_on(self, others):
        """Whether frames for other addresses are received."""
        self.promiscuous = others

    def count_drops(self):
        """Add what the kernel has dropped since it was last asked, because the ring was full."""
        if self.socket is not None:
            _, drops, _ = struct.unpack("III", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12))
            self.missed += drops

    def close(self):
        """Poll nothing any more. Raises PortError while it is polled."""
        check_unused(self)
        if self.socket is not None:
            self.count_drops()
            self.attach(None)
            self.fd = -1
            self.ring = NULL
            self._view = None
            self._map.close()
            self.socket.close()
            self._map = self.socket = None


cdef inline uint32_t vlan_tag(tpacket_t *header) noexcept nogil:
    """The VLAN tag that the kernel took out, as it is on the wire; 0: there was none."""
    cdef uint32_t tpid = TAG_8021Q
    if not header.status & TP_STATUS_VLAN_VALID:
        return 0
    if header.status & TP_STATUS_VLAN_TPID_VALID:
        tpid = header.hv1.tpid
    return htonl(tpid << 16 | header.hv1.tci & 0xFFFF)


cdef class PacketTx(VirtualTx):
    def __cinit__(self):
        self.fd = -1
        memset(self.messages, 0, sizeof(self.messages))

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t done = 0, i
        cdef uint64_t failed = 0, total = 0, down = 0
        cdef int sent, prepared
        if unlikely(self.fault or self.fd < 0):
            return 0
        while done < n:
            prepared = self._prepare(pkts + done, n - done)
            sent = sendmmsg(self.fd, self.messages, prepared, MSG_DONTWAIT)
            if sent > 0:
                for i in range(done, done + sent):
                    total += pkts[i].pkt_len
                done += sent
            elif errno in (EAGAIN, ENOBUFS, ENOMEM):
                break
            elif errno == ENETDOWN and is_there(self.fd, self.interface):
                down = n - done  # they are lost, as on a card without a cable; it may come up again
                done = n
            elif errno in (ENETDOWN, ENXIO, ENODEV):
                self.fault = ENODEV
                break
            elif errno != EINTR:
                # This one frame: longer than the MTU allows (EMSGSIZE), shorter than an Ethernet header (EINVAL).
                failed += 1
                done += 1
        free_packets(pkts, done)
        self.packets += done - failed - down
        self.bytes += total
        self.errors += failed
        self.link_down += down
        return done

    cdef int _prepare(self, mbuf **pkts, uint16_t n) noexcept nogil:
        """Messages for the first of n packets: as many as there are messages and pieces for."""
        cdef int messages = 0, pieces = 0, first
        cdef mbuf *m
        while messages < n and messages < MESSAGES:
            m = pkts[messages]
            if pieces + m.nb_segs > PIECES:
                break
            first = pieces
            while m != NULL:
                self.pieces[pieces].iov_base = data(m)
                self.pieces[pieces].iov_len = m.data_len
                pieces += 1
                m = m.next
            self.messages[messages].msg_hdr.msg_iov = &self.pieces[first]
            self.messages[messages].msg_hdr.msg_iovlen = pieces - first
            messages += 1
        if messages == 0:
            # More segments than there are pieces: laid end to end, and sent by itself.
            self.pieces[0].iov_base = self.whole
            self.pieces[0].iov_len = copy_out(pkts[0], 0, self.whole, LONGEST)
            self.messages[0].msg_hdr.msg_iov = &self.pieces[0]
            self.messages[0].msg_hdr.msg_iovlen = 1
            messages = 1
        return messages

    cpdef object fault_error(self):
        """The error of the interface, from errno `fault`."""
        return gone(self.port, self.fault)

    def open(self, fd, int interface=0):
        """Send by socket fd, which is bound to the interface of that number; -1: not at all.

        Raises PortError while it is polled.
        """
        check_unused(self)
        self.fd = fd
        self.interface = interface


def gone(port, code):
    """The error for a queue of `port` that failed with errno `code`."""
    name = port.interface
    if code in (codes.ENODEV, codes.ENETDOWN) or not port.device.exists():
        return PortGone(f"{port.name}: interface {name} is no longer there: probe it again once it is")
    return PortError(f"{port.name}: {os.strerror(code)}: look at 'ip link show {name}' and at dmesg")
