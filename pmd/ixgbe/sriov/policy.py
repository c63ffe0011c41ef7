# SPDX-License-Identifier: BSD-3-Clause
"""What an administrator has decided about a VF, in the words of ``ip link set PF vf N``; and what is known of the VF."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import limits, mailbox
from dataplane.port import format_mac, parse_mac

__all__ = ["SETTINGS", "VfPolicy", "VfState", "stable_mac"]

STATES = ("auto", "enable", "disable")
_ON, _OFF = ("on", "1", "true"), ("off", "0", "false")


@dataclass
class VfPolicy:
    """One VF's.

    mac: b"" while it is the PF's to choose; vlan, qos: the port VLAN, both 0 for none; max_tx_rate: Mb/s, 0 for none.
    """

    mac: bytes = b""
    vlan: int = 0
    qos: int = 0
    spoofchk: bool = True
    trust: bool = False
    state: str = "auto"
    max_tx_rate: int = 0
    query_rss: bool = False

    @property
    def port_vlan(self) -> bool:
        """Whether the PF tags what the VF sends, and takes no tag from it."""
        return bool(self.vlan or self.qos)

    def words(self) -> dict[str, str]:
        """Every setting as `parse` takes it."""
        said = {name: getattr(self, name) for name in SETTINGS}
        on_off = {True: "on", False: "off"}
        return {
            name: on_off[value]
            if isinstance(value, bool)
            else format_mac(value or bytes(6))
            if name == "mac"
            else str(value)
            for name, value in said.items()
        }

    def parse(self, setting: str, text: str) -> bytes | bool | int | str:
        """A setting's value from its words. Raises ConfigError that says what is possible."""
        if setting == "mac":
            mac = parse_mac(text)
            if mac[0] & 1:
                raise ConfigError(f"mac {text}: a multicast address cannot be a VF's own")
            return mac if any(mac) else b""  # as ip has it: all zeros give the choice back
        if setting in ("spoofchk", "trust", "query_rss"):
            if text.lower() not in _ON + _OFF:
                raise ConfigError(f"{setting} {text}: expected on or off")
            return text.lower() in _ON
        if setting == "state":
            if text not in STATES:
                raise ConfigError(f"state {text}: expected one of {', '.join(STATES)}")
            return text
        if setting not in SETTINGS:
            raise ConfigError(f"{setting}: expected one of {', '.join(SETTINGS)}")
        try:
            number = int(text, 0)
        except ValueError:
            raise ConfigError(f"{setting} {text}: expected an integer") from None
        most = {"vlan": limits.VLANS - 2, "qos": 7, "max_tx_rate": 10_000}[setting]
        if not 0 <= number <= most:
            raise ConfigError(f"{setting} {text}: must be 0 to {most}")
        return number


SETTINGS = ("mac", "vlan", "qos", "spoofchk", "trust", "state", "max_tx_rate", "query_rss")


@dataclass
class VfState:
    """What the PF knows of a VF. mac: the one it has now; active: its driver has begun and not gone since.

    The four words about its first address outlive resets, as its driver does: given: what RESET answered last; chosen: what
    it asked for and got since; overruled: the administrator has spoken since; ignored: a choice that it may not know to be
    over.
    """

    number: int
    permanent: bytes
    policy: VfPolicy = field(default_factory=VfPolicy)
    mac: bytes = b""
    active: bool = False
    clear_to_send: bool = False
    api: int = mailbox.API_1_0
    hashes: tuple[int, ...] = ()
    macvlans: list[bytes] = field(default_factory=list)
    xcast: int = mailbox.XCAST_MULTI
    frame: int = 0  # bytes with FCS that it asked for and got; 0: it has not asked
    too_large: int = 0  # bytes that it asked for last and did not get; 0: it got what it wanted
    resets: int = 0
    messages: int = 0
    given: bytes = b""
    chosen: bytes = b""
    overruled: bool = False
    ignored: bytes = b""
    refusals: Counter[str] = field(default_factory=Counter)  # "SET_VLAN add 7: reason" -> times

    def reset(self) -> None:
        """Its driver is gone, or begins anew."""
        self.active = self.clear_to_send = False
        self.api, self.xcast = mailbox.API_1_0, mailbox.XCAST_MULTI
        self.hashes, self.macvlans = (), []
        self.frame = self.too_large = 0
        self.mac = b""

    def refused(self, what: str, why: str) -> None:
        """Remember a refusal, for `vf explain`. A VF cannot make this grow: only so many different ones are kept."""
        key = f"{what}: {why}"
        if key in self.refusals or len(self.refusals) < 16:
            self.refusals[key] += 1

    def __str__(self) -> str:
        return f"VF {self.number} ({format_mac(self.mac or self.own_mac)})"

    @property
    def own_mac(self) -> bytes:
        """What RESET answers: the administrator's choice, or the PF's."""
        return self.policy.mac or self.permanent


def stable_mac(pf_mac: bytes, vf: int) -> bytes:
    """A locally administered address for a VF, the same whenever it is made: from the PF's permanent one and the number."""
    digest = hashlib.sha256(b"82599 VF" + pf_mac + bytes([vf])).digest()
    return bytes([digest[0] & 0xFC | 0x02]) + digest[1:6]
