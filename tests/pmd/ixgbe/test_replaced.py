# SPDX-License-Identifier: BSD-3-Clause
"""Pipelines that are replaced while the driver's queues are polled: nothing is lost on the way over the wire."""

from __future__ import annotations

from dataplane import App, Frames, Pipeline, probe, start

FRAME = bytes.fromhex("ffffffffffff02000000000188b5") + bytes(50)


class Pass(App):
    def process(self, burst):
        return None


def test_under_traffic_over_a_wire():
    left, right, sink = probe("model0"), probe("model1"), probe("null:")
    source = Frames([FRAME], repeat=None)

    def pipelines(queue):
        return (
            Pipeline(source >> Pass() >> left.tx(queue), lossless=True),
            Pipeline(right.rx(0) >> Pass() >> sink.tx(0), lossless=True),
        )

    left.tx(1)  # named before the port starts
    try:
        with start(*pipelines(0), lcores=(None, None)) as running:
            for n in range(40):
                running.replace(*pipelines(n % 2))
                before = sink.xstats()["tx_good_packets"]
                running.wait(10, until=lambda: sink.xstats()["tx_good_packets"] > before)  # noqa: B023
            running.replace(
                Pipeline(Frames([FRAME], repeat=0) >> left.tx(0)),
                Pipeline(right.rx(0) >> Pass() >> sink.tx(0)),
            )
            sent = left.xstats()["tx_good_packets"]
            running.wait(10, until=lambda: right.xstats()["rx_good_packets"] == sent)
            running.wait(10, until=lambda: sink.xstats()["tx_good_packets"] == sent)
            report = running.stop()
        assert report.ports[right.name]["rx_good_packets"] == report.ports["null:"]["tx_good_packets"]
        assert report.ports[right.name]["rx_missed_errors"] == 0
        made, sent = report.edges["frames.out"].packets, report.ports[left.name]["tx_good_packets"]
        assert made == sent + report.dropped > 40 * 32
        assert set(report.drops) <= {f"{left.name}.tx({n}).stopped" for n in range(2)}
    finally:
        left.close()
        right.close()
