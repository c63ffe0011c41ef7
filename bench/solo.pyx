# SPDX-License-Identifier: BSD-3-Clause
"""Driver and device in one thread, in turns ("solo"): only the driver's bursts are timed."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from dataplane.machine cimport tsc
from dataplane.mbuf cimport data, mbuf, rearm
from dataplane.mempool cimport Mempool, alloc_bulk, free_packets
from dataplane.queue cimport RxQueue, TxQueue
from pmd.model.engine cimport Engine

from dataplane.errors import DataplaneError

cdef enum:
    MOST = 256


cdef uint32_t step(void *engine, uint32_t budget) noexcept nogil:
    return (<Engine> engine).step(budget)


def step_address():
    """Where a C function is that steps an engine: uint32_t step(void *engine, uint32_t budget)."""
    return <size_t> &step


def engine_address(Engine engine):
    """What that function takes as `engine`. The caller keeps the engine alive."""
    return <size_t> <void *> engine


def broadcast(size):
    """A frame of `size` bytes to everybody, of no protocol."""
    return b"\xFF" * 6 + b"\x02" * (size - 6)


def fill(TxQueue tx, Mempool pool, uint16_t n, const unsigned char[::1] frame):
    """Send n (1..256) copies of a frame."""
    cdef mbuf *pkts[MOST]
    cdef uint16_t i, sent, size = frame.shape[0]
    if not 1 <= n <= MOST or alloc_bulk(pool.pool, pkts, n):
        raise DataplaneError(f"{pool!r} has no {n} mbufs, or that is not 1 to {MOST}")
    for i in range(n):
        rearm(pkts[i], 0)
        memset(&pkts[i].ol_flags, 0, 24)
        pkts[i].pkt_len = pkts[i].data_len = size
        memcpy(data(pkts[i]), &frame[0], size)
    sent = tx.tx_burst(pkts, n)
    if sent != n:
        free_packets(pkts + sent, n - sent)
        raise DataplaneError(f"{tx!r} took {sent} of {n} packets")


def forward_cycles(RxQueue rx, TxQueue tx, Engine engine, uint16_t n, uint32_t rounds):
    """n packets go round: the device brings them, rx_burst and tx_burst take them out and in.

    Returns (cycles per packet of both bursts, of rx alone, of the device's step). Raises if a packet gets lost.
    """
    cdef mbuf *pkts[MOST]
    cdef uint64_t start, between, end, rx_total = 0, tx_total = 0, device = 0, packets = 0
    cdef uint16_t got, took
    with nogil:
        for _ in range(rounds):
            start = tsc()
            while engine.step(n):
                pass
            end = tsc()
            device += end - start
            start = tsc()
            got = rx.rx_burst(pkts, n)
            between = tsc()
            took = tx.tx_burst(pkts, got)
            end = tsc()
            rx_total += between - start
            tx_total += end - between
            packets += took
            if took != got:
                with gil:
                    free_packets(pkts + took, got - took)
                    raise DataplaneError(f"{tx!r} took {took} of {got} packets")
    if packets != <uint64_t> n * rounds:
        raise DataplaneError(f"{packets} packets instead of {n * rounds} went round: some were lost")
    return (rx_total + tx_total) / <double> packets, rx_total / <double> packets, device / <double> packets


def look(RxQueue rx, TxQueue tx, Engine engine, uint16_t n):
    """The bytes that n packets have in common which go round; they go on. Raises if they differ, or some are missing."""
    cdef mbuf *pkts[MOST]
    cdef uint16_t got, i
    while engine.step(n):
        pass
    got = rx.rx_burst(pkts, n)
    if got != n:
        free_packets(pkts, got)
        raise DataplaneError(f"{got} of {n} packets came round")
    seen = data(pkts[0])[:pkts[0].data_len]
    same = all(pkts[i].data_len == len(seen) and memcmp(data(pkts[i]), data(pkts[0]), len(seen)) == 0 for i in range(got))
    i = tx.tx_burst(pkts, got)
    free_packets(pkts + i, got - i)
    if not same or i != got:
        raise DataplaneError(f"{got} packets came round, {i} went on, {'all' if same else 'not all'} alike")
    return seen


def drain(RxQueue rx, Engine engine):
    """Take out what goes round. Returns how many packets it was."""
    cdef mbuf *pkts[MOST]
    cdef uint32_t total = 0
    cdef uint16_t got = 1
    while got:
        while engine.step(MOST):
            pass
        got = rx.rx_burst(pkts, MOST)
        free_packets(pkts, got)
        total += got
    return total


def empty_cycles(RxQueue rx, uint32_t rounds):
    """Cycles of an rx_burst that finds nothing."""
    cdef mbuf *pkts[MOST]
    cdef uint64_t start
    cdef uint32_t got = 0
    with nogil:
        start = tsc()
        for _ in range(rounds):
            got += rx.rx_burst(pkts, 32)
        start = tsc() - start
    if got:
        free_packets(pkts, min(got, <uint32_t> 32))
        raise DataplaneError(f"{rx!r} brought {got} packets: it should bring none")
    return start / <double> rounds
