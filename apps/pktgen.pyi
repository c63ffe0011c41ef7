# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.pktgen."""

from typing import Any, Literal

from dataplane.app import Source
from dataplane.apps.flows import Flows
from dataplane.apps.stamper import Stamper
from dataplane.mempool import Mempool
from dataplane.reports.balance import Pace

class PktGen(Source):
    stamper: Stamper
    mempool: Mempool
    rate: float | str | None
    pps: float | None
    gaps: str
    stamp: bool
    best_effort: bool
    sent: int
    skipped: int
    def __init__(
        self,
        flows: Any,
        size: int | None = None,
        rate: float | str | None = None,
        gaps: Literal["even", "poisson", "burst"] = "even",
        count: int | None = None,
        seconds: float | None = None,
        stamp: bool = False,
        *,
        burst: int = 32,
        line_rate: float = 10_000_000_000,
        mempool: Mempool | None = None,
        seed: int = 0,
        form: str | None = None,
        best_effort: bool = False,
    ) -> None: ...
    @property
    def pace(self) -> Pace | None: ...
    def gap_cycles(self, index: int) -> float: ...
    @property
    def flows(self) -> Flows: ...
