/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The clock of a port and what its time stamps depend on (datasheet 7.9, 8.2.3.26), decoded from the register file.
 */
#ifndef DATAPLANE_MODEL_STAMPS_H
#define DATAPLANE_MODEL_STAMPS_H

#include <stdint.h>

struct mdl_stamps {
    const uint64_t *virtual_ns; /* the card's time when it is stepped; NULL: real time */
    uint64_t at_ns, value;      /* SYSTIM was `value` at `at_ns`, */
    uint64_t rest;              /* and so much of a period had passed, in 1 / 32e9 of its length */
    uint64_t since;             /* Rx stamps are on since then */
    int64_t ppb;                /* how much faster than nominal its crystal is */
    uint32_t incvalue, incperiod;
    uint32_t slow;              /* periods of 6.4 ns times this: 1, 10 or 100 */
    uint32_t latched;           /* SYSTIMH, as a read of SYSTIML found it */
    uint8_t rx_on, tx_on, rx_type, control, message;
    uint8_t told;               /* strict has heard that the clock stands still */
    uint16_t udp_port;
};

/* A period of the clock is 6.4 ns = 32/5 ns, times `slow`; an increment takes `incperiod` of them. */
static inline uint64_t mdl_increment_length(const struct mdl_stamps *s)
{
    return 32000000000ull * s->slow * s->incperiod;
}

/* Whole increments from `at_ns` to `ns`, which may be earlier. */
static inline int64_t mdl_increments(const struct mdl_stamps *s, uint64_t ns, uint64_t *rest)
{
    const __int128 length = (__int128)mdl_increment_length(s);
    const __int128 passed = (__int128)(int64_t)(ns - s->at_ns) * (1000000000 + s->ppb) * 5 + s->rest;
    __int128 whole = passed / length, left = passed % length;
    if (left < 0) {
        left += length;
        whole -= 1;
    }
    *rest = (uint64_t)left;
    return (int64_t)whole;
}

/* SYSTIM at that time. */
static inline uint64_t mdl_systim(const struct mdl_stamps *s, uint64_t ns)
{
    uint64_t rest;
    if (!s->incperiod)
        return s->value;
    return s->value + (uint64_t)mdl_increments(s, ns, &rest) * s->incvalue;
}

/* From now on it is `at_ns`: before anything of what it depends on changes. */
static inline void mdl_settle_systim(struct mdl_stamps *s, uint64_t now)
{
    if (s->incperiod)
        s->value += (uint64_t)mdl_increments(s, now, &s->rest) * s->incvalue;
    s->at_ns = now;
}

static inline void mdl_count_stampers(int *stampers, int by) { __atomic_add_fetch(stampers, by, __ATOMIC_RELAXED); }

#endif
