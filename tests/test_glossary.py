# SPDX-License-Identifier: BSD-3-Clause
"""The glossary of docs/architecture.md: no word is in it twice, and each place that it names exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent


class Entry(NamedTuple):
    """A row of the table. where: `Class` in `path`, or a path alone."""

    word: str
    meaning: str
    where: str


def entries() -> list[Entry]:
    text = (ROOT / "docs" / "architecture.md").read_text().split("## Glossary", 1)[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [Entry(*row) for row in rows[1:] if not row[0].startswith("---")]


def test_no_word_twice() -> None:
    words = [entry.word.lower() for entry in entries()]
    assert len(words) > 15
    assert len(set(words)) == len(words), sorted(word for word in words if words.count(word) > 1)
    assert words == sorted(words), "in the order of the alphabet"


# What repeats has one word on each side: laps of the engine, steps of the model, rounds of the PF's service.
OTHER_WORDS = {
    "dataplane/engine": r"rounds?(?!\()|ticks?|pump(?:s|ed)?|iterations?",
    "pmd/model": r"laps?|ticks?|pump(?:s|ed)?|rounds?(?!\(| robin)",
}


@pytest.mark.parametrize("folder", OTHER_WORDS)
def test_one_word_for_an_iteration(folder: str) -> None:
    word = re.compile(rf"(?<![a-z])(?:{OTHER_WORDS[folder]})(?![a-z])")
    files = [
        path
        for path in sorted((ROOT / folder).rglob("*.p*"))
        if path.suffix in (".py", ".pyx", ".pxd", ".pyi")
    ]
    assert len(files) > 10
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if word.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.word)
def test_a_place_exists(entry: Entry) -> None:
    names = re.findall(r"`([^`]+)`", entry.where)
    path = ROOT / names[-1]
    assert path.is_file(), f"{entry.word}: {names[-1]} does not exist"
    if len(names) == 2:
        assert re.search(rf"^(cdef )?class {names[0]}\b", path.read_text(), re.MULTILINE), (
            f"{entry.word}: no class {names[0]} in {names[1]}"
        )
