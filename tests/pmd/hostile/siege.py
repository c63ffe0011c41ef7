# SPDX-License-Identifier: BSD-3-Clause
"""A stepped card with one hostile VF; its PF, honest VFs and the far end of the wire are driven by our drivers, and watched.

Nothing here depends on real time or on threads, so a run is the same whenever its seed is: the card's clock moves only in
`step` and with each register access; the PF's service and the honest VFs' checks of their PF run in `step`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from unittest.mock import patch

from dataplane import pmd
from dataplane.byhand import send
from dataplane.errors import DatasheetViolation
from dataplane.pmd.bus.model_vf import ModelVfFunction
from dataplane.pmd.datasheet import PFMBMEM, PFVFSPOOF, QDE, VMOLR, VMVIR
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from tests.pmd.hostile.members import ETYPE, Ledger, Member
from tests.pmd.hostile.onlookers import onlookers

__all__ = ["HOSTILE", "Siege", "without_threads"]

HOSTILE, NOBODY = 0, 3  # numbers of the hostile VF and of one without a driver
SEEN = 0xE7E7_E7E7  # content of the mailboxes of VFs without a driver
STEP_SECONDS = 100e-6  # seconds by the card's clock
PATIENCE = 5e-3  # and how long a frame of an honest one may be under way


class _NoWatch:
    """In the place of a thread that reads counters now and then, which would move the card's clock."""

    def __init__(self, *args: object) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@contextmanager
def without_threads() -> Iterator[None]:
    """Ports do not read counters or check their PF by themselves: the test calls `poll_stats` and `watch`."""
    with (
        patch("dataplane.pmd.ixgbe.common.Watch", _NoWatch),
        patch.object(IxgbeVfPort, "_watch_pf", lambda port: None),
    ):
        yield


