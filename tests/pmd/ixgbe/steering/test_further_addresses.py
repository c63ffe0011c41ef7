# SPDX-License-Identifier: BSD-3-Clause
"""Further unicast addresses of a port, PF and VF: who gets frames to them, and who may send from them; strict model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from modelrig import frame, pair

import dataplane.pmd
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.ixgbe.errors import MailboxRefused
from tests.pmd.ixgbe.fleet import fleet, until
from tests.pmd.ixgbe.sriov.town import Member, Town, Wishes, mac, numbered, town

A, B, PF = Member("left", 0), Member("left", 1), Member("left", 2, True)
FAR = Member("right", 2, True)
X, Y, STRANGER = "02:dd:00:00:00:01", "02:dd:00:00:00:02", mac("02:99:99:99:99:99")


@pytest.fixture
def place() -> Iterator[Town]:
    """Two VFs a side; the PF on the right sees all that leaves the left."""
    with town(2, {FAR: Wishes(promiscuous=True)}) as made:
        yield made


def got(place: Town, sender: Member, to: bytes, source: bytes) -> set[Member]:
    seen = place.carry(sender, [numbered(to, source)])
    return {member for counts in seen.values() for member, _ in counts}


def wait(place: Town, vf: int, recoveries: int) -> None:
    """The watchdog of a VF lives by real time, the card by its own."""
    port = place.ports[Member("left", vf)]
    until(
        lambda: place.fleets["left"].pf.bar.sleep(1e-3) or (port.recoveries > recoveries and port.link.up),
        20.0,
    )


def belongs(place: Town, text: str, owner: Member) -> None:
    """Frames to that address come to its owner alone, from the wire and from a neighbour; what it sends from it passes."""
    assert got(place, FAR, mac(text), STRANGER) == {owner}
    other = B if owner == A else A
    assert got(place, other, mac(text), place.mac(other)) == {owner}
    assert got(place, owner, STRANGER, mac(text)) == {FAR}


def is_nobodys(place: Town, text: str, former: Member) -> None:
    assert got(place, FAR, mac(text), STRANGER) == set()
    assert got(place, B, mac(text), place.mac(B)) == {FAR}
    passes = {FAR} if former == PF else set()  # the PF's frames are not checked
    assert got(place, former, STRANGER, mac(text)) == passes


@pytest.mark.parametrize("owner", [A, PF])
def test_each_address_is_its_owners(place: Town, owner: Member) -> None:
    port = place.ports[owner]
    is_nobodys(place, X, owner) if owner == A else None
    port.macs.add(X), port.macs.add(Y), port.macs.add(X)
    assert tuple(port.macs) == (port.mac, X, Y)
    for text in (X, Y, port.mac):
        belongs(place, text, owner)
    port.macs.remove(X), port.macs.remove(X)
    assert tuple(port.macs) == (port.mac, Y)
    if owner == A:
        is_nobodys(place, X, owner)
    belongs(place, Y, owner)
    with pytest.raises(ConfigError, match="is its first address: set mac"):
        port.macs.remove(port.mac)
    port.macs.remove(Y)
    belongs(place, port.mac, owner)
    for wrong in ("01:00:5e:00:00:01", "00:00:00:00:00:00"):
        with pytest.raises(ConfigError, match="multicast or zero"):
            port.macs.add(wrong)


@pytest.mark.parametrize("owner", [A, PF])
def test_they_outlive_resets_of_vf_and_pf(place: Town, owner: Member) -> None:
    port, pf, vf = place.ports[owner], place.fleets["left"].pf, place.ports[A]
    port.macs.add(X), port.macs.add(Y)
    before = vf.recoveries
    vf.function.reset()
    wait(place, 0, before)
    belongs(place, X, owner), belongs(place, Y, owner)
    before = vf.recoveries
    pf.stop()
    pf.start()
    wait(place, 0, before), wait(place, 1, 0)
    belongs(place, X, owner), belongs(place, Y, owner)
    port.stop()
    port.macs.remove(Y) if owner == PF else None
    port.start()
    until(lambda: pf.bar.sleep(1e-3) or all(place.ports[each].link.up for each in (A, B, PF)), 20.0)
    belongs(place, X, owner)
    assert tuple(port.macs) == ((port.mac, X) if owner == PF else (port.mac, X, Y))


def test_the_administrator_decides(place: Town) -> None:
    """One who has set the address of a VF that is not trusted leaves it no other, and trust brings none of them back."""
    pf, vf = place.fleets["left"].pf, place.ports[A]
    vf.macs.add(X)
    before = vf.recoveries
    pf.vfs.set(0, mac="02:dd:00:00:00:77")
    assert got(place, FAR, mac(X), STRANGER) == set(), "at once"
    wait(place, 0, before)
    assert tuple(vf.macs) == (vf.mac,) == ("02:dd:00:00:00:77",)
    with pytest.raises(MailboxRefused, match="refuses SET_MACVLAN 1 02:dd:00:00:00:01"):
        vf.macs.add(X)
    assert "not trusted with others" in str(pf.vfs.explain(0)["findings"])
    before = vf.recoveries
    pf.vfs.set(0, trust=True)
    wait(place, 0, before)
    assert tuple(vf.macs) == (vf.mac,)
    vf.macs.add(X)
    belongs(place, X, A)


def test_the_address_of_another_is_not_for_taking(place: Town) -> None:
    pf, vf, other = place.fleets["left"].pf, place.ports[A], place.ports[B]
    pf.macs.add(X), other.macs.add(Y)
    for taken in (other.mac, pf.mac, X, Y):
        with pytest.raises(MailboxRefused):
            vf.macs.add(taken)
    for taken in (other.mac, Y):
        with pytest.raises(ConfigError, match="is the address of VF 1"):
            pf.macs.add(taken)
    assert tuple(vf.macs) == (vf.mac,) and tuple(pf.macs) == (pf.mac, X)
    belongs(place, Y, B)


def test_another_first_address_that_was_a_further_one(place: Town) -> None:
    for owner in (A, PF):
        port = place.ports[owner]
        first = port.mac
        port.macs.add(X), port.macs.add(Y)
        port.mac = X
        assert tuple(port.macs) == (X, Y)
        belongs(place, X, owner), belongs(place, Y, owner)
        assert owner not in got(place, FAR, mac(first), STRANGER) or owner == PF
        port.mac = first
        assert tuple(port.macs) == (first, Y)
        belongs(place, first, owner)
        if owner == A:
            is_nobodys(place, X, A)
        port.macs.remove(Y)


def test_a_port_without_vfs() -> None:
    """127 further ones, and no frame to an address that is not its own."""
    with pair(f",macs={X}+{Y}") as p:
        p.start()
        right = p.right
        assert tuple(right.macs) == (right.mac, X, Y)
        more = [f"02:ee:00:00:00:{n:02x}" for n in range(125)]
        for text in more:
            right.macs.add(text)
        with pytest.raises(ConfigError, match="128 are taken"):
            right.macs.add("02:ee:00:00:01:00")
        sent = [frame(n, to=text) for n, text in enumerate((*right.macs, "02:ee:00:00:01:00"))]
        assert p.cross(sent) == sent[:-1]
        for text in more[::2]:
            right.macs.remove(text)
        right.stop()
        right.start()
        right.wait_link(5)
        sent = [frame(n, to=text) for n, text in enumerate(more)]
        assert p.cross(sent) == sent[1::2]


def test_63_vfs_share_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets one at least; one that is trusted, and the PF, may take all that are left."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with fleet(63) as made:
        (greedy,), (modest,) = (made.open(n, options=f",macs={X}+{Y}") for n in (0, 62))
        assert greedy.macs[1:] == (X, Y)
        assert tuple(modest.macs) == (modest.mac,), "the addresses were another's"
        modest.macs.add("02:ee:00:00:00:01")
        for n in range(61):
            made.pf.macs.add(f"02:ef:00:00:00:{n:02x}")
        with pytest.raises(ConfigError, match="128 are taken"):
            made.pf.macs.add("02:ef:00:00:01:00")
        with pytest.raises(MailboxRefused):
            modest.macs.add("02:ee:00:00:00:02")
        made.pf.macs.remove("02:ef:00:00:00:00")
        with pytest.raises(MailboxRefused):
            modest.macs.add("02:ee:00:00:00:02")


def test_a_port_without_addresses_says_so() -> None:
    with (
        dataplane.pmd.probe("null:") as port,
        pytest.raises(PortError, match="null: has no filter for further MAC addresses"),
    ):
        port.macs.add(X)
