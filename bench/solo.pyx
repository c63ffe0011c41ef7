# SPDX-License-Identifier: BSD-3-Clause
"""Driver and device in one thread, in turns ("solo"): only the driver's bursts are timed."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from dataplane.machine cimport tsc
from dataplane.mbuf cimport data, mbuf, rearm
from dataplane.mempool cimport Mempool, alloc_bulk, free_packets
from dataplane.queue cimport RxQueue, TxQueue
from pmd.model.engine cimport Engine

from dataplane.errors import DataplaneError

cdef enum:
    MOST = 256


def fill(TxQueue tx, Mempool pool, uint16_t n, uint16_t size):
    """Send n (1..256) broadcast frames of `size` bytes."""
    cdef mbuf *pkts[MOST]
    cdef uint16_t i, sent
    if not 1 <= n <= MOST or alloc_bulk(pool.pool, pkts, n):
        raise DataplaneError(f"{pool!r} has no {n} mbufs, or that is not 1 to {MOST}")
    for i in range(n):
        rearm(pkts[i], 0)
        memset(&pkts[i].ol_flags, 0, 24)
        pkts[i].pkt_len = pkts[i].data_len = size
        memset(data(pkts[i]), 0xFF, 6)
        memset(data(pkts[i]) + 6, 2, size - 6)
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
