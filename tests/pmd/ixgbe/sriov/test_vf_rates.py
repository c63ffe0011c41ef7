# SPDX-License-Identifier: BSD-3-Clause
"""One limit for a VF: how it is divided among its queues, and that no write to a register ever lifts it. On the board."""

from __future__ import annotations

import random

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import TXDCTL, VFTE
from dataplane.pmd.ixgbe.sriov.rates import INTERVAL, SETTLED, WINDOW
from tests.pmd.ixgbe.ruled import Ruled

LEAST = 10_000 / 1024  # Mb/s, of a link of 10 Gb/s


def parts(ruled: Ruled, vf: int = 0) -> list[float]:
    """The rate limit of each queue of a VF, Mb/s; 0: no limit."""
    words = [ruled.board.rates[queue] for queue in ruled.table.layout.queues_of(vf)]
    return [10_000 * (1 << 14) / (word & 0xFF_FFFF) if word >> 31 else 0.0 for word in words]


def switch(ruled: Ruled, *on: int, vf: int = 0) -> None:
    """The VF's driver has these Tx queues on."""
    for n, queue in enumerate(ruled.table.layout.queues_of(vf)):
        ruled.board[TXDCTL[queue]] = TXDCTL[queue].ENABLE.mask if n in on else 0


def wait(ruled: Ruled, seconds: float) -> None:
    ruled.round(round(seconds / 5e-3), 5e-3)


@pytest.mark.parametrize("vfs", [4, 40])
def test_queues_that_are_on_share_the_limit(vfs: int) -> None:
    ruled = Ruled(vfs=vfs)
    ruled.vf(0)
    count = ruled.table.layout.queues
    ruled.table.set(0, "max_tx_rate", "100")
    assert parts(ruled) == pytest.approx([100 / count] * count, rel=1e-3), "equal parts, on or not"
    for on in (1, 2, count):
        switch(ruled, *range(on))
        wait(ruled, SETTLED + 4 * INTERVAL)
        assert parts(ruled) == pytest.approx([100 / on] * on + [LEAST] * (count - on), rel=1e-3)
        assert sum(parts(ruled)[:on]) <= 100
    ruled.table.set(0, "max_tx_rate", "0")
    assert parts(ruled) == [0.0] * count


def test_a_queue_that_begins_has_its_part_at_the_next_look_and_what_was_lent_is_given_back() -> None:
    ruled = Ruled()
    ruled.vf(0)
    switch(ruled, 0)
    ruled.table.set(0, "max_tx_rate", "100")
    wait(ruled, SETTLED + 4 * INTERVAL)
    switch(ruled, 0, 1, 2, 3)
    wait(ruled, 1.2 * INTERVAL)
    assert max(parts(ruled)) < 25
    most = 3 * LEAST * INTERVAL
    assert (100 - sum(parts(ruled))) * SETTLED == pytest.approx(most, rel=0.3)
    wait(ruled, SETTLED + 2 * INTERVAL)
    assert parts(ruled) == pytest.approx([25] * 4, rel=1e-3)


def test_a_queue_that_ends_gives_its_part_to_the_others() -> None:
    ruled = Ruled()
    ruled.vf(0)
    switch(ruled, 0, 1, 2, 3)
    ruled.table.set(0, "max_tx_rate", "1000")
    wait(ruled, SETTLED + 2 * INTERVAL)
    switch(ruled, 0)
    wait(ruled, SETTLED + 6 * INTERVAL)
    assert parts(ruled) == pytest.approx([1000, LEAST, LEAST, LEAST], rel=1e-3)


def test_a_reset_of_the_vf_comes_back_to_equal_parts_before_its_gate_opens() -> None:
    ruled = Ruled()
    ruled.vf(0)
    switch(ruled, 0)
    ruled.table.set(0, "max_tx_rate", "100")
    wait(ruled, SETTLED + 4 * INTERVAL)
    ruled.board.log.clear()
    ruled.vf(0)
    names = [(name, value) for who, name, value in ruled.board.log if who == "pf"]
    opened = next(n for n, (name, value) in enumerate(names) if name == VFTE[0].name and value & 1)
    assert [value for name, value in names if name == "RTTBCNRC"]
    assert not [name for name, _ in names[opened:] if name == "RTTBCNRC"]
    assert parts(ruled) == pytest.approx([25] * 4, rel=1e-3)


