# SPDX-License-Identifier: BSD-3-Clause
"""The MAC addresses of a VF, which its PF grants: `port.macs` (datasheet 7.10.2.9: SET_MAC_ADDR, SET_MACVLAN)."""

from __future__ import annotations

from typing import overload

from dataplane.capability import PortMacs
from dataplane.errors import ConfigError
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device
from dataplane.pmd.ixgbe.errors import MailboxRefused
from dataplane.pmd.ixgbe.messages import SetMac, SetMacvlan
from dataplane.pmd.ixgbe.vf.session import index_of
from dataplane.pmd.ixgbe.vf.talk import VfTalk
from dataplane.port import format_mac, parse_own_mac

__all__ = ["VfMacs"]


class VfMacs(PortMacs):
    """The VF's addresses. The session keeps what is wanted, and asks for it again after each handshake."""

    def __init__(self, port: IxgbeBase, talk: VfTalk) -> None:
        super().__init__(port)
        self._talk = talk

    @property
    def _all(self) -> tuple[bytes, ...]:
        return self._talk.session.mac, *self._talk.session.wanted.macs

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return tuple(map(format_mac, self._all))[index]

    def set_first(self, address: bytes) -> None:
        """Ask the PF for another first address (SET_MAC_ADDR): six bytes. Raises MailboxRefused, PfNotUp."""
        session, wanted = self._talk.session, self._talk.session.wanted
        with self._talk.lock:
            before = session.mac, wanted.mac, wanted.over
            wanted.mac, wanted.over = address, None
            try:
                self._talk.tell(SetMac(address))
            except MailboxRefused:
                # If the VF reinitialised meanwhile, it keeps the address that the PF gave it then.
                kept = session.mac == before[0]
                wanted.mac, wanted.over = before[1:] if kept else (b"", None)
                raise
            session.mac, wanted.over = address, session.given
            if address in wanted.macs:
                self._change(tuple(mac for mac in wanted.macs if mac != address))

    @touches_device
    def add(self, address: str) -> None:
        """Also receive frames to that address, and be allowed to send from it: the PF is asked (SET_MACVLAN).

        It survives restarts of VF and PF, until `remove`. Raises ConfigError for what is no unicast address, MailboxRefused
        when the PF's administrator does not allow it, or the chip's 128 entries are taken.
        """
        mac = parse_own_mac(address)
        wanted = self._talk.session.wanted
        with self._talk.lock:
            if mac in self._all:
                return
            index = index_of(wanted.macs)
            wanted.macs += (mac,)
            try:
                self._talk.tell(SetMacvlan(index, mac))
            except MailboxRefused:
                wanted.macs = tuple(each for each in wanted.macs if each != mac)
                raise

    @touches_device
    def remove(self, address: str) -> None:
        """Give up an address of `add`; no effect for one that was not added. Raises ConfigError for the first address.

        The mailbox can only replace the whole list: for some ms frames to the other added addresses are lost.
        """
        mac = parse_own_mac(address)
        with self._talk.lock:
            if mac == self._talk.session.mac:
                raise ConfigError(f"{self.port.name}: {address} is its first address: set mac to change it")
            if mac in self._talk.session.wanted.macs:
                self._change(tuple(each for each in self._talk.session.wanted.macs if each != mac))

    def _change(self, macs: tuple[bytes, ...]) -> None:
        self._talk.session.wanted.macs = macs
        if not macs:
            self._talk.tell(SetMacvlan(0, bytes(6)))
        for n, mac in enumerate(macs):
            self._talk.tell(SetMacvlan(index_of(macs[:n]), mac))
