# SPDX-License-Identifier: BSD-3-Clause
"""The balance of each port: what a Tx queue took and what arrived at an Rx queue is in one of its terms.

Every kind of port, both drivers, every kind of wire. The ports are those of users, made from port strings. The model runs in
threads of its own, so counts of what waits may differ from run to run; that they add up may not.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from dataplane import Frames, Pipeline, probe
from dataplane.apps import Counter, Sink
from dataplane.byhand import receive, send

FRAME = b"\xff" * 6 + b"\x02" + bytes(5) + b"\x88\xb5" + bytes(46)
SHORT = bytes(10)  # no chip sends it

WIRES = {
    "plain": ("model0,wire=model2", "model2"),
    "losing": ("model0,wire=model2,elastic=off", "model2,rx_desc=64"),
    "delayed": ("model0,wire=model2,delay=2ms,loss=10%", "model2"),
    "itself": ("model0,wire=loop", None),
    "one card": ("model0", "model1"),
    "captures": ("model0,wire=pcap:{tmp}/in.pcap>{tmp}/out.pcap", None),
    "no wire": ("model0,wire=none", None),
    "null": ("null:", "null:size=100"),
    "ring": ("ring:a>b", "ring:b>a"),
    "ring, unread": ("ring:a>b", None),
    "file": ("pcap:>{tmp}/out.pcap", "pcap:{tmp}/in.pcap"),
}


@pytest.fixture
def opened(tmp_path):
    """Opens ports; they are closed at the end."""
    with probe(f"pcap:>{tmp_path}/in.pcap") as port:
        Pipeline(Frames([FRAME] * 50) >> port.tx(0)).run()
    with ExitStack() as stack:
        yield lambda text: stack.enter_context(probe(text.format(tmp=tmp_path)))


def balanced(report):
    """Asserts that each port of a report balances, and that the run does."""
    assert report.balance.missing == 0
    for name, port in report.port_balances.items():
        assert port.exact, name
        assert (port.rx_missing, port.tx_missing) == (0, 0), (name, port)
    assert sum(report.held.values()) == report.balance.held
    assert sum(report.drops.values()) == report.balance.dropped


@pytest.mark.parametrize("wire", WIRES)
def test_every_kind_of_port_and_wire(opened, wire):
    one, two = WIRES[wire]
    left = opened(one)
    right = opened(two) if two else None
    chains = [Frames([FRAME, SHORT], repeat=300) >> Counter() >> left.tx(0)]
    if right is not None and not one.startswith("pcap"):
        chains.append(Frames([FRAME], repeat=100) >> right.tx(0))
    if wire in ("itself", "captures", "one card", "plain", "losing", "null"):
        chains.append(left.rx(0) >> Sink())
    if right is not None:
        right.rx(0)  # set up; only some wires have it polled
    if wire in ("delayed", "ring", "file", "null"):
        chains.append(right.rx(0) >> Sink())
    report = Pipeline(*chains).run(seconds=0.1)
    balanced(report)
    port = report.port_balances[left.name]
    assert port.taken > 0
    assert report.balance.sent == sum(each.sent for each in report.port_balances.values())


def test_frames_for_a_link_that_is_down_are_named(opened):
    port = opened("model0,wire=none")
    pipeline = Pipeline(Frames([FRAME], repeat=100) >> port.tx(0))
    report = pipeline.run(seconds=0.2)
    balanced(report)
    assert "lost by model0,wire=none, whose link was down: 100" in pipeline.explain()
    assert report.drops == {"model0,wire=none.link_down": 100}
    assert report.balance.sent == 0 and report.balance.dropped == 100
    assert port.xstats()["tx_link_down_packets"] == 100
    assert "dropped by model0,wire=none.link_down: 100" in str(report)


def test_packets_in_tx_descriptors_of_a_port_that_runs_on_are_held(opened):
    port = opened("model0,wire=none")
    port.tx(0)
    port.start()
    report = Pipeline(Frames([FRAME], repeat=100) >> port.tx(0)).run(seconds=0.2)
    assert report.held == {"model0,wire=none.tx_waiting": 100}
    assert (report.balance.sent, report.balance.held, report.drops) == (0, 100, {})
    assert port.waiting() == (0, 100)
    assert not report.port_balances[port.name].exact  # others could have used it meanwhile
    port.stop()
    assert port.waiting() == (0, 0) and port.xstats()["tx_link_down_packets"] == 100


def test_packets_that_nobody_takes_from_rx_descriptors_are_counted(opened):
    left, right = opened("model0,wire=model2"), opened("model2")
    right.rx(0)
    report = Pipeline(Frames([FRAME], repeat=100) >> left.tx(0), Frames([FRAME]) >> right.tx(0)).run(
        seconds=0.2
    )
    balanced(report)
    port = report.port_balances["model2"]
    assert (port.arrived, port.received, port.rx_waiting) == (100, 0, 100)
    assert report.ports["model2"]["rx_untaken_packets"] == 100


def test_a_receiver_that_takes_nothing_leaves_packets_in_the_sender(opened):
    """The packet buffer of 512 KiB is full, the wire is elastic, so the sender's descriptors stay."""
    left, right = opened("model0,wire=model2"), opened("model2,rx_desc=64")
    right.rx(0)
    big = FRAME + bytes(1440)
    report = Pipeline(Frames([big], repeat=None) >> left.tx(0), Frames([FRAME]) >> right.tx(0)).run(
        seconds=0.3
    )
    balanced(report)
    assert report.held["model0,wire=model2.tx_waiting"] == report.port_balances[left.name].tx_waiting > 0
    assert report.ports[left.name]["tx_link_down_packets"] == 0


