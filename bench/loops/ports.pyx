# SPDX-License-Identifier: BSD-3-Clause
"""Loops for the benchmarks of ports: bursts from an Rx queue to a Tx queue, or into a pcap file, and the TSC around them."""

from libc.stdint cimport uint16_t, uint64_t

from dataplane.clock cimport tsc_hz
from dataplane.machine cimport tsc
from dataplane.mbuf cimport mbuf
from dataplane.mempool cimport free_packets
from dataplane.files.pcapfile cimport PcapWriter
from dataplane.queue cimport RxQueue, TxQueue

cdef enum:
    MOST = 256
    MOST_IDLE = 10000000


def forward_cycles(RxQueue rx not None, TxQueue tx not None, uint16_t burst, uint64_t packets):
    """Cycles a packet (float) of rx_burst and tx_burst, until `packets` have passed or rx is at its end."""
    cdef mbuf *pkts[MOST]
    cdef uint64_t start, passed = 0
    cdef uint64_t idle = 0
    cdef uint16_t n, took
    with nogil:
        start = tsc()
        while passed < packets and idle < MOST_IDLE and not rx.exhausted:
            n = rx.rx_burst(pkts, burst)
            idle = 0 if n else idle + 1
            took = tx.tx_burst(pkts, n)
            if took < n:
                free_packets(pkts + took, n - took)
            passed += n
        start = tsc() - start
    if idle == MOST_IDLE:
        raise RuntimeError(f"{rx!r} gave {passed} of {packets} packets and then nothing: fill it first")
    return <double> start / <double> passed


def write_mpps(RxQueue rx not None, PcapWriter writer not None, uint16_t burst, uint64_t packets):
    """Million packets a second (float) that the writer takes: the same burst, again and again, and the last flush."""
    cdef mbuf *pkts[MOST]
    cdef uint64_t start, written = 0
    cdef uint16_t n = rx.rx_burst(pkts, burst)
    with nogil:
        start = tsc()
        while written < packets and not writer.error:
            written += writer.write_burst(pkts, n)
        writer.flush_buffer()
        start = tsc() - start
    free_packets(pkts, n)
    return <double> written * tsc_hz() / <double> start / 1e6
