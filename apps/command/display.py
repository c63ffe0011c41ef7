# SPDX-License-Identifier: BSD-3-Clause
"""What a person sees of a run: rates while it goes on, on a terminal, and totals at its end."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from types import TracebackType

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dataplane.stats import Report, Sampler

__all__ = ["Display", "totals"]

_LOSSES = ("rx_missed_errors", "rx_errors", "tx_errors", "rx_mbuf_allocation_errors")


class Display:
    """Rates of each port, and drops, in place on the terminal. A context manager: leaving it clears them away."""

    def __init__(self, app: str, sampler: Sampler, seconds: float | None) -> None:
        self._app = app
        self._sampler = sampler
        self._began = monotonic()
        self._seconds = seconds
        self._dropped: dict[str, int] = {}
        self._live = Live(auto_refresh=False, transient=True)

    @property
    def over(self) -> bool:
        """Whether the time of the run is over."""
        return self._seconds is not None and monotonic() - self._began >= self._seconds

    def until_next(self, interval: float) -> float:
        """Seconds to the next refresh, or to the end if that is sooner."""
        if self._seconds is None:
            return interval
        return max(min(interval, self._began + self._seconds - monotonic()), 0.0)

    def update(self) -> None:
        """Show what happened since the last time."""
        sample = self._sampler.sample()
        table = Table(box=None, pad_edge=False)
        table.add_column("port")
        for head in (
            "rx Mpps",
            "rx Gbit/s",
            "tx Mpps",
            "tx Gbit/s",
            "rx packets",
            "tx packets",
            "missed",
            "errors",
        ):
            table.add_column(head, justify="right")
        for port, xstats in sample.totals.items():
            rates = [sample.per_second(port, f"{way}_good_packets") / 1e6 for way in ("rx", "tx")]
            bits = [sample.per_second(port, f"{way}_good_bytes") * 8 / 1e9 for way in ("rx", "tx")]
            table.add_row(
                port,
                *(f"{value:.3f}" for pair in zip(rates, bits, strict=True) for value in pair),
                *(f"{xstats.get(name, 0):,}" for name in ("rx_good_packets", "tx_good_packets")),
                f"{xstats.get('rx_missed_errors', 0):,}",
                f"{sum(xstats.get(name, 0) for name in ('rx_errors', 'tx_errors')):,}",
            )
        for name, count in sample.drops.items():
            self._dropped[name] = self._dropped.get(name, 0) + count
        limit = f" of {self._seconds:g}" if self._seconds else ""
        line = Text(f"{self._app}, {sample.seconds:.1f}{limit} s; Ctrl-C stops it", style="bold")
        drops = [
            Text(f"dropped by {name}: {count:,}", style="yellow")
            for name, count in self._dropped.items()
            if count
        ]
        self._live.update(Group(line, table, *drops), refresh=True)

    def __enter__(self) -> Display:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def totals(report: Report, headline: bool = True) -> Iterator[str]:
    """A line for the run, one for each port, and one for each way packets were lost."""
    if headline:
        yield f"{report.app}: {report.packets:,} packets in {report.seconds:.2f} s, {report.mpps:.3f} Mpps"
    for port, xstats in report.ports.items():
        parts = [
            f"{way} {xstats.get(f'{way}_good_packets', 0):,} packets {xstats.get(f'{way}_good_bytes', 0):,} bytes"
            for way in ("rx", "tx")
            if xstats.get(f"{way}_good_packets")
        ]
        parts += [f"{name} {xstats[name]:,}" for name in _LOSSES if xstats.get(name)]
        yield f"  {port}: {', '.join(parts) or 'nothing'}"
    for name, count in report.drops.items():
        yield f"  dropped by {name}: {count:,}"
