# SPDX-License-Identifier: BSD-3-Clause
"""A thousand resets of VFs and a hundred of the PF under traffic: every port recovers, and none gets another's frames.

The card is stepped, so seconds are those of its clock. Traffic goes on during every wait, and resets happen in waits.
Meanwhile threads call every query of the PF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import cycle
from random import Random

import pytest

from dataplane import pmd
from dataplane.pmd.datasheet import PFMBICR, PVFMAILBOX
from dataplane.pmd.ixgbe.errors import PfNotUp
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.pmd.model.fault import plug, unplug
from tests.pmd.hostile.members import Ledger, Member
from tests.pmd.hostile.onlookers import onlookers
from tests.pmd.hostile.siege import without_threads

VFS = 8
BACK = 1.0  # seconds
BETWEEN = 5e-3
LATE = 0.5  # what a frame may be under way: others' accesses move the clock


class Storm:
    """model0 with VFs, model1 at the far end, all of them talking to each other."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._stack.enter_context(without_threads())
        self.ledger = Ledger()
        self.members: list[Member] = []
        self.dice = Random(82599)
        self.lose = 0.0  # probability that a message in a mailbox is lost, at each round of traffic
        self.slowest = 0.0
        self.seen: dict[str, dict[str, int]] = {}
        try:
            self.pf = self._member("model0", f"model0,manner=strict,thread=off,vfs={VFS}")
            self.far = self._member("model1", "model1,promiscuous=on")
            self.vfs = [self._member(f"vf{n}", f"model0.vf{n}") for n in range(VFS)]
        except BaseException:
            self._stack.close()
            raise
        self.chip = self.pf.port.function.chip  # type: ignore[attr-defined]
        self.host = self.pf.port.host  # type: ignore[attr-defined]
        self.card = self.chip.card
        self.ledger.uplinks = self.pf, self.far
        self.turns = cycle(self.members)
        self.ready = set(self.members)
        for member in self.members:
            member.port.wait_link(5.0)
        self._stack.callback(self.card.accompany(self.traffic))
        self._stack.enter_context(onlookers(self.pf.port, 0))  # type: ignore[arg-type]

    def _member(self, name: str, text: str) -> Member:
        member = Member(name, len(self.members))
        port = pmd.probe(text)
        self._stack.callback(member.close)
        if isinstance(port, IxgbePort):
            self._stack.callback(port.close, force=True)
        member.use(port, fenced=False)
        self.members.append(member)
        return member

    # ---- traffic ------------------------------------------------------------------------------------------------

    def traffic(self) -> None:
        """Members that are up send to others that are up; all receive."""
        now = self.card.now()
        for _ in range(3):
            origin, to = next(self.turns), self.dice.choice(self.members)
            if origin is not to and {origin, to} <= self.ready:
                self.ledger.send(origin, [to], now, size=60 + self.dice.randrange(400))
        self.card.step(4)
        for member in self.members:
            self.ledger.receive(member, now)
        if self.lose and self.dice.random() < self.lose:
            self._lose_a_message()

    def _lose_a_message(self) -> None:
        """Delete a message of a VF, or one of the PF to a VF, before it is read."""
        vf = self.dice.randrange(VFS)
        if self.dice.random() < 0.5:
            self.chip.poke(PFMBICR[0].offset, self.chip.peek(PFMBICR[0].offset) & ~(1 << vf))
        else:
            at = PVFMAILBOX[vf].offset
            self.chip.poke(at, self.chip.peek(at) & ~PVFMAILBOX[0].PFSTS.mask)

    def wait(self, seconds: float = BETWEEN) -> None:
        until = self.card.now() + seconds
        while self.card.now() < until:
            self.card.sleep(500e-6)
            for member in self.vfs:
                with suppress(PfNotUp):
                    member.port.watch()  # type: ignore[attr-defined]
        self.ledger.settle(self.card.now(), LATE)
        self._counters_grow()

    def _counters_grow(self) -> None:
        for member in self.members:
            now = member.port.xstats()
            for name, value in self.seen.get(member.name, {}).items():
                assert now[name] >= value, f"{member.name}: {name} went from {value} to {now[name]}"
            self.seen[member.name] = now

    # ---- resets -------------------------------------------------------------------------------------------------

    def reset(self, members: list[Member], how: Callable[[], object]) -> None:
        """Do it, and see how long these members take until they are back, and get and send frames again."""
        began = self.card.now()
        self.ready -= {*members}
        for member in members:
            self.ledger.excuse(member)
        how()
        while not all(self._is_back(member) for member in members):
            assert self.card.now() - began < BACK, (
                f"{[m.name for m in members if not self._is_back(m)]} not back after a second"
            )
            self.wait(500e-6)
        self.slowest = max(self.slowest, self.card.now() - began)
        self.ready |= {*members}

    def _is_back(self, member: Member) -> bool:
        port = member.port
        if isinstance(port, IxgbeVfPort):
            state = self.host.table.vfs[
                member.number - 2
            ]  # it may not know yet that it was reset: the PF does
            agreed = state.active and state.clear_to_send and not port._was_reset()
            return agreed and port.link.up and port._running
        return port.started and port.link.up

    def end(self) -> None:
        self.wait(0.05)
        assert self.ledger.arrived > 0.9 * self.ledger.sent - 16 * VFS
        for member in self.members:
            member.unharmed()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def storm() -> Iterator[Storm]:
    made = Storm()
    yield made
    made.close()


