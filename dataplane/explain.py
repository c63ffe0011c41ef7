# SPDX-License-Identifier: BSD-3-Clause
"""A pipeline as text: its stages, what they cost (``[nogil]`` or ``[GIL]``), what the last run counted, its ports' wires."""

from __future__ import annotations

from dataplane.app import App
from dataplane.graph import Graph, takes_gil

__all__ = ["picture"]


def picture(graph: Graph) -> str:
    """A tree from each source. A stage that several edges reach is drawn out once."""
    lines = [graph.name]
    drawn: set[int] = set()
    for source in graph.sources:
        lines += _draw(graph, source, "", drawn)
    lines += [f"wire of {port.name}: {port.wire}" for port in graph.ports if port.wire]
    return "\n".join(lines)


def _draw(graph: Graph, app: App, indent: str, drawn: set[int]) -> list[str]:
    head = f"{graph.name_of(app)} {'[GIL]' if takes_gil(app) else '[nogil]'}"
    if id(app) in drawn:
        return [f"{indent}{head}, as above"] if app.edges else [indent + head]
    drawn.add(id(app))
    lines = [indent + head]
    unjoined = [
        edge for edge in app.edges if all(link.app is not app or link.edge != edge for link in graph.links)
    ]
    rows: list[tuple[str, App | None]] = []
    rows += [(_edge_text(app, link.edge), link.to) for link in graph.links if link.app is app]
    rows += [(f"{edge} → nothing", None) for edge in unjoined]
    rows += [(f"dropped, {reason}: {count:,}", None) for reason, count in app.drop_counts.items()]
    rows += [(f"consumed, {reason}: {count:,}", None) for reason, count in app.consumed_counts.items()]
    for number, (text, target) in enumerate(rows):
        last = number == len(rows) - 1
        lines.append(f"{indent}{'└' if last else '├'}─ {text}")
        if target is not None:
            lines += _draw(graph, target, indent + ("   " if last else "│  "), drawn)
    return lines


def _edge_text(app: App, edge: str) -> str:
    packets, size, bursts = app.edge_counts[edge]
    if not packets:
        return f"{edge} →"
    return f"{edge} → {packets:,} packets, {size:,} bytes, {packets / bursts:.1f} a burst"
