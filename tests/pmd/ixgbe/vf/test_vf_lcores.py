# SPDX-License-Identifier: BSD-3-Clause
"""VFs that lcores poll, whatever happens to them and their PF meanwhile: packets flow again, and nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dataplane import Pipeline
from dataplane.apps import Latency, PktGen, Sink
from dataplane.engine.running import start
from dataplane.pmd.datasheet.vf import VFMAILBOX, VFMBMEM, VFTDT
from dataplane.pmd.model.fault import plug, unplug
from tests.pmd.ixgbe.fleet import Fleet, fleet, until


class Flow:
    """VF 0 sends to VF 1, each on an lcore, all the time."""

    def __init__(self, made: Fleet, rate: str = "10 kpps") -> None:
        self.made = made
        self.a, self.b = made.open(0, 1, desc=512)
        until(lambda: self.a.link.up and self.b.link.up)
        frame = Ether(src=self.a.mac, dst=self.b.mac) / IP() / UDP()
        self.generator, self.meter = PktGen(frame, rate=rate, stamp=True), Latency()

    @contextmanager
    def running(self) -> Iterator[None]:
        """At the end: what arrived is what was sent, each once; and the lcores ended well."""
        with start(
            Pipeline(self.generator >> self.a.tx(0), name="a"),
            Pipeline(self.b.rx(0) >> self.meter >> Sink(), name="b"),
            lcores=(None, None),
        ) as run:
            self.flows()
            yield
            self.flows()
            assert run.running
        summary = self.meter.summary(sent=self.generator.sent)
        assert (summary["foreign"], summary["duplicates"]) == (0, 0)

    def flows(self) -> None:
        """Packets arrive, now."""
        until(lambda: self.a.link.up and self.b.link.up)
        before = self.meter.received
        until(lambda: self.meter.received > before + 100)


def restart(made: Fleet) -> None:
    made.pf.stop()
    made.pf.start()


def host_resets(made: Fleet) -> None:
    for vf in made.vfs.values():
        recoveries = vf.recoveries
        vf.function.reset()
        until(lambda vf=vf, recoveries=recoveries: vf.recoveries > recoveries)


def decide(made: Fleet) -> None:
    made.pf.vfs.set(1, trust=True)
    until(lambda: made.vfs[1].recoveries)


def flap(made: Fleet) -> None:
    unplug(made.pf.function.card)
    until(lambda: not made.vfs[0].link.up)
    plug(made.pf.function.card)


def switched_off(made: Fleet) -> None:
    made.pf.vfs.set(1, state="disable")
    until(lambda: not made.vfs[1].link.up)
    made.pf.vfs.set(1, state="auto")


@pytest.mark.parametrize("trouble", [restart, host_resets, decide, flap, switched_off])
def test_it_goes_on(trouble: Callable[[Fleet], None]) -> None:
    with fleet(3) as made:
        flow = Flow(made)
        with flow.running():
            for _ in range(2 if trouble is not decide else 1):
                trouble(made)
                flow.flows()


def test_queues_go_off_while_their_lcores_are_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tail must not move between a queue's end and the VF's reset: the chip would lose it (4.6.8.1)."""
    moved: list[tuple[int, int]] = []
    with fleet(2) as made:
        flow = Flow(made, "1 Mpps")
        quiet = flow.a.session.quiet

        def watched() -> None:
            before = flow.a.bar.read(VFTDT[0])
            time.sleep(0.02)
            moved.append((before, flow.a.bar.read(VFTDT[0])))
            quiet()

        with flow.running():
            monkeypatch.setattr(flow.a.session, "quiet", watched)
            for _ in range(3):
                flow.a.recover()
                flow.flows()
            monkeypatch.undo()
    assert moved and all(before == after for before, after in moved), moved


def test_a_pf_that_is_taken_away_and_comes_back() -> None:
    """Forced: its VFs see link down, their lcores poll on, and a PF that is opened again finds them."""
    with fleet(2) as made, ExitStack() as later:
        flow = Flow(made)
        with flow.running():
            made.pf.close(force=True)
            until(lambda: not flow.a.link.up and not flow.b.link.up)
            assert "PF is not up" in flow.a.why_no_link()
            later.enter_context(fleet(2, pool=made.pool))
            flow.flows()
            assert flow.a.recoveries == flow.b.recoveries == 1
        flow.a.close(), flow.b.close()


def test_a_flood_of_messages_beside_it() -> None:
    """A third VF does nothing but ask, and the two lose no packet: a ring bears half a second without its lcore."""
    with fleet(3) as made:
        flow = Flow(made, "1 kpps")
        (third,) = made.open(2)
        bar, service = third.session.bar, made.pf.host.service
        third._stop()  # its driver rests: the mailbox is the test's
        third.started = False
        answered = service.messages
        with flow.running():
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
                if bar.read(VFMAILBOX) & VFMAILBOX.VFU.mask:
                    bar.write(VFMBMEM[0], 0x100)
                    bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
                time.sleep(1e-4)
        assert service.messages - answered > 20
        assert flow.meter.summary(sent=flow.generator.sent)["lost"] < 64, "what was under way when it ended"
