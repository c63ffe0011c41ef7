# SPDX-License-Identifier: BSD-3-Clause
"""A second __init__ is refused, and what the first one made goes on: threads, queues and memory would be lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dataplane import Collect, Frames, Pipeline, probe, start
from dataplane.byhand import receive, send
from dataplane.engine.stepper import Stepper
from dataplane.errors import ConfigError
from dataplane.memory.hugepage import Arena
from dataplane.pmd.model.card import Card

FRAME = bytes(12) + b"\x88\xb5" + bytes(46)


def refused(made: Any, *arguments: Any, **options: Any) -> None:
    with pytest.raises(ConfigError, match=rf"this {type(made).__name__} is made already: make another"):
        made.__init__(*arguments, **options)


@pytest.mark.parametrize(("name", "arguments"), [("ring:once", ("x", "x", "x")), ("model0", (None, None))])
def test_a_port_keeps_its_queues_and_threads(name: str, arguments: tuple[str | None, ...]) -> None:
    with probe(name) as port:
        rx, tx = port.rx(0), port.tx(0)
        port.start()
        refused(port, *arguments)
        assert port.started and port.rx(0) is rx and port.tx(0) is tx
    assert port.closed


@pytest.mark.parametrize("arguments", [(), (None,) * 2, (None,) * 3])
@pytest.mark.parametrize("name", ["null:", "ring:again", "pcap:>{}/x.pcap", "model0,vfs=1", "model0.vf0"])
def test_a_port_of_every_kind(name: str, arguments: tuple[None, ...], tmp_path: Path) -> None:
    with probe("model0,vfs=1" if ".vf" in name else "null:") as other:
        other.start()
        with probe(name.format(tmp_path)) as port:
            before = dict(port.__dict__)
            with pytest.raises((ConfigError, TypeError)):  # TypeError: it takes other arguments
                port.__init__(*arguments)  # type: ignore[misc]
            assert port.__dict__ == before


def test_packets_of_a_port_that_was_to_be_made_again_come_back() -> None:
    with probe("ring:mbufs") as port:
        port.rx(0), port.tx(0)
        port.start()
        assert send(port.tx(0), [FRAME] * 5) == 5
        refused(port, "ring:mbufs", "mbufs", "mbufs")
        assert receive(port.rx(0), 5) == [FRAME] * 5


def test_runs_steppers_arenas_and_cards() -> None:
    pipeline = Pipeline(Frames([FRAME], repeat=None) >> Collect())
    with start(pipeline) as run:
        refused(run, [pipeline])
        assert run.running
    with Stepper(Pipeline(Frames([FRAME]) >> Collect())) as stepper:
        refused(stepper)
        assert stepper.step() == 1
    with Arena(4096, hugepages="no") as arena:
        refused(arena, 4096)
    with Card() as card:
        refused(card)
