# SPDX-License-Identifier: BSD-3-Clause
"""The multicast groups and VLANs of a VF, which its PF grants: `port.multicast`, `port.vlans` (datasheet 7.10.2.9)."""

from __future__ import annotations

from collections.abc import Iterable

from dataplane.capability import PortMulticast, PortVlans
from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import limits
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device
from dataplane.pmd.ixgbe.messages import SetMulticast, SetVlan
from dataplane.pmd.ixgbe.vf.talk import VfTalk
from dataplane.port import format_mac, parse_mac

__all__ = ["VfMulticast", "VfVlans"]


class VfMulticast(PortMulticast):
    """Up to 30 groups. The chip compares 12 bits of 48, in one table for all VFs, so others may come along."""

    def __init__(self, port: IxgbeBase, talk: VfTalk) -> None:
        super().__init__(port)
        self._talk = talk

    @touches_device
    def set(self, groups: Iterable[str]) -> None:
        """Ask the PF for these groups and no others (SET_MULTICAST).

        Raises ConfigError for an address that is not multicast; MailboxRefused, PfNotUp.
        """
        parsed = [(text, parse_mac(text)) for text in groups]
        for text, address in parsed:
            if not address[0] & 1:
                raise ConfigError(f"{text} is no multicast address: the lowest bit of its first byte is 0")
        groups_asked = tuple(address for _, address in parsed)
        session = self._talk.session
        with self._talk.lock:  # a refusal in one thread must not undo what another has just set
            before, session.wanted.groups = session.wanted.groups, groups_asked
            self._talk.tell(SetMulticast(session.hashes(groups_asked)), undo=("groups", before))

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of the last `set` that the PF granted."""
        return tuple(map(format_mac, self._talk.session.wanted.groups))


class VfVlans(PortVlans):
    """The VLANs of a VF. Its filter is always on: without any it receives untagged frames only."""

    def __init__(self, port: IxgbeBase, talk: VfTalk) -> None:
        super().__init__(port)
        self._talk = talk

    @touches_device
    def add(self, vid: int) -> None:
        """Ask the PF for frames of VLAN `vid`, 0 to 4095 (SET_VLAN). Raises ConfigError, MailboxRefused, PfNotUp."""
        self._change(vid, True)

    @touches_device
    def remove(self, vid: int) -> None:
        """Tell the PF that frames of VLAN `vid` are no longer wanted. Raises ConfigError, MailboxRefused, PfNotUp."""
        self._change(vid, False)

    @property
    def ids(self) -> tuple[int, ...]:
        """The VLANs that are received, ascending."""
        return tuple(sorted(self._talk.session.wanted.vlans))

    def _change(self, vid: int, on: bool) -> None:
        if not 0 <= vid < limits.VLANS:
            raise ConfigError(f"VLAN {vid}: must be 0 to {limits.VLANS - 1}")
        with self._talk.lock:  # a refusal in one thread must not undo what another has just set
            wanted = self._talk.session.wanted
            before = wanted.vlans
            wanted.vlans = before | {vid} if on else before - {vid}
            # A VLAN that is given up stays so even if the PF refuses that, as it does under a port VLAN.
            self._talk.tell(SetVlan(vid, on), undo=("vlans", before) if on else None)
