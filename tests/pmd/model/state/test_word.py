# SPDX-License-Identifier: BSD-3-Clause
"""The data path's own list of register addresses agrees with the datasheet."""

import re
from pathlib import Path

import pytest

from dataplane.pmd import datasheet

WORDS = re.findall(
    r"W_(\w+) = (0x[0-9A-F]+) >> 2", (Path(__file__).parents[4] / "pmd/model/state/word.pxd").read_text()
)
OTHER_NAMES = {
    "RXQ": ("RDBAL", 0),
    "RXQ_HIGH": ("RDBAL", 64),
    "TXQ": ("TDBAL", 0),
    "EITR_HIGH": ("EITR", 24),
    "QBRC": ("QBRC_L", 0),
    "QBTC": ("QBTC_L", 0),
}


def test_there_are_some():
    assert len(WORDS) > 60


@pytest.mark.parametrize(("name", "offset"), WORDS)
def test_address(name, offset):
    line, index = OTHER_NAMES.get(name, (name, 0))
    register = getattr(datasheet, line)
    assert (register[index] if register.count > 1 else register).offset == int(offset, 16)


@pytest.mark.parametrize(
    ("queue_registers", "first"),
    [
        (("RDBAL", "RDBAH", "RDLEN", "RDH", "SRRCTL", "RDT", "RXDCTL", "RSCCTL"), "RDBAL"),
        (("TDBAL", "TDBAH", "TDLEN", "TDH", "TDT", "TXDCTL", "TDWBAL", "TDWBAH"), "TDBAL"),
    ],
)
def test_place_within_a_queue(queue_registers, first):
    text = (Path(__file__).parents[4] / "pmd/model/state/word.pxd").read_text()
    for name in queue_registers:
        (place,) = re.findall(rf"W_{name} = (\d+)\n", text)
        assert getattr(datasheet, name)[5].offset == getattr(datasheet, first)[5].offset + 4 * int(place)
