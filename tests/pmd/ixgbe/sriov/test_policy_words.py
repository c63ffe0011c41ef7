# SPDX-License-Identifier: BSD-3-Clause
"""Every order of an administrator's words, VFs' wishes and resets: what the chip's tables say is what the policy says."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplane.errors import ConfigError
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import MPSAR_LO, PFVFSPOOF, RAH, RAL, VFTE, VMOLR, limits
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.errors import MailboxRefused
from dataplane.pmd.ixgbe.sriov.state import stable_mac
from dataplane.pmd.ixgbe.sriov.table import VfTable
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.pmd.portstring import PortString
from dataplane.port import format_mac
from tests.pmd.ixgbe.fakeboard import BoardFunction
from tests.pmd.ixgbe.fleet import Fleet, fleet, until
from tests.pmd.ixgbe.ruled import PF_MAC, Ruled
from tests.pmd.ixgbe.sriov.policy_words import AWAY, EVENTS, SETTINGS, VFS, A, B, C, Law, Word, words

PF = format_mac(PF_MAC)
OWN = [format_mac(stable_mac(PF_MAC, n)) for n in range(VFS)]


class VfPort(IxgbeVfPort):
    def _watch_pf(self) -> None:
        """Tests call `watch`."""


class Scene:
    """A PF with its VFs, all up. Subclasses let events happen and time pass."""

    table: VfTable
    bar: Bar
    ports: list[IxgbeVfPort]

    def event(self, what: str, number: int) -> None:
        raise NotImplementedError

    def away(self, setting: str, text: str, number: int) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError

    def say(self, word: Word) -> bool:
        """Whether it was granted."""
        what, number, text = word
        port = self.ports[number]
        try:
            if what in SETTINGS:
                self.table.set(number, what, text)
            elif what == AWAY:
                self.away(*text.split("="), number)
            elif what == "choose":
                port.mac = text
            elif what == "add":
                port.macs.add(text)
            elif what == "remove":
                port.macs.remove(text)
            elif what in ("vlan+", "vlan-"):
                (port.vlans.add if what == "vlan+" else port.vlans.remove)(int(text))
            elif what == "allmulti":
                port.allmulticast = text == "on"
            else:
                self.event(what, number)
        except (ConfigError, MailboxRefused):
            return False
        return True

    def entries(self) -> dict[str, int]:
        """8.2.3.7.8 to 10: the chip's addresses with the VFs that have them."""
        found = {}
        for n in range(limits.RX_ADDRESSES):
            high, low = self.bar.read(RAH[n]), self.bar.read(RAL[n])
            if high & RAH[n].AV.mask and self.bar.read(MPSAR_LO[n]) & (1 << VFS) - 1:
                mac = low.to_bytes(4, "little") + (high & 0xFFFF).to_bytes(2, "little")
                found[format_mac(mac)] = self.bar.read(MPSAR_LO[n]) & (1 << VFS) - 1
        return found

    def check(self, law: Law, said: object) -> None:
        assert self.entries() == law.entries(), said
        for number, vf in enumerate(law.vfs):
            port = self.ports[number]
            assert port.mac == vf.first, said
            assert set(port.macs) == vf.addresses, said
            assert self.table.filters.vlans_of(number) == law.vlans(number), said
            assert self.bar.get(VMOLR[number].MPE) == int(vf.allmulti and vf.trust), said
            assert self.bar.get(VMOLR[number].AUPE) == int(not vf.vlan), said
            assert self.bar.read(PFVFSPOOF[0]) >> number & 1 == vf.spoofchk, said
            assert self.bar.read(VFTE[0]) >> number & 1 == (vf.state != "disable"), said

    def play(self, said: list[Word], law: Law) -> None:
        for n, word in enumerate(said):
            granted = self.say(word)
            self.settle()
            assert granted == law.say(word), said[: n + 1]
            self.check(law, said[: n + 1])


class OnBoard(Scene):
    """Registers alone, and time that passes by waiting."""

    def __init__(self, pool: Mempool) -> None:
        self.ruled = Ruled(VFS)
        self.table, self.bar = self.ruled.table, self.ruled.board.pf
        self.ports = []
        for n in range(VFS):
            function = BoardFunction(self.ruled.board, n)
            port = VfPort(function, PortString.split_options(function.name, "", function.name, ""))
            port.configure(mempool=pool, rx_desc=8, tx_desc=8)
            port.rx(0), port.tx(0)
            port.start()
            self.ports.append(port)

    def event(self, what: str, number: int) -> None:
        board = self.ruled.board
        if what == "vf reset":
            board.reset_vf(number)
        elif what == "vf restart":
            self.ports[number].stop()
            self.ports[number].start()
        else:
            board.reset()
            self.ruled.bring_up()

    def away(self, setting: str, text: str, number: int) -> None:
        self.table.go_down()
        self.ruled.service.farewell()
        try:
            self.table.set(number, setting, text)
        finally:
            self.event("pf restart", number)

    def settle(self) -> None:
        for _ in range(3):
            self.ruled.round()
            for port in self.ports:
                port.watch()


