# SPDX-License-Identifier: BSD-3-Clause
"""Two ports of a stepped, strict card, joined by a wire: PFs and VFs with our drivers; and who should get what.

Each request to a driver also goes to `PoolRules`, which has the chip's rules and uses neither driver nor model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dataplane.byhand import receive, send
from dataplane.mempool import Mempool
from dataplane.pmd.ixgbe.control import call
from tests.pmd.ixgbe.fleet import Fleet, fleet
from tests.pmd.model.pool_rules import UNTAGGED, PoolRules, tag_of
from tests.pmd.model.reference import multicast_hash

SIDES = ("left", "right")
NAMES = {"left": "model0", "right": "model1"}
ETYPE = b"\x88\xb5"


@dataclass(frozen=True)
class Member:
    """A function: `pool` is a VF's number, or that of the PF's pool behind them."""

    side: str
    pool: int
    pf: bool = False

    def __str__(self) -> str:
        return f"{self.side} {'PF' if self.pf else f'VF {self.pool}'}"


@dataclass
class Wishes:
    """Requests of a function, and decisions of its administrator."""

    vlans: tuple[int, ...] = ()
    groups: tuple[str, ...] = ()
    all_groups: bool = False
    promiscuous: bool = False  # PF only
    port_vlan: int = 0


@dataclass
class Town:
    """`ports` and `wishes` of each member; `rules` of each side."""

    fleets: dict[str, Fleet]
    wishes: dict[Member, Wishes]
    ports: dict[Member, Any] = field(default_factory=dict)
    rules: dict[str, PoolRules] = field(default_factory=dict)

    def settle(self) -> None:
        """Have the drivers ask for everything, and write the rules down from what was asked."""
        for side in SIDES:
            made = self.fleets[side]
            vfs = [member for member in self.wishes if member.side == side and not member.pf]
            for member in vfs:
                wish, settings = self.wishes[member], {}
                if wish.port_vlan:
                    settings["vlan"] = str(wish.port_vlan)
                if wish.all_groups:
                    settings["trust"] = "on"
                if settings:
                    call(NAMES[side], "set", vf=member.pool, settings=settings)
            made.open(*(member.pool for member in vfs))
            self.ports |= {member: made.vfs[member.pool] for member in vfs}
            self.ports[Member(side, len(vfs), True)] = made.pf
        for member, wish in self.wishes.items():
            port = self.ports[member]
            for vid in wish.vlans:
                port.vlans.add(vid)
            if wish.groups:
                port.multicast.set(wish.groups)
            port.allmulticast = wish.all_groups
            if wish.promiscuous:
                port.promiscuous = True
            port.wait_link(5.0)
        self.rules = {side: self._rules(side) for side in SIDES}

    def _rules(self, side: str) -> PoolRules:
        here = {member: wish for member, wish in self.wishes.items() if member.side == side}
        pf = next(member for member in here if member.pf)
        pools = {member.pool for member in here}
        rules = PoolRules(receive=pools, send=pools, broadcast=set(pools), default=pf.pool)
        rules.addresses = [(self.mac(member), {member.pool}) for member in here]
        rules.untagged = {member.pool for member, wish in here.items() if not wish.port_vlan}
        rules.vlans = {0: {pf.pool} | rules.untagged}
        for member, wish in here.items():
            for vid in (wish.port_vlan,) if wish.port_vlan else wish.vlans:
                rules.vlans.setdefault(vid, {pf.pool}).add(member.pool)  # the PF has every VLAN
            if wish.groups:
                rules.by_group.add(member.pool)
                rules.groups = (rules.groups or set()) | {
                    multicast_hash(mac(text), 0) for text in wish.groups
                }
            if wish.all_groups or wish.promiscuous:
                rules.all_multicast.add(member.pool)
        rules.port_multicast = bool(rules.all_multicast)
        rules.port_unicast = here[pf].promiscuous
        rules.check_mac = rules.check_vlan = pools - {pf.pool}
        return rules

    def mac(self, member: Member) -> bytes:
        return mac(self.ports[member].mac)

    # ---- what should be ---------------------------------------------------------------------------------------

    def expected(self, sender: Member, frame: bytes) -> set[Member]:
        """The members that should get it."""
        vlan = self.wishes[sender].port_vlan
        if vlan:
            if tag_of(frame) != UNTAGGED:
                return set()
            frame = frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:]
        pools, leaves = self.rules[sender.side].departing(sender.pool, frame)
        found = {(sender.side, pool) for pool in pools}
        if leaves:
            (other,) = set(SIDES) - {sender.side}
            found |= {(other, pool) for pool in self.rules[other].arriving(frame)}
        return {member for member in self.wishes if (member.side, member.pool) in found}

    def seen_by(self, member: Member, sender: Member, frame: bytes) -> bytes:
        """The frame as its receiver sees it: a port VLAN's tag is put in at one end and taken out at the other."""
        hidden, vlan = self.wishes[member].port_vlan, self.wishes[sender].port_vlan
        if vlan and not hidden:
            return frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:]
        if hidden and not vlan and tag_of(frame) != UNTAGGED:
            return frame[:12] + frame[16:]
        return frame

    # ---- what is ----------------------------------------------------------------------------------------------

    def carry(self, sender: Member, frames: Iterable[bytes]) -> dict[bytes, Counter[tuple[Member, bytes]]]:
        """Send frames that each have a number (`numbered`), and see who gets which how often, and how it looks."""
        seen: dict[bytes, Counter[tuple[Member, bytes]]] = defaultdict(Counter)
        card, left = self.fleets["left"].pf.function.card, list(frames)
        while left:
            count = send(self.ports[sender].tx(0), left[:32])
            assert count, f"{sender} cannot send"
            del left[:count]
            card.step(8)
            for member, port in self.ports.items():
                for queue in range(port.rx_queues):
                    for data in receive(port.rx(queue), 64):
                        seen[number_of(data)][member, data] += 1
        return seen

    def check(self, sender: Member, frames: list[bytes]) -> int:
        """Send frames, and compare. Returns how many copies there were."""
        seen, copies = self.carry(sender, frames), 0
        for frame in frames:
            should = Counter(
                (member, self.seen_by(member, sender, frame)) for member in self.expected(sender, frame)
            )
            got = seen.pop(number_of(frame), Counter())
            assert got == should, (
                f"{sender} sends {frame.hex()}: missing {[str(m) for m, _ in should - got]}, "
                f"too many {[str(m) for m, _ in got - should]}"
            )
            copies += len(should)
        assert not seen, "frames that nobody sent"
        return copies


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


