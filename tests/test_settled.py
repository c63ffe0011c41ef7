# SPDX-License-Identifier: BSD-3-Clause
"""docs/settled.md: each settled question names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
TEXT = (ROOT / "docs" / "settled.md").read_text()
ROWS = [line for line in TEXT.split("## Doubts")[1].splitlines() if line.startswith("| ")][2:]


@pytest.mark.parametrize(("file", "test"), sorted(set(TEST.findall(TEXT))))
def test_a_named_test_exists(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:40])
def test_who_decided(row: str) -> None:
    """Three cells; settled by a test that runs another driver than ours, or explicitly open."""
    _, question, model, decided, _ = row.split("|")
    assert question.strip().endswith("?") and model.strip()
    tests = [file for file, _ in TEST.findall(decided)]
    if "settled by" in decided:
        assert any(file.startswith(("tests/vm/", "tests/dpdk/")) for file in tests)
    else:
        assert "open" in decided


def test_there_are_rows() -> None:
    assert len(ROWS) > 30
