# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of frames and bursts stand in one place each: `dataplane/limits.pxd`, and `pmd/datasheet/limits` for the chip."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dataplane import limits
from dataplane.pmd.datasheet import limits as chip

ROOT = Path(__file__).resolve().parent.parent
HOMES = ("dataplane/limits.pxd", "pmd/datasheet/limits.py", "pmd/datasheet/limits.pxd")

# A second, hand-entered copy (IEEE 802.3 3.1.1, 4.4.2; RFC 791).
ETHERNET = {
    "ETHERNET_HEADER_BYTES": 6 + 6 + 2,
    "FCS_BYTES": 4,
    "VLAN_TAG_BYTES": 4,
    "HEADER_AND_FCS_BYTES": 18,
    "PREAMBLE_AND_GAP_BYTES": 7 + 1 + 12,
    "FRAME_MIN_WITHOUT_FCS_BYTES": 60,
    "FRAME_MIN_WITH_FCS_BYTES": 64,
    "FRAME_STANDARD_WITH_FCS_BYTES": 1518,
    "FRAME_MAX_WITH_FCS_BYTES": 9728,
    "MTU_MIN_BYTES": 68,
    "MTU_STANDARD_BYTES": 1500,
    "BURST_MAX_PACKETS": 256,
}

# A constant that is one of these by its name, with a number of its own.
_OWN = re.compile(
    r"^[ \t]*(?:cdef[ \t]+(?:const[ \t]+)?\w+[ \t]+)?"
    r"((?:_|[A-Z_]*_)?(?:FRAME_MIN|MIN_FRAME|FRAME_STANDARD|FCS|TAG_SIZE|VLAN_TAG|MAX_BURST|BURST_MAX|PREAMBLE|MTU_M)[A-Z_]*)"
    r"[ \t]*(?::[ \t]*\w+[ \t]*)?=[ \t]*[0-9]",
    re.MULTILINE,
)


def test_python_and_c_have_the_values_of_ethernet() -> None:
    named = set(re.findall(r"^    ([A-Z_]+) =", (ROOT / HOMES[0]).read_text(), re.MULTILINE))
    typed = set(re.findall(r"^([A-Z_]+): int", (ROOT / "dataplane/limits.pyi").read_text(), re.MULTILINE))
    assert named == typed == ETHERNET.keys()
    assert {name: getattr(limits, name) for name in named} == ETHERNET


def test_every_name_has_its_unit() -> None:
    assert all(name.endswith(("_BYTES", "_PACKETS")) for name in ETHERNET)
    assert all("WITH" in name for name in ETHERNET if name.startswith("FRAME_"))


def test_compiled_code_has_the_chips_limits() -> None:
    compiled = dict(re.findall(r"^    (\w+) = (\d+)", (ROOT / HOMES[2]).read_text(), re.MULTILINE))
    assert compiled
    assert {name: getattr(chip, name) for name in compiled} == {n: int(v) for n, v in compiled.items()}


@pytest.mark.parametrize("folder", ["dataplane", "pmd", "apps"])
def test_no_file_has_a_size_of_its_own(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for suffix in ("py", "pyx", "pxd")
        for path in sorted((ROOT / folder).rglob(f"*.{suffix}"))
        if str(path.relative_to(ROOT)) not in HOMES and "limits" not in path.name
        for name in _OWN.findall(path.read_text())
    ]
    assert not found, f"take it from dataplane.limits: {found}"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("    MAX_BURST = 256", "MAX_BURST"),
        ("    FRAME_MIN = 60  # without FCS", "FRAME_MIN"),
        ("    FCS_SIZE = 4", "FCS_SIZE"),
        ("_FCS: int = 4", "_FCS"),
        ("cdef const uint32_t TX_FRAME_MIN = 17", "TX_FRAME_MIN"),
    ],
)
def test_the_search_finds_old_spellings(line: str, name: str) -> None:
    assert _OWN.findall(line) == [name]
