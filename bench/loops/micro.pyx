# SPDX-License-Identifier: BSD-3-Clause
"""Loops for the benchmarks of the memory floor: nothing but the calls that are timed, and the TSC around them.

Each returns cycles of the time-stamp counter an object (float), for bursts of `n` objects repeated `rounds` times.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from dataplane cimport ring as rings
from dataplane.app cimport App, connect, disconnect
from dataplane.graph.handoff cimport HandoffTx
from dataplane.machine cimport tsc
from dataplane.mbuf cimport mbuf
from dataplane.mempool cimport Mempool, alloc_bulk, free_bulk, free_packets
from dataplane.ring cimport Ring
from dataplane.stage cimport claim, release

cdef enum:
    MOST = 512


cdef extern from "<sched.h>" nogil:
    int sched_yield()


def mempool_cycles(Mempool pool not None, uint32_t n, uint32_t rounds):
    """alloc_bulk + free_bulk of n mbufs."""
    cdef mbuf *pkts[MOST]
    cdef uint64_t start
    with nogil:
        start = tsc()
        for _ in range(rounds):
            if alloc_bulk(pool.pool, pkts, n) == 0:
                free_bulk(pool.pool, pkts, n)
        start = tsc() - start
    return <double> start / (<double> n * rounds)


def packet_cycles(Mempool pool not None, uint32_t n, uint32_t rounds):
    """alloc_bulk + free_packets of n mbufs: a free that looks at each packet's chain and pool."""
    cdef mbuf *pkts[MOST]
    cdef uint64_t start
    with nogil:
        start = tsc()
        for _ in range(rounds):
            if alloc_bulk(pool.pool, pkts, n) == 0:
                free_packets(pkts, n)
        start = tsc() - start
    return <double> start / (<double> n * rounds)


def ring_cycles(Ring ring not None, uint32_t n, uint32_t rounds):
    """enqueue_burst + dequeue_burst of n pointers on one lcore."""
    cdef void *objs[MOST]
    cdef uint64_t start
    memset(objs, 0, sizeof(objs))
    with nogil:
        start = tsc()
        for _ in range(rounds):
            rings.enqueue_burst(ring.ring, objs, n)
            rings.dequeue_burst(ring.ring, objs, n)
        start = tsc() - start
    return <double> start / (<double> n * rounds)


cdef class Keep(App):
    """Does nothing with packets: the loop that measures keeps them."""

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        pass


def handoff_cycles(HandoffTx tx not None, Mempool pool not None, uint32_t n, uint32_t rounds):
    """A hand-off of n packets on one lcore: push at the sending end, poll at the receiving end."""
    cdef mbuf *pkts[MOST]
    cdef uint64_t start
    cdef Keep keep = Keep()
    if n > 256 or alloc_bulk(pool.pool, pkts, n):
        raise ValueError(f"{n} packets: at most 256, and as many as the pool has")
    claim(tx)
    claim(tx.rx)
    connect(tx.rx, 0, keep)
    with nogil:
        start = tsc()
        for _ in range(rounds):
            tx.incoming = 60 * n  # as `emit` leaves it
            tx.push(pkts, <uint16_t> n)
            tx.rx.poll()
        start = tsc() - start
        free_bulk(pool.pool, pkts, n)
    disconnect(tx.rx)
    release(tx.rx)
    release(tx)
    return <double> start / (<double> n * rounds)


def produce(Ring ring not None, uint64_t first, uint64_t count, uint32_t n, bint bulk=False):
    """Enqueue the numbers first .. first + count - 1 without the GIL, n at a time; waits while the ring is full."""
    cdef void *objs[MOST]
    cdef uint64_t done = 0
    cdef uint32_t i, want, took
    with nogil:
        while done < count:
            want = <uint32_t> min(<uint64_t> n, count - done)
            for i in range(want):
                objs[i] = <void *> (first + done + i)
            took = rings.enqueue_bulk(ring.ring, objs, want) if bulk else rings.enqueue_burst(ring.ring, objs, want)
            done += took
            if took == 0:
                sched_yield()


def consume(Ring ring not None, uint64_t count, uint32_t n):
    """Dequeue `count` numbers without the GIL; returns (their sum, whether each producer's came in rising order).

    The top 32 bits of a number name its producer.
    """
    cdef void *objs[MOST]
    cdef uint64_t last[8]
    cdef uint64_t total = 0, done = 0, value
    cdef uint32_t i, took
    cdef bint ordered = True
    memset(last, 0, sizeof(last))
    with nogil:
        while done < count:
            took = rings.dequeue_burst(ring.ring, objs, <uint32_t> min(<uint64_t> n, count - done))
            for i in range(took):
                value = <uint64_t> objs[i]
                ordered = ordered and value > last[value >> 32 & 7]
                last[value >> 32 & 7] = value
                total += value
            done += took
            if took == 0:
                sched_yield()
    return total, bool(ordered)


def free_unchecked(list addresses not None):
    """Free mbufs as compiled code does, which looks at nothing: a test that a debug pool sees what is wrong."""
    cdef mbuf *m
    for address in addresses:
        m = <mbuf *> <size_t> address
        free_packets(&m, 1)
