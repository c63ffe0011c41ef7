# SPDX-License-Identifier: BSD-3-Clause
"""The EEPROM's checksum (datasheet 6)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import eeprom

unhurried = settings(deadline=None)  # the machine may be busy


def blank(size: int = 0x200) -> list[int]:
    return [0] * size


def test_without_sections_it_is_the_sum_of_the_first_words() -> None:
    words = blank()
    assert eeprom.checksum(words) == 0xBABA
    words[0x00], words[0x3E] = 0x8000, 0x3ABA
    assert eeprom.checksum(words) == 0
    words[0x40] = 0x1234
    assert eeprom.checksum(words) == 0, "what lies behind is not in it"


def test_sections_are_summed_without_their_length() -> None:
    words = blank()
    words[eeprom.MAC0] = 0x100
    words[0x100:0x104] = [2, 0x0010, 0x0020, 0x4000]  # a length of 2: the last is not in it
    assert eeprom.words_summed(words) == 0x100 + 0x30


@pytest.mark.parametrize("absent", eeprom.ABSENT)
def test_absent_sections(absent: int) -> None:
    words = blank()
    words[eeprom.CSR1] = absent
    assert eeprom.words_summed(words) == absent
    words[eeprom.CSR1] = 0x100
    words[0x100:0x102] = [absent, 0x5555]
    assert eeprom.words_summed(words) == 0x100


def test_the_firmware_is_not_summed() -> None:
    words = blank()
    words[eeprom.FIRMWARE] = 0x100
    words[0x100:0x102] = [1, 0x7777]
    assert eeprom.words_summed(words) == 0x100


@pytest.mark.parametrize(("start", "length"), [(0x1FF, 1), (0x1F0, 16), (0x4000, 0)])
def test_sections_past_the_end(start: int, length: int) -> None:
    words = blank()
    words[eeprom.CORE0] = start
    if start < len(words):
        words[start] = length
    with pytest.raises(ValueError, match=r"EEPROM word 0x09 leads to .* past the end of its 512"):
        eeprom.checksum(words)


@unhurried
@given(st.lists(st.integers(0, 0xFFFF), min_size=0x40, max_size=0x40), st.integers(0, 0x3F))
def test_a_changed_word_is_seen(words: list[int], at: int) -> None:
    words[eeprom.PCIE_ANALOG : eeprom.FIRMWARE] = [0] * 12
    words[eeprom.CHECKSUM] = eeprom.checksum(words)
    assert eeprom.is_valid(words)
    assert sum(words) & 0xFFFF == 0xBABA
    if at not in range(eeprom.PCIE_ANALOG, eeprom.FIRMWARE):
        words[at] ^= 0x0100
        assert not eeprom.is_valid(words)
