# SPDX-License-Identifier: BSD-3-Clause
"""The addresses of a VF's port, as its owner asks its PF for them (datasheet 7.10.2.9: SET_MAC_ADDR, SET_MACVLAN)."""

from __future__ import annotations

import threading
from abc import abstractmethod

from dataplane.errors import ConfigError
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device
from dataplane.pmd.ixgbe.errors import MailboxRefused
from dataplane.pmd.ixgbe.messages import Message, SetMac, SetMacvlan
from dataplane.pmd.ixgbe.vf.session import VfSession, index_of
from dataplane.pmd.portstring import PortString
from dataplane.port import format_mac, parse_own_mac, parse_own_macs

__all__ = ["VfAddressVerbs"]


class VfAddressVerbs(IxgbeBase):
    """mac, macs, add_mac, remove_mac. `session` keeps what is wanted, and asks for it again after each handshake."""

    session: VfSession
    _lock: threading.RLock

    @abstractmethod
    def _tell(self, message: Message) -> None:
        """Ask the PF for what is in `wanted` already, with `_lock` held. Raises MailboxRefused."""

    @property
    def mac(self) -> str:
        """Its MAC address: what the PF gave it, or what was set and granted."""
        return format_mac(self.session.mac)

    @mac.setter
    @touches_device
    def mac(self, value: str) -> None:
        address = parse_own_mac(value)
        session, wanted = self.session, self.session.wanted
        with self._lock:
            before = session.mac, wanted.mac, wanted.over
            wanted.mac, wanted.over = address, None
            try:
                self._tell(SetMac(address))
            except MailboxRefused:
                kept = session.mac == before[0]  # unless it began anew meanwhile: then that is what holds
                wanted.mac, wanted.over = before[1:] if kept else (b"", None)
                raise
            session.mac, wanted.over = address, session.given
            if address in wanted.macs:
                self._change_macs(tuple(mac for mac in wanted.macs if mac != address))

    @property
    def macs(self) -> tuple[str, ...]:
        """Its addresses, the first one first: see `add_mac`."""
        return tuple(map(format_mac, (self.session.mac, *self.session.wanted.macs)))

    @touches_device
    def add_mac(self, value: str) -> None:
        """Receive frames to that address, too, and be allowed to send from it: the PF is asked (SET_MACVLAN).

        It holds over restarts of VF and PF, until `remove_mac`. Raises ConfigError for what is no unicast address,
        MailboxRefused when the PF's administrator does not allow it, or the chip's 128 entries are taken.
        """
        address = parse_own_mac(value)
        wanted = self.session.wanted
        with self._lock:
            if address in (self.session.mac, *wanted.macs):
                return
            index = index_of(wanted.macs)
            wanted.macs += (address,)
            try:
                self._tell(SetMacvlan(index, address))
            except MailboxRefused:
                wanted.macs = tuple(mac for mac in wanted.macs if mac != address)
                raise

    @touches_device
    def remove_mac(self, value: str) -> None:
        """Give a further address up; the first one cannot be, only changed by `mac`. No error if it has none such.

        The mailbox can only name the whole list anew: for some ms frames to the other further addresses are lost.
        """
        address = parse_own_mac(value)
        with self._lock:
            if address == self.session.mac:
                raise ConfigError(f"{self.name}: {value} is its first address: set mac to change it")
            if address in self.session.wanted.macs:
                self._change_macs(tuple(mac for mac in self.session.wanted.macs if mac != address))

    def _change_macs(self, macs: tuple[bytes, ...]) -> None:
        self.session.wanted.macs = macs
        if not macs:
            self._tell(SetMacvlan(0, bytes(6)))
        for n, mac in enumerate(macs):
            self._tell(SetMacvlan(index_of(macs[:n]), mac))

    def _read_macs(self, spec: PortString) -> None:
        """Option macs: further addresses from the start, joined by +."""
        self.session.wanted.macs = parse_own_macs(spec.word("macs", ""))
