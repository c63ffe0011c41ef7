/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Structures that hardware, threads and processes share byte for byte, and the few machine instructions
 * that Cython does not have: fences, the time-stamp counter, prefetch, device registers.
 */
#ifndef DATAPLANE_H
#define DATAPLANE_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#define DP_CACHE_LINE 64
#define DP_ALIGNED __attribute__((aligned(DP_CACHE_LINE)))

/* ---- mbuf: 128 bytes of header, 128 of headroom, then the data room (DPDK's geometry) ---- */

#define DP_MBUF_HEADER 128
#define DP_MBUF_HEADROOM 128
#define DP_MBUF_DATA_ROOM 2048 /* SRRCTL counts Rx buffers in KiB: the 2 KiB hold data only */

struct dp_mempool;

struct dp_mbuf {
    /* first cache line: what Rx writes; 16..23 and 32..47 are each one vector store */
    void *buf_addr;         /*  0 start of the headroom, virtual                       */
    uint64_t buf_iova;      /*  8 the same byte as a device sees it                    */
    uint16_t data_off;      /* 16 from buf_addr to the first byte of the frame         */
    uint16_t refcnt;        /* 18 always 1: an mbuf has one owner                      */
    uint16_t nb_segs;       /* 20 segments of the packet; valid in the first           */
    uint16_t port;          /* 22 the port it came in by                               */
    uint64_t ol_flags;      /* 24 DP_RX_* and DP_TX_*                                  */
    uint32_t packet_type;   /* 32 as the NIC classified it, 0 if it did not            */
    uint32_t pkt_len;       /* 36 bytes in all segments, without FCS; in the first     */
    uint16_t data_len;      /* 40 bytes in this segment                                */
    uint16_t vlan_tci;      /* 42 the stripped tag, or the tag to insert               */
    uint32_t rss_hash;      /* 44                                                      */
    uint16_t vlan_tci_outer;/* 48                                                      */
    uint16_t buf_len;       /* 50 headroom + data room                                 */
    uint16_t l2_len;        /* 52 header lengths for the Tx offloads                   */
    uint16_t l3_len;        /* 54                                                      */
    struct dp_mempool *pool;/* 56 where it goes when it is freed                       */
    /* second cache line */
    struct dp_mbuf *next;   /* 64 next segment; NULL in the last, and in every free mbuf */
    uint64_t timestamp_ns;  /* 72 arrival in ns since the epoch; valid with DP_RX_TIMESTAMP  */
    uint16_t l4_len;        /* 80                                                      */
    uint16_t tso_segsz;     /* 82 MSS                                                  */
    uint32_t state;         /* 84 of a debug pool: DP_STATE_*                          */
    uint8_t user[36];       /* 88 for apps; nothing else touches it                    */
    uint32_t cut_len;       /* 124 bytes that it had on the wire and has not here; valid with DP_RX_CUT */
};

_Static_assert(sizeof(struct dp_mbuf) == DP_MBUF_HEADER, "an mbuf header is two cache lines");
_Static_assert(offsetof(struct dp_mbuf, data_off) == 16, "Rx writes 16..23 as one word");
_Static_assert(offsetof(struct dp_mbuf, packet_type) == 32, "Rx writes 32..47 as one vector");
_Static_assert(offsetof(struct dp_mbuf, rss_hash) == 44, "Rx writes 32..47 as one vector");
_Static_assert(offsetof(struct dp_mbuf, next) == DP_CACHE_LINE, "the second line starts with next");

/* The word at 16..23 of a packet that fills one segment: data_off, refcnt, nb_segs; the port is or'ed in. */
#define DP_MBUF_REARM \
    ((uint64_t)DP_MBUF_HEADROOM | (uint64_t)1 << 16 | (uint64_t)1 << 32)

#define DP_RX_VLAN          (1ull << 0)  /* the packet had a tag; vlan_tci is valid               */
#define DP_RX_VLAN_STRIPPED (1ull << 1)  /* and it is no longer in the data                       */
#define DP_RX_RSS           (1ull << 2)  /* rss_hash is valid                                     */
#define DP_RX_IP_GOOD       (1ull << 3)  /* neither GOOD nor BAD: not checked                     */
#define DP_RX_IP_BAD        (1ull << 4)
#define DP_RX_L4_GOOD       (1ull << 5)
#define DP_RX_L4_BAD        (1ull << 6)
#define DP_RX_TIMESTAMP     (1ull << 7)  /* timestamp_ns is valid                                 */
#define DP_RX_CUT           (1ull << 8)  /* cut_len is valid: a capture kept less than the packet */
#define DP_TX_VLAN          (1ull << 32) /* insert vlan_tci                                       */
#define DP_TX_IP_CSUM       (1ull << 33)
#define DP_TX_UDP_CSUM      (1ull << 34)
#define DP_TX_TCP_CSUM      (1ull << 35)
#define DP_TX_TSO           (1ull << 36)
#define DP_TX_IPV4          (1ull << 37)
#define DP_TX_IPV6          (1ull << 38)
#define DP_TX_STAMP         (1ull << 39) /* take a time stamp when it leaves (IEEE 1588)           */

