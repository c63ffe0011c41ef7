# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of pipelines: their stages, where these run and what they cost, and what the last run counted.

- `picture`: the boxes and arrows that are shown
- `layout`: places of the boxes on a grid, for `svg`
- `text`: draws a tree of text
- `svg`: draws an SVG document
"""

from __future__ import annotations

from collections.abc import Sequence

from dataplane.errors import ConfigError
from dataplane.explain.picture import picture_of
from dataplane.explain.svg import svg
from dataplane.explain.text import text
from dataplane.graph.graph import Graph
from dataplane.reports.stats import Report

__all__ = ["explain"]

_FORMATS = {"text": text, "svg": svg}


def explain(name: str, graphs: Sequence[Graph], report: Report | None, format: str) -> str:
    """A picture of checked graphs. name: its title; report: for rates and costs; format: "text" or "svg".

    Raises ConfigError for another format.
    """
    if format not in _FORMATS:
        raise ConfigError(f"format={format!r}: must be one of {', '.join(map(repr, _FORMATS))}")
    return _FORMATS[format](picture_of(name, graphs, report))
