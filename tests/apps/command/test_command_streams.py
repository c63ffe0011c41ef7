# SPDX-License-Identifier: BSD-3-Clause
"""Standard streams that are closed, full or without a reader, and terminals of all kinds: the run ends as asked."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest
from children import COMMAND, ROOT, Terminal, capture, complaints, end, report_of, running, spawn

RUN = ("l2fwd", "null:", "null:", "--seconds", "0.2")
CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def shell(redirected: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with redirections of a shell."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirected}', "bash", *COMMAND, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        (">&-", 0, "l2fwd: "),  # totals go to standard error then
        ("2>&-", 0, None),
        (">&- 2>&-", 0, None),
        ("<&- >&- 2>&-", 0, None),
        ("2>/dev/full", 0, None),
        (">/dev/full", 1, "dataplane: standard output: No space left on device"),
        (">/dev/full 2>/dev/full", 1, None),
        ("| true", 0, None),
    ],
)
def test_a_run_ends_as_asked(tmp_path: Path, redirected: str, status: int, said: str | None) -> None:
    done = shell(redirected, *RUN, "--json", str(tmp_path / "report.json"))
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr
    assert said is None or said in done.stderr
    if status == 0 and said is None and "|" not in redirected and ">&- 2" not in redirected:
        assert done.stdout.startswith("l2fwd: ") and done.stdout.count("\n") == 3
    report = report_of(tmp_path / "report.json")
    assert report["ok"] is True and report["packets"] > 0


def test_totals_are_not_lost_where_standard_output_is_full() -> None:
    assert "l2fwd: " in shell(">/dev/full", *RUN).stderr


def test_a_reader_that_goes_away_in_the_middle(tmp_path: Path) -> None:
    """The demo prints a picture first, and its totals seconds later."""
    words = ("demo", "--count", "1000", "--file", str(tmp_path / "demo.pcap"))
    done = shell("| head -1", *words, "--json", str(tmp_path / "report.json"))
    assert (done.returncode, done.stdout.count("\n")) == (0, 1), done.stderr
    assert "Traceback" not in done.stderr and "Broken pipe" not in done.stderr
    assert report_of(tmp_path / "report.json")["ok"] is True


@pytest.mark.parametrize("words", [("--help",), ("--version",), ("ports",), ("doctor",), ("l2fwd", "--help")])
def test_other_commands(words: tuple[str, ...]) -> None:
    for redirected in (">&-", "2>&-", "| true"):
        done = shell(redirected, *words)
        assert "Traceback" not in done.stderr and "ignored" not in done.stderr
        assert done.returncode in (0, 1)
    done = shell(">/dev/full", *words)
    assert done.returncode == 1
    assert "standard output: No space left on device" in done.stderr and "Traceback" not in done.stderr


def test_an_error_with_nobody_to_hear_it() -> None:
    for redirected in ("2>&-", "2>/dev/full", ">&- 2>&-"):
        done = shell(redirected, "l2fwd", "nonsense", "null:")
        assert (done.returncode, done.stdout) == (1, "")


def test_a_closed_stream_is_no_file_of_ours(tmp_path: Path) -> None:
    """The numbers 0 to 2 are taken, or a capture would get one, and a message land in it."""
    source, copy = capture(tmp_path / "in.pcap"), tmp_path / "out.pcap"
    done = shell("<&- >&- 2>&-", "pcapdump", f"pcap:{source}", str(copy))
    assert done.returncode == 0
    assert copy.stat().st_size == source.stat().st_size
    assert b"packets" not in copy.read_bytes()


def shown_on(terminal: Terminal, *words: str, env: dict[str, str] | None = None) -> tuple[str, str, int]:
    """(what the terminal got, standard error, status) of a run that it is standard output of."""
    process = spawn(*words, stdout=terminal.theirs, env={"TERM": "xterm", **(env or {})})
    shown = terminal.read()
    status, _, err = end(process)
    return shown.decode("latin-1"), err, status


def rows_of(shown: str) -> list[str]:
    """The lines that were drawn, without control sequences."""
    return [line for line in re.split(r"[\r\n]+", CONTROL.sub("", shown)) if line]


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "ascii"])
def test_a_terminal_of_any_encoding(tmp_path: Path, encoding: str) -> None:
    """A name that it cannot show, in a port's column and in the totals."""
    source = capture(tmp_path / "stra\u00dfe \u2026 \u5317.pcap")
    words = ("l2fwd", f"pcap:{source},loop=0", "null:", "--portmap", "0:1", "--seconds", "0.6")
    with Terminal(200) as terminal:
        shown, err, status = shown_on(terminal, *words, env={"PYTHONIOENCODING": encoding})
    assert (status, complaints(err)) == (0, "")
    assert "Ctrl-C stops it" in shown and "l2fwd: " in shown


