/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The silicon's working state, decoded from the register file so that the hot loops touch few lines.
 * A `mdl_port` is one port; the C in this header is what Cython cannot say well: vector copies, atomics, sums.
 */
#ifndef DATAPLANE_MODEL_H
#define DATAPLANE_MODEL_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane.h"
#include "director.h"
#include "rsc.h"
#include "stamps.h"

/* ---- DMA: IOVA -> host memory ---- */

enum mdl_perm { MDL_READ = 1, MDL_WRITE = 2 };

/* Who asked: the words of a fault, see `WHAT` in iommu.pyx. */
enum mdl_what {
    MDL_RX_DESC_FETCH, MDL_RX_DESC_WRITE, MDL_RX_DATA,
    MDL_TX_DESC_FETCH, MDL_TX_DESC_WRITE, MDL_TX_DATA, MDL_TX_HEAD_WRITE,
    MDL_OTHER,
};

struct mdl_range {
    uint64_t iova, size;
    uint8_t *host;
    uint32_t perms, pad;
};

struct mdl_fault {
    uint64_t iova;
    uint32_t length;
    uint16_t queue;
    uint8_t what, write;
};

#define MDL_FAULTS 64

struct mdl_domain {
    uint64_t hit_iova, hit_size; /* the range hit last; size 0: none */
    uint8_t *hit_host;
    uint32_t hit_perms;
    uint32_t count;
    struct mdl_range *ranges; /* ascending, disjoint */
    uint32_t room;
    uint32_t generation; /* moves with every change */
    uint64_t faults;     /* ever; the last MDL_FAULTS of them are kept */
    struct mdl_fault fault[MDL_FAULTS];
};

/* ---- frames between wire and descriptors: a byte FIFO, one producer and one consumer ---- */

enum mdl_frame_flag {
    MDL_BAD_CRC = 1,  /* the FCS on the wire is wrong                                      */
    MDL_LOST = 2,     /* came when the packet buffer was full: only MDL_STUB bytes are here */
    MDL_COUNTED = 4,  /* the MAC has seen it while the queues were blocked                 */
    MDL_REFUSED = 8,  /* ... and did not let it in                                         */
    MDL_INEXACT = 16, /* ... let in by a hash only                                         */
    MDL_RXE = 32,     /* ... a bad packet, stored because of FCTRL.SBP                     */
    MDL_JUMP = 64,    /* no frame: go on at offset `tag`                                   */
    MDL_LOCAL = 128,  /* came from a pool of this port by the Tx switch, not from the wire */
    MDL_IP_MADE = 256, /* in the Tx buffer and from there by the switch: who sent it had ...  */
    MDL_L4_MADE = 512, /* ... the checksum of the IP header, of TCP, UDP or SCTP made        */
    MDL_DIRECTED_ONCE = 1024, /* the flow director has counted it; it waits for descriptors  */
    MDL_STAMP_SOUGHT = 2048,  /* whether it gets a time stamp is settled; it waits likewise    */
    MDL_STAMPED = 4096,       /* ... and it got one                                            */
    MDL_MARKED = 8192,        /* in the Tx buffer: it is to be stamped when it leaves          */
};

#define MDL_STUB 64

struct mdl_frame {
    uint16_t len; /* bytes without FCS */
    uint16_t flags;
    uint32_t tag;   /* of a jump: where to; in the Tx buffer: the pool that sent it; else how many targets have had it */
    union {
        uint64_t ready; /* ns: when it left the sender; 0 where no wire asks */
        uint64_t pools; /* of a local one: to whom                           */
    };
    uint8_t data[];
};

_Static_assert(sizeof(struct mdl_frame) == 16, "a frame's header is one vector");

/* Two stores instead of four. first: len | flags << 16 | tag << 32; last: ready or pools. */
static inline void mdl_label_whole(struct mdl_frame *f, uint64_t first, uint64_t last)
{
    memcpy(f, &first, sizeof first);
    f->ready = last;
}