@pytest.mark.parametrize(("vfs", "least"), [(4, 40), (63, 20)])
def test_what_the_chip_cannot_hold_is_refused(vfs: int, least: int) -> None:
    ruled = Ruled(vfs=vfs)
    with pytest.raises(ConfigError, match=f"max_tx_rate {least - 1}: 0 for none, or from {least} Mb/s on"):
        ruled.table.set(0, "max_tx_rate", str(least - 1))
    ruled.table.set(0, "max_tx_rate", str(least))
    assert sum(parts(ruled)) <= least


def test_a_vf_that_switches_between_looks_loses_what_it_could_gain(caplog: pytest.LogCaptureFixture) -> None:
    """It seems to have one queue on and sends with four: its bytes tell."""
    ruled = Ruled()
    ruled.vf(0)
    sent = [0]
    ruled.table.rates._sent = lambda vf: sent[0]
    switch(ruled, 0)
    ruled.table.set(0, "max_tx_rate", "100")
    wait(ruled, SETTLED + 4 * INTERVAL)
    for _ in range(round(2.5 * WINDOW / INTERVAL)):
        sent[0] += round(129e6 / 8 * INTERVAL)
        wait(ruled, INTERVAL)
    assert parts(ruled) == pytest.approx([25] * 4, rel=1e-3)
    assert "VF 0 sends more than its 100 Mb/s" in caplog.text
    wait(ruled, 3 * SETTLED)
    assert parts(ruled) == pytest.approx([25] * 4, rel=1e-3), "for good"
    ruled.vf(0)
    switch(ruled, 0)
    wait(ruled, 3 * SETTLED)
    assert parts(ruled) == pytest.approx([25] * 4, rel=1e-3), "a reset of its own does not change that"


@pytest.mark.parametrize("seed", range(100))
def test_no_write_lifts_a_limit(seed: int) -> None:
    """Anything that happens to port and VFs in any order: after each write what is on and may send is within its limit.

    Queues that the PF has not seen yet have the least that there is.
    """
    dice = random.Random(seed)
    ruled = Ruled(vfs=dice.choice((2, 40)))
    layout, asked = ruled.table.layout, {}
    before = ruled.board.write

    def check(offset: int, value: int, who: str = "pf") -> None:
        before(offset, value, who)
        if not ruled.table.up:
            return
        for vf, mbps in asked.items():
            if not ruled.board[VFTE[0]] >> vf & 1:
                continue
            on = [
                part
                for part, queue in zip(parts(ruled, vf), layout.queues_of(vf), strict=True)
                if ruled.board[TXDCTL[queue]]
            ]
            assert 0.0 not in on, "no limit at all"
            assert sum(on) <= mbps + LEAST * (layout.queues - 1) + 1e-6, (vf, on)

    ruled.board.write = check  # type: ignore[method-assign]
    for _ in range(40):
        vf = dice.randrange(2)
        match dice.choice(("begin", "queues", "flap", "rate", "wait", "restart")):
            case "begin":
                ruled.vf(vf)
            case "queues":
                switch(ruled, *dice.sample(range(layout.queues), dice.randint(0, layout.queues)), vf=vf)
            case "flap":
                ruled.board.link_up = not ruled.board.link_up
            case "rate":
                mbps = dice.choice((40, 100, 999, 5000))
                asked.pop(vf, None)  # the old one or the new one holds while it is written
                ruled.table.set(vf, "max_tx_rate", str(mbps))
                asked[vf] = mbps
            case "wait":
                wait(ruled, dice.choice((0.01, INTERVAL, 0.4)))
            case "restart":
                ruled.table.go_down()
                ruled.board.reset()
                ruled.table.rates.rates.clear(1518)
                ruled.bring_up()