@pytest.mark.parametrize("link", ["up", "down"])
def test_a_vf(opened, link):
    pf = opened("model0,vfs=2,wire=loop")
    pf.rx(0), pf.tx(0)
    pf.start()
    one, two = opened("model0.vf0"), opened("model0.vf1")
    two.rx(0)
    addresses = [bytes.fromhex(port.mac.replace(":", "")) for port in (two, one)]
    there, back = b"".join(addresses) + FRAME[12:], b"".join(reversed(addresses)) + FRAME[12:]
    for port in (one, two):
        port.tx(0)
        port.start()
        port.wait_link()
        port.stop()
    if link == "down":
        pf.vfs.set(0, state="disable")
    report = Pipeline(Frames([there], repeat=100) >> one.tx(0), Frames([back]) >> two.tx(0)).run()
    balanced(report)
    assert report.port_balances["model0.vf1"].arrived == (100 if link == "up" else 0)


def test_packets_moved_by_hand_belong_to_nobody_else(opened):
    left, right = opened("model0,wire=model2"), opened("model2")
    right.rx(0), right.tx(0), left.rx(0), left.tx(0)
    with Pipeline(Frames([FRAME], repeat=50) >> left.tx(0), Frames([FRAME]) >> right.tx(0)).stepper() as run:
        run.step(64)
        deadline = time.monotonic() + 5
        got = []
        while len(got) < 50 and time.monotonic() < deadline:
            got += receive(right.rx(0), 50)
    report = run.report
    balanced(report)
    assert report.port_balances["model2"].received == 50


def test_a_port_that_was_used_before_begins_with_what_waits_there(opened):
    left = opened("model0,wire=none")
    left.tx(0)
    left.start()
    assert send(left.tx(0), [FRAME] * 7) == 7
    report = Pipeline(Frames([FRAME], repeat=5) >> left.tx(0)).run()
    port = report.port_balances[left.name]
    assert (port.taken, port.tx_waiting, port.tx_missing) == (5, 5, 0)


def test_a_port_that_left_a_run_is_in_its_report(opened):
    old, new = opened("model0,wire=none"), opened("null:")
    frames = Frames([FRAME], repeat=None)
    counter = Counter()
    with Pipeline(Frames([FRAME], repeat=40) >> old.tx(0), frames >> counter >> new.tx(0)).start() as run:
        run.wait(0.1)
        run.replace(Pipeline(frames >> counter >> new.tx(0)))
        run.wait(0.05)
        report = run.stop()
    balanced(report)
    assert report.port_balances[old.name].link_down == 40
    assert report.drops[f"{old.name}.link_down"] == 40