static inline void mdl_label(struct mdl_frame *f, uint32_t len, uint32_t flags, uint32_t tag, uint64_t last)
{
    mdl_label_whole(f, (uint16_t)len | (uint64_t)(uint16_t)flags << 16 | (uint64_t)tag << 32, last);
}

struct mdl_fifo {
    uint8_t *base;
    uint32_t size;  /* of the memory; twice the largest limit and more, so that halves can alternate */
    uint32_t limit; /* bytes in use at which it is full */
    /* producer */
    uint64_t in DP_ALIGNED; /* bytes ever put in; published by a release store */
    uint64_t seen_out;
    uint32_t wpos;
    uint32_t lost_unseen; /* frames lost without even a stub */
    /* consumer */
    uint64_t out DP_ALIGNED;
    uint64_t seen_in;
    uint32_t rpos;
    /* how far the MAC got ahead of the queues while they were blocked */
    uint32_t mac_pos;
    uint64_t mac_out;
};

/* With room for an FCS, which is only made when a port does not strip it. */
static inline uint32_t mdl_footprint(uint32_t len) { return (uint32_t)sizeof(struct mdl_frame) + ((len + 4u + 15u) & ~15u); }

#define MDL_HOT (8u << 10) /* an empty FIFO starts over above this, so that a light load stays in L1 */

#define MDL_STUBS (256u << 10) /* above the limit: the first bytes of lost frames */

static inline void mdl_jump(struct mdl_fifo *f, uint32_t to)
{
    struct mdl_frame *mark = (struct mdl_frame *)(f->base + f->wpos);
    mark->flags = MDL_JUMP;
    mark->tag = to;
    f->wpos = to;
}

/* Once per burst: an empty FIFO goes on at the start of its other half (nothing there is in use, whatever the
 * consumer still has to read of this half). */
static inline void mdl_fifo_refresh(struct mdl_fifo *f)
{
    f->seen_out = __atomic_load_n(&f->out, __ATOMIC_ACQUIRE);
    if (f->in == f->seen_out) {
        uint32_t half = f->size / 2;
        if (f->wpos % half > MDL_HOT)
            mdl_jump(f, f->wpos < half ? half : 0);
    }
}

/* Room for a frame of up to `len` bytes, or NULL. Nothing is visible before the commit. */
static inline struct mdl_frame *mdl_reserve_within(struct mdl_fifo *f, uint32_t len, uint32_t limit)
{
    uint32_t need = mdl_footprint(len);
    if (dp_unlikely(f->in - f->seen_out + need > limit)) {
        f->seen_out = __atomic_load_n(&f->out, __ATOMIC_ACQUIRE);
        if (f->in - f->seen_out + need > limit)
            return NULL;
    }
    if (dp_unlikely(f->wpos + need + sizeof(struct mdl_frame) > f->size))
        mdl_jump(f, 0);
    return (struct mdl_frame *)(f->base + f->wpos);
}

static inline struct mdl_frame *mdl_reserve(struct mdl_fifo *f, uint32_t len)
{
    return mdl_reserve_within(f, len, f->limit);
}

static inline void mdl_commit(struct mdl_fifo *f, uint32_t len)
{
    uint32_t need = mdl_footprint(len);
    f->wpos += need;
    __atomic_store_n(&f->in, f->in + need, __ATOMIC_RELEASE);
}

static inline struct mdl_frame *mdl_peek(struct mdl_fifo *f)
{
    if (f->out == f->seen_in) {
        f->seen_in = __atomic_load_n(&f->in, __ATOMIC_ACQUIRE);
        if (f->out == f->seen_in)
            return NULL;
    }
    struct mdl_frame *frame = (struct mdl_frame *)(f->base + f->rpos);
    while (dp_unlikely(frame->flags & MDL_JUMP)) {
        f->rpos = frame->tag;
        frame = (struct mdl_frame *)(f->base + f->rpos);
    }
    return frame;
}

