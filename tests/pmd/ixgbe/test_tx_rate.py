# SPDX-License-Identifier: BSD-3-Clause
"""How fast a Tx queue of the PF may send, by the model's own clock; and what is written for it."""

from __future__ import annotations

import pytest
from fakenic import FakeFunction
from modelrig import Pair, frame, pair

from dataplane import pmd
from dataplane.byhand import receive, send
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.datasheet import LINKS, RTTBCNRC, RTTBCNRM, RTTDQSEL
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.portstring import PortString
from tests.pmd.ixgbe.fleet import fleet


def sent_in(p: Pair, ns: int, size: int, queues: int = 1, step_ns: int = 2_000) -> list[int]:
    """Frames of `size` bytes without FCS that each queue sends in that much of the card's time, with more always to send.

    The number distinguishes them.
    """
    clock, counts = p.card.clock, [0] * queues
    begun = clock.now_ns
    while clock.now_ns < begun + ns:
        for queue in range(queues):
            send(p.left.tx(queue), [frame(queue, size)] * 24)
        clock.advance_ns(step_ns)
        p.card.step(1)
        for data in receive(p.right.rx(0), 256):
            counts[int.from_bytes(data[14:18], "big")] += 1
    return counts


@pytest.mark.parametrize(("mbps", "size"), [(10, 60), (100, 60), (1000, 996), (2500, 1514)])
def test_the_rate_is_kept(mbps, size):
    """Over 4 ms and more, bytes with FCS, to a percent and a frame."""
    with pair(",rx_desc=1024,tx_desc=64") as p:
        p.left.rates.set(0, mbps)
        p.start()
        sent_in(p, 1_000_000, size)  # the credit is used up, and the queue full
        ns = 20_000_000 if mbps < 100 else 4_000_000
        expected = mbps * 1e6 * ns * 1e-9 / (8 * (size + 4))
        (count,) = sent_in(p, ns, size)
        assert abs(count - expected) <= 1 + expected * 0.01
        assert p.left.rates.limits == {0: mbps}


def test_each_queue_has_its_own_and_it_changes_while_it_runs():
    with pair(",rx_desc=2048,tx_desc=64", n=16384) as p:
        p.left.tx(2)
        p.start()
        p.left.rates.set(0, 200)
        p.left.rates.set(1, 800)
        assert p.left.rates.limits == {0: 200, 1: 800}

        def mbps(queue: int) -> float:
            return counts[queue] * 8000 / 2e-3 / 1e6

        sent_in(p, 1_000_000, 996, 3)
        counts = sent_in(p, 2_000_000, 996, 3)
        assert mbps(0) == pytest.approx(200, rel=0.03) and mbps(1) == pytest.approx(800, rel=0.02)
        assert mbps(2) > 4_000, "no limit"
        p.left.rates.set(0, 800)
        p.left.rates.set(1, 0)
        assert p.left.rates.limits == {0: 800}
        sent_in(p, 1_000_000, 996, 3)
        counts = sent_in(p, 2_000_000, 996, 3)
        assert mbps(0) == pytest.approx(800, rel=0.02)
        assert mbps(1) > 4_000 and mbps(2) > 4_000


def test_it_holds_over_a_restart():
    with pair(",rx_desc=1024,tx_desc=64") as p:
        p.start()
        p.left.rates.set(0, 500)
        p.left.stop()
        p.left.start()
        p.left.wait_link(5), p.right.wait_link(5)
        sent_in(p, 1_000_000, 996)
        (count,) = sent_in(p, 4_000_000, 996)
        assert count == pytest.approx(250, abs=4)


def window(function: FakeFunction) -> list[tuple[str, int]]:
    names = (RTTDQSEL.name, RTTBCNRC.name)
    return [(name, value) for kind, name, value in function.registers.trace if kind == "w" and name in names]


def test_what_is_written():
    function = FakeFunction()
    with IxgbePort(function, PortString.split_options("fake0", "", "fake0", "")) as port:
        port.rates.set(3, 3000)
        port.tx(3)
        port.start()
        word = 1 << 31 | (10_000 << 14) // 3000 + 1  # rounded up: a little less than asked rather than more
        assert window(function)[-2:] == [("RTTDQSEL", 3), ("RTTBCNRC", word)]
        assert function.registers[RTTBCNRM] == 4
        function.registers.trace.clear()
        port.rates.set(3, 10_000)
        assert window(function) == [("RTTDQSEL", 3), ("RTTBCNRC", 0)], "as fast as the link: no limit"
        port.rates.set(3, 100)
        assert window(function)[-1] == ("RTTBCNRC", 1 << 31 | 100 << 14)
        # The link goes, and is down: the limit is for the fastest that it can come back with.
        function.registers.trace.clear()
        function.registers.stuck[LINKS.offset] = LINKS.UP.mask | LINKS.SPEED.mask, 0
        assert not port.link.up
        port.poll_stats()
        assert window(function) == []
        port.stop()
        port.mtu = 9000
        port.start()
        assert function.registers[RTTBCNRM] == 0x14


def test_what_is_refused():
    with pair() as p:
        for mbps in (-1, 1, 9, 10_001):
            with pytest.raises(ConfigError, match="must be 10 to 10000, or 0 for no limit"):
                p.left.rates.set(0, mbps)
        with pytest.raises(ConfigError, match=r"no Tx queue 64: it has 0\.\.63"):
            p.left.rates.set(64, 100)
        p.left.tx(0)
        p.left.start()
        with pytest.raises(PortError, match="running without Tx queue 1"):
            p.left.rates.set(1, 100)
        assert p.left.rates.limits == {}
    with pmd.probe("null:") as port, pytest.raises(PortError, match="null: has no rate limits of Tx queues"):
        port.rates.set(0, 100)


def test_a_vf_is_limited_by_its_pf(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with fleet(2) as made:
        (vf,) = made.open(0)
        with pytest.raises(PortError, match="vf set PF N max_tx_rate"):
            vf.rates.set(0, 100)
        made.pf.rates.set(0, 100)  # its own, beside those of its VFs
        made.pf.vfs.set(0, max_tx_rate=300)
        first, regs = made.pf.layout.queues_of(made.pf.layout.pf_pool).start, made.pf.bar
        factors = {}
        for queue in (0, first):
            regs.write(RTTDQSEL, queue)
            factors[queue] = regs.read(RTTBCNRC) & 0xFF_FFFF
        assert factors == {0: 4 * (10_000 << 14) // 300 + 1, first: 100 << 14}, "of a VF, one of four queues"
