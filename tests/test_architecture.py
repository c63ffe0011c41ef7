# SPDX-License-Identifier: BSD-3-Clause
"""The floors: an import or cimport points down or along, never up; the driver and the model never meet; files stay small."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dataplane", "pmd", "apps", "bench")
SUFFIXES = (".py", ".pyx", ".pxd", ".pyi")

# The first prefix that fits says on which floor a module lives.
FLOORS = (
    ("dataplane.machine", 0),
    ("dataplane.hugepage", 0),
    ("dataplane.clock", 0),
    ("dataplane.errors", 0),
    ("dataplane.include", 0),
    ("dataplane.mbuf", 1),
    ("dataplane.mempool", 1),
    ("dataplane.ring", 1),
    ("dataplane.port", 2),
    ("dataplane.stats", 2),
    ("dataplane.queue", 2),
    ("dataplane.stage", 2),
    ("dataplane.pcapfile", 2),
    ("dataplane.byhand", 2),
    ("pmd.function", 2),
    ("pmd.datasheet", 2),
    ("dataplane", 3),
    ("pmd", 3),
    ("apps.__main__", 5),
    ("apps.command", 5),
    ("apps", 4),
    ("bench", 5),
)

# Walls between modules whose floors would let them meet: whoever is under the first may not import the second.
WALLS = (
    ("dataplane", "pmd", "the engine knows no NIC"),
    ("dataplane", "apps", "the engine knows no app"),
    ("pmd", "apps", "a driver knows no app"),
    ("pmd.ixgbe", "pmd.model", "driver and model meet at a BAR and in memory"),
    ("pmd.model", "pmd.ixgbe", "driver and model meet at a BAR and in memory"),
    ("pmd.ixgbe", "pmd.bus", "the driver never imports a bus: probe() joins them"),
    ("pmd.bus", "pmd.ixgbe", "a bus carries any driver"),
    ("pmd.model", "pmd.bus", "silicon does not know its slot"),
    ("pmd.ixgbe", "pmd.virtual", "a driver of a card needs no virtual port"),
    ("pmd.virtual", "pmd.ixgbe", "a virtual port is no card"),
    ("pmd.virtual", "pmd.model", "a virtual port is no card"),
    ("pmd.virtual", "pmd.bus", "a virtual port is no card"),
)

_CIMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<package>[\w.]+)[ \t]+c?import[ \t]+(?P<names>\([^)]*\)|[^\n#]+)"
    r"|c?import[ \t]+(?P<modules>[\w., \t]+))",
    re.MULTILINE,
)


def under(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def floor(module: str) -> int:
    return next(level for prefix, level in FLOORS if under(module, prefix))


def sources(*packages: str, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    return sorted(
        path
        for package in packages
        for path in (ROOT / package).rglob("*")
        if path.suffix in suffixes and path.is_file()
    )


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in sources(*PACKAGES))


def imported(text: str, suffix: str, known: frozenset[str]) -> Iterator[str]:
    """The modules of this project that a source file imports or cimports."""
    for package, names in _statements(text, suffix):
        for name in names:
            # `from dataplane import ring` names a module, `from dataplane.ring import Ring` something inside one.
            full = f"{package}.{name}" if package else name
            module = full if full in known else package or full
            if module.split(".")[0] in PACKAGES:
                yield module


def _statements(text: str, suffix: str) -> Iterator[tuple[str, list[str]]]:
    if suffix in (".py", ".pyi"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                yield "", [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                yield node.module or "", [alias.name for alias in node.names]
        return
    for found in _CIMPORT.finditer(text):
        names = (found["names"] or found["modules"]).strip("() \t")
        yield found["package"] or "", [name.split()[0] for name in re.split(r"[,\n]", names) if name.strip()]


def faults(module: str, targets: Iterator[str]) -> list[str]:
    """What is wrong with that module's imports."""
    wrong = []
    for target in targets:
        if floor(target) > floor(module):
            wrong.append(f"{module} (floor {floor(module)}) imports {target} (floor {floor(target)})")
        if floor(module) == 4 and under(target, "pmd"):
            wrong.append(f"{module} imports {target}: apps never import pmd, ports arrive as objects")
        # Engine and drivers are neighbours on floor 3: they share the contract below, not each other.
        if floor(module) == floor(target) == 3 and under(module, "pmd") and under(target, "dataplane"):
            wrong.append(f"{module} imports {target}: engine and drivers never meet")
        wrong += [
            f"{module} imports {target}: {why}"
            for source, forbidden, why in WALLS
            if under(module, source) and under(target, forbidden)
        ]
    return wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_down(package: str) -> None:
    known = modules()
    wrong = [
        fault
        for path in sources(package)
        for fault in faults(module_of(path), imported(path.read_text(), path.suffix, known))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "suffix", "text"),
    [
        ("dataplane.ring", ".pyx", "from dataplane.app cimport App\n"),
        ("dataplane.mempool", ".pyx", "from dataplane cimport port, queue\n"),
        ("dataplane.pipeline", ".py", "def f():\n    from pmd import probe\n"),
        ("apps.l2fwd", ".pyx", "import os, pmd.virtual\n"),
        (
            "apps.l2fwd",
            ".pyx",
            "from dataplane.app cimport (\n    App,\n)\nfrom apps.command.cli import main\n",
        ),
        ("pmd.ixgbe.queue", ".pyx", "    from pmd.model.nic cimport Nic\n"),
        ("pmd.model.nic", ".py", "import pmd.ixgbe.pf as driver\n"),
        ("pmd.ixgbe.pf", ".py", "from pmd.bus import model\n"),
        ("pmd.virtual.tap", ".py", "from dataplane.pipeline import Pipeline\n"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, suffix: str, text: str) -> None:
    known = modules() | {"dataplane.port", "dataplane.queue", "dataplane.pipeline", "pmd.virtual"}
    assert faults(module, imported(text, suffix, known))


def test_allowed_imports_pass() -> None:
    text = "from dataplane.queue cimport RxQueue\nfrom dataplane.mempool cimport (alloc_bulk,\n  free_bulk)\nimport os\n"
    assert list(imported(text, ".pyx", modules())) == [
        "dataplane.queue",
        "dataplane.mempool",
        "dataplane.mempool",
    ]
    assert not faults("pmd.virtual.null", imported(text, ".pyx", modules()))


ALL = sources(*PACKAGES, "tests", suffixes=(*SUFFIXES, ".h", ".c"))


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_form(path: Path) -> None:
    """One SPDX line on top, no file past its size, no unfinished business."""
    text = path.read_text()
    if not text and path.name == "__init__.py":
        return  # an empty file marks a package and holds nothing that needs a licence
    lines = text.splitlines()
    limit = 400 if path.is_relative_to(ROOT / "tests") else 600
    assert len(lines) <= limit, f"{len(lines)} lines: is there a room of its own hiding in it?"
    assert any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:2])
    assert not re.search(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", text)
    assert path.stem not in ("utils", "util", "helpers", "misc", "common_utils"), "no file is a bag"


def test_one_extension_for_each_contract() -> None:
    """Every .pxd but a package's own belongs to a .pyx, or only declares C."""
    orphans = [
        path.relative_to(ROOT)
        for path in sources(*PACKAGES, suffixes=(".pxd",))
        if path.stem != "__init__"
        and not path.with_suffix(".pyx").exists()
        and "cdef class" in path.read_text()
    ]
    assert not orphans


def test_compiler_directives_stand_in_setup_only() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sources(*PACKAGES, suffixes=(".pyx", ".pxd"))
        if re.search(r"^#\s*(cython|distutils)\s*:", path.read_text(), re.MULTILINE)
    ]
    assert not found


def test_every_package_is_shipped() -> None:
    """The list in pyproject.toml names every package of the tree, and none that is not there."""
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    present = {
        module_of(path)
        for path in sources("dataplane", "pmd", "apps", suffixes=(".py",))
        if path.stem == "__init__"
    }
    assert set(listed) == present