@pytest.mark.parametrize(
    ("columns", "rows"), [(80, 24), (40, 10), (20, 5), (12, 2), (11, 24), (80, 1), (0, 0)]
)
def test_a_display_that_fits_or_none(columns: int, rows: int) -> None:
    with Terminal(columns, rows) as terminal:
        shown, err, status = shown_on(terminal, "l2fwd", "null:", "null:", "--seconds", "0.6")
    assert (status, complaints(err)) == (0, "")
    drawn = shown.rpartition("l2fwd: ")[0]
    pictures = drawn.split("\x1b[J")[1:-1]
    assert bool(pictures) == ((columns, rows) not in ((11, 24), (80, 1)))
    for picture in pictures:
        lines = rows_of(picture)
        assert len(lines) <= (rows or 24)
        assert max(map(len, lines)) < (columns or 80)
    if columns == 20:
        assert any("rx Mpps" in picture for picture in pictures)


@pytest.mark.parametrize("kind", ["dumb", "", "unknown"])
def test_a_terminal_that_only_prints_lines(kind: str) -> None:
    with Terminal() as terminal:
        shown, err, status = shown_on(terminal, *RUN, env={"TERM": kind})
    assert (status, complaints(err)) == (0, "")
    assert shown.startswith("l2fwd: ") and "\x1b" not in shown


def test_a_terminal_that_is_resized() -> None:
    with Terminal(100) as terminal:
        process = spawn("l2fwd", "null:", "null:", stdout=terminal.theirs, env={"TERM": "xterm"})
        running(process)
        for size in ((30, 8), (5, 1), (120, 40), (20, 3)):
            terminal.resize(*size)
            time.sleep(0.4)
        process.terminate()
        shown = rows_of(terminal.read().decode())
        assert end(process)[0] == 0
    assert any(len(line) > 60 for line in shown) and any(
        "rx Mpps" in line and len(line) < 20 for line in shown
    )


def test_a_terminal_that_goes_away(tmp_path: Path) -> None:
    """The display ends with it, and the run goes on to its end."""
    words = ("l2fwd", "null:", "null:", "--seconds", "1", "--json", str(tmp_path / "report.json"))
    with Terminal() as terminal:
        process = spawn(*words, stdout=terminal.theirs, env={"TERM": "xterm"})
        running(process)
    status, _, err = end(process)
    assert (
        "Traceback" not in err and status == 1
    )  # the totals could not be printed: they are on standard error
    assert "l2fwd: " in err and "standard output: " in err
    assert report_of(tmp_path / "report.json")["ok"] is True


def test_a_terminal_that_takes_nothing(tmp_path: Path) -> None:
    """As after Ctrl-S: pictures are left out, and the run and its status line go on."""
    words = ("l2fwd", "null:", "null:", "--seconds", "600", "--json", str(tmp_path / "report.json"))
    with Terminal() as terminal:
        process = spawn(*words, stdout=terminal.theirs, env={"TERM": "xterm"})
        running(process)
        time.sleep(5)  # twenty pictures of some hundred bytes, more than a terminal holds
        running(process)
        process.terminate()
        terminal.read()
        status, _, err = end(process)
    assert status == 1 and "SIGTERM came after" in err
