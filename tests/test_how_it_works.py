# SPDX-License-Identifier: BSD-3-Clause
"""docs/how-it-works.md names files, and names in them: each is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = re.findall(r"`([\w/.]+\.(?:pyx|pxd|py|h))(?::(\w+))?`", (ROOT / "docs/how-it-works.md").read_text())


def test_it_names_places() -> None:
    assert len(PLACES) > 20


@pytest.mark.parametrize(("file", "name"), sorted(set(PLACES)))
def test_a_place_exists(file: str, name: str) -> None:
    text = (ROOT / file).read_text()
    assert re.search(rf"\b{name}\b", text) if name else text, f"{file} has no {name}"
