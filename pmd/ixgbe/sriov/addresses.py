# SPDX-License-Identifier: BSD-3-Clause
"""Which addresses a VF has, and which it may have: the last word of the administrator counts (datasheet 8.2.3.7.8 to 10).

A VF has a first address, which RESET returns and SET_MAC_ADDR changes, and further ones (SET_MACVLAN). The setting `mac`
replaces an address that the VF chose before. A driver that has not noticed may request its old choice when it reinitialises:
that one request is refused. Every method is called with the filters' lock held.
"""

from __future__ import annotations

from collections.abc import Iterable

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import limits
from dataplane.pmd.ixgbe.errors import VfRequestRefused
from dataplane.pmd.ixgbe.sriov.settings import VfSettings
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.steering.pool_filters import PoolFilters
from dataplane.pmd.ixgbe.steering.pools import pools_in
from dataplane.port import format_mac

__all__ = ["VfAddresses"]


class VfAddresses:
    """The addresses of a port's VFs. filters: the port's; vfs: what is known of each."""

    def __init__(self, filters: PoolFilters, vfs: list[VfState]) -> None:
        self.filters, self.table, self.vfs = filters, filters.addresses, vfs
        filters.vf_macs = self._further

    # ---- what happens to a VF ----------------------------------------------------------------------------------

    def begin(self, state: VfState) -> None:
        """RESET: its first address is what the administrator chose, or the PF."""
        if state.overruled and state.given == state.own_mac:
            # It is given what it was given before, so it cannot know that the administrator has spoken since.
            state.ignored = state.chosen
        state.given, state.chosen, state.overruled = state.own_mac, b"", False
        self._give(state, state.own_mac)

    def forget(self, state: VfState) -> None:
        """It was reset: it has none."""
        for mac in {state.mac, *state.macvlans} - {b""}:
            self.table.remove(mac, state.number)
        state.mac, state.macvlans = b"", []

    # ---- what a VF asks ------------------------------------------------------------------------------------------

    def ask(self, state: VfState, mac: bytes) -> None:
        """SET_MAC_ADDR. Raises VfRequestRefused."""
        if why := self._why_not(state, mac):
            raise VfRequestRefused(why)
        if mac == state.ignored:
            state.ignored = b""
            raise VfRequestRefused(
                "the administrator has set its address since it chose this one; asked for once more, it is granted"
            )
        state.chosen = mac if mac != state.given else b""
        self._give(state, mac)

    def ask_further(self, state: VfState, index: int, mac: bytes) -> None:
        """SET_MACVLAN: 0 forgets all further addresses, 1 begins a new list, above: one more. Raises VfRequestRefused.

        CONFLICT: Linux' driver switches the spoof check off for a VF with further addresses. The chip knows them, they are
        in RAR for its pool, so the check stays.
        """
        if index and (why := self._why_not_further(state, mac)):
            raise VfRequestRefused(why)
        if index <= 1:
            self._drop_further(state, state.macvlans)
        if index and mac not in state.macvlans:
            self._make_room(state, mac)
            self.table.add(mac, state.number)
            state.macvlans.append(mac)

    def _make_room(self, state: VfState, mac: bytes) -> None:
        if mac in self._further():
            return  # it shares the entry
        room = self.filters.room
        if room < 1:
            raise VfRequestRefused("the chip's 128 addresses are taken")
        # No VF takes what others may want, unless it is trusted: while some have none, one is left for each.
        without = sum(not other.macvlans for other in self.vfs if other is not state)
        if state.macvlans and room <= without and not state.settings.trust:
            raise VfRequestRefused(
                f"{room} of the chip's addresses are left, for {without} VFs that have no second one"
            )

    def _further(self) -> set[bytes]:
        return {mac for state in self.vfs for mac in state.macvlans}

    # ---- what an administrator says ------------------------------------------------------------------------------

    def check(self, state: VfState, settings: VfSettings) -> None:
        """Raise ConfigError if a VF with these settings may not have its address, set or chosen by the PF.

        An untrusted VF may not have the address of the PF, nor that of another untrusted VF.
        """
        mac = settings.mac or state.permanent
        if settings.trust:
            return
        taken = [o for o in self.vfs if o is not state and o.own_mac == mac and not o.settings.trust]
        if taken or mac == self.filters.mac or mac in self.filters.macs:
            whose = f"VF {taken[0].number}" if taken else "the PF"
            raise ConfigError(
                f"mac {format_mac(mac)} is the address of {whose}: trust VF {state.number} first to let it share"
            )

    def enforce(self, state: VfState, said: bool) -> list[VfState]:
        """Withdraw what the VF's new settings no longer allow, at once, whatever its driver does.

        said: its address was set. Returns the other VFs that had chosen that address and have lost it.
        """
        own, losers = state.own_mac, []
        if said:
            losers = [
                other
                for other in self.vfs
                if other is not state
                and not other.settings.trust
                and other.own_mac != own
                and own in self.of(other)
            ]
            if state.active:
                self._give(state, own)
        for each in (state, *losers):
            self._take_back(each)
        return losers

    def owner(self, mac: bytes) -> VfState | None:
        """The VF whose address that is, or was and will be once it is in use; None if it is no VF's."""
        return next((state for state in self.vfs if mac == state.own_mac or mac in self.of(state)), None)

    def of(self, state: VfState) -> list[bytes]:
        """Every address that a VF has, the first one first."""
        return list(dict.fromkeys(mac for mac in (state.mac, *state.macvlans) if mac))

    def _take_back(self, state: VfState) -> None:
        if not state.active:
            return
        if state.mac != state.own_mac and self._why_not(state, state.mac):
            self._give(state, state.own_mac)
        self._drop_further(state, [mac for mac in state.macvlans if self._why_not_further(state, mac)])

    # ---- the rules -----------------------------------------------------------------------------------------------

    def _why_not(self, state: VfState, mac: bytes) -> str:
        """Why the VF may not have that first address; "" if it may."""
        if why := self._why_nobodys(state, mac):
            return why
        settings = state.settings
        if settings.mac and mac != settings.mac and not settings.trust:
            return f"its address was set to {format_mac(settings.mac)} by the administrator, and it is not trusted"
        return ""

    def _why_not_further(self, state: VfState, mac: bytes) -> str:
        if why := self._why_nobodys(state, mac):
            return why
        if state.settings.mac and not state.settings.trust:
            return "its address was set by the administrator, and it is not trusted with others"
        return ""

    def _why_nobodys(self, state: VfState, mac: bytes) -> str:
        """Why no VF may have that address, or not this one because it is another's."""
        if mac[0] & 1 or not any(mac):
            return f"{format_mac(mac)} cannot be its address: it is multicast or zero"
        if state.settings.trust or mac == state.own_mac:
            return ""
        others = self.table.owners(mac)
        # Those of VFs that are not in use, too: taken meanwhile, an address would be shared with its owner ever after.
        others |= sum(1 << other.number for other in self.vfs if other.own_mac == mac)
        others |= (mac == self.filters.mac) << self.filters.pool
        others &= ~(1 << state.number)
        return (
            f"{format_mac(mac)} is the address of {self._names(others)}, and it is not trusted"
            if others
            else ""
        )

    def _names(self, pools: int) -> str:
        return ", ".join("the PF" if pool == self.filters.pool else f"VF {pool}" for pool in pools_in(pools))

    # ---- the chip ------------------------------------------------------------------------------------------------

    def _give(self, state: VfState, mac: bytes) -> None:
        if state.mac and state.mac != mac and state.mac not in state.macvlans:
            self.table.remove(state.mac, state.number)
        # First addresses lie at the far end of the table, one for each VF, so there is always room.
        self.table.add(mac, state.number, slot=limits.RX_ADDRESSES - 1 - state.number)
        state.mac = mac

    def _drop_further(self, state: VfState, macs: Iterable[bytes]) -> None:
        for mac in list(macs):
            state.macvlans.remove(mac)
            if mac != state.mac:
                self.table.remove(mac, state.number)
