# SPDX-License-Identifier: BSD-3-Clause
"""Bursts: columns against a reference in plain Python, packets, and what must not be done with them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from bursts import POOL, Do, Keep, do, fields, frames_of_any_length
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.all import ARP, ICMP, IP, TCP, UDP, Dot1Q, Ether, IPv6

from dataplane import App, Field, Frames, Pipeline, through
from dataplane.columns.headers import arp, eth, icmp, ip4, ip6, ip_number, mac_number, tcp, udp, vlan
from dataplane.errors import BurstError, ConfigError


def reference(frame, field):
    raw = frame[field.offset : field.offset + field.width]
    return int.from_bytes(raw, "big") >> field.shift & field.mask if len(raw) == field.width else 0


def reference_set(frame, field, value):
    if field.offset + field.width > len(frame):
        return frame
    raw = int.from_bytes(frame[field.offset : field.offset + field.width], "big")
    raw = raw & ~(field.mask << field.shift) | (int(value) & field.mask) << field.shift
    return frame[: field.offset] + raw.to_bytes(field.width, "big") + frame[field.offset + field.width :]


@settings(max_examples=60, deadline=None)
@given(frames_of_any_length, fields())
def test_gather_equals_the_reference(frames, field):
    (column, has, lengths), after = do(frames, lambda burst: (burst[field], burst.has(field), burst.length))
    assert column.tolist() == [reference(frame, field) for frame in frames]
    assert has.tolist() == [field.offset + field.width <= len(frame) for frame in frames]
    assert lengths.tolist() == [len(frame) for frame in frames]
    assert column.dtype == field.dtype and column.itemsize >= field.width
    assert after == frames


DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">u2", ">i8")


@settings(max_examples=60, deadline=None)
@given(
    frames_of_any_length, fields(), st.sampled_from(DTYPES), st.booleans(), st.randoms(use_true_random=False)
)
def test_scatter_equals_the_reference(frames, field, dtype, strided, random):
    kind = np.dtype(dtype)
    low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    values = np.array([random.randint(int(low), int(high)) for _ in frames], dtype)
    if strided:
        values = np.repeat(values, 3)[::3]

    def write(burst):
        burst[field] = values

    _, after = do(frames, write)
    assert after == [reference_set(f, field, int(v)) for f, v in zip(frames, values, strict=True)]


@settings(max_examples=20, deadline=None)
@given(frames_of_any_length, fields(), st.data())
def test_packets_equal_columns(frames, field, data):
    value = data.draw(st.integers(0, field.mask))

    def each(burst):
        seen = [(packet[field], bytes(packet), len(packet)) for packet in burst]
        for packet in burst:
            packet[field] = value
        return seen

    seen, after = do(frames, each)
    assert seen == [(reference(frame, field), frame, len(frame)) for frame in frames]
    assert after == [reference_set(frame, field, value) for frame in frames]


def test_named_fields_mean_what_scapy_means():
    tcp_packet = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / IP(
        src="10.1.2.3", dst="10.4.5.6", ttl=7, tos=0xB9, id=4711, flags="DF"
    )
    tcp_packet /= TCP(sport=1234, dport=80, seq=99, ack=77, flags="SA", window=500, urgptr=3)
    tcp_packet = Ether(bytes(tcp_packet))
    ip, layer = tcp_packet[IP], tcp_packet[TCP]
    expected = {
        eth.src: mac_number("02:00:00:00:00:0a"),
        eth.dst: mac_number("02:00:00:00:00:0b"),
        eth.type: 0x0800,
        ip4.version: 4,
        ip4.ihl: 5,
        ip4.tos: 0xB9,
        ip4.dscp: 0xB9 >> 2,
        ip4.ecn: 1,
        ip4.length: ip.len,
        ip4.id: 4711,
        ip4.flags: 2,
        ip4.fragment: 0,
        ip4.ttl: 7,
        ip4.proto: 6,
        ip4.checksum: ip.chksum,
        ip4.src: ip_number("10.1.2.3"),
        ip4.dst: ip_number("10.4.5.6"),
        tcp.sport: 1234,
        tcp.dport: 80,
        tcp.seq: 99,
        tcp.ack: 77,
        tcp.offset: 5,
        tcp.flags: 0x12,
        tcp.window: 500,
        tcp.checksum: layer.chksum,
        tcp.urgent: 3,
    }
    check(tcp_packet, expected)
    datagram = Ether(
        bytes(Ether() / Dot1Q(vlan=0x123, prio=5, dei=1) / IP(ttl=9) / UDP(sport=53, dport=54) / b"ab")
    )
    check(
        datagram,
        {
            vlan.tci: 0xB123,
            vlan.pcp: 5,
            vlan.dei: 1,
            vlan.vid: 0x123,
            vlan.type: 0x0800,
            ip4.ttl.at(4): 9,
            ip4.version.at(4): 4,
            udp.sport.at(4): 53,
            udp.dport.at(4): 54,
            udp.length.at(4): 10,
            udp.checksum.at(4): datagram[UDP].chksum,
        },
    )
    question = Ether(bytes(Ether() / ARP(op=2, hwsrc="02:00:00:00:00:01", psrc="10.0.0.1", pdst="10.0.0.2")))
    check(
        question,
        {
            arp.htype: 1,
            arp.ptype: 0x0800,
            arp.hlen: 6,
            arp.plen: 4,
            arp.op: 2,
            arp.sha: mac_number("02:00:00:00:00:01"),
            arp.spa: ip_number("10.0.0.1"),
            arp.tha: 0,
            arp.tpa: ip_number("10.0.0.2"),
        },
    )
    echo = Ether(bytes(Ether() / IP() / ICMP(type=8, code=0, id=11, seq=12)))
    check(echo, {icmp.type: 8, icmp.code: 0, icmp.id: 11, icmp.seq: 12, icmp.checksum: echo[ICMP].chksum})
    six = Ether(
        bytes(Ether() / IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0x5A, fl=0x12345, hlim=3) / UDP())
    )
    check(
        six,
        {
            ip6.version: 6,
            ip6.traffic_class: 0x5A,
            ip6.flow: 0x12345,
            ip6.length: 8,
            ip6.next: 17,
            ip6.hops: 3,
            udp.sport.at(20): 53,
            ip6.src: bytes.fromhex("20010db8" + "0" * 23 + "1"),
            ip6.dst: bytes.fromhex("20010db8" + "0" * 23 + "2"),
        },
    )


def check(packet, expected):
    def read(burst):
        return {field: (burst[field], burst[0][field]) for field in expected}

    seen, _ = do([bytes(packet)], read)
    for field, value in expected.items():
        column, single = seen[field]
        assert single == value, field
        assert (column.tobytes() if isinstance(value, bytes) else int(column[0])) == value, field


def test_rows_of_bytes():
    frames = [bytes(64), bytes(64), bytes(30)]
    rows = np.arange(48, dtype=np.uint8).reshape(3, 16)

    def write(burst):
        burst[ip6.src] = rows
        burst[0][ip6.dst] = b"\x07" * 16
        return burst[ip6.src]

    column, after = do(frames, write)
    assert column.shape == (3, 16) and column.tolist() == [*rows[:2].tolist(), [0] * 16]
    assert after[0][22:38] == rows[0].tobytes() and after[0][38:54] == b"\x07" * 16
    assert after[2] == frames[2]

    def broadcast(burst):
        burst[ip6.src] = b"\x01" * 16

    assert do(frames, broadcast)[1][1][22:38] == b"\x01" * 16


def test_a_column_is_a_copy():
    def read_twice(burst):
        before = burst[eth.type]
        burst[eth.type] = 0x1234
        return before.tolist(), burst[eth.type].tolist()

    assert do([bytes(20)], read_twice)[0] == ([0], [0x1234])


def test_in_place_arithmetic_wraps_as_numpy_does():
    def decrement(burst):
        burst[ip4.ttl] -= 1

    frames = [bytes(22) + bytes([ttl]) + bytes(20) for ttl in (0, 1, 255)]
    assert [frame[22] for frame in do(frames, decrement)[1]] == [255, 0, 254]


def test_packet_data_can_be_written_and_replaced():
    def write(burst):
        view = burst[0].data
        view[:4] = b"abcd"
        view.release()
        burst[1].data = b"longer than it was before"
        with memoryview(burst[2]) as view:
            struct.pack_into("!H", view, 2, 0xBEEF)
        return burst[-1].port, burst[-1].timestamp_ns, burst.timestamp_ns.tolist(), burst.port.tolist()

    said, after = do([b"wxyz1", b"short", b"\0" * 4], write)
    assert after == [b"abcd1", b"longer than it was before", b"\0\0\xbe\xef"]
    assert said == (0, 0, [0, 0, 0], [0, 0, 0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda b: b.__setitem__(ip4.ttl, 256), "ip4.ttl = 256: must be 0 to 255"),
        (lambda b: b.__setitem__(ip4.ttl, np.zeros(3, int)), r"shape \(3,\) for a burst of 2 packets"),
        (lambda b: b.__setitem__(ip4.ttl, np.zeros(2)), "float64 values: whole numbers"),
        (lambda b: b.__setitem__(0, b""), "only a field can be set"),
        (lambda b: b["ttl"], "a field .* or the number of a packet"),
        (lambda b: b.drop(True, "nope"), "has no drop 'nope': it names none"),
        (lambda b: b[0].__setitem__(ip4.ttl, -1), "ip4.ttl = -1: must be 0 to 255"),
        (lambda b: b[0].__setitem__(ip6.src, b"abc"), "takes 16 bytes, not 3"),
        (lambda b: b.__setitem__(ip6.src, np.zeros((2, 16))), "takes bytes, or an array of uint8"),
        (lambda b: setattr(b[0], "data", bytes(3000)), "3000 bytes do not replace this packet"),
    ],
)
def test_mistakes_are_named(wrong, message):
    with pytest.raises(BurstError, match=message):
        do([bytes(64)] * 2, wrong)


def test_a_packet_outside_the_burst():
    def beyond(burst):
        for index in (2, -3):
            with pytest.raises(IndexError):
                burst[index]

    do([bytes(64)] * 2, beyond)


@pytest.mark.parametrize(
    "keep", [lambda b: b, lambda b: b[0], lambda b: iter(b)], ids=["burst", "packet", "iterator"]
)
def test_what_is_kept_is_over(keep):
    kept, _ = do([bytes(64)], keep)
    for use in (len, bytes, lambda b: b[eth.src], memoryview, next):
        with pytest.raises((BurstError, TypeError)) as caught:
            use(kept)
        if caught.type is BurstError:
            assert "this burst is over" in str(caught.value)
    assert "over" in repr(kept) or "Packets" in repr(kept)


def test_a_kept_burst_does_not_come_back_to_life():
    kept = []
    through(Do(kept.append), [bytes(64)] * 8, burst=2)
    assert len({id(burst) for burst in kept}) == 4
    for burst in kept:
        with pytest.raises(BurstError, match="over"):
            len(burst)


def test_a_kept_memoryview_is_an_error():
    with pytest.raises(BurstError, match="a memoryview of a packet outlives its burst"):
        do([bytes(64)], lambda burst: memoryview(burst[0]))


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Field("f", -1, 1),
        lambda: Field("f", 0, 0),
        lambda: Field("f", 0, 65),
        lambda: Field("f", 0, 2, shift=10, bits=7),
        lambda: Field("f", 0, 16, bits=3),
        lambda: ip4.ttl.at(-30),
    ],
)
def test_a_field_that_cannot_be(bad):
    with pytest.raises(ConfigError):
        bad()


@pytest.mark.parametrize(
    "keep",
    [
        lambda column: column,
        lambda column: column[1:],
        lambda column: memoryview(column),
        lambda column: (column, column.setflags(write=False))[0],
        lambda column: (column, setattr(column, "shape", (2, 2)))[0],
    ],
    ids=["column", "view", "memoryview", "read-only", "reshaped"],
)
def test_a_kept_column_is_nobody_elses(keep):
    """The next burst reuses columns that are not referenced any more, and only those."""
    kept, numbers = [], []

    class Keeper(App):
        def process(self, burst):
            numbers.append(burst[eth.src].tolist())
            kept.append(keep(burst[eth.src]))
            burst[eth.dst] = burst[eth.src] + 1

    frames = [bytes(6) + n.to_bytes(6, "big") + bytes(48) for n in range(40)]
    with Pipeline(Frames(frames, burst=4, pool=POOL) >> Keeper() >> Keep()).stepper() as stepper:
        stepper.finish()
    assert numbers == [list(range(n, n + 4)) for n in range(0, 40, 4)]
    seen = [np.asarray(column).reshape(-1).tolist() for column in kept]
    assert seen == [row[len(row) - len(column) :] for row, column in zip(numbers, seen, strict=True)]


def test_unkept_columns_are_used_again():
    addresses = set()

    class Look(App):
        def process(self, burst):
            addresses.update(column.ctypes.data for column in (burst[eth.src], burst[eth.dst]))

    with Pipeline(Frames([bytes(60)] * 400, burst=4, pool=POOL) >> Look() >> Keep()).stepper() as stepper:
        stepper.finish()
    assert len(addresses) <= 4


@pytest.mark.parametrize("value", [[1, 2, 3, 4], np.arange(1, 5), np.arange(1, 5)[::-1][::-1], range(1, 5)])
def test_what_a_field_is_set_from(value):
    frames = [bytes(60)] * 4
    _, after = do(frames, lambda burst: burst.__setitem__(eth.src, value))
    assert [frame[6:12] for frame in after] == [n.to_bytes(6, "big") for n in range(1, 5)]
