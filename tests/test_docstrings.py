# SPDX-License-Identifier: BSD-3-Clause
"""Each public module, class, function and method has a docstring, in its source or its stub.

Public are the names without a leading underscore, and at the top of a module with `__all__` those in it. A method that
overrides one needs no docstring if a method of that name has one in a base class of this project.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("dataplane", "pmd", "apps")

# Files that still lack some. A line goes when its file lacks none.
NOT_YET: frozenset[str] = frozenset(
    {
        "dataplane/graph/blocks.pyx",
        "pmd/model/shared.pyx",
        "pmd/model/wire/pcap.pyx",
        "pmd/model/wire/peer.pyx",
        "pmd/model/wire/port.pyx",
        "pmd/model/wire/tap.pyx",
        "pmd/virtual/null.pyx",
        "pmd/virtual/packet_socket.pyx",
        "pmd/virtual/pcap.pyx",
        "pmd/virtual/ring.pyx",
        "pmd/virtual/tap.pyx",
    }
)

_DEF = re.compile(
    r"^(?P<indent>[ ]*)(?:async )?(?:def|cpdef(?:[ \w.*\[\]]+?)?|cdef class|class)[ ]+(?P<name>\w+)[ ]*(?P<rest>[(:].*)$",
    re.MULTILINE,
)


def sources() -> list[Path]:
    """Every module of the product but stubs; dataplane/pmd and dataplane/apps are links."""
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".pyx") and path.is_file() and path.stem != "__main__"
    )


def lacking(path: Path) -> list[str]:
    """The public names of a module that have no docstring, as line:name."""
    if path.suffix == ".py":
        return list(_of_python(path))
    found = list(_of_cython(path))
    stub = path.with_suffix(".pyi")
    known = set(_documented(stub)) if stub.exists() else set()
    return [f"{line}:{name}" for line, name in found if name not in known]


def _of_python(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    if tree.body and not ast.get_docstring(tree) and path.stem != "__init__":
        yield "1:the module"
    names = _all_of(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_") or (names is not None and node.name not in names):
                continue
            yield from _of_node(node, node.name)


def _of_node(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, name: str) -> Iterator[str]:
    if not ast.get_docstring(node) and not _is_exempt(node):
        yield f"{node.lineno}:{name}"
    if isinstance(node, ast.ClassDef):
        inherited = {method for base in node.bases for method in documented_methods(_last(base))}
        for each in node.body:
            if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if not each.name.startswith("_") and each.name not in inherited:
                yield from _of_node(each, f"{name}.{each.name}")


def _is_exempt(node: ast.AST) -> bool:
    """Setters and overloads: the getter, and the implementation, have the docstring."""
    words = {_last(each) for each in getattr(node, "decorator_list", ())}
    return bool(words & {"setter", "deleter", "overload"})


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _all_of(tree: ast.Module) -> set[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(_last(target) == "__all__" for target in node.targets):
            return {each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)}
    return None


def _of_cython(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of what Python can see: def, cpdef, class and cdef class."""
    text = path.read_text()
    lines = text.splitlines()
    owners: list[tuple[int, str]] = []
    for found in _DEF.finditer(text):
        indent, name = len(found["indent"]), found["name"]
        owners = [each for each in owners if each[0] < indent]
        line = text.count("\n", 0, found.start()) + 1
        full = ".".join([*(each for _, each in owners), name])
        decorated = lines[line - 2].strip() if line > 1 else ""
        if "class" in found[0].split("(")[0]:
            owners.append((indent, name))
        elif indent > 4 or (indent and not owners):
            continue  # a function in a function
        else:
            owners.append((indent, name))
        if any(part.startswith("_") for part in full.split(".")) or decorated.endswith(".setter"):
            continue
        if not _has_docstring(lines, line):
            yield line, full


def _has_docstring(lines: list[str], line: int) -> bool:
    """Whether the first statement behind the head that starts at `line` is a string."""
    depth = 0
    for number in range(line - 1, min(line + 30, len(lines))):
        code = re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", lines[number])
        depth += sum(map(code.count, "([")) - sum(map(code.count, ")]"))
        if depth == 0 and code.rstrip().endswith(":"):
            following = next((each.strip() for each in lines[number + 1 :] if each.strip()), "")
            return following.startswith(('"""', 'r"""'))
        if depth == 0 and ":" in code:
            return False  # a body on the same line
    return False


@cache
def documented_methods(name: str) -> frozenset[str]:
    """The methods with a docstring of any class of that name, and of its bases."""
    found: set[str] = set()
    for tree in _trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                found |= {
                    each.name
                    for each in node.body
                    if isinstance(each, ast.FunctionDef) and ast.get_docstring(each)
                }
                for base in node.bases:
                    if _last(base) != name:
                        found |= documented_methods(_last(base))
    return frozenset(found)


@cache
def _trees() -> tuple[ast.Module, ...]:
    return tuple(
        ast.parse(path.read_text())
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".pyi") and path.is_file()
    )


def _documented(stub: Path) -> Iterator[str]:
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            if ast.get_docstring(node):
                yield node.name
            inherited = {
                method for base in getattr(node, "bases", ()) for method in documented_methods(_last(base))
            }
            for each in getattr(node, "body", ()):
                if isinstance(each, ast.FunctionDef) and (ast.get_docstring(each) or each.name in inherited):
                    yield f"{node.name}.{each.name}"
            for name in inherited:
                yield f"{node.name}.{name}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_public_has_a_docstring(path: Path) -> None:
    if str(path.relative_to(ROOT)) in NOT_YET:
        return
    found = lacking(path)
    assert not found, f"{path.relative_to(ROOT)}: no docstring: {', '.join(found)}"


def test_the_list_only_has_files_that_lack_some() -> None:
    done = [name for name in sorted(NOT_YET) if not (ROOT / name).exists() or not lacking(ROOT / name)]
    assert not done, f"take them out of NOT_YET: {', '.join(done)}"


@pytest.mark.parametrize(
    ("suffix", "text", "found"),
    [
        (".py", '"""M."""\ndef f():\n    return 1\n', ["2:f"]),
        (".py", '"""M."""\n__all__ = ["f"]\ndef f():\n    "F."\ndef g():\n    return 1\n', []),
        (".py", '"""M."""\nclass A:\n    """A."""\n    def f(self):\n        return 1\n    def _g(self): ...\n', ["4:A.f"]),
        (".py", "x = 1\n", ["1:the module"]),
        (".pyx", 'cdef class A:\n    """A."""\n    def f(self): pass\n    cdef int g(self):\n        pass\n', ["3:A.f"]),
        (".pyx", 'def f(\n    int a,\n    int b=(1),\n):\n    """F."""\ncpdef int g(int a):\n    pass\n', ["6:g"]),
    ],
)  # fmt: skip
def test_what_counts(tmp_path: Path, suffix: str, text: str, found: list[str]) -> None:
    path = tmp_path / f"module{suffix}"
    path.write_text(text)
    assert lacking(path) == found
