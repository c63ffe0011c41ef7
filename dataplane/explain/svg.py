# SPDX-License-Identifier: BSD-3-Clause
"""A picture of pipelines as a self-contained SVG document: stages from left to right, a band for each lcore."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from dataplane.explain.layout import Cell, Layout, lay_out
from dataplane.explain.picture import Arrow, Box, Picture

__all__ = ["svg"]

_GLYPH = 7.2  # px: width of a character of 12 px in a monospaced font
_LINE = 16  # px from a line of text to the next
_PAD = 8  # px round the text of a box
_GAP = 28  # px between two columns, for lines
_BETWEEN = 14  # px between two rows
_BAND = 22  # px for the name of an lcore above its rows
_MARGIN = 16
_LONGEST = 40  # characters of a line; what is longer is cut, and a tooltip has all of it

# Fill and border by kind, and of stages that take the GIL.
_COLOURS = {
    "rx": ("#e3f0fb", "#3778b0"),
    "tx": ("#e3f0fb", "#3778b0"),
    "source": ("#e9f5e6", "#4d8a43"),
    "app": ("#ffffff", "#555555"),
}
_GIL = ("#fff3d6", "#b97a00")
_INK, _DIM, _RED = "#222222", "#666666", "#b00020"


@dataclass(frozen=True)
class _Line:
    """A line of text. whole: the full text, if `text` is shortened."""

    text: str
    colour: str = _INK
    bold: bool = False
    whole: str = ""

    @property
    def width(self) -> float:
        wide = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in self.text)
        return wide * _GLYPH


def svg(picture: Picture) -> str:
    """An SVG document. Its texts are escaped; it has no scripts, and names no other file."""
    return _Sheet(picture).document()


class _Sheet:
    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._layout = lay_out(picture)
        self._boxes = [_box_lines(box) for box in picture.boxes]
        self._edges = [_edge_lines(arrow) for arrow in picture.arrows]
        contents = _contents(self._layout, self._boxes, self._edges)
        self._widths = _sizes(
            (cell.column, max(line.width for line in lines) + 2 * _PAD) for cell, lines in contents
        )
        self._heights = _sizes((cell.row, _LINE * len(lines) + 2 * _PAD) for cell, lines in contents)
        self._lefts = _starts(self._widths, _MARGIN + _PAD, _GAP, {})
        heads = {band.first: _BAND + (_PAD if band.first else 0) for band in self._layout.bands}
        self._tops = _starts(self._heights, _MARGIN + 2 * _LINE, _BETWEEN, heads)

    def document(self) -> str:
        notes = [_line(note, _DIM) for note in self._picture.notes]
        below = self._bottom(len(self._heights) - 1) + _PAD
        title = _line(self._picture.title, bold=True)
        width = max([self._right + _PAD, *(_MARGIN + line.width for line in (title, *notes))]) + _MARGIN
        height = below + _LINE * len(notes) + _MARGIN
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="12">',
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{_DIM}"/></marker></defs>',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
            _text(title, _MARGIN, _MARGIN + _LINE - 4),
            *self._bands(),
            *(self._way(number, arrow) for number, arrow in enumerate(self._picture.arrows)),
            *(self._label(number) for number in range(len(self._edges))),
            *(self._stage(number, box) for number, box in enumerate(self._picture.boxes)),
            *(_text(line, _MARGIN, below + _LINE * (row + 1)) for row, line in enumerate(notes)),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    @property
    def _right(self) -> float:
        """The right end of the last column, and of the names of bands."""
        names = [_MARGIN + _PAD + _line(band.name).width for band in self._layout.bands]
        return max([self._lefts[-1] + self._widths[-1], *names])

    def _bottom(self, row: int) -> float:
        return self._tops[row] + self._heights[row]

    def _middle(self, cell: Cell) -> float:
        return self._tops[cell.row] + self._heights[cell.row] / 2

    def _bands(self) -> Iterable[str]:
        for band in self._layout.bands:
            if not band.name:
                continue
            top, bottom = self._tops[band.first] - _BAND, self._bottom(band.last) + _PAD
            yield (
                f'<rect class="lcore" x="{_MARGIN}" y="{top:.1f}" width="{self._right + _PAD - _MARGIN:.1f}" '
                f'height="{bottom - top:.1f}" rx="6" fill="#f6f6f6" stroke="#cccccc"/>'
            )
            yield _text(_line(band.name, _DIM), _MARGIN + _PAD, top + _LINE - 1)

    def _way(self, number: int, arrow: Arrow) -> str:
        """The line of an edge: from its box through its text and the cells it passes to the next box, or to its text."""
        cells = self._layout.ways[number]
        origin = self._layout.boxes[arrow.origin]
        x, y = self._left_of(arrow.origin) + self._width_of(arrow.origin), self._middle(origin)
        path = [f"M{x:.1f},{y:.1f}"]
        for cell in cells:
            left, middle = self._lefts[cell.column], self._middle(cell)
            path.append(_curve(x, y, left, middle))
            x, y = left + self._widths[cell.column], middle
            path.append(f"L{x:.1f},{y:.1f}" if arrow.target is not None or cell is not cells[-1] else "")
        if arrow.target is not None:
            path.append(
                _curve(x, y, self._left_of(arrow.target), self._middle(self._layout.boxes[arrow.target]))
            )
        dashes = "" if arrow.kind == "direct" else ' stroke-dasharray="6 4"'
        tip = "" if arrow.target is None else ' marker-end="url(#tip)"'
        return (
            f'<path class="edge {escape(arrow.kind)}" d="{" ".join(filter(None, path))}" fill="none" stroke="{_DIM}" '
            f'stroke-width="{1.2 if arrow.kind == "direct" else 2}"{dashes}{tip}/>'
        )

    def _label(self, number: int) -> str:
        """The text of an edge, over its line."""
        cell, lines = self._layout.ways[number][0], self._edges[number]
        width = max(line.width for line in lines) + 2 * _PAD
        return self._panel("label", lines, self._lefts[cell.column], cell.row, width, ("#ffffff", "#dddddd"))

    def _stage(self, number: int, box: Box) -> str:
        row = self._layout.boxes[number].row
        colours = _GIL if box.gil else _COLOURS[box.kind]
        return self._panel(
            "stage", self._boxes[number], self._left_of(number), row, self._width_of(number), colours
        )

    def _left_of(self, box: int) -> float:
        column = self._layout.boxes[box].column
        return self._lefts[column] + (self._widths[column] - self._width_of(box)) / 2

    def _width_of(self, box: int) -> float:
        return max(line.width for line in self._boxes[box]) + 2 * _PAD

    def _panel(
        self, kind: str, lines: Sequence[_Line], left: float, row: int, width: float, colours: tuple[str, str]
    ) -> str:
        height = _LINE * len(lines) + 2 * _PAD
        top = self._tops[row] + (self._heights[row] - height) / 2
        fill, stroke = colours
        return "\n".join(
            [
                f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="4" '
                f'fill="{fill}" stroke="{stroke}"/>',
                *(
                    _text(line, left + _PAD, top + _PAD + _LINE * turn + 12)
                    for turn, line in enumerate(lines)
                ),
            ]
        )


def _contents(
    layout: Layout, boxes: Sequence[Sequence[_Line]], edges: Sequence[Sequence[_Line]]
) -> list[tuple[Cell, Sequence[_Line]]]:
    """Each cell in use, with its lines of text."""
    blank = (_Line(""),)
    found = [(cell, boxes[number]) for number, cell in layout.boxes.items()]
    for number, way in layout.ways.items():
        found += [(cell, edges[number] if turn == 0 else blank) for turn, cell in enumerate(way)]
    return found


def _sizes(sizes: Iterable[tuple[int, float]]) -> list[float]:
    """The largest size in each row, or column."""
    found: dict[int, float] = {}
    for place, size in sizes:
        found[place] = max(found.get(place, 0.0), size)
    return [found.get(place, 0.0) for place in range(max(found, default=-1) + 1)]


def _starts(sizes: Sequence[float], first: float, gap: float, before: Mapping[int, int]) -> list[float]:
    """Where each row, or column, starts. before: px to leave in front of some."""
    starts, at = [], first
    for place, size in enumerate(sizes):
        at += before.get(place, 0)
        starts.append(at)
        at += size + gap
    return starts


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    if y == to_y:
        return f"L{to_x:.1f},{to_y:.1f}"
    middle = (x + to_x) / 2
    return f"C{middle:.1f},{y:.1f} {middle:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"


def _box_lines(box: Box) -> list[_Line]:
    lines = [_line(box.name, bold=True), _line("[GIL]" if box.gil else "[nogil]", _DIM)]
    if box.cost is not None:
        lines.append(_line(f"{box.cost.cycles:.1f} cycles/packet"))
    lines += [_line(f"dropped, {reason}: {count:,}", _RED) for reason, count in box.dropped.items()]
    lines += [_line(f"consumed, {reason}: {count:,}", _DIM) for reason, count in box.consumed.items()]
    return lines


def _edge_lines(arrow: Arrow) -> list[_Line]:
    head = arrow.edge if arrow.target is not None else f"{arrow.edge} → nothing"
    lines = [_line(head if arrow.kind == "direct" else f"{head} ({arrow.kind})")]
    if arrow.count.packets:
        lines.append(_line(f"{arrow.count.packets:,} packets", _DIM))
        lines.append(_line(f"{arrow.count.packets / arrow.count.bursts:.1f} a burst", _DIM))
    if arrow.rate and arrow.count.packets:
        lines.append(_line(arrow.rate, _DIM))
    return lines


def _line(text: str, colour: str = _INK, bold: bool = False) -> _Line:
    """A line of a name that may be anything: cut, and without what XML cannot have."""
    clean = "".join(char if char.isprintable() else "\ufffd" for char in text)
    if len(clean) <= _LONGEST:
        return _Line(clean, colour, bold)
    return _Line(clean[: _LONGEST - 1] + "…", colour, bold, clean)


def _text(line: _Line, x: float, y: float) -> str:
    """textLength holds it to its width, whatever font the viewer has."""
    weight = ' font-weight="bold"' if line.bold else ""
    tooltip = f"<title>{escape(line.whole)}</title>" if line.whole else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{line.colour}"{weight} textLength="{line.width:.1f}" '
        f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{tooltip}{escape(line.text)}</text>'
    )
