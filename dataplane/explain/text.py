# SPDX-License-Identifier: BSD-3-Clause
"""A picture of pipelines as text: a tree from each source, with what each stage costs (``[nogil]`` or ``[GIL]``)."""

from __future__ import annotations

from dataplane.explain.picture import Arrow, Box, Picture

__all__ = ["text"]


def text(picture: Picture) -> str:
    """A tree from each source. A stage that several edges reach is drawn out once."""
    lines = [picture.title]
    drawn: set[int] = set()
    for head in picture.heads:
        lines += _draw(picture, head, "", "", drawn)
    return "\n".join((*lines, *picture.notes))


def _draw(picture: Picture, number: int, indent: str, lcore: str, drawn: set[int]) -> list[str]:
    """lcore: that of the stage before."""
    box = picture.boxes[number]
    head = _head(box, lcore)
    if number in drawn:
        return [indent + head] if box.ends else [f"{indent}{head}, as above"]
    drawn.add(number)
    lines = [indent + head]
    rows: list[tuple[str, int | None]] = [(_edge(arrow), arrow.target) for arrow in picture.leaving(number)]
    rows += [(f"dropped, {reason}: {count:,}", None) for reason, count in box.dropped.items()]
    rows += [(f"consumed, {reason}: {count:,}", None) for reason, count in box.consumed.items()]
    for row, (line, target) in enumerate(rows):
        last = row == len(rows) - 1
        lines.append(f"{indent}{'└' if last else '├'}─ {line}")
        if target is not None:
            lines += _draw(picture, target, indent + ("   " if last else "│  "), box.lcore, drawn)
    return lines


def _head(box: Box, lcore: str) -> str:
    words = [box.name, "[GIL]" if box.gil else "[nogil]"]
    if box.lcore and box.lcore != lcore:
        words.append(f"on {box.lcore}")
    if box.cost is not None:
        words.append(f"{box.cost.cycles:.1f} cycles per packet")
    return " ".join(words)


def _edge(arrow: Arrow) -> str:
    head = arrow.edge if arrow.kind == "direct" else f"{arrow.edge}, by a {arrow.ring or arrow.kind}"
    if arrow.target is None:
        return f"{head} → nothing"
    count = arrow.count
    if not count.packets:
        return f"{head} →"
    parts = [
        f"{count.packets:,} packets",
        f"{count.bytes:,} bytes",
        f"{count.packets / count.bursts:.1f} a burst",
    ]
    if arrow.rate:
        parts.append(arrow.rate)
    return f"{head} → {', '.join(parts)}"