static inline void mdl_pop(struct mdl_fifo *f, const struct mdl_frame *frame)
{
    uint32_t need = mdl_footprint(frame->flags & MDL_LOST && frame->len > MDL_STUB ? MDL_STUB : frame->len);
    f->rpos += need;
    __atomic_store_n(&f->out, f->out + need, __ATOMIC_RELEASE);
}

/* For a producer that does not wait: the receiver will count a lost frame. Its first bytes tell what it was; if there
 * is no room even for them, it is but a number. */
static inline void mdl_lose(struct mdl_fifo *f, const uint8_t *data, uint32_t len, uint32_t flags)
{
    uint32_t kept = len < MDL_STUB ? len : MDL_STUB;
    struct mdl_frame *frame = mdl_reserve_within(f, kept, f->limit + MDL_STUBS);
    if (!frame) {
        __atomic_add_fetch(&f->lost_unseen, 1, __ATOMIC_RELAXED);
        return;
    }
    mdl_label(frame, len, MDL_LOST | flags, 0, 0);
    memcpy(frame->data, data, kept);
    mdl_commit(f, kept);
}

static inline uint32_t mdl_take_lost(struct mdl_fifo *f) { return __atomic_exchange_n(&f->lost_unseen, 0, __ATOMIC_RELAXED); }

/* The next frame the MAC has not seen, beyond those that wait for descriptors. NULL: none. */
static inline struct mdl_frame *mdl_peek_ahead(struct mdl_fifo *f)
{
    if ((int64_t)(f->mac_out - f->out) < 0) {
        f->mac_out = f->out;
        f->mac_pos = f->rpos;
    }
    for (;;) {
        if (f->mac_out == f->seen_in) {
            f->seen_in = __atomic_load_n(&f->in, __ATOMIC_ACQUIRE);
            if (f->mac_out == f->seen_in)
                return NULL;
        }
        struct mdl_frame *frame = (struct mdl_frame *)(f->base + f->mac_pos);
        if (frame->flags & MDL_JUMP) {
            f->mac_pos = frame->tag;
            continue;
        }
        if (!(frame->flags & MDL_COUNTED))
            return frame;
        uint32_t need = mdl_footprint(frame->flags & MDL_LOST && frame->len > MDL_STUB ? MDL_STUB : frame->len);
        f->mac_pos += need;
        f->mac_out += need;
    }
}

/* For the consumer: everything in it is gone. */
static inline void mdl_fifo_clear(struct mdl_fifo *f)
{
    for (struct mdl_frame *frame; (frame = mdl_peek(f));)
        mdl_pop(f, frame);
}

static inline struct mdl_fifo *mdl_fifo_new(uint32_t limit)
{
    struct mdl_fifo *f = aligned_alloc(DP_CACHE_LINE, sizeof *f);
    if (!f)
        return NULL;
    memset(f, 0, sizeof *f);
    f->limit = limit;
    f->size = 4 * (limit > MDL_STUBS ? limit : MDL_STUBS);
    f->base = aligned_alloc(DP_CACHE_LINE, f->size); /* pages that no frame reaches cost nothing */
    if (!f->base) {
        free(f);
        return NULL;
    }
    return f;
}

static inline void mdl_fifo_free(struct mdl_fifo *f)
{
    if (f)
        free(f->base);
    free(f);
}

/* ---- receive filters, decoded ---- */

#define MDL_TUPLES 128

struct mdl_tuple { /* one enabled 5-tuple filter, by falling priority */
    uint32_t src, dst;
    uint32_t src_mask, dst_mask; /* all ones: compared, 0: ignored */
    uint32_t ports, ports_mask;  /* as the four bytes lie in the packet */
    uint8_t protocol, any_protocol, queue, pool, any_pool, pad[3];
};

struct mdl_address {
    uint64_t address; /* 48 bits as loaded from a frame; MDL_NOBODY: a free place */
    uint64_t pools;   /* MPSAR */
};

#define MDL_ADDRESSES 256 /* places for 128 addresses: one is always free, so a search ends */
#define MDL_NOBODY (~0ull)
#define MDL_ADDRESS 0xFFFFFFFFFFFFull /* the 48 bits */
#define MDL_BROADCAST 0xFFFFFFFFFFFFull