def ways(storm: Storm, member: Member) -> list[Callable[[], object]]:
    """The ways to reset a VF: by its driver, its host, its administrator; or by opening its port again."""
    port = member.port
    assert isinstance(port, IxgbeVfPort)
    number = member.number - 2

    def restart() -> None:
        port.stop()
        storm.wait(1e-3)
        port.start()

    def reopen() -> None:
        port.close()
        storm.seen.pop(member.name, None)  # another port counts from 0
        member.use(pmd.probe(f"model0.vf{number}"), fenced=False)

    def decide() -> None:
        trusted = storm.host.table.vfs[number].settings.trust
        storm.host.set(number, {"trust": "off" if trusted else "on"})
        storm.wait(2e-3)

    return [port.recover, port.function.reset, restart, reopen, decide]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("resets", [80, pytest.param(1000, marks=pytest.mark.slow)])
def test_resets_of_vfs(storm: Storm, resets: int) -> None:
    """Under traffic of all others, and in the second half while one mailbox message in a few is lost."""
    for n in range(resets):
        storm.lose = 0.02 if n >= resets // 2 else 0.0
        member = storm.vfs[n % VFS]
        storm.reset([member], storm.dice.choice(ways(storm, member)))
        storm.wait(1e-3)
    storm.lose = 0.0
    storm.end()
    print(f"{storm.ledger.sent:,} frames; the slowest was back after {storm.slowest * 1e3:.0f} ms")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("resets", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_resets_of_the_pf(storm: Storm, resets: int) -> None:
    """Stopped and started; every other time its link has been down, too."""
    pf = storm.pf.port

    def restart() -> None:
        pf.stop()
        pf.start()

    def flap() -> None:
        unplug(storm.card)
        restart()
        storm.wait(0.01)
        plug(storm.card)

    for n in range(resets):
        before = [member.port.recoveries for member in storm.vfs]  # type: ignore[attr-defined]
        storm.reset([storm.pf, *storm.vfs, storm.far], flap if n % 2 else restart)
        after = [member.port.recoveries for member in storm.vfs]  # type: ignore[attr-defined]
        assert all(now > then for now, then in zip(after, before, strict=True))
        storm.wait()
    storm.end()
    print(f"{storm.ledger.sent:,} frames; the slowest was back after {storm.slowest * 1e3:.0f} ms")


def test_a_link_that_flaps(storm: Storm) -> None:
    """Fifty times: VFs see the link go and come, and need no new start."""

    def flap() -> None:
        unplug(storm.card)
        storm.wait(0.1)
        assert not any(member.port.link.up for member in storm.vfs)
        plug(storm.card)

    for _ in range(50):
        storm.reset(storm.members, flap)
        storm.wait()
    assert [member.port.recoveries for member in storm.vfs] == [0] * VFS  # type: ignore[attr-defined]
    storm.end()
