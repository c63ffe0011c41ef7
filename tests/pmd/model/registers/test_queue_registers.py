# SPDX-License-Identifier: BSD-3-Clause
"""Enabling queues, and registers with a bank behind them (datasheet 4.6.7, 4.6.8, 8.2.3.8 to 8.2.3.12)."""

import pytest
from chip_fixtures import Chip

from dataplane.pmd.datasheet import (
    CTRL,
    FDIRCMD,
    FDIRCTRL,
    QDE,
    RDH,
    RDRXCTL,
    RDT,
    RTTBCNRC,
    RTTDQSEL,
    RTTDT1C,
    RXDCTL,
    SECRXCTRL,
    SECRXSTAT,
    SECTXCTRL,
    SECTXSTAT,
    TDH,
    TDT,
    TXDCTL,
)
from dataplane.pmd.model import Timing

SIDES = [pytest.param(RXDCTL, RDH, RDT, id="rx"), pytest.param(TXDCTL, TDH, TDT, id="tx")]


@pytest.fixture
def chip():
    with Chip() as chip:
        yield chip


@pytest.mark.parametrize(("control", "head", "tail"), SIDES)
@pytest.mark.parametrize("queue", [0, 63, 64, 127])
def test_enable_reads_back_after_its_time(chip, control, head, tail, queue):
    chip.bar.set(control[queue].ENABLE)
    assert chip.bar.get(control[queue].ENABLE) == 0
    chip.wait_ns(Timing().queue)
    assert chip.bar.get(control[queue].ENABLE) == 1
    chip.bar.clear(control[queue].ENABLE)
    assert chip.bar.get(control[queue].ENABLE) == 1
    chip.wait_ns(Timing().queue)
    assert chip.bar.get(control[queue].ENABLE) == 0


@pytest.mark.parametrize(("control", "head", "tail"), SIDES)
def test_a_tail_written_before_the_queue_runs_is_lost(chip, control, head, tail):
    chip.bar.write(tail[2], 7)
    chip.bar.set(control[2].ENABLE)
    chip.bar.wait(control[2].ENABLE)
    assert chip.bar[tail[2]] == chip.bar[head[2]] == 0
    chip.bar.write(tail[2], 7)
    assert chip.bar[tail[2]] == 7


@pytest.mark.parametrize(("control", "head", "tail"), SIDES)
def test_a_running_queue_keeps_its_tail_when_other_fields_change(chip, control, head, tail):
    chip.bar.set(control[2].ENABLE)
    chip.bar.wait(control[2].ENABLE)
    chip.bar.write(tail[2], 9)
    other = RXDCTL[2].VME if control is RXDCTL else TXDCTL[2].WTHRESH
    chip.bar.set(other)
    chip.bar.sleep(0.001)
    assert (chip.bar[tail[2]], chip.bar.get(control[2].ENABLE)) == (9, 1)
    assert chip.bar.get(other) != 0


@pytest.mark.parametrize(("control", "head", "tail"), SIDES)
def test_the_head_is_writable_only_while_the_queue_is_off(chip, control, head, tail):
    chip.bar.write(head[4], 3)
    assert chip.bar[head[4]] == 3
    chip.bar.set(control[4].ENABLE)
    chip.bar.wait(control[4].ENABLE)
    chip.bar.write(head[4], 5)
    assert chip.bar[head[4]] == 3


@pytest.mark.parametrize("control", [RXDCTL, TXDCTL], ids=["rx", "tx"])
def test_flush_clears_itself_and_a_change_of_mind_counts(chip, control):
    chip.bar.set(control[1].ENABLE)
    chip.bar.write(control[1], control[1].SWFLSH.mask)
    chip.bar.sleep(0.001)
    assert chip.bar[control[1]] == 0


@pytest.mark.parametrize(
    ("disable", "ready"),
    [(SECRXCTRL.RX_DIS, SECRXSTAT.SECRX_RDY), (SECTXCTRL.TX_DIS, SECTXSTAT.SECTX_RDY)],
)
def test_security_block_says_when_it_is_empty(chip, disable, ready):
    chip.bar.set(disable)
    assert not ready.extract(chip.stored(ready.register))
    chip.bar.wait(ready, timeout=40e-3, interval=10e-6)
    chip.bar.clear(disable)
    assert chip.bar.get(ready) == 1


def test_there_is_no_ipsec_and_the_chip_says_so(chip):
    """Before and after a reset: drivers read it once and decide for good."""
    for _ in range(2):
        assert chip.bar.get(SECTXSTAT.SECTX_OFF_DIS) == chip.bar.get(SECRXSTAT.SECRX_OFF_DIS) == 1
        chip.bar.write(SECTXSTAT, 0)  # read-only
        chip.bar.write(SECRXSTAT, 0)
        assert chip.bar.get(SECTXSTAT.SECTX_OFF_DIS) == chip.bar.get(SECRXSTAT.SECRX_OFF_DIS) == 1
        chip.bar.set(CTRL.RST)
        chip.bar.sleep(0.02)


def test_drop_enable_is_stored_and_fetched_by_strobes(chip):
    chip.bar.write(QDE, QDE.pack(QDE=1, QUEUE=77, WE=1))
    chip.bar.write(QDE, QDE.pack(QDE=1, QUEUE=78))  # no strobe
    for queue, expected in ((76, 0), (77, 1), (78, 0)):
        chip.bar.write(QDE, QDE.pack(QUEUE=queue, RE=1))
        assert chip.bar[QDE] == QDE.pack(QUEUE=queue, QDE=expected)
    chip.bar.write(QDE, QDE.pack(QDE=0, QUEUE=77, WE=1))
    chip.bar.write(QDE, QDE.pack(QUEUE=77, RE=1))
    assert chip.bar.get(QDE.QDE) == 0


@pytest.mark.parametrize("register", [RTTDT1C, RTTBCNRC], ids=["RTTDT1C", "RTTBCNRC"])
def test_rates_and_credits_have_a_word_for_each_queue(chip, register):
    for queue in range(128):
        chip.bar.write(RTTDQSEL, queue)
        assert chip.bar[register] == 0
        chip.bar.write(register, 0x100 + queue)
    for queue in (0, 64, 127, 5):
        chip.bar.write(RTTDQSEL, queue)
        assert chip.bar[register] == 0x100 + queue


def test_dma_init_done_is_the_chips_own(chip):
    chip.bar.sleep(0.001)
    chip.bar.write(RDRXCTL, 0)
    assert chip.bar[RDRXCTL] == RDRXCTL.DMAIDONE.mask


def test_flow_director_initialises_when_it_gets_memory(chip):
    chip.bar.write(FDIRCTRL, FDIRCTRL.pack(PBALLOC=1))
    assert chip.bar.get(FDIRCTRL.INIT_DONE) == 0
    chip.bar.wait(FDIRCTRL.INIT_DONE, timeout=10e-3)
    chip.bar.write(FDIRCMD, FDIRCMD.pack(CMD=1, RX_QUEUE=3))
    assert chip.bar.get(FDIRCMD.CMD) == 1
    chip.bar.wait(FDIRCMD.CMD, 0, timeout=1e-4)
    assert chip.bar.get(FDIRCMD.RX_QUEUE) == 3
