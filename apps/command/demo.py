# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane demo`: packets from a generator cross two cards in software into a capture file; then two VFs talk."""

from __future__ import annotations

import argparse
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from dataplane.apps.command.options import add_run_arguments, count
from dataplane.reports.figures import packet_rate, significant

if TYPE_CHECKING:
    from dataplane.apps.latency import Latency

PICTURE = """\
  PktGen >> model0 ==wire== model2 >> L2Fwd >> model3 ==wire== model1 >> Latency >> PcapDump
            '--- card 0 ---------- card 1 ------------ card 1 ---------- card 0 ---'
  PktGen >> model4.vf0 ==switch== model4.vf1 >> L2Fwd >> model4.vf1 ==switch== model4.vf0 >> Latency
"""
FLOWS = (
    'Ether(src="{src}", dst="{dst}")/IP(src="10.0.0.1", dst="10.0.1.0/28")/UDP(sport=(1024, 1039), dport=7)'
)
PATIENCE = 3.0  # s without one more packet at the far end: those missing are lost


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "--count", type=count, default=2_000_000, metavar="N", help="packets to send (default 2000000)"
    )
    parser.add_argument(
        "--size", type=count, default=64, metavar="BYTES", help="size of each frame with FCS (default 64)"
    )
    parser.add_argument(
        "--rate", metavar="RATE", help="rate to send, as in '1 Mpps' (default: as fast as possible)"
    )
    parser.add_argument(
        "--best-effort",
        action="store_true",
        help="do not fail if the rate was not reached; the report says what was",
    )
    parser.add_argument(
        "--file",
        type=Path,
        default=Path("demo.pcap"),
        metavar="FILE",
        help="the capture to write (default demo.pcap)",
    )
    add_run_arguments(parser, seconds=25.0)


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    from dataplane.apps.command.demo_vfs import talk
    from dataplane.apps.command.session import CommandSession, Outcome
    from dataplane.apps.counter import Sink
    from dataplane.apps.l2fwd import L2Fwd
    from dataplane.apps.latency import Latency
    from dataplane.apps.pcapdump import PcapDump
    from dataplane.apps.pktgen import PktGen
    from dataplane.pipeline import Pipeline
    from dataplane.reports.stats import Report, mpps

    def outcome(report: Report) -> Outcome:
        sent = report.ports[out.name].get("tx_good_packets", 0)
        forwarded = report.ports[right.name].get("tx_good_packets", 0)
        arrived = latency.summary(sent=sent)
        lost = arrived["lost"]
        rate = mpps(*progress.span())
        figures = {
            "sent": sent,
            "forwarded": forwarded,
            "captured": dump.frames,
            "lost": lost,
            "mpps": rate,
            "latency": arrived,
            "file": str(args.file),
        }
        line = (
            f"demo: sent {sent:,}, forwarded {forwarded:,}, captured {dump.frames:,}, lost {lost:,} packets; "
            f"{packet_rate(*progress.span())}; latency {_us(arrived['median_ns'])} median, "
            f"{_us(arrived['p99_ns'])} 99th percentile; {args.file}"
        )
        unmet = []
        if sent != args.count:
            unmet.append(f"{sent:,} of {args.count:,} packets were sent in {report.seconds:.1f} s")
        if lost or {forwarded, dump.frames, arrived["received"]} != {sent}:
            unmet.append("packets were lost or the counts disagree")
        if arrived["duplicates"] or arrived["foreign"]:
            unmet.append(
                f"{arrived['duplicates']} packets arrived twice, {arrived['foreign']} were not from the generator"
            )
        if unmet:
            return figures, [line], unmet
        figures["sriov"], talked, unmet = talk(args)
        return figures, [line, talked], unmet

    print(PICTURE, flush=True)
    with CommandSession(args, "demo") as session:
        out, back = session.open("model0,wire=model2"), session.open("model1,wire=model3")
        left, right = session.open("model2"), session.open("model3")
        flows = FLOWS.format(src=out.mac, dst=left.mac)
        generator = PktGen(
            flows,
            size=args.size,
            rate=args.rate,
            count=args.count,
            stamp=True,
            burst=args.burst,
            line_rate=10**10,
            best_effort=args.best_effort,
        )
        latency, dump = Latency(), PcapDump(args.file)
        progress = _Progress(latency, args.count)
        more = {"lossless": True, "burst": args.burst}
        return session.run(
            Pipeline(generator >> out.tx(0), name="generator", **more),
            Pipeline(
                left.rx(0) >> L2Fwd(src=right.mac, dst=back.mac) >> right.tx(0), name="forwarder", **more
            ),
            Pipeline(back.rx(0) >> latency >> dump >> Sink(), name="capture", **more),
            until=progress,
            outcome=outcome,
            headline=False,
        )


class _Progress:
    """Whether all packets have come, or none came for `PATIENCE` s.

    received: at `last`, the last look that found new ones; first: at `began`, the first such look. Times by monotonic().
    """

    def __init__(self, latency: Latency, wanted: int) -> None:
        self._latency = latency
        self._wanted = wanted
        self.received = self.first = 0
        self.created = self.began = self.last = monotonic()

    def __call__(self) -> bool:
        received, now = self._latency.received, monotonic()
        if received != self.received:
            if not self.received:
                self.began, self.first = now, received
            self.received, self.last = received, now
        return received >= self._wanted or now - self.last > PATIENCE

    def span(self) -> tuple[int, float]:
        """Packets, and the seconds in which they came, without bring-up and the wait at the end if these times are known."""
        if self.received > self.first:
            return self.received - self.first, self.last - self.began
        return self.received, self.last - self.created


def _us(ns: float | None) -> str:
    return "-" if ns is None else f"{significant(ns / 1e3)} us"
