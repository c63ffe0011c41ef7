# SPDX-License-Identifier: BSD-3-Clause
"""Another revision of this project: its files in a temporary folder, its extensions built in place there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

BUILD_LIMIT = 1800  # seconds


class Failed(Exception):
    """Why nothing can be compared."""


def resolve(root: Path, revision: str) -> str:
    """The hash of a commit of the repository at `root`. Raises Failed."""
    if not shutil.which("git"):
        raise Failed("no git: another revision is taken from the repository with it; install git")
    inside = _git(root, "rev-parse", "--git-dir")
    if inside.returncode:
        raise Failed(f"{root} is no git repository: {inside.stderr.strip()[:120]}")
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode:
        raise Failed(
            f"REV={revision}: no such commit here; expected a branch, a tag or a hash that 'git log' shows"
        )
    return found.stdout.strip()


def title(root: Path, commit: str) -> str:
    """Its short hash and the first line of its message."""
    return _git(root, "log", "-1", "--format=%h %s", commit).stdout.strip()


def changed(root: Path) -> bool:
    """Whether files of the repository differ from its newest commit."""
    return bool(_git(root, "status", "--porcelain", "--untracked-files=no").stdout.strip())


@contextmanager
def checkout(root: Path, commit: str) -> Iterator[Path]:
    """The files of a commit in a temporary folder, which is deleted at the end and is no worktree. Raises Failed."""
    folder = Path(tempfile.mkdtemp(prefix="dataplane-against-"))
    try:
        archive = folder / "files.tar"
        done = _git(root, "archive", f"--output={archive}", commit)
        if done.returncode:
            raise Failed(f"git archive {commit}: {done.stderr.strip()[:120]}")
        tree = folder / "tree"
        with tarfile.open(archive) as files:
            # Python before 3.11.4 has no filters; the archive is git's own.
            files.extractall(tree, **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
        archive.unlink()
        yield tree
    finally:
        shutil.rmtree(folder)


# As this tree's setup.py has it. An older commit's loops lie where chance has put them, which moves a row by up to 7 %.
ALIGNED = "-falign-functions=64 -falign-loops=32"


def build(tree: Path) -> None:
    """Compile its extensions in place, those of bench/ too, with the Cython and the compiler of this one. Raises Failed."""
    jobs = str(os.cpu_count() or 1)
    flags = f"{ALIGNED} {os.environ.get('DATAPLANE_CFLAGS', '')}"
    environment = {**os.environ, "DATAPLANE_BENCH": "1", "DATAPLANE_JOBS": jobs, "PYTHONPATH": str(tree)}
    environment["DATAPLANE_CFLAGS"] = flags
    if shutil.which("ccache"):  # the folder has another name each time, and is not to count
        compiler = {"CC": f"ccache {os.environ.get('CC', 'gcc').removeprefix('ccache ')}"}
        environment |= compiler | {"CCACHE_BASEDIR": str(tree), "CCACHE_NOHASHDIR": "1"}
    words = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", "--parallel", jobs]
    log = tree.parent / "build.log"
    with log.open("w") as said, running(words, tree, environment, stdout=said, stderr=said) as process:
        try:
            status = process.wait(BUILD_LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"{tree.name} was not built within {BUILD_LIMIT} s") from None
    if status:
        raise Failed(f"its extensions cannot be built:\n{log.read_text()[-2000:]}")


@contextmanager
def running(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], **files: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A program in a session of its own: at the end it and what it has started are gone, whatever they were doing."""
    process = subprocess.Popen(words, cwd=folder, env=environment, start_new_session=True, **files)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # unless it has ended, and all of its session
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=120)
