# SPDX-License-Identifier: BSD-3-Clause
"""Queues polled by hand, from Python: for tests, for teaching, for a look at a port from a prompt. No lcore, no pipeline."""

import time
from collections import namedtuple

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.mbuf cimport (
    TX_IP_CSUM, TX_IPV4, TX_IPV6, TX_STAMP, TX_TCP_CSUM, TX_TSO, TX_UDP_CSUM, TX_VLAN, arrival_ns, copy_out, data, has_arrival,
    mbuf, original_length, rearm, set_arrival,
)
from dataplane.mempool cimport Mempool, alloc_bulk, free_packets
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.stage cimport claim, release

from dataplane.errors import ConfigError, MempoolError

cdef enum:
    MOST = 256
    MOST_SEGMENTS = 65535  # of a packet: nb_segs has 16 bits

ReceivedPacket = namedtuple(
    "ReceivedPacket", "data timestamp_ns port segments vlan_tci ol_flags rss_hash packet_type original_length"
)
ReceivedPacket.__doc__ = "Data and fields of an mbuf. data: all segments' bytes; timestamp_ns: None if not known."


cdef class Held:
    """n mbufs taken out of a mempool (all that are free by default), to see what happens without them.

    They go back at the end of a `with` block, by `release`, or with it. Raises MempoolError when there are fewer.
    """
    cdef list _addresses
    cdef Mempool _mempool

    def __init__(self, Mempool mempool not None, n=None):
        cdef mbuf *m
        if self._addresses is not None:
            raise ConfigError("this Held is made already: make another")
        self._addresses, self._mempool = [], mempool
        for _ in range(mempool.available if n is None else n):
            if alloc_bulk(mempool.pool, &m, 1):
                self.release()
                raise MempoolError(f"{mempool!r} has no {n} mbufs to hold: hold fewer")
            self._addresses.append(<size_t> m)

    def release(self):
        """Give them back."""
        self._free()

    cdef void _free(self) noexcept:
        cdef mbuf *m
        while self._addresses:
            m = <mbuf *> <size_t> self._addresses.pop()
            free_packets(&m, 1)

    def __dealloc__(self):
        self._free()

    def __len__(self):
        return len(self._addresses or ())

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.release()

TX_FLAGS = {
    "vlan": TX_VLAN, "ip": TX_IP_CSUM, "udp": TX_UDP_CSUM, "tcp": TX_TCP_CSUM, "tso": TX_TSO, "ipv4": TX_IPV4, "ipv6": TX_IPV6,
    "stamp": TX_STAMP,
}

Offload = namedtuple("Offload", "flags vlan_tci l2_len l3_len l4_len tso_segsz", defaults=(0, 14, 20, 0, 0))
Offload.__doc__ = "What a NIC is asked to do when it sends. flags: words of TX_FLAGS; lengths of headers in bytes; tso_segsz: MSS."


def receive_packets(RxQueue queue not None, n=32):
    """One burst of at most n (1..256) as a list of `ReceivedPacket`; the mbufs are freed. Raises what the queue failed with.

    Raises PortError for a port that does not run and GraphError for a queue that another thread polls.
    """
    cdef mbuf *pkts[MOST]
    cdef uint16_t got, done = 0
    cdef bytes copy
    if not 1 <= n <= MOST:
        raise ConfigError(f"a burst of {n}: must be 1 to {MOST}")
    cdef uint16_t want = n
    claim(queue)
    with nogil:
        got = queue.rx_burst(pkts, want)
        if not got:
            queue.look()
    release(queue)
    try:
        _note(queue.port, 0, got)
        packets = []
        while done < got:
            m = pkts[done]
            copy = bytes(m.pkt_len)
            if copy_out(m, 0, <char *> copy, m.pkt_len) != m.pkt_len:
                raise MempoolError(f"{queue!r}: pkt_len is {m.pkt_len}, more than its {m.nb_segs} segments hold")
            packets.append(
                ReceivedPacket(
                    copy, arrival_ns(m) if has_arrival(m) else None, m.port, m.nb_segs, m.vlan_tci, m.ol_flags, m.rss_hash,
                    m.packet_type, original_length(m),
                )
            )
            done += 1
    finally:
        free_packets(pkts, got)
    if not got and queue.fault:
        raise queue.fault_error()
    return packets