_numbers = iter(range(1 << 32))


def numbered(to: bytes, source: bytes, vlan: int = UNTAGGED, size: int = 60) -> bytes:
    """A frame like no other."""
    tag = b"" if vlan == UNTAGGED else b"\x81\x00" + vlan.to_bytes(2, "big")
    return (to + source + tag + ETYPE + next(_numbers).to_bytes(4, "big")).ljust(size, b"\x5a")


def number_of(frame: bytes) -> bytes:
    at = 12
    while frame[at : at + 2] == b"\x81\x00":
        at += 4
    assert frame[at : at + 2] == ETYPE, frame.hex()
    return frame[at + 2 : at + 6]


@contextmanager
def town(vfs: int, wishes: dict[Member, Wishes], queues: int = 1) -> Iterator[Town]:
    """`vfs` VFs on each side, with these wishes; who is not named wishes nothing."""
    pool = Mempool(32768, hugepages="no", name="town")
    with (
        fleet(vfs, ",thread=off", pool=pool) as left,
        fleet(vfs, ",thread=off", name="model1", pool=pool) as right,
    ):
        everybody = {Member(side, n, n == vfs): Wishes() for side in SIDES for n in range(vfs + 1)}
        made = Town({"left": left, "right": right}, everybody | wishes)
        made.settle()
        yield made
    assert pool.in_use == 0