struct mdl_filter {
    uint64_t rar0;     /* the first valid address; MDL_NOBODY: none */
    uint8_t all_unicast, all_multicast, broadcast, hash_multicast;
    uint8_t store_bad, vlan_filter, cfi_check, cfi_value;
    uint8_t pass_pause, extended_vlan, receive, mo;
    uint16_t vet, outer_vet; /* network order, as loaded */
    uint32_t max_bytes;      /* with FCS, without tags */
    uint8_t hash_unicast, pad[3];
    const uint32_t *mta, *uta, *vfta;
    struct mdl_address known[MDL_ADDRESSES]; /* hashed */
};

/* What the address table says of a destination or a source, NULL: nothing. */
static inline const struct mdl_address *mdl_find(const struct mdl_filter *f, uint64_t address)
{
    for (uint32_t at = (uint32_t)(address * 0x9E3779B97F4A7C15ull >> 56);; at = (at + 1) % MDL_ADDRESSES) {
        if (dp_likely(f->known[at].address == address))
            return &f->known[at];
        if (f->known[at].address == MDL_NOBODY)
            return NULL;
    }
}

static inline void mdl_know(struct mdl_filter *f, uint64_t address, uint64_t pools)
{
    uint32_t at = (uint32_t)(address * 0x9E3779B97F4A7C15ull >> 56);
    for (; f->known[at].address != MDL_NOBODY; at = (at + 1) % MDL_ADDRESSES)
        if (f->known[at].address == address)
            return;
    f->known[at].address = address;
    f->known[at].pools = pools;
}

struct mdl_steer {
    uint8_t any_etqf, syn, syn_first, mrqe;
    uint8_t syn_queue, hash_in_descriptor, ip_payload_sum, rss;
    uint8_t simple, keyed; /* simple: everything goes to queue 0, and no descriptor has a hash */
    uint8_t directs, stamps, pad[4]; /* the flow director has its memory and works; TSYNCRXCTL.ENABLE */
    uint32_t fields; /* MRQC[31:16] */
    uint32_t tuples;
    uint8_t key[40]; /* that the tables below were made from */
    uint8_t reta[128];
    uint32_t etqf[8], etqs[8];
    struct mdl_tuple tuple[MDL_TUPLES];
    uint32_t toeplitz[36][256]; /* [byte of the input][value] */
};

/* ---- pools (datasheet 7.10.3), decoded. A set of pools is a mask: bit p is pool p ---- */

#define MDL_POOLS 64
#define MDL_VLANS 4096
#define MDL_VLAN_SLOTS 64
#define MDL_MIRRORS 4

struct mdl_mirror { /* an enabled rule: what is copied to `target` */
    uint64_t pools, vlans; /* what goes to these pools; what has these VLANs, by their slots */
    uint64_t target;
    uint8_t uplink, downlink, pad[6]; /* what comes from the wire; what goes to it */
};

struct mdl_pools {
    uint8_t shift, tx_shift; /* Rx queue q is pool q >> shift's, Tx queue q is pool q >> tx_shift's (MRQC, MTQC) */
    uint8_t replicate, switching, classes, mirrors, pad[2]; /* classes: queue by traffic class, not by hash */
    uint64_t fallback;       /* the default pool, or none */
    uint64_t receive, echo;  /* who receives; who may get back what it sent */
    uint64_t untagged, broadcast, all_multicast, hash_multicast, hash_unicast;
    uint64_t check_mac, check_vlan, count_spoofed;
    uint64_t vlan[MDL_VLAN_SLOTS];
    uint8_t spread[MDL_POOLS]; /* which bits of RSS's answer count */
    uint8_t slot[MDL_VLANS];   /* 1 + the slot of a VLAN; 0: it has none */
    struct mdl_mirror mirror[MDL_MIRRORS];
};

/* ---- queues ---- */

#define MDL_QUEUES 128

