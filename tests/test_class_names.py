# SPDX-License-Identifier: BSD-3-Clause
"""A name of a class or C struct means one thing in the whole source tree, whichever module it is in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("apps", "bench", "dataplane", "pmd")
SUFFIXES = (".py", ".pyx", ".pxd", ".h", ".c")

# A C struct whose name is that of a class with "_t", and why.
TWINS = {
    "axis_t": "a row of the array that apps/flows/program.py writes for an Axis",
    "mempool_t": "the memory of a Mempool",
    "record_t": "a Record without Python objects",
    "ring_t": "the memory of a Ring",
    "stamp_t": "a row of the array for a Stamp",
    "sum_t": "a row of the array for a Sum",
}

# An indented struct is one of a C header, declared for Cython: it counts where C defines it.
_CLASS = re.compile(
    r"^(?: *(?:cdef +)?class|(?:(?:cdef|ctypedef|typedef|packed) +)*(?:struct|union|enum)(?: +class)?) +(\w+)\s*[(:{]"
    r"|^(\w+) = (?:namedtuple|NamedTuple|NewType|TypedDict)\(",
    re.MULTILINE,
)
_DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
_C_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def class_names(text: str) -> set[str]:
    """The classes, structs, unions and enums that a source file defines; not those in docstrings and C comments."""
    text = _C_COMMENT.sub("", _DOCSTRING.sub("", text))
    return {found[1] or found[2] for found in _CLASS.finditer(text)}


def defined_twice(sources: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Each name that two modules define, with the modules. sources: (path, text); a `.pxd` belongs to its `.pyx`."""
    places: dict[str, set[str]] = defaultdict(set)
    for path, text in sources:
        for name in class_names(text):
            places[name].add(path.rsplit(".", 1)[0])
    return {name: sorted(where) for name, where in places.items() if len(where) > 1}


def source_tree() -> list[tuple[str, str]]:
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = str(path.relative_to(ROOT))
            linked = name.startswith(("dataplane/apps/", "dataplane/pmd/"))
            made = path.suffix == ".c" and path.with_suffix(".pyx").exists()  # by Cython
            if path.suffix in SUFFIXES and not linked and not made:
                found.append((name, path.read_text()))
    return found


def test_no_class_name_twice() -> None:
    sources = source_tree()
    assert len(sources) > 300
    twice = defined_twice(sources)
    assert not twice


def test_no_struct_has_the_name_of_another_thing() -> None:
    """`run_t` beside `Run` reads as the same thing in C and Python: it must be that."""
    names = {name for _, text in source_tree() for name in class_names(text)}
    names |= {found for _, text in source_tree() for found in re.findall(r"ctypedef struct (\w+) ", text)}
    classes = {name.lower() for name in names if name[0].isupper()}
    twins = {name for name in names if name.endswith("_t") and name[:-2].replace("_", "") in classes}
    assert twins == TWINS.keys()


@pytest.mark.parametrize(
    ("sources", "twice"),
    [
        ([("a.py", "class Link:\n"), ("b.py", "class Link(Base):\n")], {"Link": ["a", "b"]}),
        ([("a.pyx", "cdef class Link:\n"), ("a.pxd", "cdef class Link(Base):\n")], {}),
        ([("a.py", "class Packet:\n"), ("b.pyx", 'Packet = namedtuple("Packet", "data")\n')], {"Packet": ["a", "b"]}),
        ([("a.pyx", "    cdef struct iovec:\n"), ("b.pyx", "    cdef struct iovec:\n")], {}),
        ([("a.pxd", "cdef struct Rule:\n"), ("b.py", "class Rule:\n")], {"Rule": ["a", "b"]}),
        ([("a.py", "class Link:\n"), ("b.py", "    class Link(\n        Base\n    ):\n")], {"Link": ["a", "b"]}),
        ([("a.py", "class Link:\n"), ("b.py", '"""For example:\n\n    class Link:\n"""\n')], {}),
        ([("a.h", "struct slot {\n"), ("b.h", "struct slot *next;\nstruct slot;\nstruct slot *at(int n)\n{\n")], {}),
        ([("a.h", "struct slot {\n"), ("b.c", "struct slot\n{\n")], {"slot": ["a", "b"]}),
        ([("a.py", "class Link:\n"), ("b.py", "link = Link(up=True)\n# class Link: elsewhere\n")], {}),
    ],
)  # fmt: skip
def test_what_is_twice(sources: list[tuple[str, str]], twice: dict[str, list[str]]) -> None:
    assert defined_twice(sources) == twice
