# SPDX-License-Identifier: BSD-3-Clause
"""Packet sockets: the kernel's structures (linux/if_packet.h, linux/virtio_net.h), and the state of the two queues."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from dataplane.mbuf cimport mbuf
from dataplane.pmd.virtual.offload cimport cutter_t
from dataplane.pmd.virtual.queue cimport VirtualRx, VirtualTx


cdef extern from "<linux/if_packet.h>" nogil:
    ctypedef struct tpacket_block_t "struct tpacket_hdr_v1":
        uint32_t status "block_status"
        uint32_t frames "num_pkts"
        uint32_t first "offset_to_first_pkt"  # from the block's start

    ctypedef struct tpacket_vlan_t "struct tpacket_hdr_variant1":
        uint32_t tci "tp_vlan_tci"
        uint16_t tpid "tp_vlan_tpid"

    ctypedef struct tpacket_t "struct tpacket3_hdr":
        uint32_t next "tp_next_offset"
        uint32_t sec "tp_sec"
        uint32_t nsec "tp_nsec"
        uint32_t snaplen "tp_snaplen"
        uint32_t length "tp_len"
        uint32_t status "tp_status"
        uint16_t mac "tp_mac"
        tpacket_vlan_t hv1

    ctypedef struct sockaddr_ll_t "struct sockaddr_ll":
        uint8_t kind "sll_pkttype"

cdef extern from "<linux/virtio_net.h>" nogil:
    ctypedef struct virtio_t "struct virtio_net_hdr":
        uint8_t flags
        uint8_t gso_type
        uint16_t gso_size
        uint16_t csum_start
        uint16_t csum_offset

cdef extern from "<sys/socket.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    cdef struct mmsghdr:
        msghdr msg_hdr


cdef enum:
    BLOCK_SIZE = 1 << 17  # holds a whole frame of 64 KiB, and then some
    BLOCKS = 128          # the kernel closes one each millisecond: so long an lcore may lose its core without loss
    MESSAGES = 64
    PIECES = 128
    LONGEST = 65536 + 18  # an IP packet, Ethernet header, tag


cdef class PacketRx(VirtualRx):
    cdef int fd
    cdef bint promiscuous
    cdef bint holding          # the block at `block` is ours until it is given back
    cdef bint starved          # the last poll found no mbufs for a long frame
    cdef uint8_t *ring
    cdef uint32_t block
    cdef uint32_t frames       # of this block that are still to be read
    cdef uint8_t *frame        # the next of them
    cdef uint64_t cut_stamp
    cdef uint64_t asked        # TSC when the socket was last asked for an error
    cdef uint64_t pause        # cycles between two such questions
    cdef int interface         # the kernel's number of the interface
    cdef readonly uint64_t outages  # how often the interface went down
    cdef cutter_t cut          # the large frame that is being cut
    cdef uint8_t whole[LONGEST]
    cdef readonly object socket
    cdef object _map
    cdef object _view          # NumPy's, of the map: keeps it in place

    cdef bint _next_block(self) noexcept nogil
    cdef void _look_after_the_socket(self) noexcept nogil
    cdef bint _frame(self, mbuf *m) noexcept nogil
    cdef bint _whole_frame(self, mbuf *m, tpacket_t *header, uint8_t *frame, uint32_t length) noexcept nogil
    cdef int _segment(self, mbuf *m) noexcept nogil
    cdef void _unchain(self, mbuf *m) noexcept nogil
    cdef void _next_frame(self) noexcept nogil


cdef class PacketTx(VirtualTx):
    cdef int fd
    cdef int interface         # the kernel's number of the interface
    cdef mmsghdr messages[MESSAGES]
    cdef iovec pieces[PIECES]
    cdef uint8_t whole[LONGEST]

    cdef int _prepare(self, mbuf **pkts, uint16_t n) noexcept nogil