struct mdl_rxq {
    struct mdl_domain *domain; /* of the function that the queue's pool belongs to */
    uint8_t *ring; /* host address, NULL: not one mapped piece, go through the domain */
    volatile uint32_t *tail;
    volatile uint32_t *head_reg;
    uint32_t n, head;
    uint32_t buffer; /* bytes of a buffer */
    uint8_t enabled, stalled, drop, legacy, strip, set, warned;
    uint8_t usual; /* mapped in one piece, advanced descriptors, tags stay: the short way */
    uint64_t base;
    uint32_t bad_tail; /* the tail complained about last */
    uint8_t doubtful;  /* SRRCTL is wrong, and no frame has come yet */
    uint8_t merges, rsc_most, rsc_stamps; /* RSC: on; descriptors of a packet; packets with time stamps, too */
    uint8_t rsc_warned, pad1[3];
} DP_ALIGNED;

struct mdl_context {
    uint16_t vlan;
    uint8_t mac_len, l4_len;
    uint16_t ip_len, mss;
    uint8_t ipv4, l4_type, fcoe, pad;
};

struct mdl_txq {
    struct mdl_domain *domain;
    uint8_t *ring;
    volatile uint32_t *head_reg;
    uint32_t n, head;
    uint8_t enabled, stalled, set, wthresh, head_wb, warned;
    uint8_t tagging;   /* PFVMVIR.VLANA */
    uint8_t sender;    /* its pool; 0 without pools */
    uint32_t written;  /* with WTHRESH: descriptors before this are written back */
    uint32_t bad_tail; /* the tail complained about last */
    uint32_t segments_sent; /* of a segmented packet that waits for the wire */
    uint32_t rate;     /* line rate over this queue's, 14 bits behind the point; 0: no limit */
    uint64_t base;
    uint64_t head_address;
    uint64_t idle_at;  /* with a rate: when it may send again, in ns / 64 */
    uint16_t port_tag; /* PFVMVIR: the tag that its pool's frames get */
    uint16_t pad1[3];
    struct mdl_context context[2];
} DP_ALIGNED;

/* ---- what a driver did wrong; the texts stand in violation.py ---- */

enum mdl_violation_code {
    MDL_V_TX_TAIL, MDL_V_RX_TAIL, MDL_V_TX_EMPTY, MDL_V_TX_NO_EOP, MDL_V_TX_LONG, MDL_V_TX_SHORT,
    MDL_V_TX_SEGMENTS, MDL_V_TX_PAYLEN, MDL_V_TX_DTYP, MDL_V_TX_CONTEXT, MDL_V_TX_QUEUE, MDL_V_TX_BUFFER,
    MDL_V_TX_OFFLOAD, MDL_V_TX_MSS, MDL_V_RX_HEADER, MDL_V_RX_ODD, MDL_V_RX_SPLIT, MDL_V_RX_SMALL_RING,
    MDL_V_RX_BUFFER_SIZE, MDL_V_RX_CRC, MDL_V_TX_OVER_MAXFRS,
    MDL_V_TX_SECURITY, MDL_V_TX_FCOE, MDL_V_STAMP_STOPPED, MDL_V_RX_RSC_TIMER, MDL_V_TX_STAMP,
};

struct mdl_violation {
    uint8_t code, pad;
    uint16_t queue;
    uint32_t index;
    uint64_t value;
};

#define MDL_VIOLATIONS 64

/* ---- a port ---- */

