# SPDX-License-Identifier: BSD-3-Clause
"""The rules for VFs' addresses and VLANs after any settings and any requests, in any order; and generators of both.

`Law` uses no driver and no register. The rules: the administrator's last word about an address counts, and ends what
the VF chose before. Grants that needed trust end with it. A VF that restarts asks again for its last grants.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

VFS = 2
A, B, C = (f"02:aa:00:00:00:{n:02x}" for n in (1, 2, 3))
NONE = "00:00:00:00:00:00"
Word = tuple[str, int, str]  # what, of or by which VF, what exactly

SETTINGS = ("mac", "trust", "vlan", "spoofchk", "state")
WISHES = ("choose", "add", "remove", "vlan+", "vlan-", "allmulti", "refresh")
EVENTS = ("vf reset", "vf restart", "pf restart")
AWAY = "while the PF is away"  # a word of the administrator's, as in mac=02:aa:00:00:00:01


@dataclass
class Vf:
    """own: the PF's choice; mac: the administrator's, "" for none; wish: its own, ""; first, further: what it has."""

    own: str
    mac: str = ""
    trust: bool = False
    vlan: int = 0
    spoofchk: bool = True
    state: str = "auto"
    wish: str = ""
    further: list[str] = field(default_factory=list)
    vlans: set[int] = field(default_factory=set)
    allmulti: bool = False
    up: bool = True  # it has its addresses now

    @property
    def given(self) -> str:
        return self.mac or self.own

    @property
    def first(self) -> str:
        return self.wish or self.given

    @property
    def addresses(self) -> set[str]:
        return {self.first, *self.further} if self.up else set()


class Law:
    """The rules. pf: the PF's address; own: that of each VF."""

    def __init__(self, pf: str, own: list[str]) -> None:
        self.pf, self.vfs = pf, [Vf(mac) for mac in own]

    def _may_have(self, vf: Vf, mac: str) -> bool:
        others = [other for other in self.vfs if other is not vf]
        taken = mac == self.pf or any(mac == o.given or mac in o.addresses for o in others)
        return vf.trust or mac == vf.given or not taken

    def _may_choose(self, vf: Vf, mac: str) -> bool:
        return self._may_have(vf, mac) and (vf.trust or not vf.mac or mac == vf.mac)

    def _may_add(self, vf: Vf, mac: str) -> bool:
        return self._may_have(vf, mac) and (vf.trust or not vf.mac)

    def _begin(self, *vfs: Vf) -> None:
        """Restart these VFs, one after the other."""
        for vf in vfs:
            vf.up = False
        for vf in vfs:
            wish, further, vf.wish, vf.further, vf.up = vf.wish, vf.further, "", [], True
            if wish and self._may_choose(vf, wish):
                vf.wish = wish
            for mac in further:
                if self._may_add(vf, mac):
                    vf.further.append(mac)

    def say(self, word: Word) -> bool:
        """Whether it is granted."""
        what, number, text = word
        if what == AWAY:
            for each in self.vfs:
                each.up = False
            setting, _, value = text.partition("=")
            granted = self.say((setting, number, value))
            self._begin(*self.vfs)
            return granted
        vf = self.vfs[number]
        granted = True
        if what == "mac":
            granted = self._set_mac(vf, text)
        elif what == "trust":
            off = vf.trust and text == "off"
            if off and self._shared(vf, vf.given):
                return False
            changed, vf.trust = vf.trust != (text == "on"), text == "on"
            if off and vf.mac:
                vf.wish = ""
            if changed:
                self._begin(vf)
        elif what == "vlan":
            changed, vf.vlan = vf.vlan != int(text), int(text)
            if changed:
                self._begin(vf)
        elif what == "spoofchk":
            vf.spoofchk = text == "on"
        elif what == "state":
            changed, vf.state = vf.state != text, text
            if changed:
                self._begin(vf)
        else:
            granted = self._wish(vf, what, text)
        if what in EVENTS:
            self._begin(*(self.vfs if what == "pf restart" else [vf]))
        return granted

    def _shared(self, vf: Vf, mac: str) -> bool:
        """Whether the PF has that address, or another VF that is not trusted either."""
        return mac == self.pf or any(mac == o.given and not o.trust for o in self.vfs if o is not vf)

    def _set_mac(self, vf: Vf, text: str) -> bool:
        mac = "" if text == NONE else text
        given = mac or vf.own
        others = [other for other in self.vfs if other is not vf]
        if not vf.trust and self._shared(vf, given):
            return False
        if not mac and not vf.mac:
            return True  # the choice was not the administrator's
        anew = [vf] if mac != vf.mac or vf.wish else []
        vf.mac, vf.wish = mac, ""
        for other in others:
            if not other.trust and given != other.given and given in other.addresses:
                if other.wish == given:
                    other.wish = ""
                other.further = [each for each in other.further if each != given]
                anew.append(other)
        self._begin(*anew)
        return True

    def _wish(self, vf: Vf, what: str, text: str) -> bool:
        if what == "choose":
            if not self._may_choose(vf, text):
                return False
            vf.wish = text if text != vf.given else ""
            vf.further = [each for each in vf.further if each != text]
        elif what == "add" and text not in vf.addresses:
            if not self._may_add(vf, text):
                return False
            vf.further.append(text)
        elif what == "remove":
            if text == vf.first:
                return False
            vf.further = [each for each in vf.further if each != text]
        elif what == "vlan+":
            if vf.vlan:
                return False
            vf.vlans.add(int(text))
        elif what == "vlan-":
            vf.vlans.discard(int(text))
            return not vf.vlan
        elif what == "allmulti":
            vf.allmulti = text == "on"
        return True

    # ---- what the registers should say ---------------------------------------------------------------------------

    def entries(self) -> dict[str, int]:
        """Each address with the set of VFs that have it."""
        found: dict[str, int] = {}
        for number, vf in enumerate(self.vfs):
            for mac in vf.addresses:
                found[mac] = found.get(mac, 0) | 1 << number
        return found

    def vlans(self, number: int) -> list[int]:
        vf = self.vfs[number]
        return [vf.vlan] if vf.vlan else sorted({0, *vf.vlans})


def words(pf: str, own: list[str]) -> st.SearchStrategy[Word]:
    """A setting by the administrator, or a request by a VF."""
    vf, on_off = st.integers(0, VFS - 1), st.sampled_from(("on", "off"))
    macs = st.sampled_from((A, B, C, pf, *own))

    def word(what: str, text: st.SearchStrategy[str]) -> st.SearchStrategy[Word]:
        return st.tuples(st.just(what), vf, text)

    address = [word(what, macs) for what in ("choose", "choose", "add", "add", "remove")]
    return st.one_of(
        word("mac", st.sampled_from((A, B, C, *own, NONE))),
        word("mac", st.sampled_from((A, B))),
        word("trust", on_off),
        word("trust", on_off),
        word("vlan", st.sampled_from(("0", "7"))),
        word("spoofchk", on_off),
        word("state", st.sampled_from(("auto", "enable", "disable"))),
        *address,
        word("vlan+", st.sampled_from(("7", "9"))),
        word("vlan-", st.sampled_from(("7", "9"))),
        word("allmulti", on_off),
        word(AWAY, st.sampled_from((f"mac={A}", f"mac={B}", "trust=on", "trust=off", f"mac={NONE}"))),
        *(word(event, st.just("")) for event in EVENTS),
    )
