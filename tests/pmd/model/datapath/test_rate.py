# SPDX-License-Identifier: BSD-3-Clause
"""The rate of a Tx queue (datasheet 7.7.2.1, 8.2.3.10.16), on a clock that the test moves."""

import pytest

from dataplane.pmd.datasheet import QPTC, RTTBCNRC, RTTBCNRM, RTTDQSEL, TQSM
from tests.pmd.model.rig import Port, frame, pair

LINE = 10_000  # Mb/s


def limit(port: Port, queue: int, mbps: float) -> None:
    factor = int((LINE << 14) / mbps) if mbps else 0
    port.write(RTTDQSEL, queue)
    port.write(RTTBCNRC, factor | int(bool(mbps)) << 31)


def sent_in(a: Port, b: Port, ns: int, size: int, step_ns: int = 500) -> int:
    """How many frames come over when the queues never run dry."""
    count = 0
    for _ in range(ns // step_ns):
        for tx in a.tx.values():
            while (tx.tail - tx.head) % tx.n < tx.n - 9:
                tx.send(frame(size), ring_bell=False)
            tx.bell()
        a.clock.advance_ns(step_ns)
        a.step()
        b.step()
        count += len(b.rx[0].take())
    return count


@pytest.mark.parametrize(("mbps", "size"), [(100, 60), (1000, 60), (1000, 1514), (3333, 600), (9999, 1514)])
def test_rate_is_kept(mbps, size):
    """Bytes with FCS; over a millisecond, to a frame."""
    a, b = pair()
    a.tx_queue(n=32), b.rx_queue(n=64)
    a.write(RTTBCNRM, 4)
    limit(a, 0, mbps)
    expected = mbps * 1e6 * 1e-3 / (8 * (size + 4))
    assert abs(sent_in(a, b, 1_000_000, size) - expected) <= 1 + expected * 0.002


def test_other_queues_go_on():
    a, b = pair()
    a.tx_queue(0, n=32), a.tx_queue(1, n=32), b.rx_queue(n=128)
    a.write(TQSM[0], 1 << 8)  # queue 1 counts in set 1
    limit(a, 1, 10)
    sent_in(a, b, 20_000, 60)
    assert a.clear(QPTC[1]) < 3 and a.clear(QPTC[0]) > 500


def test_rate_is_lifted():
    a, b = pair()
    a.tx_queue(n=64), b.rx_queue(n=64)
    limit(a, 0, 11)
    for _ in range(40):
        a.tx[0].send(frame(1000))
    a.step(10)
    b.step()
    assert len(b.rx[0].take()) < 3
    limit(a, 0, 0)
    a.step(2)
    b.step()
    assert a.tx[0].head == a.tx[0].tail


def test_a_pause_is_credit_up_to_a_limit():
    """RTTBCNRM KiB at once after a long rest, then as the rate says."""
    a, b = pair()
    a.tx_queue(n=64), b.rx_queue(n=64)
    a.write(RTTBCNRM, 4)
    limit(a, 0, 1000)
    a.clock.advance_ns(1_000_000)
    for _ in range(40):
        a.tx[0].send(frame(1020))
    a.step(10)
    b.step()
    assert len(b.rx[0].take()) == 5, "4 KiB and the one that overdraws"
    a.clock.advance_ns(1024 * 8 * 3 + 10)  # three frames at 1 Gb/s
    a.step(10)
    b.step()
    assert len(b.rx[0].take()) == 3


def test_a_rate_over_the_lines_is_none():
    a, b = pair()
    a.tx_queue(n=64), b.rx_queue(n=64)
    limit(a, 0, 20_000)
    for _ in range(40):
        a.tx[0].send(frame(1020))
    a.step(2)
    b.step()
    assert len(b.rx[0].take()) == 40
