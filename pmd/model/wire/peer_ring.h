/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The memory of a wire between two processes (pmd.model.wire.peer): a ring of bytes each way. One end writes a ring and the
 * other reads it; neither believes the other. Each keeps its own index in memory of its own and only publishes copies, reads
 * every word of the other's once, and checks it before use. A wrong word is reported as MDL_RING_LIE, never followed.
 */
#ifndef DATAPLANE_PEER_RING_H
#define DATAPLANE_PEER_RING_H

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane.h"
#include "state/bytes.h"
#include "state/fifo.h"

#define MDL_RING_BYTES (512u << 10) /* of frames each way; a power of two */
#define MDL_RING_PAGE 4096u         /* the lanes come first, then the bytes of both rings */
#define MDL_RING_MEMORY (MDL_RING_PAGE + 2u * MDL_RING_BYTES)

#define MDL_RING_FRAME_MIN 14u /* shorter than a header is no frame */
#define MDL_RING_FRAME_MAX 15868u

/* A record: 8 bytes of length and flags, the frame without FCS, up to the next multiple of 8. It never straddles the end:
 * a record without length but with MDL_RING_SKIP says that the rest up to the end is empty. */
#define MDL_RING_BAD_CRC 1u
#define MDL_RING_SKIP 2u
#define MDL_RING_HEADER 8u

#define MDL_RING_LIE (-1)

/* The memory of one ring that both ends share. Each part lies in lines that one end alone writes, and that no prefetch of a pair of
 * lines drags along. Indices count bytes and never wrap. */
struct mdl_lane {
    uint64_t tail; /* the writer's: bytes ever put in */
    uint32_t lit;  /* the writer's light: 0 or 1 */
    uint8_t pad0[116];
    uint64_t head; /* the reader's: bytes ever taken out */
    uint8_t pad1[120];
    uint32_t asleep; /* the reader sets it before it sleeps; the writer clears it and wakes the reader */
    uint8_t pad2[124];
};

_Static_assert(offsetof(struct mdl_lane, head) == 128 && offsetof(struct mdl_lane, asleep) == 256 && sizeof(struct mdl_lane) == 384,
               "two processes agree on the layout");
_Static_assert(2 * sizeof(struct mdl_lane) <= MDL_RING_PAGE, "the lanes of both ways fit into their page");
_Static_assert(2 * (MDL_RING_FRAME_MAX + 16) < MDL_RING_BYTES, "an empty ring takes any frame, wherever its end is");

static inline uint32_t mdl_record(uint32_t len) { return MDL_RING_HEADER + ((len + 7u) & ~7u); }

/* ---- the end that writes ---- */

struct mdl_ring_out {
    struct mdl_lane *lane;
    uint8_t *data;
    uint64_t tail, published;
    uint64_t head; /* as the reader said last */
};

/* 1: it is in the ring, for `mdl_ring_publish` to show. 0: there is no room. MDL_RING_LIE. len: MDL_RING_FRAME_MIN to _MAX. */
static inline int mdl_ring_put(struct mdl_ring_out *o, const uint8_t *frame, uint32_t len, uint32_t flags)
{
    uint32_t at = (uint32_t)o->tail & (MDL_RING_BYTES - 1), need = mdl_record(len);
    uint32_t skip = at + need > MDL_RING_BYTES ? MDL_RING_BYTES - at : 0;
    if (dp_unlikely(o->tail + skip + need - o->head > MDL_RING_BYTES)) {
        uint64_t head = __atomic_load_n(&o->lane->head, __ATOMIC_ACQUIRE);
        if (head - o->head > o->published - o->head || head & 7) /* it went back, or took what it was not shown */
            return MDL_RING_LIE;
        o->head = head;
        if (o->tail + skip + need - head > MDL_RING_BYTES)
            return 0;
    }
    if (dp_unlikely(skip)) {
        mdl_publish64(o->data + at, (uint64_t)MDL_RING_SKIP << 32);
        o->tail += skip;
        at = 0;
    }
    mdl_publish64(o->data + at, len | (uint64_t)flags << 32);
    mdl_copy(o->data + at + MDL_RING_HEADER, frame, len);
    o->tail += need;
    return 1;
}

