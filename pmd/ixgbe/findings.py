# SPDX-License-Identifier: BSD-3-Clause
"""What `explain` found: one line a finding, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["NOTE", "PROBLEM", "VfFinding", "answer", "summary"]

PROBLEM, NOTE = "problem", "note"

_WAY = {"tx": "sends nothing", "rx": "receives nothing", "both": "sends and receives nothing"}


@dataclass(frozen=True)
class VfFinding:
    """One line. kind: problem or note; way: tx, rx or both; mend: what to do, "" if there is nothing to."""

    kind: str
    way: str
    text: str
    mend: str = ""


def summary(findings: Iterable[VfFinding]) -> str:
    """One line on top."""
    ways = {finding.way for finding in findings if finding.kind == PROBLEM}
    if not ways:
        return "nothing keeps it from sending and receiving"
    return _WAY["both" if "both" in ways or len(ways) > 1 else ways.pop()]


def answer(findings: Iterable[VfFinding]) -> dict[str, Any]:
    """For programs and JSON: "ok", whether nothing keeps it from sending or receiving, "summary" and "findings"."""
    found = sorted(findings, key=lambda finding: finding.kind != PROBLEM)
    return {
        "ok": all(finding.kind != PROBLEM for finding in found),
        "summary": summary(found),
        "findings": [asdict(finding) for finding in found],
    }
