# SPDX-License-Identifier: BSD-3-Clause
"""A mempool that ran dry is named in the report, with how many mbufs would do; and so many do."""

from __future__ import annotations

import pytest

from dataplane import Frames, Mempool, Pipeline, probe
from dataplane.apps import Counter, PktGen, Sink, Tee

FRAME = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(46)
FLOWS = 'Ether(dst="ff:ff:ff:ff:ff:ff")/IP()/UDP()'


def pool(n, name):
    return Mempool(n, hugepages="no", name=name)


def generator(n):
    """Its frames fill the Tx descriptors of a port whose other end takes nothing."""
    port = probe("model0,wire=none,tx_desc=1024")
    return port, Pipeline(PktGen(FLOWS, mempool=pool(n, "small")) >> port.tx(0))


def tee(n):
    """Its copies wait in a ring."""
    port, copies = probe("ring:tee,slots=512"), Tee(mempool=pool(n, "small"))
    return port, Pipeline(Frames([FRAME], repeat=3000) >> copies >> Sink(), copies["copy"] >> port.tx(0))


def receiver(n):
    """Received packets wait in the Tx descriptors of another port."""
    port, out = probe("null:"), probe("model0,wire=none,tx_desc=1024")
    port.configure(mempool=pool(n, "small"))
    return out, Pipeline(port.rx(0) >> Counter() >> out.tx(0))


def frames(n):
    """Through two rings, on one lcore."""
    port, last = probe("ring:first,slots=256"), probe("ring:last,slots=256")
    source = Frames([FRAME], repeat=None, pool=pool(n, "small"))
    return last, Pipeline(source >> port.tx(0), port.rx(0) >> Counter() >> last.tx(0))


@pytest.mark.parametrize("made", [generator, tee, receiver, frames], ids=lambda made: made.__name__)
def test_the_number_that_is_said_does(made):
    port, pipeline = made(200)
    with port:
        report = pipeline.run(seconds=0.1)
    assert list(report.pools) == ["small"]
    use = report.pools["small"]
    assert use.failures > 0 and use.n == 200 < use.enough
    assert f"mempool small ran dry {use.failures:,} times: it has 200 mbufs, {use.enough:,} would do" in str(
        report
    )
    assert f"mempool small {use}" in pipeline.explain()
    assert report.to_dict()["pools"]["small"]["enough"] == use.enough
    port, pipeline = made(use.enough)
    with port:
        report = pipeline.run(seconds=0.1)
    assert report.pools == {}


def test_a_pool_of_a_receiver_with_descriptors(tmp_path):
    """The report's advice counts Rx descriptors, Tx descriptors and the caches of lcores; a pool of that size is enough."""
    enough = 700
    for small in (True, False):
        left, right = (
            probe("model0,wire=model2,rx_desc=256,tx_desc=512"),
            probe("model2,rx_desc=512,tx_desc=1024"),
        )
        out = probe("model4,wire=none,tx_desc=1024")
        with left, right, out:
            right.configure(mempool=pool(enough, "small"))
            source = Frames([FRAME], repeat=None)
            report = Pipeline(source >> left.tx(0), right.rx(0) >> out.tx(0), lossless=False).run(seconds=0.3)
        if small:
            enough = report.pools["small"].enough
            assert enough >= 512 + 512 + 1024
        else:
            assert "small" not in report.pools


def test_what_happened_before_the_run_is_not_said():
    source = Frames([FRAME], repeat=None, pool=pool(64, "small"))
    port = probe("ring:before,slots=128")
    assert Pipeline(source >> port.tx(0)).run(seconds=0.05).pools
    assert Pipeline(source >> Sink()).run(seconds=0.05).pools == {}


def test_a_pool_that_left_the_run_is_said():
    port = probe("ring:gone,slots=128")
    source = Frames([FRAME], repeat=None, pool=pool(64, "small"))
    with Pipeline(source >> port.tx(0)).start() as run:
        run.wait(0.05)
        run.replace(Pipeline(Frames([FRAME], repeat=None) >> Sink()))
        report = run.stop()
    assert report.pools["small"].failures > 0