static inline void mdl_ring_publish(struct mdl_ring_out *o)
{
    if (o->published != o->tail) {
        o->published = o->tail;
        __atomic_store_n(&o->lane->tail, o->tail, __ATOMIC_RELEASE);
    }
}

static inline void mdl_ring_shine(struct mdl_ring_out *o, int lit) { __atomic_store_n(&o->lane->lit, lit != 0, __ATOMIC_RELEASE); }

static inline int mdl_ring_asleep(const struct mdl_ring_out *o)
{
    return __atomic_load_n(&o->lane->asleep, __ATOMIC_RELAXED) == 1;
}

static inline void mdl_ring_wake(struct mdl_ring_out *o)
{
    __atomic_store_n(&o->lane->asleep, 0, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &o->lane->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- the end that reads ---- */

struct mdl_ring_in {
    struct mdl_lane *lane;
    uint8_t *data;
    uint64_t head, published;
    uint64_t tail; /* as the writer said last */
};

/* See what has been put in since. 0, or MDL_RING_LIE. */
static inline int mdl_ring_look(struct mdl_ring_in *i)
{
    uint64_t tail = __atomic_load_n(&i->lane->tail, __ATOMIC_ACQUIRE);
    if (dp_unlikely(tail - i->head > MDL_RING_BYTES || tail - i->head < i->tail - i->head || tail & 7))
        return MDL_RING_LIE;
    i->tail = tail;
    return 0;
}

/* The length of the next frame; 0: the ring is empty; MDL_RING_LIE. Its bytes may change until they have been copied. */
static inline int32_t mdl_ring_peek(struct mdl_ring_in *i, const uint8_t **frame, uint32_t *flags)
{
    while (i->head != i->tail) {
        uint64_t left = i->tail - i->head; /* at most the ring: mdl_ring_look has seen to it */
        uint32_t at = (uint32_t)i->head & (MDL_RING_BYTES - 1), rest = MDL_RING_BYTES - at;
        uint64_t word = __atomic_load_n((const uint64_t *)(i->data + at), __ATOMIC_RELAXED);
        uint32_t len = (uint32_t)word;
        *flags = (uint32_t)(word >> 32);
        if (dp_unlikely(word == (uint64_t)MDL_RING_SKIP << 32)) {
            if (!at || rest > left)
                return MDL_RING_LIE;
            i->head += rest;
            continue;
        }
        if (dp_unlikely(len - MDL_RING_FRAME_MIN > MDL_RING_FRAME_MAX - MDL_RING_FRAME_MIN || *flags & ~MDL_RING_BAD_CRC ||
                        mdl_record(len) > left || mdl_record(len) > rest))
            return MDL_RING_LIE;
        *frame = i->data + at + MDL_RING_HEADER;
        return (int32_t)len;
    }
    return 0;
}

static inline void mdl_ring_pop(struct mdl_ring_in *i, uint32_t len) { i->head += mdl_record(len); }

static inline void mdl_ring_release(struct mdl_ring_in *i)
{
    if (i->published != i->head) {
        i->published = i->head;
        __atomic_store_n(&i->lane->head, i->head, __ATOMIC_RELEASE);
    }
}

/* The writer's light: 0, 1 or MDL_RING_LIE. */
static inline int mdl_ring_light(const struct mdl_ring_in *i)
{
    uint32_t lit = __atomic_load_n(&i->lane->lit, __ATOMIC_ACQUIRE);
    return lit > 1 ? MDL_RING_LIE : (int)lit;
}

static inline void mdl_ring_doze(struct mdl_ring_in *i) { __atomic_store_n(&i->lane->asleep, 1, __ATOMIC_SEQ_CST); }

/* Sleep so long, or until the writer clears that word of its lane (NULL: nothing wakes us). Whether it did. It is the kernel
 * that looks at the word: it may be unmapped by now. */
static inline int mdl_ring_sleep(uint32_t *asleep, long us)
{
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    if (asleep) {
        if (!syscall(SYS_futex, asleep, FUTEX_WAIT, 1, &t, NULL, 0) || errno == EAGAIN)
            return 1;
        if (errno == ETIMEDOUT || errno == EINTR)
            return 0;
    }
    nanosleep(&t, NULL);
    return 0;
}

#endif
