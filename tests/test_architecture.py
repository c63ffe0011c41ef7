# SPDX-License-Identifier: BSD-3-Clause
"""The floors: an import or cimport points down or along, never up and never in a circle; driver and model never meet; files
and folders stay small.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("dataplane", "pmd", "apps", "bench")
PACKAGES = (
    "dataplane",
    "bench",
)  # the top-level names: pmd and apps are imported as dataplane.pmd and dataplane.apps
FRONT = "dataplane"  # its __init__ names what is public, on every floor, and loads each name when it is first used
SUFFIXES = (".py", ".pyx", ".pxd", ".pyi")

# The first prefix that fits says on which floor a module lives.
FLOORS = (
    ("dataplane.__main__", 5),
    ("dataplane.checkout", 0),
    ("dataplane.machine", 0),
    ("dataplane.memory.hugepage", 0),
    ("dataplane.clock", 0),
    ("dataplane.errors", 0),
    ("dataplane.limits", 0),
    ("dataplane.memory.guard", 0),
    ("dataplane.memory.quota", 0),
    ("dataplane.files.closer", 0),
    ("dataplane.files.eventfd", 0),
    ("dataplane.engine.claim", 0),
    ("dataplane.files.output", 0),
    ("dataplane.files.private_socket", 0),
    ("dataplane.files.run_folder", 0),
    ("dataplane.files.sysfs", 0),
    ("dataplane.memory.mapped", 0),
    ("dataplane.memory.memory_room", 0),
    ("dataplane.include", 0),
    ("dataplane.reports.figures", 0),
    ("dataplane.mbuf", 1),
    ("dataplane.files.record", 1),
    ("dataplane.mempool", 1),
    ("dataplane.ring", 1),
    ("dataplane.capability", 2),
    ("dataplane.port", 2),
    ("dataplane.reports.balance", 2),
    ("dataplane.reports.stats", 2),
    ("dataplane.queue", 2),
    ("dataplane.stage", 2),
    ("dataplane.files.pcapfile", 2),
    ("dataplane.byhand", 2),
    ("dataplane.pmd.function", 2),
    ("dataplane.pmd.pci", 2),
    ("dataplane.pmd.register", 2),
    ("dataplane.pmd.datasheet", 2),
    ("dataplane.pmd", 3),
    ("dataplane.apps.command", 5),
    ("dataplane.apps", 4),
    ("dataplane", 3),
    ("bench", 5),
)

# Walls between modules whose floors would let them meet: a module under the first must not import the second.
# "engine" is everything under dataplane except pmd and apps.
WALLS = (
    ("engine", "dataplane.pmd", "the engine knows no NIC"),
    ("engine", "dataplane.apps", "the engine knows no app"),
    ("dataplane.pmd", "dataplane.apps", "a driver knows no app"),
    ("dataplane.apps.command", "bench", "bench/ is not installed"),
    ("dataplane.pmd.ixgbe", "dataplane.pmd.model", "driver and model meet at a BAR and in memory"),
    ("dataplane.pmd.model", "dataplane.pmd.ixgbe", "driver and model meet at a BAR and in memory"),
    ("dataplane.pmd.ixgbe", "dataplane.pmd.bus", "the driver never imports a bus: probe() joins them"),
    ("dataplane.pmd.bus", "dataplane.pmd.ixgbe", "a bus carries any driver"),
    ("dataplane.pmd.model", "dataplane.pmd.bus", "silicon does not know its slot"),
    ("dataplane.pmd.ixgbe", "dataplane.pmd.virtual", "a driver of a card needs no virtual port"),
    ("dataplane.pmd.virtual", "dataplane.pmd.ixgbe", "a virtual port is no card"),
    ("dataplane.pmd.virtual", "dataplane.pmd.model", "a virtual port is no card"),
    ("dataplane.pmd.virtual", "dataplane.pmd.bus", "a virtual port is no card"),
)

_CIMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<package>[\w.]+)[ \t]+c?import[ \t]+(?P<names>\([^)]*\)|[^\n#]+)"
    r"|c?import[ \t]+(?P<modules>[\w., \t]+))",
    re.MULTILINE,
)


def under(module: str, prefix: str) -> bool:
    if prefix == "engine":
        return under(module, "dataplane") and not any(
            under(module, other) for other in ("dataplane.pmd", "dataplane.apps", "dataplane.__main__")
        )
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
    if parts[0] in ("pmd", "apps"):
        parts = ("dataplane", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> frozenset[str]:
    return frozenset(module_of(path) for path in sources(*FOLDERS))


def imported(text: str, suffix: str, known: frozenset[str]) -> Iterator[str]:
    """The modules of this project that a source file imports or cimports."""
    for package, names in _statements(text, suffix):
        for name in names:
            # `from dataplane import ring` names a module, `from dataplane.ring import Ring` something inside one.
            full = f"{package}.{name}" if package else name
            module = full if full in known else package or full
            if module.split(".")[0] in FOLDERS:
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
    """The faults of that module's imports."""
    wrong: list[str] = []
    if module == FRONT:
        return wrong
    for target in targets:
        if target.split(".")[0] in ("pmd", "apps"):
            wrong.append(
                f"{module} imports {target}: a working directory can shadow that, write dataplane.{target}"
            )
            continue
        if target == FRONT and floor(module) < 4:
            wrong.append(f"{module} imports from the front door: name the module that has it")
        if floor(target) > floor(module):
            wrong.append(f"{module} (floor {floor(module)}) imports {target} (floor {floor(target)})")
        if floor(module) == 4 and under(target, "dataplane.pmd"):
            wrong.append(
                f"{module} imports {target}: apps never import dataplane.pmd, ports arrive as objects"
            )
        # Engine and drivers are neighbours on floor 3: they share the contract below, not each other.
        if floor(module) == floor(target) == 3 and under(module, "dataplane.pmd") and under(target, "engine"):
            wrong.append(f"{module} imports {target}: engine and drivers never meet")
        wrong += [
            f"{module} imports {target}: {why}"
            for source, forbidden, why in WALLS
            if under(module, source) and under(target, forbidden)
        ]
    return wrong


