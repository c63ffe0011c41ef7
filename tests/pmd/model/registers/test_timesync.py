# SPDX-License-Identifier: BSD-3-Clause
"""SYSTIM as a driver sees it (datasheet 8.2.3.26), on a card whose time the test moves."""

import pytest
from chip_fixtures import Chip

from dataplane import pmd
from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import (
    AUTOC,
    CTRL,
    LMS_1G_AN,
    RXMTRL,
    RXSTMPH,
    RXSTMPL,
    SYSTIMH,
    SYSTIML,
    TIMADJH,
    TIMADJL,
    TIMINCA,
    TSYNCRXCTL,
    TSYNCTXCTL,
    TXSTMPH,
    TXSTMPL,
)
from dataplane.pmd.model.card import Card

TENTHS = TIMINCA.pack(INCVALUE=64, INCPERIOD=1)  # SYSTIM counts tenths of a ns


@pytest.fixture
def chip():
    with Chip(manner="strict") as chip:
        chip.chip.read_ns = chip.chip.write_ns = 0
        yield chip


def systim(chip):
    low = chip.bar.read(SYSTIML)
    return low | chip.bar.read(SYSTIMH) << 32


def test_it_stands_still_until_timinca_is_set(chip):
    chip.wait_ns(1_000_000)
    assert systim(chip) == 0
    chip.bar.write(TIMINCA, TENTHS)
    chip.wait_ns(1_000_000)
    assert systim(chip) == 10_000_000
    chip.bar.write(TIMINCA, 0)
    chip.wait_ns(1_000_000)
    assert systim(chip) == 10_000_000


@pytest.mark.parametrize("period", [1, 3, 5, 255])
def test_an_increment_comes_every_incperiod_periods_of_6_4_ns(chip, period):
    chip.bar.write(TIMINCA, TIMINCA.pack(INCVALUE=7, INCPERIOD=period))
    for ns in (1, 5, 31, 999_983):
        chip.wait_ns(ns)
    assert systim(chip) == 7 * int(1_000_020 / 6.4 / period)


def test_at_1_gbit_a_period_is_64_ns(chip):
    chip.bar.update(AUTOC, LMS=LMS_1G_AN)
    chip.bar.write(TIMINCA, TIMINCA.pack(INCVALUE=64, INCPERIOD=1))
    chip.wait_ns(1_000_000)
    assert systim(chip) == 1_000_000


def test_the_high_word_is_that_of_the_last_low_word(chip):
    chip.bar.write(TIMINCA, TENTHS)
    chip.bar.write(SYSTIML, 0xFFFF_FFFF), chip.bar.write(SYSTIMH, 5)
    assert chip.bar.read(SYSTIML) == 0xFFFF_FFFF
    chip.wait_ns(1000)
    assert chip.bar.read(SYSTIMH) == 5
    assert (
        systim(chip) == (5 << 32 | 0xFFFF_FFFF) + 10_000 - 16
    )  # 156 increments of 64: one less than 6.4 ns is left


def test_it_is_set_a_word_at_a_time_and_goes_on(chip):
    chip.bar.write(TIMINCA, TENTHS)
    chip.bar.write(SYSTIMH, 1)
    chip.wait_ns(640)
    chip.bar.write(SYSTIML, 0)
    chip.wait_ns(640)
    assert systim(chip) == (1 << 32) + 6400


@pytest.mark.parametrize("by", [1, 12_345_678_901, 3 << 40])
def test_timadj_moves_it_both_ways(chip, by):
    chip.bar.write(SYSTIMH, 1 << 20)
    for sign, expected in ((0, (1 << 52) + by), (1, 1 << 52)):
        chip.bar.write(TIMADJL, by & 0xFFFF_FFFF)
        assert systim(chip) == (1 << 52) + by * sign  # nothing happens before the high word
        chip.bar.write(TIMADJH, TIMADJH.pack(HIGH=by >> 32, SIGN=sign))
        assert systim(chip) == expected


def test_it_wraps_at_64_bits(chip):
    chip.bar.write(SYSTIML, 0xFFFF_FFFF), chip.bar.write(SYSTIMH, 0xFFFF_FFFF)
    chip.bar.write(TIMADJL, 2), chip.bar.write(TIMADJH, 0)
    assert systim(chip) == 1


@pytest.mark.parametrize("ppm", [25, -25, 0.5, 1000])
def test_a_crystal_that_is_off(chip, ppm):
    chip.card.set_clock_ppm(0, ppm)
    chip.bar.write(TIMINCA, TENTHS)
    chip.wait_ns(10**9)
    assert systim(chip) == pytest.approx(1e10 * (1 + ppm * 1e-6), abs=64)


def test_nothing_is_lost_when_the_rate_is_set_often(chip):
    """A servo writes TIMINCA many times: the part of a period that has passed counts."""
    for n in range(10_000):
        chip.bar.write(TIMINCA, TIMINCA.pack(INCVALUE=64 + n % 2, INCPERIOD=1))
        chip.wait_ns(5)
    assert systim(chip) == pytest.approx(50_000 / 6.4 * 64.5, rel=1e-3)
    chip.bar.write(SYSTIML, 0), chip.bar.write(SYSTIMH, 0)
    chip.bar.write(TIMINCA, TENTHS)
    chip.wait_ns(3)
    for _ in range(1000):
        chip.card.set_clock_ppm(0, 0)
        chip.wait_ns(3)
    assert systim(chip) == pytest.approx(30_030, abs=128)


def test_a_reset_stops_it(chip):
    chip.bar.write(TIMINCA, TENTHS)
    chip.wait_ns(1000)
    chip.bar.set(CTRL.RST)
    chip.bar.wait(CTRL.RST, 0)
    chip.bar.sleep(0.01)
    assert systim(chip) == 0 and chip.bar.read(TIMINCA) == 0
    assert chip.bar.read(RXMTRL) == 0x319 << 16


@pytest.mark.parametrize(
    ("control", "low", "high"), [(TSYNCRXCTL, RXSTMPL, RXSTMPH), (TSYNCTXCTL, TXSTMPL, TXSTMPH)]
)
def test_the_high_word_unlocks_a_stamp(chip, control, low, high):
    chip.chip.poke(control.offset, control.pack(VALID=1, ENABLE=1))
    chip.chip.poke(high.offset, 77)
    chip.bar.write(control, control.pack(ENABLE=1))
    chip.bar.read(low)
    assert chip.bar.get(control.VALID)
    assert chip.bar.read(high) == 77
    assert not chip.bar.get(control.VALID) and chip.bar.get(control.ENABLE)


def test_the_option_of_a_port_string():
    with pmd.probe("model0,thread=off,clock_ppm=-12.5") as port:
        assert port.function.chip.timesync.systim.ppb == -12_500
    with pmd.probe("model0,thread=off") as port:
        assert port.function.chip.timesync.systim.ppb == 0


@pytest.mark.parametrize("text", ["1001", "-2000", "fast", "nan"])
def test_ppm_that_makes_no_sense(text):
    with pytest.raises(ConfigError, match=f"clock_ppm={text}"):
        pmd.probe(f"model0,thread=off,clock_ppm={text}")


def test_ports_have_crystals_of_their_own():
    with Card() as card:
        card.set_clock_ppm(1, 30)
        assert [chip.timesync.systim.ppb for chip in card.ports] == [0, 30_000]
