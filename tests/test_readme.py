# SPDX-License-Identifier: BSD-3-Clause
"""Every program shown in README.md and docs/ is run: the python, sh and cython blocks of a page, in order, in one folder.

A block whose first line is ``# name.ext`` is a file of that name; other python blocks are programs. Blocks without language
are pictures, and what a reader would do as root or with a network at hand.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = ("bench/latest.json", "bench/latest.png")
LANGUAGES = ("python", "sh", "cython")

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str

    @property
    def file(self) -> str | None:
        found = re.match(r"# ([\w.]+\.\w+)\n", self.text)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    return [Block(*found.groups()) for found in _BLOCK.finditer(page.read_text())]


def environment(folder: Path) -> dict[str, str]:
    """`dataplane` and `python` are those of this tree."""
    tools = folder / ".bin"
    tools.mkdir()
    for name, words in (("dataplane", "-m dataplane"), ("python", "")):
        script = tools / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    path = f"{ROOT}{os.pathsep}{folder}"
    compiler = {"CC": "ccache gcc"} if shutil.which("ccache") else {}
    return {
        **compiler,
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": path,
        "CFLAGS": "-O0",
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.language in LANGUAGES for block in blocks(page))],
    ids=lambda page: page.name,
)
def test_what_a_page_shows_runs(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    env = environment(folder)
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)
            continue
        if block.language == "python":
            command = [sys.executable, "-c", block.text]
        elif block.language == "sh":
            command = ["sh", "-e", "-c", block.text]
        else:
            assert block.language != "cython", "a cython block needs its file's name in its first line"
            continue
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (
            f"{page.name}:\n{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )


def test_programs_are_found() -> None:
    """The pages have programs, and what looks like one has a language."""
    assert sum(block.language == "python" for block in blocks(ROOT / "README.md")) == 3
    for page in PAGES:
        for block in blocks(page):
            assert block.language in (*LANGUAGES, ""), (
                f"{page.name}: a block in {block.language!r} is not run"
            )
            assert block.language or not re.search(r"^(from|import) ", block.text, re.MULTILINE), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        assert "://" in target or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_files_that_pages_name_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"`((?:tests|pmd|dataplane|apps|docs|bench)/[\w/.]+\.\w+)`", page.read_text()):
            assert name in GENERATED or "NAME" in name or (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_command_line_page_names_every_command_and_option() -> None:
    from dataplane.apps.command.cli import COMMANDS

    page = (ROOT / "docs" / "command-line.md").read_text()
    for name in COMMANDS:
        assert f"`{name}" in page
    shown = subprocess.run(
        [sys.executable, "-m", "dataplane", "l2fwd", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for option in re.findall(r"--[a-z-]+", shown[shown.index("the run:") :]):
        assert option in page