@pytest.mark.parametrize("package", FOLDERS)
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
        ("dataplane.pipeline", ".py", "def f():\n    from dataplane.pmd import probe\n"),
        ("dataplane.apps.l2fwd", ".pyx", "import os, dataplane.pmd.virtual\n"),
        (
            "dataplane.apps.l2fwd",
            ".pyx",
            "from dataplane.app cimport (\n    App,\n)\nfrom apps.command.cli import main\n",
        ),
        ("dataplane.pmd.ixgbe.queues.rx", ".pyx", "    from dataplane.pmd.model.nic cimport Nic\n"),
        ("dataplane.pmd.model.nic", ".py", "import dataplane.pmd.ixgbe.pf as driver\n"),
        ("dataplane.pmd.ixgbe.pf", ".py", "from dataplane.pmd.bus import model\n"),
        ("dataplane.pmd.virtual.tap", ".py", "from dataplane.pipeline import Pipeline\n"),
        ("dataplane.pmd.virtual.tap", ".py", "from dataplane import Pipeline\n"),
        ("dataplane.apps.l2fwd", ".pyx", "from apps.rate cimport Pace\n"),
        ("bench.rows.test_apps", ".py", "def f():\n    from apps import L2Fwd\n"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, suffix: str, text: str) -> None:
    known = modules() | {"dataplane.port", "dataplane.queue", "dataplane.pipeline", "dataplane.pmd.virtual"}
    assert faults(module, imported(text, suffix, known))


def test_allowed_imports_pass() -> None:
    text = "from dataplane.queue cimport RxQueue\nfrom dataplane.mempool cimport (alloc_bulk,\n  free_bulk)\nimport os\n"
    assert list(imported(text, ".pyx", modules())) == [
        "dataplane.queue",
        "dataplane.mempool",
        "dataplane.mempool",
    ]
    assert not faults("dataplane.pmd.virtual.null", imported(text, ".pyx", modules()))


