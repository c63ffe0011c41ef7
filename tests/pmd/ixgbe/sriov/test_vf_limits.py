# SPDX-License-Identifier: BSD-3-Clause
"""Limits of VFs under full load on the strict model, by the card's own clock: whatever their queues, across link flaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

import pytest

from dataplane import pmd
from dataplane.byhand import send
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.pmd.model.fault import plug, unplug
from tests.pmd.ixgbe.fleet import Fleet, fleet

SIZE = 996  # bytes of a frame, without FCS
STRANGER = bytes.fromhex("029900000001")


def frames_of(vf: IxgbeVfPort, count: int = 24) -> list[bytes]:
    return [STRANGER + bytes.fromhex(vf.mac.replace(":", "")) + b"\x88\xb5" + bytes(SIZE - 14)] * count


class Load:
    """Every Tx queue of these VFs has always something to send."""

    def __init__(
        self,
        made: Fleet,
        vfs: Sequence[IxgbeVfPort],
        step: float = 5e-4,
        fill_every: int = 1,
        alone: bool = True,
    ) -> None:
        self.made, self.card, self.step, self.every = made, made.pf.function.card, step, fill_every
        # Only this thread lets the card's time pass; otherwise queues would lose credit between two steps.
        made.pf.function.chip.read_ns = made.pf.function.chip.write_ns = 0
        for vf in vfs if alone else ():
            vf._end.set()
            assert vf._dog is not None
            vf._dog.join()
        self.queues = [(vf.tx(n), frames_of(vf)) for vf in vfs for n in range(vf.tx_queues)]

    def run(self, seconds: float) -> None:
        end = self.card.now() + seconds
        for n in cycle(range(self.every)):
            if self.card.now() >= end:
                return
            if n == 0:
                for queue, frames in self.queues:
                    send(queue, frames)
            self.card.sleep(self.step)

    def rates(self, seconds: float, during: Callable[[float], None] | None = None) -> list[float]:
        """Mb/s of each VF, with FCS, over so many seconds, which `during` may fill in place of `run`."""
        before, begun = self.sent(), self.card.now()
        (during or self.run)(seconds)
        return [
            (now - then) * 8e-6 / (self.card.now() - begun)
            for now, then in zip(self.sent(), before, strict=True)
        ]

    def sent(self) -> list[int]:
        rows = self.made.pf.vfs.show()
        return [row["tx_good_bytes"] + 4 * row["tx_good_packets"] for row in rows]

    def settle(self) -> None:
        self.run(0.4)


@pytest.mark.parametrize("queues", [1, 2, 4])
def test_the_limit_is_the_vfs_whatever_its_queues(queues: int) -> None:
    with fleet(2, ",thread=off") as made:
        (vf,) = made.open(0, queues=queues)
        made.pf.vfs.set(0, max_tx_rate=100)
        load = Load(made, [vf])
        assert load.rates(0.2)[0] <= 101, "before the PF has seen its queues, too"
        load.settle()
        assert 99 <= load.rates(0.2)[0] <= 101


def test_over_a_link_that_was_away_no_more_leaves_than_is_due() -> None:
    """4,064 frames of 1,000 bytes wait; in a tenth of a second 1,250 are due at 100 Mb/s."""
    pool = Mempool(16384, hugepages="no")
    with fleet(2, ",thread=off", pool=pool) as made:
        (vf,) = made.open(0, desc=4096)
        made.pf.vfs.set(0, max_tx_rate=100)
        load = Load(made, [vf])
        load.settle()
        for _ in range(3):
            unplug(load.card)
            load.card.sleep(0.2)
            while send(vf.tx(0), frames_of(vf, 32)):
                pass
            before = made.pf.vfs.show()[0]["tx_good_packets"]
            plug(load.card)
            for _ in range(200):
                load.card.sleep(5e-4)
            assert made.pf.vfs.show()[0]["tx_good_packets"] - before <= 1250 * 1.01
    assert pool.in_use == 0


def test_resets_of_pf_and_vf_lift_nothing() -> None:
    with fleet(2, ",thread=off") as made:
        (vf,) = made.open(0, queues=4)
        made.pf.vfs.set(0, max_tx_rate=200)
        load = Load(made, [vf], alone=False)

        def resets(seconds: float) -> None:
            for _ in range(3):
                load.run(seconds / 8)
                made.pf.stop()
                made.pf.start()
                load.run(seconds / 8)
                vf.stop()
                vf.start()
                load.run(seconds / 8)

        assert 0 < load.rates(0.4, resets)[0] <= 202


@pytest.mark.parametrize("speed", [pytest.param(1, id="1 Gbit/s"), pytest.param(10, id="10 Gbit/s")])
def test_two_speeds(speed: int) -> None:
    """PF, VF and the other end agree on the speed, and a limit is one at either."""
    with fleet(2, f",thread=off,speed={speed}") as made, pmd.probe(f"model1,speed={speed}") as far:
        far.start()
        (vf,) = made.open(0, queues=2)
        for port in (made.pf, vf, far):
            assert port.wait_link(1.0).speed == speed * 1000
        assert made.pf.info.line_rate == speed * 10**9
        load = Load(made, [vf], step=5e-5)
        if speed == 1:
            assert 900 <= load.rates(0.02)[0] <= 1000, "what the line carries, less preambles and gaps"
        made.pf.vfs.set(0, max_tx_rate=100)
        load.step = 5e-4
        load.settle()
        assert 99 <= load.rates(0.2)[0] <= 101
        unplug(load.card)
        load.card.sleep(0.1)
        plug(load.card)
        assert load.rates(0.2)[0] <= 101


def test_unlike_speeds_have_no_link() -> None:
    with pmd.probe("model0,thread=off,speed=1") as near, pmd.probe("model1") as far:
        near.start(), far.start()
        near.bar.sleep(0.1)
        assert not near.link.up and not far.link.up
    with pytest.raises(ConfigError, match="speed=40: expected one of 1, 10"):
        pmd.probe("model0,speed=40")


def many(vfs: int, queues: int, seconds: float) -> None:
    """Every queue of every VF under load, each VF with a limit of its own, and 20 link flaps meanwhile."""
    pool = Mempool(vfs * queues * 256, hugepages="no")
    with fleet(vfs, ",thread=off", pool=pool) as made:
        ports = made.open(*range(vfs), queues=queues)
        asked = [40 + vf for vf in range(vfs)]
        for vf, mbps in enumerate(asked):
            made.pf.vfs.set(vf, max_tx_rate=mbps)
        load = Load(made, ports, step=5e-4, fill_every=5)
        load.settle()
        away = 0.0

        def flaps(seconds: float) -> None:
            nonlocal away
            for _ in range(20):
                load.run(seconds / 20)
                begun = load.card.now()
                unplug(load.card)
                load.run(3e-3)
                plug(load.card)
                while not made.pf.link.up:
                    load.run(5e-4)
                away += load.card.now() - begun

        begun = load.card.now()
        rates = load.rates(seconds, flaps)
        up = 1 - away / (load.card.now() - begun)
        for vf, (rate, mbps) in enumerate(zip(rates, asked, strict=True)):
            assert rate <= mbps * 1.01, f"VF {vf}"
        assert sum(rates) >= 0.97 * up * sum(asked), "and as much as was asked for"
        load.run(0.02)  # what the queues saved up while the link was away is gone
        steady = load.rates(seconds / 2)
        for vf, (rate, mbps) in enumerate(zip(steady, asked, strict=True)):
            assert 0.97 * mbps <= rate <= 1.01 * mbps, (
                f"VF {vf}, recovered {ports[vf].recoveries} times, {steady}"
            )
    assert pool.in_use == 0


def test_every_vf_at_its_limit_across_20_link_flaps() -> None:
    many(31, 4, 0.4)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_vf_at_its_limit_for_a_minute() -> None:
    many(63, 2, 60.0)
