# SPDX-License-Identifier: BSD-3-Clause
"""Ring by buffer size by MTU: the longest frame always finds its buffers, or the port says which ring would do."""

from __future__ import annotations

import re
from contextlib import closing
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataplane import pmd
from dataplane.byhand import Held, receive, send
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool

CARD = "model0,manner=strict,thread=off,wire=loop,promiscuous=on"
COUNT = 40  # frames: more than the ring has descriptors


def frames(mtu: int, seed: int) -> list[bytes]:
    """Of every size, the longest often, with a tag and without."""
    dice, made = Random(seed), []
    for number in range(COUNT):
        tag = bytes.fromhex("81000007") if dice.random() < 0.3 else b""
        size = dice.choice((mtu, mtu, mtu - dice.randrange(10), dice.randrange(46, mtu + 1)))
        head = bytes.fromhex("02000000000902000000000a") + tag + bytes.fromhex("88b5")
        made.append(head + number.to_bytes(4, "big") + dice.randbytes(size - 4))
    return made


def carries(ring: int, pool: Mempool, mtu: int, seed: int) -> None:
    """A port with that ring gets every frame, whatever it has taken before. Raises ConfigError if it refuses the ring."""
    with closing(pmd.probe(f"{CARD},rx_desc={ring},tx_desc=256,mtu={mtu},drop_en=off")) as port:
        port.configure(mempool=pool)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link(5.0)
        sender = Mempool(256, hugepages="no", data_room=12 << 10)
        card = port.function.card  # type: ignore[attr-defined]
        sent = got = 0
        expected = frames(mtu, seed)
        for _ in range(50 * COUNT):
            if sent < COUNT:
                sent += send(port.tx(0), expected[sent : sent + 1], sender)
            card.step(2)
            for frame in receive(port.rx(0), 4):
                assert frame == expected[got]
                got += 1
            if got == COUNT:
                break
        assert got == COUNT, f"{got} of {COUNT} frames came, then it hung"
        card.check()


@pytest.mark.timeout(300)
@settings(max_examples=30, deadline=None)
@given(
    ring=st.integers(1, 5).map(lambda n: 8 * n),
    kib=st.sampled_from([1, 2, 3, 4, 8, 15]),
    mtu=st.one_of(st.integers(68, 9710), st.sampled_from([1500, 7150, 9000, 9710])),
    seed=st.integers(0, 99),
)
@example(ring=8, kib=1, mtu=9000, seed=1)
@example(ring=8, kib=1, mtu=7000, seed=1)
@example(ring=8, kib=1, mtu=7150, seed=1)
@example(ring=16, kib=1, mtu=9710, seed=1)
def test_a_frame_fits_the_ring_or_the_ring_is_refused(ring: int, kib: int, mtu: int, seed: int) -> None:
    """The smallest ring that the error names works, and no smaller one does."""
    pool = Mempool(128, hugepages="no", data_room=kib << 10)
    try:
        carries(ring, pool, mtu, seed)
    except ConfigError as error:
        said = re.search(r"rx_desc=(\d+) is the smallest", str(error))
        assert said, error
        smallest = int(said[1])
        assert smallest > ring
        carries(smallest, pool, mtu, seed)
        # Without its tag the longest frame has these pieces, and one descriptor is never armed (7.1.9).
        assert -(-(mtu + 18) // (kib << 10)) > smallest - 8 - 1, "a smaller ring would do"


def test_the_last_buffers_of_a_pool_are_used() -> None:
    """Seven descriptors are empty, two buffers are left, four are taken at once: one by one they let a long frame in."""
    pool, sender = (
        Mempool(17, hugepages="no", data_room=1024),
        Mempool(64, hugepages="no", data_room=12 << 10),
    )
    with closing(pmd.probe(f"{CARD},rx_desc=16,tx_desc=64,mtu=9000,drop_en=off")) as port:
        port.configure(mempool=pool)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link(5.0)
        card = port.function.card  # type: ignore[attr-defined]
        for size, keep in ((7000, 6), (9014, 0)):
            sent = bytes.fromhex("02000000000902000000000a88b5") + Random(size).randbytes(size - 14)
            assert send(port.tx(0), [sent], sender) == 1
            got: list[bytes] = []
            for _ in range(50):
                card.step(2)
                got += receive(port.rx(0), 4)
                if got:
                    break
            assert got == [sent]
            held = Held(pool, keep)
        held.release()
