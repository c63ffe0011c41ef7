# SPDX-License-Identifier: BSD-3-Clause
"""The mbuf: one packet, or one segment of a packet; and the C side of the mempool it comes from. Layout: dataplane.h."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "dataplane.h" nogil:
    ctypedef struct cache_t "struct dp_cache":
        uint32_t len
        mbuf **objs

    ctypedef struct mempool_t "struct dp_mempool":
        uint32_t lock
        uint32_t len
        uint32_t n
        uint32_t debug
        mbuf **stack
        uint64_t alloc_failures
        uint64_t corruptions
        uint32_t data_room
        uint32_t elt_size
        cache_t *caches

    ctypedef struct mbuf "struct dp_mbuf":
        void *buf_addr
        uint64_t buf_iova
        uint16_t data_off
        uint16_t refcnt
        uint16_t nb_segs
        uint16_t port
        uint64_t ol_flags
        uint32_t packet_type
        uint32_t pkt_len
        uint16_t data_len
        uint16_t vlan_tci
        uint32_t rss_hash
        uint16_t vlan_tci_outer
        uint16_t buf_len
        uint16_t l2_len
        uint16_t l3_len
        mempool_t *pool
        mbuf *next
        uint64_t timestamp_ns
        uint16_t l4_len
        uint16_t tso_segsz
        uint32_t state
        uint8_t user[36]
        uint32_t cut_len

    enum:
        MBUF_HEADER "DP_MBUF_HEADER"
        MBUF_HEADROOM "DP_MBUF_HEADROOM"
        MBUF_DATA_ROOM "DP_MBUF_DATA_ROOM"
    # Bytes in n packets, all segments.
    uint64_t bytes_of "dp_bytes_of" (mbuf **pkts, uint32_t n)
    const uint64_t MBUF_REARM "DP_MBUF_REARM"
    const uint64_t RX_VLAN "DP_RX_VLAN"
    const uint64_t RX_VLAN_STRIPPED "DP_RX_VLAN_STRIPPED"
    const uint64_t RX_RSS "DP_RX_RSS"
    const uint64_t RX_IP_GOOD "DP_RX_IP_GOOD"
    const uint64_t RX_IP_BAD "DP_RX_IP_BAD"
    const uint64_t RX_L4_GOOD "DP_RX_L4_GOOD"
    const uint64_t RX_L4_BAD "DP_RX_L4_BAD"
    const uint64_t RX_TIMESTAMP "DP_RX_TIMESTAMP"
    const uint64_t RX_CUT "DP_RX_CUT"
    const uint64_t TX_VLAN "DP_TX_VLAN"
    const uint64_t TX_IP_CSUM "DP_TX_IP_CSUM"
    const uint64_t TX_UDP_CSUM "DP_TX_UDP_CSUM"
    const uint64_t TX_TCP_CSUM "DP_TX_TCP_CSUM"
    const uint64_t TX_TSO "DP_TX_TSO"
    const uint64_t TX_IPV4 "DP_TX_IPV4"
    const uint64_t TX_IPV6 "DP_TX_IPV6"
    const uint64_t TX_STAMP "DP_TX_STAMP"


cdef inline uint8_t *data(const mbuf *m) noexcept nogil:
    """The first byte of this segment's data."""
    return <uint8_t *> m.buf_addr + m.data_off


cdef inline uint64_t data_iova(const mbuf *m) noexcept nogil:
    return m.buf_iova + m.data_off


cdef inline void rearm(mbuf *m, uint16_t port) noexcept nogil:
    """Back to one empty segment with all its headroom."""
    (<uint64_t *> &m.data_off)[0] = MBUF_REARM | <uint64_t> port << 48


cdef inline void set_single(mbuf *m, uint32_t length) noexcept nogil:
    """A packet of `length` bytes, all in this one segment."""
    m.pkt_len = length
    m.data_len = <uint16_t> length
    m.nb_segs = 1


cdef inline bint has_arrival(const mbuf *m) noexcept nogil:
    """Whether its time is known. A packet of 1970-01-01 00:00 has the time 0, which is as good as any."""
    return (m.ol_flags & RX_TIMESTAMP) != 0


cdef inline uint64_t arrival_ns(const mbuf *m) noexcept nogil:
    """The time of arrival, ns since the epoch; 0 if it is not known: `has_arrival` distinguishes that from the time 0."""
    return m.timestamp_ns if m.ol_flags & RX_TIMESTAMP else 0


cdef inline void set_arrival(mbuf *m, uint64_t ns) noexcept nogil:
    """Call it after ol_flags is set."""
    m.timestamp_ns = ns
    m.ol_flags |= RX_TIMESTAMP


cdef inline uint32_t original_length(const mbuf *m) noexcept nogil:
    """Bytes it had on the wire. A packet that a capture kept in part has fewer here; what an app adds or removes counts."""
    return m.pkt_len + (m.cut_len if m.ol_flags & RX_CUT else 0)


cdef inline void set_original_length(mbuf *m, uint32_t length) noexcept nogil:
    """Note the bytes of the packet before it was cut; ignored below pkt_len. Call it after ol_flags and pkt_len are set."""
    if length > m.pkt_len:
        m.cut_len = length - m.pkt_len
        m.ol_flags |= RX_CUT


# Copies `length` bytes of a packet that starts in `m`, from `offset` on, to `to`; returns how many there were.
cdef uint32_t copy_out(const mbuf *m, uint32_t offset, void *to, uint32_t length) noexcept nogil
