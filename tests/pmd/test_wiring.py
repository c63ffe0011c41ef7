# SPDX-License-Identifier: BSD-3-Clause
"""Wires in port strings: what is sent at one end arrives at the other, and a wire goes with the port that named it."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest

from dataplane import Pipeline
from dataplane.apps import Sink
from dataplane.byhand import receive, send
from dataplane.errors import ConfigError, PcapError
from dataplane.files.pcapfile import PcapReader
from dataplane.pmd import probe
from dataplane.pmd.model.card import get_card
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.port import Port

FRAMES = [b"\xff" * 6 + bytes([2, 0, 0, 0, 0, 9, 8, 0, number]) + bytes(45) for number in range(100)]


def crossing(near: Port, far: Port, expected: int = 100) -> list[bytes]:
    """The frames that arrive at `far` when `near` sends FRAMES."""
    rx, tx = far.rx(0), near.tx(0)
    for port in (near, far):
        port.start()
    for port in (near, far):
        assert port.wait_link(5).up
    assert send(tx, FRAMES, near.mempool, timeout=5) == len(FRAMES)
    got: list[bytes] = []
    deadline = time.monotonic() + 5
    while len(got) < expected and time.monotonic() < deadline:
        got += receive(rx, 64, timeout=0.05)
    for port in (near, far):
        port.stop()
    return got


@pytest.mark.parametrize("far", ["model1", "model2"], ids=["one card", "two cards"])
@pytest.mark.parametrize("options", ["", ",delay=200us,rate=10gbps", ",elastic=off"])
def test_frames_cross(far: str, options: str) -> None:
    with probe(f"model0,wire={far}{options}") as left, probe(far) as right:
        assert crossing(left, right) == FRAMES
    gc.collect()


def test_a_wire_works_both_ways() -> None:
    with probe("model0,wire=model2") as left, probe("model2") as right:
        assert crossing(right, left) == FRAMES


def test_loss_is_of_the_wire_and_drawn_from_the_seed() -> None:
    got = []
    for _ in range(2):
        with probe("model0,wire=model2,loss=50%,seed=7") as left, probe("model2") as right:
            got.append(crossing(left, right, expected=101 - 50))
    assert 25 < len(got[0]) < 75
    assert got[0][:40] == got[1][:40]


def test_a_wire_goes_with_its_port() -> None:
    far = probe("model2")
    for _ in range(2):
        with probe("model0,wire=model2"):
            assert get_card(1).ports[0].engine.wire is not None
        assert get_card(1).ports[0].engine.wire is None
    far.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model0,wire=eth0", "name what is at the other end"),
        ("model0,wire=model0", "to itself"),
        ("model0,wire=pcap:", "names no file"),
        ("model0,wire=pcap:x>", "names no file"),
        ("model0,wire=model2,timing=on", "no option 'timing'"),
        ("model0,wire=model2,loss=2", "expected a percentage, as in loss=0.1%"),
        ("model0,wire=model2,loss=101%", "expected a percentage, as in loss=0.1%"),
        ("model0,wire=model2,corrupt=much", "expected a percentage, as in corrupt=0.1%"),
        ("model0,wire=model2,delay=1", "expected a time with its unit, as in delay=1ms"),
        ("model0,wire=model2,delay=-1ms", "expected a time with its unit, as in delay=1ms"),
        ("model0,wire=model2,delay=90s", "expected 0 to 60 s"),
        ("model0,wire=model2,jitter=1us", "a frame would arrive before it was sent"),
        ("model0,wire=model2,delay=1us,jitter=2us", "a frame would arrive before it was sent"),
        ("model0,wire=model2,delay=1us,distribution=normal", "give jitter="),
        ("model0,wire=model2,delay=1us,jitter=1us,distribution=pareto", "one of uniform, normal"),
        ("model0,wire=model2,reorder=5%", "reorder needs a delay"),
        ("model0,wire=model2,rate=fast", "as in rate=1gbit"),
        ("model0,wire=model2,rate=0bit", "carries nothing"),
        ("model0,wire=model2,limit=10", "limit=10 needs a rate or a delay"),
        ("model0,wire=model2,rate=1gbit,limit=0", "expected 1 to 1000000 frames"),
        ("model0,wire=model2,seed=-1", "seed=-1: expected 0 to"),
        ("model0,wire=loop,loss=2", "expected a percentage"),
        ("model0,wire=pcap:x,elastic=off", "elastic=off needs timing=on"),
        ("model0,loss=0.1", "no option 'loss'"),
    ],
)
def test_wires_that_are_none(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        probe(text)
    with probe("model0,wire=none"):  # nothing of the failed one is left
        assert get_card(0).ports[0].engine.wire is None


def test_the_words_of_netem() -> None:
    words = "loss=0.1%,corrupt=0.5,duplicate=2%,reorder=25%,delay=1.5ms,jitter=100us,distribution=normal"
    with probe(f"model0,wire=model2,{words},rate=1gbps,limit=1000,seed=9,elastic=off") as port:
        wire = get_card(0).ports[0].engine.wire
        assert wire is not None
        assert wire.flights[0].netem == Netem(
            0.001, 0.5, 0.02, 0.25, 1_500_000, 100_000, "normal", 1e9, 1000, 9
        )
        assert port.wire == (
            "to model2, losing, loss 0.1%, corrupt 50%, duplicate 2%, reorder 25%, delay 1.5ms, jitter 100us normal, "
            "rate 1gbit, limit 1000, seed 9"
        )
    for rate in ("1000mbit", "1000000kbps", "1GBIT", "1000000000bit"):
        with probe(f"model0,wire=loop,rate={rate}") as port:
            assert port.wire == "to itself, elastic, rate 1gbit"
    with probe("model0,wire=model2,seed=9") as port:  # nothing to draw: as without it
        assert port.wire == "to model2, elastic"


def test_explain_says_which_wires_there_are() -> None:
    with probe("model0,wire=model2,elastic=off") as near, probe("model2") as far:
        lines = Pipeline(near.rx(0) >> Sink(), far.rx(0) >> Sink()).explain().splitlines()
    assert lines[-2:] == [
        "wire of model0,wire=model2,elastic=off: to model2, losing",
        "wire of model2: to model0, losing",
    ]


def test_a_port_has_one_wire() -> None:
    with probe("model0,wire=model2"), pytest.raises(ConfigError, match="model2 has a wire already"):
        probe("model1,wire=model2")


def test_a_wire_records_and_plays(tmp_path: Path) -> None:
    file = tmp_path / "wire.pcap"
    with probe(f"model0,wire=pcap:>{file}") as port:
        tx = port.tx(0)
        port.start()
        assert port.wait_link(5).up
        assert send(tx, FRAMES, port.mempool, timeout=5) == len(FRAMES)
        port.stop()  # sends what its queues hold
    assert [record.data for record in PcapReader(file)] == FRAMES
    # It plays from the moment it is plugged in, and what comes before the port receives is lost, as on any wire.
    with probe(f"model0,wire=pcap:{file},loops=0") as port:
        rx = port.rx(0)
        port.promiscuous = True
        port.start()
        got: list[bytes] = []
        deadline = time.monotonic() + 5
        while len(got) < 200 and time.monotonic() < deadline:
            got += receive(rx, 64, timeout=0.05)
        port.stop()
    first = FRAMES.index(got[0])
    assert got[:200] == (FRAMES * 3)[first : first + 200]


def test_a_recording_that_cannot_be_finished_is_told() -> None:
    port = probe("model0,wire=pcap:>/dev/full")
    tx = port.tx(0)
    port.start()
    assert port.wait_link(5).up
    send(tx, FRAMES, port.mempool, timeout=5)
    with pytest.raises(PcapError, match="/dev/full"):
        port.close()
    with probe("model0,wire=none"):  # the port is free nevertheless
        assert get_card(0).ports[0].engine.wire is None
