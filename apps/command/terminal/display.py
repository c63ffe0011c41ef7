# SPDX-License-Identifier: BSD-3-Clause
"""The live display of a run on a terminal, with rates, and the totals at its end.

The display is redrawn in place four times a second, cut to the present size of the terminal. It writes to a non-blocking
descriptor of its own: a terminal that takes no output (Ctrl-S, a dead connection) does not delay the run.
"""

from __future__ import annotations

import os
import select
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from dataplane.reports.figures import bit_rates, l1_bits, packet_rate
from dataplane.reports.stats import Report, Sample, Sampler

__all__ = ["Display", "totals"]

_LOSSES = (
    "rx_missed_errors",
    "rx_errors",
    "rx_untaken_packets",
    "tx_errors",
    "tx_link_down_packets",
    "tx_unsent_packets",
    "rx_mbuf_allocation_errors",
)

# Columns, and which are left out first where there is no room for all (the highest number).
_HEADS = (
    ("rx Mpps", 0),
    ("rx Gbit/s L1", 6),
    ("tx Mpps", 1),
    ("tx Gbit/s L1", 7),
    ("rx packets", 4),
    ("tx packets", 5),
    ("missed", 2),
    ("errors", 3),
)
_NAME = 5  # characters of a port's name that are shown at least
_LEAST = (12, 2)  # columns and rows of a terminal that has a display
_NO_DISPLAY = ("", "dumb", "unknown")


class Display:
    """Rates of each port, and drops, in place on the terminal. Raises OSError where there is no terminal that has one.

    seconds: how long the run is to last, None: until it is stopped. stream: whose terminal it is.
    """

    def __init__(self, app: str, sampler: Sampler, seconds: float | None, stream: TextIO) -> None:
        if os.environ.get("TERM", "") in _NO_DISPLAY:
            raise OSError("a terminal that only prints lines")
        self._fd = _open(stream.fileno())
        self._app = app
        self._sampler = sampler
        self._seconds = seconds
        self._encoding = stream.encoding
        self._dropped: dict[str, int] = {}
        self._rows = 0  # of what is shown
        self._columns = 0
        self._late = b""  # what the terminal has not taken yet

    def update(self) -> None:
        """Show what happened since the last time. Raises OSError when the terminal is gone."""
        sample = self._sampler.sample()
        for name, count in sample.drops.items():
            self._dropped[name] = self._dropped.get(name, 0) + count
        if not _foreground(self._fd):
            self.forget()  # the terminal is another program's
            return
        if not self._taken():
            return  # it takes nothing: this picture is left out
        columns, rows = os.get_terminal_size(self._fd)
        columns, rows = columns or 80, rows or 24
        if columns < self._columns:
            self.forget()  # the terminal may have wrapped the old lines: it does not report how many rows they take
        if columns < _LEAST[0] or rows < _LEAST[1]:
            self.hide()
            return
        lines = [_cut(line, columns - 1) for line in self._lines(sample, columns - 1)][: rows - 1]
        back = self._back()
        self._rows, self._columns = len(lines), columns
        self._write(back + f"\x1b[1m{lines[0]}\x1b[0m" + "".join(f"\r\n{line}" for line in lines[1:]))

    def hide(self) -> None:
        """Clear it away; the next update shows it again."""
        if self._rows and self._taken():
            self._write(self._back())
        self._rows = self._columns = 0

    def forget(self) -> None:
        """Leave the present lines, because other code has written to the terminal; the next update begins below them."""
        self._rows = self._columns = 0

    def close(self) -> None:
        """Clear it away for good."""
        try:
            self.hide()
        except OSError:
            pass  # the terminal is gone, and the display with it
        finally:
            os.close(self._fd)

    def _back(self) -> str:
        up = f"\x1b[{self._rows - 1}A" if self._rows > 1 else ""
        return f"\r{up}\x1b[J"

    def _taken(self) -> bool:
        """Whether the terminal has taken all that was written to it."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        if self._late and poll.poll(0):
            self._push(self._late)
        return not self._late

    def _write(self, text: str) -> None:
        self._push(text.encode(self._encoding, "replace"))

    def _push(self, data: bytes) -> None:
        try:
            self._late = data[os.write(self._fd, data) :]
        except BlockingIOError:
            self._late = data

    def _lines(self, sample: Sample, width: int) -> Iterator[str]:
        limit = f" of {self._seconds:g}" if self._seconds else ""
        yield f"{self._app}, {sample.seconds:.1f}{limit} s; Ctrl-C stops it"
        yield from _table([(port, _cells(sample, port)) for port in sample.totals], width)
        for name, count in self._dropped.items():
            if count:
                yield f"dropped by {name}: {count:,}"


def _open(fd: int) -> int:
    """A descriptor of that terminal; one that does not block, if its name is known."""
    if not os.isatty(fd):
        raise OSError("no terminal")
    try:
        return os.open(os.ttyname(fd), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return os.dup(fd)  # in a container its name may be that of another


def _foreground(fd: int) -> bool:
    """Whether the terminal is ours to write to: another program's may be in front of us (a shell's, after Ctrl-Z and bg)."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True  # it is not the terminal that controls us, so it has no foreground for us