/* Bytes in n packets (64 KiB each at most, 65,535 of them). Four sums, as one would wait for each load in turn: everything that
 * counts bytes comes by here. */
static inline uint64_t dp_bytes_of(struct dp_mbuf *const *pkts, uint32_t n)
{
    uint32_t a = 0, b = 0, c = 0, d = 0;
    struct dp_mbuf *const *end = pkts + n;
    for (; end - pkts >= 4; pkts += 4) {
        a += pkts[0]->pkt_len;
        b += pkts[1]->pkt_len;
        c += pkts[2]->pkt_len;
        d += pkts[3]->pkt_len;
    }
    for (; pkts < end; pkts++)
        a += (*pkts)->pkt_len;
    return (uint64_t)a + b + c + d;
}

#define DP_STATE_FREE 0x46524545u
#define DP_STATE_USED 0x55534544u

/* ---- mempool: a LIFO of free mbufs with a LIFO cache for each lcore ---- */

#define DP_MAX_LCORE 32
#define DP_LCORE_NONE DP_MAX_LCORE /* a thread that is no lcore works without a cache */
#define DP_CACHE_SIZE 256          /* objects a cache is refilled to */
#define DP_CACHE_FLUSH 512         /* above this it gives back all but DP_CACHE_SIZE */
#define DP_CACHE_ROOM 1024         /* flush mark plus the largest burst */

struct dp_cache {
    uint32_t len;
    uint32_t pad[15];
    struct dp_mbuf *objs[DP_CACHE_ROOM];
} DP_ALIGNED;

struct dp_mempool {
    uint32_t lock;  /* guards len and stack */
    uint32_t len;
    uint32_t n;     /* mbufs in all */
    uint32_t debug; /* canaries, double-free checks, poison: the slow path for everything */
    struct dp_mbuf **stack;
    uint64_t alloc_failures;
    uint64_t corruptions; /* of a debug pool */
    uint32_t data_room;
    uint32_t elt_size;
    struct dp_cache caches[DP_MAX_LCORE];
} DP_ALIGNED;

/* ---- ring: a bounded queue of pointers; slots is a power of two ---- */

struct dp_ring {
    uint32_t slots;
    uint32_t mask;
    uint32_t single; /* 1: one producer and one consumer */
    uint32_t pad0[13];
    uint32_t prod_head, prod_tail;
    uint32_t pad1[14];
    uint32_t cons_head, cons_tail;
    uint32_t pad2[14];
    void *objs[];
} DP_ALIGNED;

_Static_assert(offsetof(struct dp_ring, prod_head) == 64 && offsetof(struct dp_ring, cons_head) == 128,
               "producers and consumers do not share a line");

/* ---- the machine ---- */

#define dp_likely(x) __builtin_expect(!!(x), 1)
#define dp_unlikely(x) __builtin_expect(!!(x), 0)

static inline void dp_prefetch(const volatile void *p) { __builtin_prefetch((const void *)p, 0, 3); }
static inline void dp_prefetch_write(const volatile void *p) { __builtin_prefetch((const void *)p, 1, 3); }

#if defined(__x86_64__)
static inline uint64_t dp_tsc(void) { return __builtin_ia32_rdtsc(); }
static inline void dp_pause(void) { __builtin_ia32_pause(); }
/* x86 keeps loads in order among loads and stores among stores: the compiler is all there is to stop. */
static inline void dp_rmb(void) { __asm__ volatile("" ::: "memory"); }
static inline void dp_wmb(void) { __asm__ volatile("" ::: "memory"); }
#elif defined(__aarch64__)
static inline uint64_t dp_tsc(void) { uint64_t t; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t)); return t; }
static inline void dp_pause(void) { __asm__ volatile("yield"); }
static inline void dp_rmb(void) { __asm__ volatile("dmb oshld" ::: "memory"); }
static inline void dp_wmb(void) { __asm__ volatile("dmb oshst" ::: "memory"); }
#else
#error "dataplane knows x86-64 and aarch64"
#endif
static inline void dp_mb(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/* Device registers and descriptor words that the other side may change at any time. */
static inline uint32_t dp_read32(const volatile uint32_t *p) { return *p; }
static inline void dp_write32(volatile uint32_t *p, uint32_t v) { *p = v; }
static inline uint64_t dp_read64(const volatile uint64_t *p) { return *p; }
static inline void dp_write64(volatile uint64_t *p, uint64_t v) { *p = v; }

static inline uint32_t dp_load_acquire(const volatile uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void dp_store_release(volatile uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline int dp_cas(volatile uint32_t *p, uint32_t expected, uint32_t v)
{
    return __atomic_compare_exchange_n(p, &expected, v, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
static inline uint64_t dp_add64(volatile uint64_t *p, uint64_t v) { return __atomic_add_fetch(p, v, __ATOMIC_RELAXED); }

static inline void dp_lock(volatile uint32_t *lock)
{
    while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
        for (int spins = 0; __atomic_load_n(lock, __ATOMIC_RELAXED); spins++)
            if (spins < 1000)
                dp_pause();
            else
                sched_yield(); /* the owner may have lost its core to us */
}
static inline void dp_unlock(volatile uint32_t *lock) { __atomic_store_n(lock, 0, __ATOMIC_RELEASE); }

#endif
