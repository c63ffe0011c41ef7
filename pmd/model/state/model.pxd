# SPDX-License-Identifier: BSD-3-Clause
"""model.h as Cython sees it."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "model.h" nogil:
    enum:
        READ "MDL_READ"
        WRITE "MDL_WRITE"
        RX_DESC_FETCH "MDL_RX_DESC_FETCH"
        RX_DESC_WRITE "MDL_RX_DESC_WRITE"
        RX_DATA "MDL_RX_DATA"
        TX_DESC_FETCH "MDL_TX_DESC_FETCH"
        TX_DESC_WRITE "MDL_TX_DESC_WRITE"
        TX_DATA "MDL_TX_DATA"
        TX_HEAD_WRITE "MDL_TX_HEAD_WRITE"
        FAULTS "MDL_FAULTS"
        BAD_CRC "MDL_BAD_CRC"
        LOST "MDL_LOST"
        COUNTED "MDL_COUNTED"
        REFUSED "MDL_REFUSED"
        INEXACT "MDL_INEXACT"
        RXE "MDL_RXE"
        LOCAL "MDL_LOCAL"
        IP_MADE "MDL_IP_MADE"
        L4_MADE "MDL_L4_MADE"
        DIRECTED_ONCE "MDL_DIRECTED_ONCE"
        STAMP_SOUGHT "MDL_STAMP_SOUGHT"
        STAMPED "MDL_STAMPED"
        MARKED "MDL_MARKED"
        STUB "MDL_STUB"
        STUBS "MDL_STUBS"
        QUEUES "MDL_QUEUES"
        POOLS "MDL_POOLS"
        ADDRESSES "MDL_ADDRESSES"
        VLANS "MDL_VLANS"
        VLAN_SLOTS "MDL_VLAN_SLOTS"
        MIRRORS "MDL_MIRRORS"
        TUPLES "MDL_TUPLES"
        DIRECTED "MDL_DIRECTED"
        NO_FILTER "MDL_NO_FILTER"
        VIOLATIONS "MDL_VIOLATIONS"
        DIRTY_FILTER "MDL_DIRTY_FILTER"
        DIRTY_STEER "MDL_DIRTY_STEER"
        DIRTY_POOLS "MDL_DIRTY_POOLS"
        DIRTY_RSC "MDL_DIRTY_RSC"
        RSC_CONTEXTS "MDL_RSC_CONTEXTS"
        RSC_HEADER "MDL_RSC_HEADER"
        V_TX_TAIL "MDL_V_TX_TAIL"
        V_RX_TAIL "MDL_V_RX_TAIL"
        V_TX_EMPTY "MDL_V_TX_EMPTY"
        V_TX_NO_EOP "MDL_V_TX_NO_EOP"
        V_TX_LONG "MDL_V_TX_LONG"
        V_TX_SHORT "MDL_V_TX_SHORT"
        V_TX_SEGMENTS "MDL_V_TX_SEGMENTS"
        V_TX_PAYLEN "MDL_V_TX_PAYLEN"
        V_TX_DTYP "MDL_V_TX_DTYP"
        V_TX_CONTEXT "MDL_V_TX_CONTEXT"
        V_TX_QUEUE "MDL_V_TX_QUEUE"
        V_TX_BUFFER "MDL_V_TX_BUFFER"
        V_TX_OFFLOAD "MDL_V_TX_OFFLOAD"
        V_TX_MSS "MDL_V_TX_MSS"
        V_TX_OVER_MAXFRS "MDL_V_TX_OVER_MAXFRS"
        V_TX_SECURITY "MDL_V_TX_SECURITY"
        V_TX_FCOE "MDL_V_TX_FCOE"
        V_STAMP_STOPPED "MDL_V_STAMP_STOPPED"
        V_RX_RSC_TIMER "MDL_V_RX_RSC_TIMER"
        V_TX_STAMP "MDL_V_TX_STAMP"
        V_RX_HEADER "MDL_V_RX_HEADER"
        V_RX_ODD "MDL_V_RX_ODD"
        V_RX_SPLIT "MDL_V_RX_SPLIT"
        V_RX_SMALL_RING "MDL_V_RX_SMALL_RING"
        V_RX_BUFFER_SIZE "MDL_V_RX_BUFFER_SIZE"
        V_RX_CRC "MDL_V_RX_CRC"
    const uint64_t NOBODY "MDL_NOBODY"
    const uint64_t ADDRESS "MDL_ADDRESS"
    const uint64_t BROADCAST "MDL_BROADCAST"

    struct mdl_range:
        uint64_t iova, size
        uint8_t *host
        uint32_t perms

    struct mdl_fault:
        uint64_t iova
        uint32_t length
        uint16_t queue
        uint8_t what, write

    struct mdl_domain:
        uint64_t hit_iova, hit_size
        uint8_t *hit_host
        uint32_t hit_perms
        uint32_t count
        mdl_range *ranges
        uint32_t room
        uint32_t generation
        uint64_t faults
        mdl_fault *fault

    struct mdl_frame:
        uint16_t len
        uint16_t flags
        uint32_t tag
        uint64_t ready
        uint64_t pools
        uint8_t *data

    struct mdl_fifo:
        uint8_t *base
        uint32_t size, limit
        uint64_t in_ "in"
        uint64_t out
        uint64_t seen_in, seen_out
        uint32_t wpos, rpos
        uint32_t lost_unseen

    void mdl_label_whole(mdl_frame *f, uint64_t first, uint64_t last)
    void mdl_label(mdl_frame *f, uint32_t len, uint32_t flags, uint32_t tag, uint64_t last)
    void mdl_fifo_refresh(mdl_fifo *f)
    mdl_frame *mdl_reserve(mdl_fifo *f, uint32_t len)
    mdl_frame *mdl_reserve_within(mdl_fifo *f, uint32_t len, uint32_t limit)
    void mdl_commit(mdl_fifo *f, uint32_t len)
    mdl_frame *mdl_peek(mdl_fifo *f)
    void mdl_pop(mdl_fifo *f, mdl_frame *frame)
    void mdl_lose(mdl_fifo *f, const uint8_t *data, uint32_t len, uint32_t flags)
    uint32_t mdl_take_lost(mdl_fifo *f)
    mdl_frame *mdl_peek_ahead(mdl_fifo *f)
    mdl_fifo *mdl_fifo_new(uint32_t limit)
    void mdl_fifo_free(mdl_fifo *f)
    void mdl_fifo_clear(mdl_fifo *f)

    struct mdl_tuple:
        uint32_t src, dst, src_mask, dst_mask, ports, ports_mask
        uint8_t protocol, any_protocol, queue, pool, any_pool

    struct mdl_address:
        uint64_t address, pools

    struct mdl_filter:
        uint64_t rar0
        uint8_t all_unicast, all_multicast, broadcast, hash_multicast
        uint8_t store_bad, vlan_filter, cfi_check, cfi_value
        uint8_t pass_pause, extended_vlan, receive, mo
        uint16_t vet, outer_vet
        uint32_t max_bytes
        uint8_t hash_unicast
        const uint32_t *mta
        const uint32_t *uta
        const uint32_t *vfta
        mdl_address *known

    const mdl_address *mdl_find(const mdl_filter *f, uint64_t address)
    void mdl_know(mdl_filter *f, uint64_t address, uint64_t pools)

    struct mdl_steer:
        uint8_t any_etqf, syn, syn_first, mrqe
        uint8_t syn_queue, hash_in_descriptor, ip_payload_sum, rss, simple, keyed, directs, stamps
        uint32_t fields, tuples
        uint8_t *key
        uint8_t *reta
        uint32_t *etqf
        uint32_t *etqs
        mdl_tuple *tuple
        uint32_t (*toeplitz)[256]

    struct mdl_directed:
        uint32_t src, dst, ports
        uint16_t vlan, flex, bucket, next, id
        uint8_t kind, pool, queue, queued, drop, collides

    struct mdl_found:
        uint32_t status, report, reports

    struct mdl_director:
        uint8_t ready, perfect, report, report_always
        uint8_t drop_queue, flex_at, longest, any_l4, any_pool, any_dst6
        uint16_t vlan_mask, flex_mask, src6, dst6
        uint32_t src_mask, dst_mask, tcp_mask, udp_mask
        uint32_t bucket_key, signature_key
        uint16_t bucket_mask, capacity, used, collisions, free_at, threshold
        uint64_t looked
        mdl_found *found
        uint16_t (*bucket_sum)[256]
        uint16_t (*signature_sum)[256]
        uint16_t *head
        mdl_directed *filter

    mdl_director *mdl_director_new()

    struct mdl_stamps:
        const uint64_t *virtual_ns
        uint64_t at_ns, value, rest, since
        int64_t ppb
        uint32_t incvalue, incperiod, slow, latched
        uint8_t rx_on, tx_on, rx_type, control, message, told
        uint16_t udp_port

    uint64_t mdl_systim(const mdl_stamps *s, uint64_t ns)
    void mdl_settle_systim(mdl_stamps *s, uint64_t now)
    void mdl_count_stampers(int *stampers, int by)

    struct mdl_mirror:
        uint64_t pools, vlans, target
        uint8_t uplink, downlink

    struct mdl_pools:
        uint8_t shift, tx_shift, replicate, switching, classes, mirrors
        uint64_t fallback, receive, echo
        uint64_t untagged, broadcast, all_multicast, hash_multicast, hash_unicast
        uint64_t check_mac, check_vlan, count_spoofed
        uint64_t *vlan
        uint8_t *spread
        uint8_t *slot
        mdl_mirror *mirror

    struct mdl_rsc:
        uint8_t open, tagged, stamped, tos
        uint16_t queue, tci
        uint32_t src, dst, ports, next
        uint32_t info, hash, status
        uint32_t packets, started, descriptors, at, filled, bytes
        uint16_t l3, l4, header_size, vector
        uint64_t first, buffer, due
        uint8_t *header

    struct mdl_rxq:
        mdl_domain *domain
        uint8_t *ring
        volatile uint32_t *tail
        volatile uint32_t *head_reg
        uint32_t n, head, buffer
        uint8_t enabled, stalled, drop, legacy, strip, set, warned, usual, doubtful
        uint8_t merges, rsc_most, rsc_stamps, rsc_warned
        uint64_t base
        uint32_t bad_tail

    struct mdl_context:
        uint16_t vlan
        uint8_t mac_len, l4_len
        uint16_t ip_len, mss
        uint8_t ipv4, l4_type, fcoe

    struct mdl_txq:
        mdl_domain *domain
        uint8_t *ring
        volatile uint32_t *head_reg
        uint32_t n, head
        uint8_t enabled, stalled, set, wthresh, head_wb, warned
        uint32_t written, bad_tail, segments_sent, rate
        uint64_t base, head_address, idle_at
        uint16_t port_tag
        uint8_t tagging, sender
        mdl_context *context

    struct mdl_violation:
        uint8_t code
        uint16_t queue
        uint32_t index
        uint64_t value

    struct mdl_port:
        uint32_t *regs
        mdl_domain *domain
        mdl_fifo *rx_fifo
        mdl_fifo *tx_fifo
        mdl_fifo *tx_buffer
        mdl_fifo *switched
        uint8_t *scratch
        uint8_t link, elastic, loopback, rx_held
        uint8_t tx_on, crc_strip, tx_plain, length_check, tx_pad, tx_crc, many_queues, waits, pooled, merging, rsc_on, rsc_open
        uint32_t rx_limit
        uint32_t epoch, dirty
        uint64_t now_ns
        uint64_t *rx_enabled
        uint64_t *tx_enabled
        uint64_t *qde
        uint64_t *tx_gate
        uint64_t *tx_due
        uint64_t *rated
        uint32_t credit, slow
        uint64_t *rx_causes
        uint64_t *tx_causes
        uint32_t other_causes, tx_next
        uint8_t[64] tx_turn
        uint16_t tx_vlan_type
        uint32_t tx_max, stats_queue
        uint8_t pool_shift
        uint64_t vf_pools
        mdl_domain **domain_of_pool
        mdl_filter filter
        mdl_steer steer
        mdl_director *director
        mdl_pools vt
        uint8_t wired, pumped
        const bint *peer_lit
        const uint8_t *peer_pace
        uint64_t line_at
        mdl_stamps stamps
        mdl_rsc *rsc
        uint64_t violations
        mdl_violation *violation
        volatile uint32_t **rx_tail
        volatile uint32_t **tx_tail
        volatile uint32_t **tx_bell
        uint32_t *tx_at
        mdl_rxq *rxq
        mdl_txq *txq

    void mdl_violate(mdl_port *p, int code, uint32_t queue, uint32_t index, uint64_t value)

    void mdl_copy(uint8_t *to, const uint8_t *source, uint32_t n)
    uint16_t mdl_load16(const void *p)
    uint32_t mdl_load32(const void *p)
    uint64_t mdl_load64(const void *p)
    void mdl_store16(void *p, uint16_t v)
    void mdl_store32(void *p, uint32_t v)
    uint16_t mdl_be16(const void *p)
    uint32_t mdl_be32(const void *p)
    uint16_t mdl_swap16 "__builtin_bswap16" (uint16_t v)
    uint32_t mdl_swap32 "__builtin_bswap32" (uint32_t v)
    void mdl_publish64(void *p, uint64_t v)
    void mdl_publish32(void *p, uint32_t v)
    uint32_t mdl_ctz64(uint64_t v)
    uint64_t mdl_sum(const uint8_t *p, uint32_t n)
    uint32_t mdl_fold(uint64_t sum)