def _cells(sample: Sample, port: str) -> list[str]:
    """The cells of a port, in the order of `_HEADS`."""
    xstats = sample.totals[port]
    cells = []
    for way in ("rx", "tx"):
        packets, size = (sample.per_second(port, f"{way}_good_{what}") for what in ("packets", "bytes"))
        cells.append(f"{packets / 1e6:.3f}")
        cells.append(f"{l1_bits(packets, size) / 1e9:.3f}")
    cells += [f"{xstats.get(f'{way}_good_packets', 0):,}" for way in ("rx", "tx")]
    errors = sum(xstats.get(name, 0) for name in ("rx_errors", "tx_errors"))
    return [*cells, f"{xstats.get('rx_missed_errors', 0):,}", f"{errors:,}"]


def _table(rows: list[tuple[str, list[str]]], width: int) -> Iterator[str]:
    """Ports and their figures; columns that have no room are left out, names are cut."""
    widths = [max(len(head), *(len(cells[n]) for _, cells in rows)) + 2 for n, (head, _) in enumerate(_HEADS)]
    shown = sorted(range(len(_HEADS)), key=lambda n: _HEADS[n][1])
    while shown and sum(widths[n] for n in shown) + _NAME > width:
        shown.pop()
    shown.sort()
    room = min(width - sum(widths[n] for n in shown), max(len("port"), *(_width(name) for name, _ in rows)))
    for name, cells in [("port", [head for head, _ in _HEADS]), *rows]:
        name = _cut(name, room)
        yield name + " " * (room - _width(name)) + "".join(cells[n].rjust(widths[n]) for n in shown)


def _width(text: str) -> int:
    """Columns that it takes on a terminal."""
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _cut(text: str, width: int) -> str:
    """As much of it as fits; what is no letter (a name may hold anything) is shown as "?"."""
    kept = []
    for letter in text:
        letter = letter if letter.isprintable() else "?"
        width -= _columns(letter)
        if width < 0:
            break
        kept.append(letter)
    return "".join(kept)


def totals(report: Report, headline: bool = True) -> Iterator[str]:
    """A line for the run, one for each port, and one for each way packets were lost."""
    if headline:
        yield report.headline
    for port, xstats in report.ports.items():
        parts = [
            _moved(way, xstats, report.seconds) for way in ("rx", "tx") if xstats.get(f"{way}_good_packets")
        ]
        parts += [f"{name} {xstats[name]:,}" for name in _LOSSES if xstats.get(name)]
        yield f"  {port}: {', '.join(parts) or 'nothing'}"
    for remark in report.remarks:
        yield f"  {remark}"
    for name, cost in report.profile.items():
        yield f"  {name}: {cost.cycles:.1f} cycles per packet"


def _moved(way: str, xstats: dict[str, int], seconds: float) -> str:
    """Packets and bytes that a port received (way "rx") or sent ("tx"), with their rates."""
    packets, size = (xstats.get(f"{way}_good_{what}", 0) for what in ("packets", "bytes"))
    rates = f"{packet_rate(packets, seconds)}, {bit_rates(packets, size, seconds)}" if seconds else "no time"
    return f"{way} {packets:,} packets {size:,} bytes ({rates})"