struct mdl_port {
    uint32_t *regs;
    struct mdl_domain *domain; /* the PF's */
    struct mdl_fifo *rx_fifo; /* the packet buffer */
    uint8_t *scratch;         /* room for one packet to be segmented */
    struct mdl_fifo *tx_fifo; /* where frames go: the peer's packet buffer or a wire's; NULL: nowhere */
    struct mdl_fifo *tx_buffer; /* with pools: what was fetched and is not through the switch yet */
    struct mdl_fifo *switched;  /* and what the switch sent back, to pools of this port */
    uint8_t link, elastic, loopback, rx_held; /* held: SECRXCTRL.RX_DIS keeps frames in the packet buffer */
    uint8_t tx_on, crc_strip, tx_plain, length_check; /* plain: the MAC pads and appends FCS, the usual set-up */
    uint8_t tx_pad, tx_crc, many_queues, waits; /* waits: until there is room, instead of losing frames */
    uint8_t pooled; /* there are pools, and `vt` says what they want */
    uint8_t merging, rsc_on, rsc_open; /* RSC: some queue merges; queues may; packets that are not complete */
    uint32_t rx_limit; /* bytes of packet buffer */
    uint32_t epoch; /* mdl_epoch when ring addresses were cached */
    uint32_t dirty;      /* MDL_DIRTY_* */
    uint64_t now_ns;
    uint64_t rx_enabled[2], tx_enabled[2], qde[2];
    uint64_t tx_gate[2]; /* queues of pools that may send */
    uint64_t tx_due[2];  /* queues with descriptors that are done and not written back */
    uint64_t rated[2];   /* queues with a rate */
    uint32_t credit;     /* bytes that a queue with a rate may send at once after a pause */
    uint32_t slow;       /* how much longer a byte takes than at 10 Gb/s: 1, 10 or 100 (LINKS.SPEED) */
    uint64_t rx_causes[2], tx_causes[2];
    uint32_t other_causes;
    uint32_t tx_next; /* queue to begin with, for fairness */
    uint8_t tx_turn[MDL_POOLS]; /* and within a pool, counted from its first */
    uint16_t tx_vlan_type; /* network order */
    uint16_t pad1;
    uint32_t tx_max; /* MAXFRS when jumbo, else 1518 */
    uint32_t stats_queue; /* RXDSTATCTRL */
    /* Which function has a queue: pool = queue >> pool_shift; 0: everything is the PF's (GCR_EXT.VT_MODE). Where frames
     * go is another matter: `vt`. */
    uint8_t pool_shift, pad3[7];
    uint64_t vf_pools; /* pools that are a VF's; the others are the PF's */
    struct mdl_domain *domain_of_pool[MDL_POOLS]; /* of that function; NULL: it is not a bus master, its queues stand still */
    struct mdl_filter filter;
    struct mdl_steer steer;
    struct mdl_pools vt;
    uint8_t wired, pumped, pad2[6];
    const int *peer_lit; /* the other end of the wire, if it is a port */
    const uint8_t *peer_pace; /* and LINKS.SPEED of the light that it sends */
    uint64_t line_at;    /* ns / 64: until then a link below 10 Gb/s is busy with what it was given */
    struct mdl_director *director;
    struct mdl_stamps stamps;
    uint64_t violations;
    struct mdl_violation violation[MDL_VIOLATIONS];
    volatile uint32_t *rx_tail[MDL_QUEUES], *tx_tail[MDL_QUEUES]; /* where each queue's tail is: see Engine.attach */
    /* Of each Tx queue, close together because every step looks at all of them: where its tail is seen, and its head. */
    volatile uint32_t *tx_bell[MDL_QUEUES] DP_ALIGNED;
    uint32_t tx_at[MDL_QUEUES];
    struct mdl_rxq rxq[MDL_QUEUES];
    struct mdl_txq txq[MDL_QUEUES];
    struct mdl_rsc rsc[MDL_RSC_CONTEXTS]; /* last: what every packet touches lies where it lay */
} DP_ALIGNED;

enum { MDL_DIRTY_FILTER = 1, MDL_DIRTY_STEER = 2, MDL_DIRTY_POOLS = 4, MDL_DIRTY_RSC = 8 };

static inline void mdl_violate(struct mdl_port *p, int code, uint32_t queue, uint32_t index, uint64_t value)
{
    struct mdl_violation *v = &p->violation[p->violations % MDL_VIOLATIONS];
    v->code = (uint8_t)code;
    v->queue = (uint16_t)queue;
    v->index = index;
    v->value = value;
    p->violations++;
}

/* ---- memory ---- */

