# SPDX-License-Identifier: BSD-3-Clause
"""Effects of an administrator's settings on the frames of a VF, on two ports of the strict model, joined by a wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dataplane.byhand import receive, send
from dataplane.pmd.ixgbe.control import call
from tests.pmd.ixgbe.fleet import until
from tests.pmd.ixgbe.sriov.town import Member, Town, Wishes, mac, numbered, town
from tests.pmd.model.pool_rules import tag_of

A, B, PF = Member("left", 0), Member("left", 1), Member("left", 2, True)
FAR = Member("right", 2, True)
BROADCAST, STRANGER = b"\xff" * 6, mac("02:99:99:99:99:99")


@pytest.fixture
def place() -> Iterator[Town]:
    """Two VFs a side; the PF on the right sees all that leaves the left."""
    with town(2, {FAR: Wishes(promiscuous=True)}) as made:
        yield made


def got(place: Town, sender: Member, frame: bytes) -> set[Member]:
    seen = place.carry(sender, [frame])
    return {member for counts in seen.values() for member, _ in counts}


def decide(place: Town, vf: int, **settings: str) -> None:
    """As `dataplane vf set` does. A VF that has to restart has done so when this returns."""
    port = place.ports[Member("left", vf)]
    before = port.recoveries
    call("model0", "set", vf=vf, settings=settings)
    if settings.keys() & {"vlan", "qos", "state"}:
        wait_for(place, lambda: port.recoveries > before and port.link.up)


def wait_for(place: Town, what: Callable[[], bool]) -> None:
    """The VFs' watchdogs live by real time, the card by its own."""
    until(lambda: place.fleets["left"].pf.bar.sleep(1e-3) or what())


def test_spoof_check(place):
    spoofed = numbered(STRANGER, mac("02:aa:00:00:00:01"))
    assert got(place, A, spoofed) == set()
    explained = call("model0", "explain", vf=0)
    assert any("spoof check has dropped 1 frames" in line["text"] for line in explained["findings"]), (
        explained
    )
    assert got(place, PF, numbered(STRANGER, mac("02:aa:00:00:00:01"))) == {FAR}, "the PF may"
    decide(place, 0, spoofchk="off")
    assert got(place, A, numbered(STRANGER, mac("02:aa:00:00:00:01"))) == {FAR}
    assert got(place, B, numbered(STRANGER, mac("02:aa:00:00:00:01"))) == set()


def test_port_vlan_and_priority(place):
    decide(place, 0, vlan="9", qos="5")
    seen = place.carry(A, [numbered(STRANGER, place.mac(A))])
    ((_, data),) = [key for counts in seen.values() for key in counts]
    assert tag_of(data) == 5 << 13 | 9
    assert got(place, A, numbered(place.mac(B), place.mac(A))) == {FAR}, "VF 1 is not in it: as to a stranger"
    decide(place, 1, vlan="9")
    assert got(place, A, numbered(place.mac(B), place.mac(A))) == {B}
    assert got(place, FAR, numbered(place.mac(A), STRANGER, vlan=9)) == {A}
    assert got(place, FAR, numbered(place.mac(A), STRANGER)) == {PF}, (
        "untagged: nobody's but the default pool's"
    )
    decide(place, 0, vlan="0", qos="0")
    assert got(place, FAR, numbered(place.mac(A), STRANGER)) == {A}


def test_link_state(place):
    call("model0", "set", vf=0, settings={"state": "disable"})
    assert got(place, B, numbered(place.mac(A), place.mac(B))) == {FAR}, "no pool has it: as to a stranger"
    assert got(place, FAR, numbered(place.mac(A), STRANGER)) == {PF}
    assert got(place, B, numbered(BROADCAST, place.mac(B))) == {
        PF,
        FAR,
        Member("right", 0),
        Member("right", 1),
    }
    decide(place, 0, state="auto")
    assert got(place, B, numbered(place.mac(A), place.mac(B))) == {A}


def test_rate(place):
    """Over a hundredth of a second, bytes with FCS, to a percent. The VF has one Tx queue on, of two or four."""
    decide(place, 0, max_tx_rate="500")
    card, tx, rx = place.fleets["left"].pf.function.card, place.ports[A].tx(0), place.ports[B].rx(0)
    frames = [numbered(place.mac(B), place.mac(A), size=996)] * 32

    def came(ns: int) -> int:
        """In that much time, with a sender that always has something to send."""
        begun, total = card.clock.now_ns, 0
        while card.clock.now_ns < begun + ns:
            send(tx, frames)
            card.clock.advance_ns(4_000)
            card.step(1)
            total += len(receive(rx, 64))
        return total

    for _ in range(8):
        card.sleep(0.05)  # the PF sees which queues are on
    came(1_000_000)  # the credit is used up
    assert abs(came(10_000_000) - 500e6 * 0.01 / 8000) <= 6
    decide(place, 0, max_tx_rate="0")
    assert came(1_000_000) > 10 * 500e6 * 0.001 / 8000


def test_counters_of_vfs(place):
    for _ in range(3):
        place.carry(A, [numbered(place.mac(B), place.mac(A), size=100)])
    place.carry(FAR, [numbered(BROADCAST, STRANGER)])
    a, b = place.ports[A].xstats(), place.ports[B].xstats()
    assert (a["tx_good_packets"], a["tx_good_bytes"]) == (3, 300)
    assert (b["rx_good_packets"], b["rx_good_bytes"]) == (4, 360)
    assert (a["rx_good_packets"], b["tx_good_packets"]) == (1, 0)
    rows = call("model0", "show")
    assert [(row["rx_good_packets"], row["tx_good_packets"]) for row in rows] == [(1, 3), (4, 0)]


def test_a_vf_whose_driver_is_gone(place):
    place.ports[B].close()
    assert got_without(place, B, A, numbered(place.mac(PF), place.mac(A))) == {PF}
    assert got_without(place, B, A, numbered(BROADCAST, place.mac(A))) == {
        PF,
        FAR,
        Member("right", 0),
        Member("right", 1),
    }


def got_without(place: Town, gone: Member, sender: Member, frame: bytes) -> set[Member]:
    place.ports.pop(gone, None)
    return got(place, sender, frame)


def test_a_pf_that_is_started_again(place):
    """No frame to or from a VF while its PF is stopped; and then as before."""
    pf = place.fleets["left"].pf
    pf.stop()
    assert got(place, FAR, numbered(place.mac(B), STRANGER)) == set()
    wait_for(place, lambda: not any(place.ports[vf].link.up for vf in (A, B)))
    pf.start()
    wait_for(place, lambda: all(place.ports[vf].link.up for vf in (A, B)))
    assert got(place, A, numbered(place.mac(B), place.mac(A))) == {B}
    assert got(place, FAR, numbered(place.mac(B), STRANGER)) == {B}
