# SPDX-License-Identifier: BSD-3-Clause
"""The PF's record of one VF: its settings, and what its driver has asked for and has."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from dataplane.pmd.datasheet import mailbox
from dataplane.pmd.ixgbe.sriov.settings import VfSettings, default_settings
from dataplane.port import format_mac

__all__ = ["VfState", "stable_mac"]


@dataclass
class VfState:
    """The PF's record of a VF.

    number: from 0 on. permanent: the address that the PF chose. mac: the address that it has now. active: a driver has
    begun to use it, and no reset has come since.

    Four attributes about its first address outlive resets, as its driver does. given: the last answer to RESET. chosen: an
    address that it was granted since. overruled: a setting has replaced that address since. ignored: a chosen address that
    was replaced, while its driver may not have noticed.
    """

    number: int
    permanent: bytes
    settings: VfSettings = field(default_factory=default_settings)
    mac: bytes = b""
    active: bool = False
    clear_to_send: bool = False
    api: int = mailbox.API_1_0
    hashes: tuple[int, ...] = ()
    macvlans: list[bytes] = field(default_factory=list)
    xcast: int = mailbox.XCAST_MULTI
    frame: int = 0  # bytes with FCS of its largest frame, as granted; 0: it has not asked
    too_large: int = 0  # bytes with FCS of its last request, if it was refused
    resets: int = 0
    messages: int = 0
    given: bytes = b""
    chosen: bytes = b""
    overruled: bool = False
    ignored: bytes = b""
    refusals: Counter[str] = field(default_factory=Counter)  # "SET_VLAN add 7: reason" -> times

    def reset(self) -> None:
        """Forget what its driver had: the driver is gone, or reinitialises."""
        self.active = self.clear_to_send = False
        self.api, self.xcast = mailbox.API_1_0, mailbox.XCAST_MULTI
        self.hashes, self.macvlans = (), []
        self.frame = self.too_large = 0
        self.mac = b""

    def refused(self, what: str, why: str) -> None:
        """Count a refusal, for `vf explain`. At most 16 different ones are kept, however many a VF causes."""
        key = f"{what}: {why}"
        if key in self.refusals or len(self.refusals) < 16:
            self.refusals[key] += 1

    def __str__(self) -> str:
        return f"VF {self.number} ({format_mac(self.mac or self.own_mac)})"

    @property
    def own_mac(self) -> bytes:
        """The answer to RESET: the address of its settings, or the one that the PF chose."""
        return self.settings.mac or self.permanent


def stable_mac(pf_mac: bytes, vf: int) -> bytes:
    """A locally administered address that depends on the PF's permanent one and the VF's number alone."""
    digest = hashlib.sha256(b"82599 VF" + pf_mac + bytes([vf])).digest()
    return bytes([digest[0] & 0xFC | 0x02]) + digest[1:6]
