# SPDX-License-Identifier: BSD-3-Clause
"""The data path's own list of register addresses agrees with the datasheet."""

import re
from pathlib import Path

import pytest

from dataplane.pmd import datasheet
from dataplane.pmd.datasheet import vf  # noqa: F401  an attribute of it

WORDS = re.findall(
    r"W_(\w+) = (0x[0-9A-F]+) >> 2", (Path(__file__).parents[3] / "pmd/datasheet/word.pxd").read_text()
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
    register = getattr(datasheet.vf if name in ("VFRDT", "VFTDT") else datasheet, line)
    assert (register[index] if register.count > 1 else register).offset == int(offset, 16)


@pytest.mark.parametrize(
    ("queue_registers", "first"),
    [
        (("RDBAL", "RDBAH", "RDLEN", "RDH", "SRRCTL", "RDT", "RXDCTL", "RSCCTL"), "RDBAL"),
        (("TDBAL", "TDBAH", "TDLEN", "TDH", "TDT", "TXDCTL", "TDWBAL", "TDWBAH"), "TDBAL"),
    ],
)
def test_place_within_a_queue(queue_registers, first):
    text = (Path(__file__).parents[3] / "pmd/datasheet/word.pxd").read_text()
    for name in queue_registers:
        (place,) = re.findall(rf"W_{name} = (\d+)\n", text)
        assert getattr(datasheet, name)[5].offset == getattr(datasheet, first)[5].offset + 4 * int(place)


def test_the_model_names_its_registers():
    """No C code of the model has the address of a register as a number."""
    model = Path(__file__).parents[3] / "pmd/model"
    offsets = {register.offset for line in datasheet.ALL for register in line}
    found = [
        f"{path.relative_to(model)}: {number}"
        for path in sorted([*model.rglob("*.py"), *model.rglob("*.pyx"), *model.rglob("*.pxd")])
        for number in re.findall(r"\b0x[01][0-9A-Fa-f]{4}\b", path.read_text())
        if int(number, 16) in offsets
    ]
    assert not found
