# SPDX-License-Identifier: BSD-3-Clause
"""Two ports of a card of the model, joined by a wire, each with our driver; stepped by the test or in its own thread."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dataplane import pmd
from dataplane.byhand import receive, send
from dataplane.mempool import Mempool
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.wire.port import PortWire


def frame(number: int, size: int = 60, to: str = "ff:ff:ff:ff:ff:ff", tag: int | None = None) -> bytes:
    """A frame of `size` bytes with a number in it and random bytes behind."""
    head = bytes.fromhex(to.replace(":", "")) + bytes.fromhex("020000000077")
    head += b"" if tag is None else b"\x81\x00" + tag.to_bytes(2, "big")
    head += b"\x88\xb5" + number.to_bytes(4, "big")
    return head + random.Random(number).randbytes(size - len(head))


class Pair:
    """left and right: the ports; card: the model's card under them; pool: what both receive into."""

    def __init__(self, left: IxgbePort, right: IxgbePort, pool: Mempool, threaded: bool) -> None:
        self.left, self.right, self.pool, self.threaded = left, right, pool, threaded
        self.card = left.function.card

    def step(self, n: int = 4) -> None:
        """Let the chip work."""
        if self.threaded:
            time.sleep(2e-4)
        else:
            self.card.step(n)

    def start(self, queues: int = 1) -> None:
        for port in (self.left, self.right):
            port.rx(queues - 1), port.tx(queues - 1)
            port.start()
        for port in (self.left, self.right):
            port.wait_link(5.0)

    def cross(self, frames, tx=None, rx=None, seconds=10.0, segment=0):
        """Send frames from left to right; returns what arrived, in order."""
        tx, rxs = tx or self.left.tx(0), rx or [self.right.rx(n) for n in range(self.right.rx_queues)]
        frames, got, sent = list(frames), [], 0
        deadline, idle = time.monotonic() + seconds, 0
        patience = (
            250 if self.threaded else 5
        )  # rounds without a frame: a busy machine may not run the card for a while
        while idle < patience and time.monotonic() < deadline:
            sent += send(tx, frames[sent : sent + 32], segment=segment)
            self.step()
            before = len(got)
            for queue in rxs:
                got += receive(queue, 32)
            idle = idle + 1 if sent == len(frames) and len(got) == before else 0
        assert sent == len(frames)
        return got


@contextmanager
def pair(
    options: str = "",
    threaded: bool = False,
    n: int = 4096,
    netem: Netem | None = None,
    elastic: bool = True,
    **pool_options,
) -> Iterator[Pair]:
    """Both ports open, not started, and a wire. At the end: no violation, every mbuf back."""
    pool = Mempool(n, hugepages="no", name="pair", **pool_options)
    thread = "on" if threaded else "off"
    left = pmd.probe(f"model0,manner=strict,thread={thread},wire=none{options}")
    try:
        right = pmd.probe(f"model1,manner=strict,thread={thread},wire=none{options}")
        try:
            chips = left.function.card.ports
            PortWire(chips[0].engine, chips[1].engine, netem, elastic=elastic)
            for port in (left, right):
                port.configure(mempool=pool)
            yield Pair(left, right, pool, threaded)
            left.function.card.check()
        finally:
            right.close()
    finally:
        left.close()
    assert pool.available == pool.n
    pool.check()
