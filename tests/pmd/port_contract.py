# SPDX-License-Identifier: BSD-3-Clause
"""The port contract: one suite for every port there is.

A port's test module subclasses what applies (`PortLife` for all, `PortReceives`, `PortSends`) and gives a fixture `rig`
that yields a `Rig`: a port that is not started yet, and ways to put frames at its wire and to take them from there:

    class TestMyPort(PortLife, PortReceives, PortSends):
        @pytest.fixture
        def rig(self): ...; yield Rig(port, inject, collect); ...

inject(frames) puts frames (a list of bytes, 60 bytes or longer) where the port will receive them; collect(n, timeout)
returns the frames that the port has sent, waiting at most `timeout` s for n of them. A port without a thread behind it (a
card stepped by its test) gives `step`, which is called between two polls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from dataplane.byhand import Held, receive, receive_packets, send
from dataplane.errors import ConfigError, PortError
from dataplane.mempool import Mempool
from dataplane.port import Link, Port

__all__ = ["PortLife", "PortReceives", "PortSends", "Rig", "frames"]

TIMEOUT = 3.0
SIZES = (60, 61, 64, 65, 127, 128, 129, 512, 1000, 1513, 1514)
XSTATS = (
    "rx_good_packets",
    "tx_good_packets",
    "rx_good_bytes",
    "tx_good_bytes",
    "rx_missed_errors",
    "rx_errors",
    "tx_errors",
    "rx_mbuf_allocation_errors",
)


@dataclass
class Rig:
    """A port and its wire."""

    port: Port
    inject: Callable[[list[bytes]], None] = lambda frames: None
    collect: Callable[[int, float], list[bytes]] = lambda n, timeout: []
    step: Callable[[], None] = lambda: None


def frames(n: int, sizes: tuple[int, ...] = SIZES, first: int = 0) -> list[bytes]:
    """n different frames: broadcast, an EtherType for experiments (0x88B5), a number, a pattern."""
    made = []
    for number in range(first, first + n):
        head = b"\xff" * 6 + b"\x02\0\0\0\0\x77" + b"\x88\xb5" + number.to_bytes(4, "big")
        body = bytes((number + k) & 0xFF for k in range(sizes[number % len(sizes)] - len(head)))
        made.append(head + body)
    return made


def received(rig: Rig, n: int, timeout: float = TIMEOUT, burst: int = 32) -> list[bytes]:
    """Poll Rx queue 0 until n frames have come or `timeout` s have passed."""
    got: list[bytes] = []
    deadline = time.monotonic() + timeout
    while len(got) < n and time.monotonic() < deadline:
        rig.step()
        got += receive(rig.port.rx(0), burst)
    return got


def start(rig: Rig, mempool: Mempool | None = None) -> Port:
    """Start the port with the queues that it can have."""
    if rig.port.info.max_rx_queues:
        rig.port.rx(0)
    if rig.port.info.max_tx_queues:
        rig.port.tx(0)
    if mempool is not None:
        rig.port.configure(mempool=mempool)
    rig.port.start()
    rig.port.wait_link(TIMEOUT)
    return rig.port


class PortLife:
    """Tests that every port must pass."""

    def test_it_says_what_it_is(self, rig):
        info = rig.port.info
        assert info.driver
        assert info.max_rx_queues or info.max_tx_queues
        assert rig.port.name in repr(rig.port)

    def test_queues_past_the_end_are_refused(self, rig):
        for ask, most in (
            (rig.port.rx, rig.port.info.max_rx_queues),
            (rig.port.tx, rig.port.info.max_tx_queues),
        ):
            for index in (-1, most):
                with pytest.raises(ConfigError, match=rf"no .x queue {index}"):
                    ask(index)

    def test_a_queue_is_made_once(self, rig):
        if rig.port.info.max_rx_queues:
            assert rig.port.rx(0) is rig.port.rx(0)
        if rig.port.info.max_tx_queues:
            assert rig.port.tx(0) is rig.port.tx(0)

    def test_every_verb_twice_is_once(self, rig):
        port = start(rig)
        port.start()
        assert port.started
        port.stop()
        port.stop()
        assert not port.started
        port.start()
        port.stop()
        port.close()
        port.close()
        with pytest.raises(PortError, match="closed: probe it again"):
            port.start()

    def test_a_running_port_is_not_configured(self, rig):
        port = start(rig)
        with pytest.raises(PortError, match="running: stop it"):
            port.configure(mempool=Mempool(64))
        with pytest.raises(PortError, match="running"):
            port.mtu = port.mtu

    def test_an_mtu_out_of_range_is_refused(self, rig):
        for mtu in (0, 67, rig.port.info.max_frame):
            with pytest.raises(ConfigError, match=f"MTU of {mtu}: must be 68"):
                rig.port.mtu = mtu

    def test_its_link_can_be_read(self, rig):
        port = start(rig)
        assert isinstance(port.link, Link)
        assert port.wait_link(TIMEOUT).up

    def test_xstats_have_their_names(self, rig):
        port = start(rig)
        stats = port.xstats()
        assert set(XSTATS) <= set(stats)
        if port.info.max_rx_queues:
            assert {"rx_q0_packets", "rx_q0_bytes"} <= set(stats)
        if port.info.max_tx_queues:
            assert {"tx_q0_packets", "tx_q0_bytes"} <= set(stats)
        assert all(isinstance(value, int) and value >= 0 for value in stats.values())

    def test_stop_gives_every_mbuf_back(self, rig):
        port = start(rig)
        for _ in range(5):
            rig.step()
            if port.info.max_rx_queues:
                receive(port.rx(0))
            if port.info.max_tx_queues:
                assert send(port.tx(0), frames(8)) == 8
            port.stop()
            assert port.mempool.in_use == 0
            port.start()
            port.wait_link(TIMEOUT)
        port.stop()
        assert port.mempool.in_use == 0

    def test_reset_xstats_counts_from_zero(self, rig):
        port = start(rig)
        if port.info.max_tx_queues:
            send(port.tx(0), frames(5))
        port.stop()
        port.reset_xstats()
        assert not any(port.xstats().values())


class PortReceives:
    """Tests of a port that receives."""

    def test_frames_arrive_byte_for_byte_in_order(self, rig):
        start(rig)
        sent = frames(100)
        rig.inject(sent)
        assert received(rig, len(sent)) == sent

    @pytest.mark.parametrize("burst", [1, 2, 3, 31, 33, 64, 256])
    def test_a_burst_is_never_longer_than_asked_for(self, rig, burst):
        port = start(rig)
        sent = frames(70, (60,))
        rig.inject(sent)
        got: list[bytes] = []
        deadline = time.monotonic() + TIMEOUT
        while len(got) < len(sent) and time.monotonic() < deadline:
            rig.step()
            packets = receive_packets(port.rx(0), burst)
            assert len(packets) <= burst
            got += [packet.data for packet in packets]
        assert got == sent

    def test_what_arrives_is_counted(self, rig):
        port = start(rig)
        before = port.xstats()
        sent = frames(50)
        rig.inject(sent)
        assert len(received(rig, 50)) == 50
        after = port.xstats()
        grown = {name: after[name] - before.get(name, 0) for name in after}
        assert grown["rx_good_packets"] == grown["rx_q0_packets"] == 50
        assert grown["rx_good_bytes"] == grown["rx_q0_bytes"] == sum(map(len, sent))
        assert grown["rx_errors"] == 0

    def test_it_receives_again_after_restarts(self, rig):
        port = start(rig)
        for turn in range(4):
            sent = frames(10, first=turn * 10)
            rig.inject(sent)
            assert received(rig, 10) == sent
            port.stop()
            assert port.mempool.in_use == 0
            port.start()
            port.wait_link(TIMEOUT)

    def test_an_exhausted_mempool_is_counted_and_survived(self, rig):
        port = rig.port
        port.rx(0)
        pool = Mempool(2048, name="contract")
        start(rig, pool)
        # More than any descriptor ring holds: whatever was armed at the start is used up.
        many = port.rx_desc + 64
        with Held(pool):
            for at in range(0, many, 32):
                rig.inject(frames(32, (60,), first=at))
                received(rig, 32, timeout=0.02)
            assert port.xstats()["rx_mbuf_allocation_errors"] > 0
        received(rig, many, timeout=0.3)  # what waited
        sent = frames(40, first=100_000)
        rig.inject(sent)
        assert received(rig, 40) == sent
        port.stop()
        assert pool.in_use == 0


class PortSends:
    """Tests of a port that sends."""

    def test_frames_leave_byte_for_byte_in_order(self, rig):
        port = start(rig)
        sent = frames(100)
        assert send(port.tx(0), sent, timeout=TIMEOUT) == 100
        rig.step()
        assert rig.collect(100, TIMEOUT) == sent

    @pytest.mark.parametrize("segment", [64, 200, 1000])
    def test_packets_of_several_segments_leave_whole(self, rig, segment):
        port = start(rig)
        sent = frames(22)
        assert send(port.tx(0), sent, segment=segment, timeout=TIMEOUT) == 22
        rig.step()
        assert rig.collect(22, TIMEOUT) == sent
        port.stop()
        assert port.mempool.in_use == 0

    def test_what_leaves_is_counted(self, rig):
        port = start(rig)
        before = port.xstats()
        sent = frames(50)
        assert send(port.tx(0), sent, timeout=TIMEOUT) == 50
        rig.step()
        assert len(rig.collect(50, TIMEOUT)) == 50
        after = port.xstats()
        grown = {name: after[name] - before.get(name, 0) for name in after}
        assert grown["tx_good_packets"] == grown["tx_q0_packets"] == 50
        assert grown["tx_good_bytes"] == grown["tx_q0_bytes"] == sum(map(len, sent))
        assert grown["tx_errors"] == 0

    def test_it_sends_again_after_restarts(self, rig):
        port = start(rig)
        for turn in range(4):
            sent = frames(10, first=turn * 10)
            assert send(port.tx(0), sent, timeout=TIMEOUT) == 10
            rig.step()
            assert rig.collect(10, TIMEOUT)[-10:] == sent
            port.stop()
            assert port.mempool.in_use == 0
            port.start()
            port.wait_link(TIMEOUT)


def opened(port: Port) -> Iterator[Port]:
    """For a rig: the port, closed at the end, with every mbuf back in its pool."""
    try:
        yield port
    finally:
        port.close()
        assert port.mempool.in_use == 0
