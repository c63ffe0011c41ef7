# SPDX-License-Identifier: BSD-3-Clause
"""The rules of pools once more, slow and by the book, for comparison (datasheet 7.10.3): sets of pools instead of masks.

Settings of the chip are lists and sets here; a test writes the same to registers, or has drivers do it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.pmd.model.reference import BROADCAST, multicast_hash

UNTAGGED = -1


def tag_of(frame: bytes) -> int:
    """TCI, or UNTAGGED."""
    if len(frame) >= 16 and frame[12:14] == b"\x81\x00":
        return int.from_bytes(frame[14:16], "big")
    return UNTAGGED


@dataclass
class Mirror:
    """Who gets a copy, and of what."""

    target: int
    to_pools: set[int] = field(default_factory=set)
    vlans: set[int] = field(default_factory=set)
    from_wire: bool = False
    to_wire: bool = False


@dataclass
class PoolRules:
    """One port. Pools are numbers; `addresses` is ordered, the first entry of an address counts."""

    receive: set[int] = field(default_factory=set)
    send: set[int] = field(default_factory=set)
    addresses: list[tuple[bytes, set[int]]] = field(default_factory=list)
    untagged: set[int] = field(default_factory=set)
    broadcast: set[int] = field(default_factory=set)
    all_multicast: set[int] = field(default_factory=set)
    by_group: set[int] = field(default_factory=set)  # takes what MTA lets in
    by_unicast_hash: set[int] = field(default_factory=set)  # ... UTA
    groups: set[int] | None = None  # hashes in MTA; None: MCSTCTRL.MFE is off
    unicast_hashes: set[int] = field(default_factory=set)
    vlan_filter: bool = True
    vlans: dict[int, set[int]] = field(default_factory=dict)  # VLVF
    port_vlans: set[int] | None = None  # VFTA; None: every VLAN
    default: int | None = None
    replicate: bool = True
    switching: bool = True
    echo: set[int] = field(default_factory=set)
    port_unicast: bool = False  # FCTRL
    port_multicast: bool = False
    port_broadcast: bool = True
    check_mac: set[int] = field(default_factory=set)
    check_vlan: set[int] = field(default_factory=set)
    mirrors: list[Mirror] = field(default_factory=list)

    # ---- 7.1.1.1: the port ------------------------------------------------------------------------------------

    def accepts(self, frame: bytes) -> bool:
        """Whether the port lets a frame from the wire in."""
        to, tag = frame[:6], tag_of(frame)
        filtered = self.vlan_filter and tag != UNTAGGED and self.port_vlans is not None
        if filtered and tag & 0xFFF not in self.port_vlans:
            return False
        if to == BROADCAST:
            return self.port_broadcast or self.port_multicast
        if self._listed(to) is not None:
            return True
        if to[0] & 1:
            return self.port_multicast or (self.groups is not None and multicast_hash(to, 0) in self.groups)
        return self.port_unicast or multicast_hash(to, 0) in self.unicast_hashes

    # ---- 7.10.3.3, 7.10.3.4: what both ways have in common ----------------------------------------------------

    def _listed(self, address: bytes) -> set[int] | None:
        return next((pools for listed, pools in self.addresses if listed == address), None)

    def _candidates(self, frame: bytes) -> set[int]:
        to = frame[:6]
        if to == BROADCAST:
            found = set(self.broadcast)
        elif not to[0] & 1:
            found = set(self._listed(to) or ())
            if not found and multicast_hash(to, 0) in self.unicast_hashes:
                found = set(self.by_unicast_hash)
        else:
            listed = self._listed(to)
            found = set(listed or ()) | self.all_multicast
            if listed is None and self.groups is not None and multicast_hash(to, 0) in self.groups:
                found |= self.by_group
        found &= self.receive
        if self.vlan_filter:
            tag = tag_of(frame)
            found &= self.untagged if tag == UNTAGGED else self.vlans.get(tag & 0xFFF, set())
        return found

    def _mirrored(
        self, frame: bytes, pools: set[int], *, arrives: bool = False, leaves: bool = False
    ) -> set[int]:
        found, tag = set(pools), tag_of(frame)
        for rule in self.mirrors:
            in_vlan = tag != UNTAGGED and tag & 0xFFF in rule.vlans and tag & 0xFFF in self.vlans
            if pools & rule.to_pools or in_vlan or (arrives and rule.from_wire) or (leaves and rule.to_wire):
                found.add(rule.target)
        return found & self.receive

    # ---- each way ---------------------------------------------------------------------------------------------

    def arriving(self, frame: bytes) -> set[int]:
        """Who gets a frame from the wire."""
        if not self.accepts(frame):
            return set()
        pools = self._candidates(frame)
        if not self.replicate:
            pools = set() if frame[0] & 1 else set(sorted(pools)[:1])
        if not pools and self.default is not None:
            pools = {self.default}
        return self._mirrored(frame, pools, arrives=True)

    def honest(self, sender: int, frame: bytes) -> bool:
        """7.10.3.9.2: whether the frame passes the checks of who sends it."""
        if sender not in self.check_mac:
            return True
        if sender not in (self._listed(frame[6:12]) or ()):
            return False
        tag = tag_of(frame)
        return (
            sender not in self.check_vlan or tag == UNTAGGED or sender in self.vlans.get(tag & 0xFFF, set())
        )

    def departing(self, sender: int, frame: bytes) -> tuple[set[int], bool]:
        """Who on this port gets a frame that a pool sends, and whether the wire does."""
        if sender not in self.send or not self.honest(sender, frame):
            return set(), False
        if not self.switching:
            return set(), True
        pools = self._candidates(frame)
        if not self.replicate:
            default = set() if self.default is None else {self.default}
            pools = default if frame[0] & 1 else set(sorted(pools)[:1])
        known = not frame[0] & 1 and self._listed(frame[:6]) is not None and bool(pools)
        if sender not in self.echo:
            pools = pools - {sender}
        return self._mirrored(frame, pools, leaves=not known), not known