class Siege:
    """`vfs` VFs of model0: VF 0 is hostile, VFs 1 and 2 are honest, the rest have no driver. model1 is the far end.

    threaded: the card and the PF's service run in threads after all, so that a race is one. policy: about the hostile VF.
    """

    def __init__(
        self,
        vfs: int = 4,
        honest: int = 2,
        *,
        threaded: bool = False,
        manner: str = "lenient",
        policy: dict[str, str] | None = None,
    ) -> None:
        self.patience = 100 * PATIENCE if threaded else PATIENCE
        self._stack = ExitStack()
        self._stack.enter_context(without_threads())
        try:
            self._open(vfs, honest, f"manner={manner},thread={'on' if threaded else 'off'}")
            self.host.set(HOSTILE, policy or {})
            self.ledger.replays = (policy or {}).get("spoofchk") == "off"
            self._policy = self._ruled()
        except BaseException:
            self._stack.close()
            raise

    def _open(self, vfs: int, honest: int, card: str) -> None:
        self.ledger = Ledger()
        self.members: list[Member] = []
        self.pf = self._member("model0", f"model0,{card},vfs={vfs}")
        self.far = self._member("model1", "model1,promiscuous=on")
        self.vfs = [self._member(f"vf{n}", f"model0.vf{n}") for n in range(1, 1 + honest)]
        port = self.pf.port
        assert isinstance(port, IxgbePort) and port.host is not None
        self.host, self.chip = port.host, port.function.chip  # type: ignore[attr-defined]
        self.card = self.chip.card
        for member in self.members:
            member.port.wait_link(5.0)
        self.function = ModelVfFunction(self.card, 0, HOSTILE)
        self._stack.callback(self.function.close)
        self.state = self.host.table.vfs[HOSTILE]
        self.steps = 0
        self.longest_round = 0.0  # seconds by the card's clock
        self.longest_answer = 0.0
        self._serve = self.host.service.round
        self.host.service.round = self._timed_round  # type: ignore[method-assign]
        for v in range(1 + honest, vfs):
            for n in range(16):
                self.chip.poke(PFMBMEM[v, n].offset, SEEN)
        self.routes = self._routes()

    def _member(self, name: str, text: str) -> Member:
        member = Member(name, len(self.members))
        port = pmd.probe(text)
        assert isinstance(port, IxgbeBase)
        # A PF that members' VFs and the hostile one use does not go by itself.
        self._stack.callback(member.close)
        if isinstance(port, IxgbePort):
            self._stack.callback(port.close, force=True)
        member.use(port)
        self.members.append(member)
        return member

    def _routes(self) -> list[tuple[Member, list[Member]]]:
        """Who sends to whom, in turn."""
        one, two = self.vfs[:2]
        pf, far = self.pf, self.far
        return [
            (one, [two]), (two, [one]), (one, [far]), (far, [two]), (pf, [one]), (two, [pf]), (far, [one]), (two, [far]),
            (one, [pf, two, far]), (far, [pf, one, two]),
        ]  # fmt: skip

    # ---- time ---------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Members send and receive, the card and the PF's service run, each honest VF checks its PF."""
        try:
            self._step()
        except DatasheetViolation as violation:  # of a strict card: none of these has done anything wrong
            raise AssertionError(f"an honest function is blamed: {violation}") from violation

    def _step(self) -> None:
        self.steps += 1
        origin, to = self.routes[self.steps % len(self.routes)]
        sent = self.ledger.send(origin, to, self.card.now(), size=60 + 40 * (self.steps % 7))
        assert sent, f"{origin.name} has no room to send: its ring does not move"
        # And something for the hostile one, so that its Rx rings are used, too.
        bait = (self.state.mac or self.state.own_mac) + self.far.mac + ETYPE + b"*" * (60 + self.steps % 1400)
        send(self.far.port.tx(0), [bait] * 2)
        self.run(2)
        self.card.sleep(STEP_SECONDS)
        self.take()
        if self.steps % 64 == 0:
            for member in self.vfs:
                member.port.watch()  # type: ignore[attr-defined]
            self.ledger.settle(self.card.now(), self.patience)
        if self.steps % 512 == 0:
            self._ask()

    def run(self, steps: int) -> None:
        """The card alone, a little at a time: no ring of an honest one runs over meanwhile."""
        for _ in range(steps):
            self.card.step(4)
            self.take()

    def take(self) -> None:
        """Every member receives."""
        now = self.card.now()
        for member in self.members:
            self.ledger.receive(member, now)

    def watched(self) -> AbstractContextManager[dict[str, int]]:
        """Other threads read the PF all the time, and change the settings of a VF without a driver."""
        assert isinstance(self.pf.port, IxgbePort)
        self.patience = max(self.patience, 100 * PATIENCE)  # their accesses move the card's clock
        return onlookers(self.pf.port, NOBODY)

    def _timed_round(self) -> int:
        began = self.card.now()
        taken = self._serve()
        self.longest_round = max(self.longest_round, self.card.now() - began)
        return taken

    def _ask(self) -> None:
        """An honest VF has a wish, and it is granted soon."""
        port = self.vfs[self.steps // 512 % 2].port
        began = self.card.now()
        change = port.vlans.add if self.steps // 2048 % 2 else port.vlans.remove
        change(100 + self.steps // 1024 % 2)
        self.longest_answer = max(self.longest_answer, self.card.now() - began)

    # ---- what must be as it was -----------------------------------------------------------------------------------

    def audit(self) -> None:
        """AssertionError if the hostile VF has harmed another function."""
        for member in self.members:
            member.unharmed()
        for member in self.vfs:
            assert member.port.link.up, f"{member.name} has lost its link"
            assert member.port.recoveries == 0, f"{member.name} had to begin anew"  # type: ignore[attr-defined]
        assert self._ruled() == self._policy, "registers of others have changed"
        service = self.host.service
        assert not service._end.is_set(), "the PF serves its VFs no longer"
        assert (service.trouble, service.stalls) == ("", 0), (
            "nothing that a VF does is an error of the service"
        )

    def _ruled(self) -> dict[str, list[object]]:
        """What a VF may not change: the policy about it, addresses, queues' drop bits, and everything of others."""
        table, chip = self.host.table, self.chip
        drops = []
        for queue in range(128):
            self.pf.port.bar.write(QDE, QDE.pack(QUEUE=queue, RE=1))  # type: ignore[attr-defined]
            drops.append(self.pf.port.bar.get(QDE.QDE))  # type: ignore[attr-defined]
        return {
            "spoof": [chip.peek(register.offset) for register in PFVFSPOOF],
            "tags": [chip.peek(register.offset) for register in VMVIR],
            "modes": [chip.peek(VMOLR[n].offset) for n in range(64) if n != HOSTILE],
            "addresses": [
                (member.mac, table.filters.addresses.owners(member.mac)) for member in [self.pf, *self.vfs]
            ],
            "drops": drops,
            "settings": [str(state.settings) for state in table.vfs if state.number != NOBODY],
            "in use": [state.active for state in table.vfs if state.number != HOSTILE],
        }

    def end(self) -> None:
        """Let what is under way arrive, and look at everything once more."""
        for _ in range(64):
            self.run(4)
            self.card.sleep(STEP_SECONDS)
        self.take()
        self.ledger.settle(self.card.now() + self.patience, self.patience)
        self.audit()

    def close(self) -> None:
        self._stack.close()
