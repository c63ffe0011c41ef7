# SPDX-License-Identifier: BSD-3-Clause
"""The demo's second half: two VFs of one port talk to each other, one lies about its address, and `vf explain` says so."""

from __future__ import annotations

import argparse
import re
from contextlib import ExitStack
from time import monotonic, sleep
from typing import Any

from dataplane.errors import DataplaneError
from dataplane.reports.figures import significant

__all__ = ["talk"]

COUNT = 4000  # fewer than an Rx ring holds: a VF drops what it has no descriptor for, however busy this machine is
RING = 4096
PATIENCE = 5.0  # s
LIE = "02:00:00:00:00:66"
FLOW = 'Ether(src="{src}", dst="{dst}")/IP(src="10.0.0.1", dst="10.0.1.1")/UDP(sport=1024, dport=7)'
_DROPPED = re.compile(r"dropped by the spoof check, (\d+) frames")


def talk(args: argparse.Namespace) -> tuple[dict[str, Any], str, list[str]]:
    """Figures for the JSON, the line to print, and what was not as it should be."""
    from dataplane.pmd import probe

    with ExitStack() as stack:
        pf = stack.enter_context(probe("model4,vfs=2,wire=loop"))
        pf.start()
        one, two = (stack.enter_context(probe(f"model4.vf{n}")) for n in range(2))
        for vf in (one, two):
            vf.configure(rx_desc=RING)
            vf.rx(0), vf.tx(0)
            vf.start()
        for vf in (one, two):
            vf.wait_link()
        figures = _there_and_back(one, two, args)
        figures |= _lie(pf, one, two)
    unmet = []
    if (figures["sent"], figures["back"], figures["wrong"]) != (COUNT, COUNT, 0):
        unmet.append(
            f"{figures['back']:,} of {COUNT:,} packets between VFs returned, {figures['wrong']} duplicate or foreign"
        )
    if not figures["spoofed"] or figures["slipped_through"]:
        unmet.append(
            f"a VF with a forged source address: {figures['slipped_through']} of its frames arrived, and vf explain "
            f"reported {figures['explain']!r}"
        )
    line = (
        f"demo: vf 0 and vf 1 of model4: {figures['sent']:,} packets sent, {figures['back']:,} returned, latency "
        f"{significant(figures['latency_us'])} us median; then vf 0 forged its source address; vf explain: "
        f"{figures['explain'].partition(';')[0]}"
    )
    return figures, line, unmet


def _there_and_back(one: Any, two: Any, args: argparse.Namespace) -> dict[str, Any]:
    from dataplane.apps.counter import Sink
    from dataplane.apps.l2fwd import L2Fwd
    from dataplane.apps.latency import Latency
    from dataplane.apps.pktgen import PktGen
    from dataplane.engine.running import start
    from dataplane.pipeline import Pipeline

    flow = FLOW.format(src=one.mac, dst=two.mac)
    generator, latency = PktGen(flow, size=64, count=COUNT, stamp=True, line_rate=10**10), Latency()
    asks = Pipeline(generator >> one.tx(0), one.rx(0) >> latency >> Sink(), name="vf 0", lossless=True)
    answers = Pipeline(two.rx(0) >> L2Fwd(src=two.mac, dst=one.mac) >> two.tx(0), name="vf 1", lossless=True)
    lcores = args.lcores[:2] if len(args.lcores) > 1 else (None, None)
    until = monotonic() + PATIENCE
    with start(asks, answers, lcores=lcores) as running:
        running.wait(PATIENCE, lambda: latency.received >= COUNT or monotonic() > until)
    arrived: dict[str, Any] = latency.summary(sent=generator.sent)
    return {
        "sent": generator.sent,
        "back": arrived["received"],
        "wrong": arrived["duplicates"] + arrived["foreign"],
        "latency_us": (arrived["median_ns"] or 0) / 1e3,
    }


def _lie(pf: Any, one: Any, two: Any) -> dict[str, Any]:
    """Send from VF 0 with a forged source address, and ask the PF why the frames do not arrive."""
    from dataplane.apps.counter import Sink
    from dataplane.apps.pktgen import PktGen
    from dataplane.engine.running import start
    from dataplane.pipeline import Pipeline

    before = two.xstats()["rx_good_packets"]
    liar = PktGen(FLOW.format(src=LIE, dst=two.mac), size=64, rate="20 kpps", line_rate=10**10)
    with start(
        Pipeline(liar >> one.tx(0), name="vf 0"),
        Pipeline(two.rx(0) >> Sink(), name="vf 1"),
        lcores=(None, None),
    ):
        sleep(0.05)
        try:
            findings = pf.vfs.explain(0)["findings"]
        except DataplaneError as error:
            findings = [{"text": str(error)}]
    found = next((line["text"] for line in findings if _DROPPED.search(line["text"])), findings[0]["text"])
    dropped = _DROPPED.search(found)
    return {
        "spoofed": int(dropped[1]) if dropped else 0,
        "slipped_through": two.xstats()["rx_good_packets"] - before,
        "explain": found,
    }