@contextmanager
def on_board() -> Iterator[OnBoard]:
    pool = Mempool(256, hugepages="no", debug=True, name="words")
    scene = OnBoard(pool)
    try:
        yield scene
    finally:
        for port in scene.ports:
            port.close()
    assert pool.available == pool.n


# What was wrong: a choice that came back with trust, one that outlived the administrator's word, one that was named twice.
BACK_BY_TRUST = [("choose", 0, B), ("mac", 0, A), ("trust", 0, "on"), ("vf restart", 0, "")]
NO_LASTING_EFFECT = [
    ("trust", 0, "on"),
    ("choose", 0, B),
    ("mac", 0, A),
    ("vf reset", 0, ""),
    ("pf restart", 0, ""),
]
NAMED_AGAIN = [("trust", 0, "on"), ("mac", 0, A), ("choose", 0, B), ("mac", 0, A), ("vlan", 0, "7")]
TRUST_ENDS = [
    ("trust", 0, "on"),
    ("choose", 0, OWN[1]),
    ("add", 0, PF),
    ("trust", 0, "off"),
    ("trust", 0, "on"),
]
SAME_AS_CHOSEN = [("choose", 1, B), ("mac", 1, B), (AWAY, 1, "mac=00:00:00:00:00:00")]
SQUATTER = [("choose", 0, A), ("add", 0, B), ("mac", 1, A), ("mac", 1, B), ("pf restart", 0, "")]
NAMED_WHILE_AWAY = [
    ("mac", 0, A),
    ("trust", 0, "on"),
    ("choose", 0, B),
    (AWAY, 0, f"mac={A}"),
    ("pf restart", 0, ""),
]
SCRIPTS = (
    BACK_BY_TRUST,
    NO_LASTING_EFFECT,
    NAMED_AGAIN,
    TRUST_ENDS,
    SQUATTER,
    NAMED_WHILE_AWAY,
    SAME_AS_CHOSEN,
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_was_wrong(script: list[Word]) -> None:
    with on_board() as scene:
        scene.play(script, Law(PF, OWN))


@settings(
    max_examples=int(os.environ.get("WORDS_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(words(PF, OWN), min_size=2, max_size=14))
def test_any_order(said: list[Word]) -> None:
    with on_board() as scene:
        scene.play(said, Law(PF, OWN))


class OnModel(Scene):
    """The strict model, the drivers' own threads."""

    def __init__(self, made: Fleet) -> None:
        assert made.pf.host
        self.pf, self.table, self.bar = made.pf, made.pf.host.table, made.pf.bar
        self.ports = made.open(*range(VFS))
        self.settle()

    def event(self, what: str, number: int) -> None:
        port = self.pf if what == "pf restart" else self.ports[number]
        if what == "vf reset":
            recoveries = port.recoveries
            port.function.reset()
            until(lambda: port.recoveries > recoveries)
        else:
            port.stop()
            port.start()

    def away(self, setting: str, text: str, number: int) -> None:
        self.pf.stop()
        try:
            self.table.set(number, setting, text)
        finally:
            self.pf.start()

    def settle(self) -> None:
        """Every VF is in agreement with the PF, and runs."""

        def agreed() -> bool:
            with self.table.lock:
                told = not self.table.notify and all(state.clear_to_send for state in self.table.vfs)
            return told and all(
                port.session.up and not port.session.stale and port._running for port in self.ports
            )

        until(agreed, 20.0)
        for port in self.ports:
            with port._lock:
                pass  # no VF is in the middle of a restart
        until(agreed, 20.0)


def random_words(seed: int, count: int) -> list[Word]:
    """One VF chooses and adds, so that it does not matter which of two begins first."""
    rng = random.Random(seed)
    made: list[Word] = []
    for _ in range(count):
        what = rng.choice(
            (
                "mac",
                "mac",
                "trust",
                "choose",
                "choose",
                "add",
                "remove",
                "vlan",
                "allmulti",
                "vlan+",
                *EVENTS,
                AWAY,
            )
        )
        text = {
            "trust": rng.choice(("on", "off")),
            "vlan": rng.choice(("0", "7")),
            "vlan+": "9",
            "allmulti": rng.choice(("on", "off")),
            AWAY: f"mac={rng.choice((A, B))}",
        }.get(what, "" if what in EVENTS else rng.choice((A, B, C)))
        made.append((what, 0, text))
    return made


@pytest.mark.parametrize(
    "said", [*SCRIPTS[:3], NAMED_WHILE_AWAY, *(random_words(seed, 12) for seed in range(4))]
)
def test_on_the_strict_model(said: list[Word], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with fleet(VFS) as made:
        scene = OnModel(made)
        pf, own = made.pf.mac, [port.mac for port in scene.ports]
        scene.play(said, Law(pf, own))