typedef uint8_t mdl_v16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t mdl_v64 __attribute__((vector_size(16), aligned(1), may_alias));

/* Short frames are most frames: two overlapping blocks beat a call. Never reads or writes outside [0, n). */
static inline void mdl_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
    if (dp_likely(n >= 32 && n <= 64)) {
        mdl_v16 a = *(const mdl_v16 *)from, b = *(const mdl_v16 *)(from + 16);
        mdl_v16 c = *(const mdl_v16 *)(from + n - 32), d = *(const mdl_v16 *)(from + n - 16);
        *(mdl_v16 *)to = a;
        *(mdl_v16 *)(to + 16) = b;
        *(mdl_v16 *)(to + n - 32) = c;
        *(mdl_v16 *)(to + n - 16) = d;
    } else
        memcpy(to, from, n);
}

static inline uint16_t mdl_load16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t mdl_load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t mdl_load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void mdl_store16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void mdl_store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline uint16_t mdl_be16(const void *p) { return __builtin_bswap16(mdl_load16(p)); }
static inline uint32_t mdl_be32(const void *p) { return __builtin_bswap32(mdl_load32(p)); }

/* What a polling driver watches: stored whole, after everything before it. */
static inline void mdl_publish64(void *p, uint64_t v) { __atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE); }
static inline void mdl_publish32(void *p, uint32_t v) { __atomic_store_n((uint32_t *)p, v, __ATOMIC_RELEASE); }

static inline uint32_t mdl_ctz64(uint64_t v) { return (uint32_t)__builtin_ctzll(v); }

/* One's-complement sum of n bytes, as 16-bit words in memory order, not yet folded. */
static inline uint64_t mdl_sum(const uint8_t *p, uint32_t n)
{
    uint64_t sum = 0;
    if (n >= 128) { /* four lanes: two for the even halves of each word, two for the odd ones */
        mdl_v64 even = {0}, odd = {0}, mask = {0xFFFFFFFFu, 0xFFFFFFFFu};
        for (; n >= 32; n -= 32, p += 32) {
            mdl_v64 a = *(const mdl_v64 *)p, b = *(const mdl_v64 *)(p + 16);
            even += (a & mask) + (b & mask);
            odd += (a >> 32) + (b >> 32);
        }
        even += odd;
        sum = even[0] + even[1];
    }
    for (; n >= 16; n -= 16, p += 16)
        sum += (uint64_t)mdl_load32(p) + mdl_load32(p + 4) + mdl_load32(p + 8) + mdl_load32(p + 12);
    for (; n >= 4; n -= 4, p += 4)
        sum += mdl_load32(p);
    if (n >= 2) {
        sum += mdl_load16(p);
        n -= 2;
        p += 2;
    }
    return n ? sum + *p : sum; /* the missing last byte counts as 0: little-endian host */
}

static inline uint32_t mdl_fold(uint64_t sum)
{
    sum = (sum & 0xFFFFFFFFu) + (sum >> 32); /* at most 0xFFFFFFFF + 2^12: no frame's sum reaches 2^44 */
    sum = (sum & 0xFFFFu) + (sum >> 16);
    sum = (sum & 0xFFFFu) + (sum >> 16);
    return (uint32_t)sum;
}

/* ---- the lock of a card: the runner holds it for most of the time, register accesses must get in ---- */

struct mdl_lock {
    uint32_t word;
    uint32_t waiters;
} DP_ALIGNED;

static inline void mdl_lock_card(struct mdl_lock *l)
{
    if (dp_cas(&l->word, 0, 1))
        return;
    __atomic_add_fetch(&l->waiters, 1, __ATOMIC_RELAXED);
    dp_lock(&l->word);
    __atomic_sub_fetch(&l->waiters, 1, __ATOMIC_RELAXED);
}

static inline void mdl_unlock_card(struct mdl_lock *l) { dp_unlock(&l->word); }

static inline int mdl_wanted(const struct mdl_lock *l) { return __atomic_load_n(&l->waiters, __ATOMIC_RELAXED) != 0; }

#endif
