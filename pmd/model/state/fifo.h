/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Frames between wire and descriptors: a FIFO of bytes with one producer and one consumer. The packet buffer is one.
 */
#ifndef DATAPLANE_MODEL_FIFO_H
#define DATAPLANE_MODEL_FIFO_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane.h"

enum mdl_frame_flag {
    MDL_BAD_CRC = 1,  /* the FCS on the wire is wrong                                         */
    MDL_LOST = 2,     /* arrived when the packet buffer was full: only MDL_STUB bytes are here */
    MDL_COUNTED = 4,  /* the MAC counted it while the queues were blocked                     */
    MDL_REFUSED = 8,  /* ... and its filters refused it                                       */
    MDL_INEXACT = 16, /* ... accepted only by a hash                                          */
    MDL_RXE = 32,     /* ... a bad packet, stored because of FCTRL.SBP                        */
    MDL_JUMP = 64,    /* not a frame: continue at offset `tag`                                */
    MDL_LOCAL = 128,  /* sent by a pool of this port through the Tx switch, not from the wire */
    MDL_IP_MADE = 256, /* in the Tx buffer, and from there through the switch: the chip made ... */
    MDL_L4_MADE = 512, /* ... the checksum of the IP header, of TCP, UDP or SCTP              */
    MDL_DIRECTED_ONCE = 1024, /* the flow director counted it; it waits for descriptors       */
    MDL_STAMP_SOUGHT = 2048,  /* it is decided whether it gets a time stamp; it waits likewise */
    MDL_STAMPED = 4096,       /* ... and it got one                                           */
    MDL_MARKED = 8192,        /* in the Tx buffer: stamp it when it leaves                    */
};

#define MDL_STUB 64

struct mdl_frame {
    uint16_t len; /* bytes without FCS */
    uint16_t flags;
    uint32_t tag;   /* of a jump: where to; in the Tx buffer: the pool that sent it; else the number of copies delivered */
    union {
        uint64_t ready; /* ns: when it left the sender; 0 if the wire does not use it */
        uint64_t pools; /* with MDL_LOCAL: the pools that receive it                  */
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
    uint32_t size;  /* bytes of memory: more than twice the largest limit, so that its halves can alternate */
    uint32_t limit; /* full when this many bytes are in use */
    /* producer */
    uint64_t in DP_ALIGNED; /* bytes put in, total; published by a release store */
    uint64_t seen_out;
    uint32_t wpos;
    uint32_t lost_unseen; /* frames lost without a stub */
    /* consumer */
    uint64_t out DP_ALIGNED;
    uint64_t seen_in;
    uint32_t rpos;
    /* the next frame for the MAC, which continues while the queues are blocked */
    uint32_t mac_pos;
    uint64_t mac_out;
};

/* Bytes of a frame in the FIFO. Has room for an FCS, which a port adds only if it does not strip it. */
static inline uint32_t mdl_footprint(uint32_t len) { return (uint32_t)sizeof(struct mdl_frame) + ((len + 4u + 15u) & ~15u); }

#define MDL_HOT (8u << 10) /* an empty FIFO restarts above this position, so that a light load stays in L1 */

#define MDL_STUBS (256u << 10) /* room above the limit, for the first bytes of lost frames */

static inline void mdl_jump(struct mdl_fifo *f, uint32_t to)
{
    struct mdl_frame *mark = (struct mdl_frame *)(f->base + f->wpos);
    mark->flags = MDL_JUMP;
    mark->tag = to;
    f->wpos = to;
}

/* Once per burst: an empty FIFO continues at the start of its other half. Nothing there is in use, whatever the consumer
 * still reads of this half. */
static inline void mdl_fifo_refresh(struct mdl_fifo *f)
{
    f->seen_out = __atomic_load_n(&f->out, __ATOMIC_ACQUIRE);
    if (f->in == f->seen_out) {
        uint32_t half = f->size / 2;
        if (f->wpos % half > MDL_HOT)
            mdl_jump(f, f->wpos < half ? half : 0);
    }
}

/* Room for a frame of up to `len` bytes, or NULL. The consumer sees nothing before mdl_commit. */
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

/* For a producer that does not wait: store the first bytes of a lost frame, so that the receiver can count it by its kind.
 * Without room for them, only a number is left. */
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

/* The next frame that the MAC has not counted, after those that wait for descriptors. NULL: no such frame. */
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

/* For the consumer: discard all frames. */
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

#endif
