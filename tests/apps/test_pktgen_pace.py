# SPDX-License-Identifier: BSD-3-Clause
"""A generator says whether it has kept its rate; a run that has not is not ok, unless best effort was asked for."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dataplane import Pipeline, probe
from dataplane.apps import PktGen, Sink
from dataplane.reports.balance import Pace

PACKET = Ether() / IP() / UDP()
NO_MACHINE = "1000 Gpps"


@pytest.mark.parametrize("gaps", ["even", "poisson", "burst"])
@pytest.mark.parametrize("end", [{"seconds": 0.3}, {"count": 30_000_000}, {}], ids=str)
def test_a_rate_that_no_machine_reaches(gaps, end):
    generator = PktGen(PACKET, rate=NO_MACHINE, gaps=gaps, **end)
    report = Pipeline(generator >> Sink()).run(seconds=None if end else 0.2)
    pace = report.paces["pktgen"]
    assert pace.asked == 1e12 and 0 < pace.reached < 1e11 and not pace.kept
    assert not report.ok and report.unmet == [f"pktgen: {pace}"]
    assert "asked for 1000 Gpps, reached " in str(report)
    assert report.to_dict()["paces"]["pktgen"]["kept"] is False


def test_best_effort():
    generator = PktGen(PACKET, rate=NO_MACHINE, best_effort=True)
    report = Pipeline(generator >> Sink()).run(seconds=0.2)
    assert report.ok and report.unmet == []
    assert not report.paces["pktgen"].kept
    assert "asked for 1000 Gpps, reached " in str(report)


def test_a_port_that_is_slower_than_the_rate():
    """The Tx queue delays the generator: no receiver empties its ring."""
    port = probe("ring:slow,slots=64")
    generator = PktGen(PACKET, rate="1 Mpps")
    report = Pipeline(generator >> port.tx(0), lossless=True).run(seconds=0.3)
    assert generator.sent < 1000
    assert (
        not report.ok or report.paces["pktgen"].seconds < 0.02
    )  # it may have been polled once, before it was held up


def test_an_unpaced_generator_promises_nothing():
    report = Pipeline(PktGen(PACKET, count=1000) >> Sink()).run()
    assert report.ok and report.paces == {}


def test_a_rate_that_every_machine_reaches():
    """A stall of this machine may be long, but not as long as the gap between two frames."""
    generator = PktGen(PACKET, rate="2 pps", count=2)
    report = Pipeline(generator >> Sink()).run()
    pace = report.paces["pktgen"]
    assert generator.sent == 2 and pace.reached <= pace.asked * 1.01


@pytest.mark.parametrize(
    ("seconds", "late", "kept"),
    [
        (10, 0.0, True),
        (10, 0.09, True),
        (10, 0.11, False),
        (0.1, 0.019, True),
        (0.1, 0.021, False),
        (0, 0.0, True),
    ],
)
def test_what_counts_as_kept(seconds, late, kept):
    """99 % of what was due, or 20 ms late at most."""
    assert Pace(1e6, 1e6, seconds, late).kept is kept


def test_two_generators_have_a_row_each():
    slow, fast = PktGen(PACKET, rate="1 kpps", seconds=0.05), PktGen(PACKET, rate=NO_MACHINE, seconds=0.05)
    report = Pipeline(slow >> Sink(), fast >> Sink()).run()
    assert list(report.paces) == ["pktgen", "pktgen-2"]
    assert "pktgen-2: asked for 1000 Gpps" in report.unmet[-1]
