# SPDX-License-Identifier: BSD-3-Clause
"""Many Rx queues polled in turn, one of them busy or all; driver and device in turns, only the bursts are timed."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from dataplane.machine cimport tsc
from dataplane.mbuf cimport mbuf
from dataplane.mempool cimport free_packets
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.pmd.model.datapath.engine cimport Engine

from dataplane.errors import DataplaneError

cdef enum:
    MOST_QUEUES = 128
    BURST = 32


def lap_cycles(list queues not None, TxQueue tx not None, Engine engine not None, uint32_t laps):
    """Cycles of a lap: each queue is polled once, and the 32 packets that go round come by the first of them each time.

    Raises if a packet gets lost or comes by another queue.
    """
    cdef mbuf *pkts[BURST]
    cdef void *rx[MOST_QUEUES]
    cdef uint64_t start, total = 0, packets = 0
    cdef uint32_t many = len(queues), i, astray = 0
    cdef uint16_t got, took
    for i in range(many):
        rx[i] = <void *> <RxQueue?> queues[i]
    with nogil:
        for _ in range(laps):
            while engine.step(BURST):
                pass
            start = tsc()
            for i in range(many):
                got = (<RxQueue> rx[i]).rx_burst(pkts, BURST)
                if got:
                    astray += i
                    took = tx.tx_burst(pkts, got)
                    packets += took
                    if took != got:
                        with gil:
                            free_packets(pkts + took, got - took)
                            raise DataplaneError(f"{tx!r} took {took} of {got} packets")
            total += tsc() - start
    if packets != <uint64_t> BURST * laps or astray:
        raise DataplaneError(f"{packets} packets instead of {BURST * laps} went round by the first queue")
    return total / <double> laps


def spread_cycles(list queues not None, list senders not None, Engine engine not None, uint32_t laps):
    """Cycles per packet of both bursts, with 32 packets that go round by each Rx queue and the Tx queue beside it.

    Raises if a packet gets lost or comes by another queue.
    """
    cdef mbuf *pkts[BURST]
    cdef void *rx[MOST_QUEUES]
    cdef void *tx[MOST_QUEUES]
    cdef uint64_t start, total = 0, packets = 0, astray = 0
    cdef uint32_t many = len(queues), i
    cdef uint16_t got, took
    for i in range(many):
        rx[i], tx[i] = <void *> <RxQueue?> queues[i], <void *> <TxQueue?> senders[i]
    with nogil:
        for _ in range(laps):
            while engine.step(BURST):
                pass
            start = tsc()
            for i in range(many):
                got = (<RxQueue> rx[i]).rx_burst(pkts, BURST)
                took = (<TxQueue> tx[i]).tx_burst(pkts, got)
                packets += took
                astray += BURST - got
                if took != got:
                    with gil:
                        free_packets(pkts + took, got - took)
                        raise DataplaneError(f"{senders[i]!r} took {took} of {got} packets")
            total += tsc() - start
    if packets != <uint64_t> BURST * laps * many or astray:
        raise DataplaneError(f"{packets} packets instead of {BURST * laps * many} went round, or not each by its queue")
    return total / <double> packets