def test_tests_import_by_the_long_names() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {target}"
        for path in sources("tests")
        for target in imported(path.read_text(), path.suffix, modules())
        if target.split(".")[0] in ("pmd", "apps") and path.name != "test_names.py"
    ]
    assert not wrong, "\n".join(wrong)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan), each sorted."""
    found: list[list[str]] = []
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in number:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], number[target])
        if low[node] == number[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def import_graph() -> dict[str, set[str]]:
    """Module -> modules that it imports or cimports, also inside functions and for type checking only. Without FRONT."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for path in sources(*FOLDERS):
        module = module_of(path)
        if module != FRONT:
            targets = graph.setdefault(module, set())
            targets.update(set(imported(path.read_text(), path.suffix, known)) - {module, FRONT})
    return graph


def test_no_circle_of_modules() -> None:
    """No module imports itself through others; a type that two of them need has a module of its own, or is a Protocol."""
    assert not circles(import_graph())


def test_no_circle_of_the_models_folders() -> None:
    """The folders of the model are floors: `pmd/model/__init__.py` lists them from the top down."""
    folders: dict[str, set[str]] = {}
    for module, targets in import_graph().items():
        for target in targets:
            ends = [_folder(end) for end in (module, target)]
            if None not in ends and ends[0] != ends[1]:
                folders.setdefault(str(ends[0]), set()).add(str(ends[1]))
    assert folders
    assert not circles(folders)


def _folder(module: str) -> str | None:
    """The folder of the model that a module is in; None: in none of them."""
    parts = module.removeprefix("dataplane.pmd.model.").split(".")
    return parts[0] if under(module, "dataplane.pmd.model") and (MODEL / parts[0]).is_dir() else None


MODEL = ROOT / "pmd/model"


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}}, []),
        ({"a": {"b"}, "b": {"a", "c"}, "c": set()}, [["a", "b"]]),
        ({"a": {"b", "d"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"d"}}, [["d", "e"], ["a", "b", "c"]]),
    ],
)
def test_circles_are_found(graph: dict[str, set[str]], found: list[list[str]]) -> None:
    assert circles(graph) == found


LINES, TEST_LINES = 500, 400
ROOMS, TEST_ROOMS = 20, 40

ALL = sources(*FOLDERS, "tests", suffixes=(*SUFFIXES, ".h", ".c"))


def rooms() -> dict[str, int]:
    """The number of rooms of each folder: a file with its .pxd, .pyi and .h is one."""
    found: dict[str, set[str]] = {}
    for path in ALL:
        found.setdefault(str(path.parent.relative_to(ROOT)), set()).add(path.stem)
    return {folder: len(stems) for folder, stems in found.items()}


def test_no_crowded_folder() -> None:
    crowded = {
        folder: count
        for folder, count in rooms().items()
        if count > (TEST_ROOMS if folder.split("/")[0] == "tests" else ROOMS)
    }
    assert not crowded, "too many files for one folder: put those that belong together into one of their own"


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_form(path: Path) -> None:
    """One SPDX line on top, no file past its size, no unfinished business."""
    text = path.read_text()
    if not text and path.name == "__init__.py":
        return  # an empty file marks a package and holds nothing that needs a licence
    lines = text.splitlines()
    limit = TEST_LINES if path.is_relative_to(ROOT / "tests") else LINES
    assert len(lines) <= limit, f"{len(lines)} lines: is there a room of its own hiding in it?"
    assert any("SPDX-License-Identifier: BSD-3-Clause" in line for line in lines[:2])
    assert not re.search(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b", text)
    assert path.stem not in ("utils", "util", "helpers", "misc", "common_utils"), "no file is a bag"


def test_one_extension_for_each_contract() -> None:
    """Every .pxd but a package's own belongs to a .pyx, or only declares C."""
    orphans = [
        path.relative_to(ROOT)
        for path in sources(*FOLDERS, suffixes=(".pxd",))
        if path.stem != "__init__"
        and not path.with_suffix(".pyx").exists()
        and "cdef class" in path.read_text()
    ]
    assert not orphans


def test_compiler_directives_stand_in_setup_only() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in sources(*FOLDERS, suffixes=(".pyx", ".pxd"))
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
