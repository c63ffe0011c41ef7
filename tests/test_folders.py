# SPDX-License-Identifier: BSD-3-Clause
"""The docstring of each folder has a list of what is in it: complete, and without names that are not there.

A line of the list is "- `name`: what it is"; several names that belong together share a line. A module has its name, a
folder a slash behind it, and a C file that is no part of a module its suffix.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = (".py", ".pyx", ".pxd")
FOLDERS = sorted(
    path.parent.relative_to(ROOT)
    for top in ("dataplane", "pmd", "apps", "bench")
    for path in (ROOT / top).rglob("__init__.py")
    if not {ROOT / "dataplane/apps", ROOT / "dataplane/pmd"} & {*path.parents}
)


def contents(folder: Path) -> set[str]:
    """What a folder has: modules, folders (`name/`), C files without a module of the same name."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith("__")]
    modules = {path.stem for path in files if path.suffix in MODULES}
    others = {path.name for path in files if path.suffix in (".c", ".h") and path.stem not in modules}
    return (
        modules
        | others
        | {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")} - {"apps/", "pmd/"}
    )


def listed(docstring: str) -> list[str]:
    """The names at the beginning of each line of a list."""
    lines = re.findall(r"^- ((?:`[^`]+`(?:, )?)+): ", docstring, re.MULTILINE)
    return [name for line in lines for name in re.findall(r"`([^`]+)`", line)]


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_a_folder_lists_what_is_in_it(folder: Path) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text())) or ""
    names, there = listed(docstring), contents(ROOT / folder)
    assert not there - set(names), f"{folder}/__init__.py does not list {sorted(there - set(names))}"
    assert not set(names) - there, (
        f"{folder}/__init__.py lists what is not there: {sorted(set(names) - there)}"
    )
    assert len(names) == len(set(names)), f"{folder}/__init__.py lists a name twice: {names}"


def test_every_folder_is_checked() -> None:
    assert len(FOLDERS) > 30
    assert {"dataplane/engine", "pmd/ixgbe/queues", "apps/command", "bench/loops"} <= set(map(str, FOLDERS))
