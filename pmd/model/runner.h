/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How a runner sleeps, and how it is woken.
 */
#ifndef DATAPLANE_MODEL_RUNNER_H
#define DATAPLANE_MODEL_RUNNER_H

#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define DP_HEARD 64 /* eventfds per call of epoll_wait */

static inline void dp_sleep_us(int us)
{
    struct timespec t = {0, us * 1000L};
    nanosleep(&t, NULL);
}

/*
 * Sleep for `us`, or until an eventfd in the epoll `bells` is signalled, or dp_wake was called since `*calls` was `seen`.
 * Returns whether it ended early.
 *
 * The eventfds are edge-triggered and never read: a client could empty its own first, and then a read would block. The
 * signals of a client that empties or fills its eventfd are missed, and its tails are read when the time is over.
 */
static inline int dp_rest_us(uint32_t *calls, uint32_t seen, uint32_t *resting, int bells, int us)
{
    struct timespec t = {0, us * 1000L};
    struct pollfd rung = {bells, POLLIN, 0};
    struct epoll_event which[DP_HEARD];
    int ended = 1, tries;
    __atomic_store_n(resting, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(calls, __ATOMIC_SEQ_CST) == seen)
        ended = ppoll(&rung, 1, &t, NULL); /* -1: a signal handler ran, which counts as a call */
    __atomic_store_n(resting, 0, __ATOMIC_SEQ_CST);
    /* Events that are left after these tries end the next rest at once. */
    for (tries = 0; rung.revents && tries < 4; tries++)
        if (epoll_wait(bells, which, DP_HEARD, 0) < DP_HEARD)
            break;
    return ended != 0 || __atomic_load_n(calls, __ATOMIC_SEQ_CST) != seen;
}

static inline void dp_wake(uint32_t *calls, uint32_t *resting, int bell)
{
    static const uint64_t one = 1;
    ssize_t done;
    __atomic_add_fetch(calls, 1, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(resting, 0, __ATOMIC_SEQ_CST)) {
        done = write(bell, &one, sizeof one);
        (void)done;
    }
}

/* Let sleeps of this thread end on time, not up to 50 us later. */
static inline void dp_sharp_timers(void) { prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0); }

#endif
