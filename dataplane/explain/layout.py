# SPDX-License-Identifier: BSD-3-Clause
"""The places of the boxes of a picture: a grid in which nothing overlaps.

Stages are in the even columns, by the number of edges to them, and the text of each edge is in the column behind its origin.
A longer edge also takes a cell of each column that it passes. No two of these share a cell, and lines cross cells only where
they own them; elsewhere they run between columns. Each lcore has a band of rows of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dataplane.explain.picture import Picture

__all__ = ["Band", "Cell", "Layout", "lay_out"]


@dataclass(frozen=True)
class Cell:
    """A place in the grid."""

    column: int
    row: int


@dataclass(frozen=True)
class Band:
    """The rows of an lcore, from `first` to `last`. name: the lcore, "" if none is known."""

    name: str
    first: int
    last: int


@dataclass
class Layout:
    """boxes: the cell of each box; ways: of each arrow, the cell of its text and those that it passes after that."""

    boxes: dict[int, Cell] = field(default_factory=dict)
    ways: dict[int, list[Cell]] = field(default_factory=dict)
    bands: list[Band] = field(default_factory=list)


def lay_out(picture: Picture) -> Layout:
    """A place for everything in a picture."""
    return _Placing(picture).layout


class _Placing:
    def __init__(self, picture: Picture) -> None:
        self.layout = Layout()
        self._picture = picture
        self._depths = _depths(picture)
        self._taken: set[Cell] = set()
        self._leaving = [
            [(number, arrow) for number, arrow in enumerate(picture.arrows) if arrow.origin == box]
            for box in range(len(picture.boxes))
        ]
        for lcore in dict.fromkeys(box.lcore for box in picture.boxes):
            first = self._end
            members = [number for number, box in enumerate(picture.boxes) if box.lcore == lcore]
            # Those that packets enter the band by come first; the others follow from them.
            for member in sorted(members, key=lambda number: (self._depths[number], number)):
                if member not in self.layout.boxes:
                    self._put(member, self._end)
            self.layout.bands.append(Band(lcore, first, self._end - 1))

    @property
    def _end(self) -> int:
        """The first row below all boxes."""
        return max((cell.row for cell in self._taken), default=-1) + 1

    def _free(self, column: int, row: int) -> Cell:
        """Take the first free cell of a column from `row` on."""
        while (cell := Cell(column, row)) in self._taken:
            row += 1
        self._taken.add(cell)
        return cell

    def _put(self, box: int, row: int) -> None:
        """Place a box at `row` or below, and the boxes behind it in its band: the first edge goes straight on."""
        todo = [(box, row)]
        while todo:
            number, row = todo.pop()
            if number in self.layout.boxes:
                continue
            column = 2 * self._depths[number]
            place = self.layout.boxes[number] = self._free(column, row)
            onward = []
            for turn, (key, arrow) in enumerate(self._leaving[number]):
                at = self._free(column + 1, place.row if turn == 0 else place.row + turn)
                way = self.layout.ways[key] = [at]
                if arrow.target is None:
                    continue
                for passed in range(column + 2, 2 * self._depths[arrow.target]):
                    way.append(self._free(passed, way[-1].row))
                if self._picture.boxes[arrow.target].lcore == self._picture.boxes[number].lcore:
                    onward.append((arrow.target, way[-1].row))
            todo += reversed(onward)


def _depths(picture: Picture) -> list[int]:
    """The number of edges on the longest way to each box. An edge that closes a cycle counts for nothing."""
    onward: list[list[int]] = [[] for _ in picture.boxes]
    for arrow in picture.arrows:
        if arrow.target is not None:
            onward[arrow.origin].append(arrow.target)
    order: list[int] = []  # each box behind all that lead to it, but for cycles
    seen: set[int] = set()
    for start in range(len(picture.boxes)):
        todo = [(start, False)]
        while todo:
            number, done = todo.pop()
            if done:
                order.append(number)
            elif number not in seen:
                seen.add(number)
                todo.append((number, True))
                todo += [(target, False) for target in onward[number]]
    rank = {number: place for place, number in enumerate(reversed(order))}
    depths = [0] * len(picture.boxes)
    for number in reversed(order):
        for target in onward[number]:
            if rank[target] > rank[number]:
                depths[target] = max(depths[target], depths[number] + 1)
    return depths
