# SPDX-License-Identifier: BSD-3-Clause
"""Driver and device in one thread, in turns ("solo"): only the driver's bursts are timed."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from dataplane.machine cimport tsc
from dataplane.mbuf cimport TX_IP_CSUM, TX_IPV4, TX_UDP_CSUM, TX_VLAN, data, mbuf, rearm
from dataplane.mempool cimport Mempool, alloc_bulk, free_packets
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.pmd.model.datapath.engine cimport Engine

from dataplane.errors import DataplaneError

cdef enum:
    MOST = 256


cdef uint32_t step(void *engine, uint32_t budget) noexcept nogil:
    return (<Engine> engine).step(budget)


def step_address():
    """Where a C function is that steps an engine: uint32_t step(void *engine, uint32_t budget)."""
    return <size_t> &step


def engine_address(Engine engine not None):
    """The argument `engine` for that function. The caller keeps the engine alive."""
    return <size_t> <void *> engine


def broadcast(size):
    """A broadcast frame of `size` bytes, of no protocol."""
    return b"\xFF" * 6 + b"\x02" * (size - 6)


def udp(size, done):
    """A broadcast of `size` bytes, IPv4 and UDP. done: with checksums; else as a stack gives it to a NIC that fills them in.

    That is 0 for IPv4's, and the sum of the pseudo-header for UDP's.
    """
    from scapy.layers.inet import IP, UDP, in4_pseudoheader
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw
    from scapy.utils import checksum

    ip = IP(src="10.0.0.1", dst="10.0.0.2", proto=17, len=size - 14)
    packet = Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01") / ip / UDP(sport=1000, dport=2000) / Raw(bytes(size - 42))
    if not done:
        packet[IP].chksum = 0
        packet[UDP].chksum = ~checksum(in4_pseudoheader(17, ip, size - 34)) & 0xFFFF
    return bytes(packet)


def fill(TxQueue tx not None, Mempool pool not None, uint16_t n, const uint8_t[::1] frame):
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


def forward_cycles(RxQueue rx not None, TxQueue tx not None, Engine engine not None, uint16_t n, uint32_t rounds):
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


def device_cycles(list ports not None, Engine engine not None, uint16_t n, uint32_t rounds):
    """n packets of each port go round, all ports in each round. Returns the cycles per packet of the device's steps.

    ports: (rx queue, tx queue) of each, 64 at most. Raises if a packet gets lost.
    """
    cdef mbuf *pkts[MOST]
    cdef void *rx[64]
    cdef void *tx[64]
    cdef uint64_t start, device = 0, packets = 0
    cdef uint32_t many = len(ports), i
    cdef uint16_t got, took
    for i in range(many):
        rx[i], tx[i] = <void *> <RxQueue?> ports[i][0], <void *> <TxQueue?> ports[i][1]
    with nogil:
        for _ in range(rounds):
            start = tsc()
            while engine.step(MOST):
                pass
            device += tsc() - start
            for i in range(many):
                got = (<RxQueue> rx[i]).rx_burst(pkts, n)
                took = (<TxQueue> tx[i]).tx_burst(pkts, got)
                packets += took
                if took != got:
                    with gil:
                        free_packets(pkts + took, got - took)
                        raise DataplaneError(f"{ports[i][1]!r} took {took} of {got} packets")
    if packets != <uint64_t> n * rounds * many:
        raise DataplaneError(f"{packets} packets instead of {n * rounds * many} went round: some were lost")
    return device / <double> packets


cdef int mark(mbuf **pkts, uint16_t n, Mempool pool, const uint8_t *frame, uint16_t size, uint16_t head) noexcept nogil:
    """What an app does between: the frame as it was before the chip filled in checksums, and the wish that it does so again.

    head: how many bytes go to an mbuf of their own; 0: one mbuf. Returns -1 if there are no mbufs for that.
    """
    cdef mbuf *heads[MOST]
    cdef mbuf *m
    cdef uint16_t i
    if head and alloc_bulk(pool.pool, heads, n):
        return -1
    for i in range(n):
        m = pkts[i]
        memcpy(data(m), frame, size)
        if head:
            m = heads[i]
            rearm(m, 0)
            memcpy(data(m), frame, head)
            m.data_len, m.pkt_len, m.nb_segs, m.next = head, size, 2, pkts[i]
            pkts[i].data_off += head
            pkts[i].data_len -= head
            pkts[i] = m
        m.ol_flags = TX_IPV4 | TX_IP_CSUM | TX_UDP_CSUM | TX_VLAN
        m.l2_len, m.l3_len, m.vlan_tci = 14, 20, 5
    return 0


def offload_cycles(
    RxQueue rx, TxQueue tx, Engine engine, Mempool pool, uint16_t n, uint32_t rounds, const uint8_t[::1] frame, uint16_t head=0
):
    """`forward_cycles` with offloads: Rx checksums, a tag taken off; IPv4 and UDP checksums and a tag put in.

    frame: what is sent, again and again, its first `head` bytes in an mbuf of their own (0: in one). Returns (cycles per
    packet of both bursts, of rx alone, of the device's step).
    """
    cdef mbuf *pkts[MOST]
    cdef uint64_t start, end, rx_total = 0, tx_total = 0, device = 0, packets = 0
    cdef uint16_t got, took
    for _ in range(rounds):
        with nogil:
            start = tsc()
            while engine.step(n):
                pass
            end = tsc()
            device += end - start
            start = tsc()
            got = rx.rx_burst(pkts, n)
            end = tsc()
            rx_total += end - start
            if mark(pkts, got, pool, &frame[0], frame.shape[0], head):
                with gil:
                    free_packets(pkts, got)
                    raise DataplaneError(f"{pool!r} has no {got} mbufs left")
            start = tsc()
            took = tx.tx_burst(pkts, got)
            end = tsc()
            tx_total += end - start
            packets += took
        if took != got:
            free_packets(pkts + took, got - took)
            raise DataplaneError(f"{tx!r} took {took} of {got} packets")
    if packets != <uint64_t> n * rounds:
        raise DataplaneError(f"{packets} packets instead of {n * rounds} went round: some were lost")
    return (rx_total + tx_total) / <double> packets, rx_total / <double> packets, device / <double> packets


def look(RxQueue rx not None, TxQueue tx not None, Engine engine not None, uint16_t n):
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


def drain(RxQueue rx not None, Engine engine not None):
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


def empty_cycles(RxQueue rx not None, uint32_t rounds):
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
