# SPDX-License-Identifier: BSD-3-Clause
"""The source archive and the wheel: built, installed into a fresh environment outside the tree, run and built upon there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("dataplane", "pmd", "apps")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# The flags that come last win: what is tested is the packing, and an unoptimised build takes a third of the time.
QUICK = {**os.environ, "DATAPLANE_CFLAGS": "-O0 -g0", "DATAPLANE_JOBS": str(os.cpu_count())}
if shutil.which("ccache") and "CC" not in QUICK:
    QUICK["CC"] = "ccache gcc"

APP = """
from libc.stdint cimport uint16_t
from dataplane.app cimport App, drop, emit
from dataplane.apps.stamper cimport template_t
from dataplane.mbuf cimport mbuf
from dataplane.pmd.virtual.queue cimport VirtualRx


cdef class Half(App):
    drops = ("odd",)
    cdef bint odd
    cdef template_t template
    cdef VirtualRx queue

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        self.odd = not self.odd
        if self.odd:
            drop(self, 0, pkts, n)
        else:
            emit(self, 0, pkts, n)
"""


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**QUICK, **env},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(source archive, wheel); the wheel is built from what is in the archive and from nothing else."""
    tree, out = tmp_path_factory.mktemp("tree") / "dataplane", tmp_path_factory.mktemp("dist")
    built = shutil.ignore_patterns(
        "*.so", "build", "dist", "*.egg-info", ".*_cache", ".venv", "__pycache__", ".git"
    )
    shutil.copytree(ROOT, tree, symlinks=True, ignore=built)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, tree, cwd=out)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(archives: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment that has the wheel."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        archives[1],
        cwd=home,
    )
    # NumPy, scapy and rich come from the environment that runs the tests: no network is needed, and this project's own
    # editable installation there stays out of sight, for a path added by a .pth file has its own .pth files unread.
    site = next((home / "lib").glob("python*/site-packages"))
    (site / "neighbours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def tracked(*suffixes: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in suffixes
    }


def packed(names: set[str]) -> set[str]:
    """Where a wheel has those files of the tree."""
    return {name if name.startswith("dataplane/") else f"dataplane/{name}" for name in names}


def generated(names: set[str]) -> set[str]:
    """C files that Cython has made of a .pyx, without those written by hand."""
    return {name for name in names if name.endswith(".c") and (ROOT / name).with_suffix(".pyx").exists()}


def test_source_archive_holds_the_sources(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked(".py", ".pyx", ".pxd", ".pyi", ".h", ".c") <= names
    assert {"Makefile", "LICENSE", "README.md", "tests/test_packaging.py"} <= names
    assert not [name for name in names if name.endswith(".so") or name.startswith("build/")]
    assert not generated(names)


def test_source_archive_holds_each_file_once(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        entries = {entry.name.partition("/")[2]: entry for entry in archive.getmembers()}
    links = {name: entry.linkname for name, entry in entries.items() if entry.issym()}
    assert links == {"dataplane/apps": "../apps", "dataplane/pmd": "../pmd"}
    assert not [name for name in entries if name.startswith(("dataplane/apps/", "dataplane/pmd/"))]


def test_wheel_holds_what_apps_are_built_on(archives: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(archives[1]).namelist())
    assert packed(tracked(".py", ".pxd", ".pyi", ".h", ".c")) <= names
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    assert {str(Path(name).with_suffix(suffix)) for name in packed(tracked(".pyx"))} <= names
    assert packed({f"{folder}/py.typed" for folder in FOLDERS}) <= names
    assert not [name for name in names if name.endswith(".pyx")]
    assert not generated(names)


def test_wheel_claims_one_top_level_name(archives: tuple[Path, Path]) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(archives[1]).namelist()}
    assert tops - {"dataplane"} == {
        top for top in tops if top.startswith("dataplane_pmd-") and top.endswith(".dist-info")
    }


def test_the_command_runs_outside_the_tree(installed: Path, tmp_path: Path) -> None:
    where = run(installed / "python", "-c", "import dataplane; print(dataplane.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    assert run(installed / "dataplane", "--version", cwd=tmp_path).startswith("dataplane 0.")
    assert "model0" in run(installed / "dataplane", "ports", cwd=tmp_path)


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A folder that has packages of its own by the names of this repository's folders."""
    for name in ("apps", "pmd", "bench", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'the user'\n")
    return tmp_path


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_names_of_the_users_shadow_nothing(kind: str, crowded: Path, request: pytest.FixtureRequest) -> None:
    """The command and README's programs run in a folder with its own apps/, pmd/, bench/ and tests/, also on the path."""
    tools = request.getfixturevalue("installed") if kind == "wheel" else Path(sys.executable).parent
    assert (tools / "dataplane").exists(), "no editable install beside this Python: run 'make test-slow'"
    python = tools / "python"
    for env in ({}, {"PYTHONPATH": "."}):
        for command in ([tools / "dataplane"], [python, "-m", "dataplane"]):
            assert "model0" in run(*command, "ports", cwd=crowded, **env)
            run(*command, "pktgen", "null:", "--count", "1000", cwd=crowded, **env)
        shown = run(
            python,
            "-c",
            "import apps, dataplane.apps; print(apps.OWNER, dataplane.apps.L2Fwd)",
            cwd=crowded,
            **env,
        )
        assert shown == "the user <class 'dataplane.apps.l2fwd.L2Fwd'>\n"
    for number, program in enumerate(programs()):
        (crowded / f"program{number}.py").write_text(program)
        run(python, f"program{number}.py", cwd=crowded)


def programs() -> list[str]:
    shown = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(shown) == 3
    return shown


def test_an_app_is_built_outside_the_tree(installed: Path, tmp_path: Path) -> None:
    """A compiled app needs the wheel's header and .pxd, those of the apps and drivers too, and nothing else."""
    (tmp_path / "half.pyx").write_text(APP)
    (tmp_path / "setup.py").write_text(
        "from pathlib import Path\n"
        "import dataplane.include\n"
        "from Cython.Build import cythonize\n"
        "from setuptools import Extension, setup\n"
        "headers = [str(Path(dataplane.include.__file__).parent)]\n"
        "setup(ext_modules=cythonize([Extension('half', ['half.pyx'], include_dirs=headers)], language_level=3))\n"
    )
    run(installed / "python", "setup.py", "-q", "build_ext", "--inplace", cwd=tmp_path)
    shown = run(installed / "python", "-c", "import half; print(half.Half().drops)", cwd=tmp_path)
    assert shown.strip() == "('odd',)"
