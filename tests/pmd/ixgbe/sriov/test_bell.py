# SPDX-License-Identifier: BSD-3-Clause
"""What wakes the PF's service of VFs: interrupts where there are some, else a timer; and what idling costs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stopwatch import Stopwatch, once_below

from dataplane import pmd
from dataplane.pmd.bus.model import ModelFunction
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.sriov import service
from dataplane.pmd.ixgbe.sriov.bell import Bell
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.fault import plug, unplug
from tests.pmd.ixgbe.fleet import until

# A machine whose host gives its time to others gets `stopwatch.PATIENCE`, more than once.
pytestmark = pytest.mark.timeout(400)

FOR_EVER = 30.0  # seconds: a reply that comes sooner was woken


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service looks by itself once in half a minute."""
    monkeypatch.setattr(service, "LISTEN", FOR_EVER)


@pytest.fixture
def ports() -> Iterator[tuple[IxgbePort, IxgbeVfPort]]:
    with pmd.probe("model0,manner=strict,vfs=1") as pf:
        assert isinstance(pf, IxgbePort)
        pf.start()
        with pmd.probe("model0.vf0") as vf:
            assert isinstance(vf, IxgbeVfPort)
            yield pf, vf


def rings(pf: IxgbePort) -> bool:
    assert pf.host is not None
    assert pf.host.service.bell is not None
    return pf.host.service.bell.rings


def test_messages_resets_links_and_settings_wake_the_service(
    deaf: None, ports: tuple[IxgbePort, IxgbeVfPort]
) -> None:
    pf, vf = ports
    assert rings(pf)
    assert pf.host is not None
    table = pf.host.table
    for n in range(50):
        (vf.vlans.remove if n % 2 else vf.vlans.add)(5)
    assert vf.session.repeated == 0
    vf.tx(0)
    vf.start()
    vf.wait_link(FOR_EVER / 3)
    until(lambda: table.speed == 10_000)
    unplug(pf.function.card)  # type: ignore[attr-defined]
    until(lambda: table.speed == 0)
    plug(pf.function.card)  # type: ignore[attr-defined]
    until(lambda: table.speed == 10_000)
    resets = table.vfs[0].resets
    vf.function.reset()
    until(lambda: table.vfs[0].resets > resets)
    until(lambda: vf.link.up)
    recoveries = vf.recoveries
    pf.vfs.set(0, vlan=7)
    until(lambda: vf.recoveries > recoveries and vf.link.up)


def test_a_bus_without_interrupts_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ModelFunction, "vectors", property(lambda self: 0))
    with pmd.probe("model0,manner=strict,vfs=1") as pf:
        pf.start()
        assert isinstance(pf, IxgbePort)
        assert not rings(pf)
        with pmd.probe("model0.vf0") as vf:
            vf.vlans.add(5)


def test_interrupts_that_never_arrive_are_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a host whose interrupt remapping is broken. VFs are served late at first, and then as without interrupts."""
    monkeypatch.setattr(ModelFunction, "interrupt", lambda self, vector, eventfd: None)
    with pmd.probe("model0,manner=strict,vfs=1") as pf:
        pf.start()
        assert isinstance(pf, IxgbePort)
        with pmd.probe("model0.vf0") as vf:
            for n in range(5):
                (vf.vlans.remove if n % 2 else vf.vlans.add)(5)
            assert not rings(pf)
    assert caplog.text.count("interrupts of its VFs' messages do not arrive: they are polled") == 1


def test_a_round_trip_is_short_and_idling_costs_little(ports: tuple[IxgbePort, IxgbeVfPort]) -> None:
    """The best of many, without the time that our threads wait for a CPU: other work of the machine delays most of them.

    A service that polls takes longer each time, and is woken more often than 20 times a second. How often it is woken is its
    own doing; how much of a CPU that takes is the machine's, too.
    """
    _, vf = ports

    def ask() -> float:
        watch = Stopwatch()
        (vf.vlans.add if time.monotonic() % 2 < 1 else vf.vlans.remove)(5)
        return watch.own

    once_below(200e-6, ask)
    (thread,) = (each for each in threading.enumerate() if each.name == "model0-vfs")
    status = Path(f"/proc/self/task/{thread.native_id}/status")

    def slept() -> int:
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("voluntary_ctxt"))
        return int(line.split()[1])

    def wakes() -> float:
        """A second."""
        before, began = slept(), time.monotonic()
        time.sleep(1)
        return (slept() - before) / (time.monotonic() - began)

    once_below(30, wakes)


def eventfds() -> int:
    return sum("[eventfd]" in os.path.realpath(each) for each in Path("/proc/self/fd").iterdir())


def test_its_descriptor_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Armed twice, forgotten while it is armed, or half made."""
    monkeypatch.setattr(ModelFunction, "vectors", property(lambda self: 0))
    before = eventfds()
    with Card() as card, ModelFunction(card) as function:
        bell = Bell(function, function.bar(0))
        bell.arm()
        bell.arm()
        assert eventfds() == before + 1
        bell = Bell.__new__(Bell)
        with pytest.raises(AttributeError):
            bell.arm()
        del bell
        assert eventfds() == before
