# SPDX-License-Identifier: BSD-3-Clause
"""bench-against: its workers on this tree beside itself, what it says and ends with, and that nothing is left of it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.against import turns
from bench.against.__main__ import compare, main, status
from bench.against.report import Line, line_of, show
from bench.against.tree import Failed, build, checkout, resolve, running
from bench.against.turns import Found
from bench.against.workloads import WORKLOADS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files go meanwhile."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path):
    """A repository with a commit that is tagged `old`: a package that says 1, and 2 in the files of now."""
    root = tmp_path / "repository"
    (root / "dataplane").mkdir(parents=True)
    said = root / "dataplane" / "__init__.py"
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "One"], ["tag", "old"]):
        said.write_text("value = 1\n")
        subprocess.run(["git", "-C", str(root), *words], check=True, timeout=60)
    said.write_text("value = 2\n")
    return root


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_row_of_this_tree_beside_itself():
    """Both trees have a figure for each row; what the verdict is depends on the machine, that there is one does not."""
    lines, noise = compare((ROOT, ROOT), list(WORKLOADS), pairs=1, most=1, slices=2, seconds=0)
    assert [line.name for line in lines] == list(WORKLOADS)
    assert [f"{line.name}: {line.why}" for line in lines if line.why] == []
    assert all(line.pairs == 1 and line.ratio for line in lines)
    assert "CPUs" in noise and "slice" in noise


def test_a_tree_without_a_part_says_so(tmp_path):
    """The other tree has no `bench`: rows that require it are absent, with the reason; pipelines are still compared."""
    for name in ("dataplane", "pmd", "apps"):
        (tmp_path / name).symlink_to(ROOT / name)
    rows = {"io, null -> null": Found(), "mempool alloc + free in bulk": Found()}
    turns.measure(
        (ROOT, tmp_path), rows, list(rows), cpu=os.sched_getaffinity(0).pop(), pages="plain", slices=1
    )
    assert "not of" in rows["io, null -> null"].absent_there  # by its links: they are another tree's files
    assert "No module named 'bench'" in rows["mempool alloc + free in bulk"].absent_there
    assert not any(found.absent_here or found.pairs for found in rows.values())


def test_a_revision_that_does_not_exist(repository, capsys):
    with pytest.raises(Failed, match=r"REV=nothing: no such commit here; expected a branch, a tag or a hash"):
        resolve(repository, "nothing")
    for words in ([""], ["HEAD", "-k", "no row has this"]):
        assert main(words) == 2
    said = capsys.readouterr().err
    assert "make bench-against REV=HEAD~5" in said and "no such row" in said


def test_a_folder_that_is_no_repository(tmp_path):
    with pytest.raises(Failed, match="is no git repository"):
        resolve(tmp_path, "HEAD")


def test_the_files_are_those_of_the_revision_and_gone_at_the_end(repository, temporary):
    before = subprocess.run(
        ["git", "-C", str(repository), "worktree", "list"], capture_output=True, check=True
    )
    with checkout(repository, resolve(repository, "old")) as tree:
        assert (tree / "dataplane" / "__init__.py").read_text() == "value = 1\n"
        with pytest.raises(Failed, match=r"cannot be built:\n.*setup\.py"):
            build(tree)  # there is no setup.py
    assert list(temporary.iterdir()) == []
    after = subprocess.run(
        ["git", "-C", str(repository), "worktree", "list"], capture_output=True, check=True
    )
    assert before.stdout == after.stdout


INTERRUPTED = """
import os, sys
from pathlib import Path
from bench.against.__main__ import orderly
from bench.against.tree import checkout, resolve, running
from bench.against.turns import side

root, tree = Path(sys.argv[1]), Path(sys.argv[2])
with orderly(), checkout(root, resolve(root, "old")) as other, side(tree, os.sched_getaffinity(0).pop(), "plain") as one:
    one.ask("open", "io, null -> null")
    with running(["sh", "-c", "trap '' INT TERM; sleep 1000 & wait"], other, os.environ) as shell:
        print(one._process.pid, shell.pid, flush=True)
        shell.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_one_that_is_stopped(repository, temporary, number):
    """No process, no folder: neither the temporary one nor the one in memory."""
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else temporary
    words = [sys.executable, "-c", INTERRUPTED, str(repository), str(ROOT)]
    with running(
        words, ROOT, os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as stopped:
        assert stopped.stdout is not None
        pids = [int(each) for each in stopped.stdout.readline().split()]
        assert len(pids) == 2, stopped.communicate(timeout=30)[1]
        folder = Path(_environment(pids[0])["TMPDIR"])
        assert folder.parent == memory and folder.exists()
        stopped.send_signal(number)
        stopped.communicate(timeout=60)
    assert stopped.returncode in (-number, 128 + number, 1)
    assert list(temporary.iterdir()) == []
    assert not folder.exists()
    assert not any(_in_session(pid) for pid in pids)


def _environment(pid: int) -> dict[str, str]:
    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(word).split("=", 1) for word in words if word)  # type: ignore[misc]


def _in_session(leader: int) -> list[int]:
    """Living processes of that session; a short while is theirs to end in."""
    deadline = time.monotonic() + 5
    while True:
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, _, _, session = stat.read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            if int(session) == leader and state != "Z":
                found.append(int(stat.parent.name))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def lines(*ratios: float) -> list[Line]:
    return [line_of(f"row {n}", "cycles", Found([(each, 1.0)] * 9)) for n, each in enumerate(ratios)]


@pytest.mark.parametrize(
    ("found", "ends_with"),
    [
        (lines(1.0, 0.9), 0),
        (lines(1.0, 1.03), 1),
        ([line_of("a", "b", Found(absent_there="no such loop"))], 0),
        ([line_of("a", "b", Found(absent_here="no such loop")), *lines(1.03)], 2),
    ],
)
def test_what_it_ends_with(found, ends_with):
    assert status(found) == ends_with


def test_the_table_names_what_is_slower_and_what_is_not_judged():
    unsure = line_of("unsure", "cycles", Found([(0.9 + n / 40, 1.0) for n in range(9)]))
    said = io.StringIO()
    show([*lines(1.0, 1.03), unsure, line_of("gone", "c", Found(absent_there="why"))], "old", "quiet", said)
    text = " ".join(said.getvalue().split())
    for part in ("1 of 3 rows slower: row 1 (+3.0%)", "not judged, known less well than to 2%: unsure (±7"):
        assert part in text
    assert "not there: gone: why" in text and "the machine: quiet" in text