def receive(queue, n=32, timeout=0.0):
    """At most n frames (bytes) that arrive within `timeout` s; with 0 what one poll finds, else it waits for all n."""
    deadline = time.monotonic() + timeout
    frames = []
    while True:
        got = receive_packets(queue, min(n - len(frames), 32))
        frames += [packet.data for packet in got]
        if len(frames) == n or not time.monotonic() < deadline:
            return frames
        if not got:
            time.sleep(0.0002)


def send(
    TxQueue queue not None, frames, Mempool mempool=None, *, segment=0, timestamp_ns=None, timeout=0.0, offload=None
):
    """Send frames (an iterable of bytes); returns how many the queue took. The rest, after `timeout` s, is freed.

    mempool: of the packets, the port's own by default; segment: bytes to put in each segment, 0: as many as fit;
    timestamp_ns: when they arrived, None: not known; offload: an `Offload`, what the NIC is asked to do with each of them.
    Raises MempoolError when the pool is exhausted, what the queue failed with, PortError for a port that does not run and
    GraphError for a queue that another thread polls.
    """
    queue.check_ready()
    cdef Mempool pool = queue.port.mempool if mempool is None else mempool
    cdef uint32_t room = min(segment or pool.data_room, pool.data_room)
    cdef mbuf asked
    cdef mbuf *m = NULL
    cdef uint16_t took = 0
    cdef uint64_t stamp = timestamp_ns or 0
    # Convert the arguments before taking an mbuf: an error would leave the mbuf without an owner.
    memset(&asked, 0, sizeof(mbuf))
    if offload is not None:
        for name in offload.flags.split():
            if name not in TX_FLAGS:
                raise ConfigError(f"offload {name!r}: expected words of {', '.join(TX_FLAGS)}")
            asked.ol_flags |= <uint64_t> TX_FLAGS[name]
        asked.vlan_tci, asked.l2_len, asked.l3_len = offload.vlan_tci, offload.l2_len, offload.l3_len
        asked.l4_len, asked.tso_segsz = offload.l4_len, offload.tso_segsz
    deadline = time.monotonic() + timeout
    sent = 0
    for frame in frames:
        m = _packet(pool, memoryview(frame).tobytes(), room)
        if timestamp_ns is not None:
            set_arrival(m, stamp)
        m.ol_flags |= asked.ol_flags
        m.vlan_tci, m.l2_len, m.l3_len, m.l4_len = asked.vlan_tci, asked.l2_len, asked.l3_len, asked.l4_len
        m.tso_segsz = asked.tso_segsz
        took = 0
        try:
            while True:
                claim(queue)
                with nogil:
                    took = queue.tx_burst(&m, 1)
                    if not took:
                        queue.flush()
                        queue.look()
                release(queue)
                if took or not time.monotonic() < deadline:
                    break
                time.sleep(0.0002)
        finally:
            if not took:
                free_packets(&m, 1)
        if not took:
            break
        sent += 1
        _note(queue.port, 1, 1)
    claim(queue)
    with nogil:
        queue.flush()
    release(queue)
    if queue.fault:
        raise queue.fault_error()
    return sent


cdef _note(port, int way, uint16_t n):
    """Count n packets that a port moved by hand, received (0) or sent (1): runs must not miss them, or find them."""
    counts = getattr(port, "by_hand", None)
    if counts is not None:
        counts[way] += n


cdef mbuf *_packet(Mempool pool, bytes frame, uint32_t segment) except NULL:
    """A packet of that frame, chained when it is longer than a segment."""
    if segment == 0 or len(frame) > MOST_SEGMENTS * segment:
        raise ConfigError(f"a frame of {len(frame)} bytes in segments of {segment}: expected at most {MOST_SEGMENTS} of them")
    cdef uint32_t at = 0, here, length = <uint32_t> len(frame)
    cdef const char *raw = frame
    cdef mbuf *first = NULL
    cdef mbuf *last = NULL
    cdef mbuf *m
    while first == NULL or at < length:
        if alloc_bulk(pool.pool, &m, 1):
            if first != NULL:
                free_packets(&first, 1)
            raise MempoolError(f"{pool!r} is exhausted: make it larger or let the port send what it holds")
        here = min(length - at, segment)
        rearm(m, 0)
        memset(&m.ol_flags, 0, 24)  # ol_flags, packet_type, lengths, vlan_tci, rss_hash
        m.data_len = <uint16_t> here
        if here:
            memcpy(data(m), raw + at, here)
        if first == NULL:
            first = m
        else:
            last.next = m
            first.nb_segs += 1
        last = m
        at += here
    first.pkt_len = length
    return first
