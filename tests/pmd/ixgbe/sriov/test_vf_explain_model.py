# SPDX-License-Identifier: BSD-3-Clause
"""`vf explain` on the model, with the traffic that goes wrong: each cause of silence is made, and named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dataplane import pmd
from dataplane.apps.command.cli import main
from dataplane.byhand import receive, send
from dataplane.errors import PortError
from dataplane.pmd.ixgbe.control import call
from dataplane.pmd.model.fault import plug, unplug
from tests.pmd.ixgbe.fleet import Fleet, fleet
from tests.pmd.ixgbe.modelrig import frame

GROUP = "01:00:5e:00:00:07"
STRANGER = "02:99:00:00:00:01"


class Place:
    """model0 with two VFs on a card that is stepped, and the far end of its wire."""

    def __init__(self, made: Fleet, far: Any) -> None:
        self.fleet, self.pf, self.far = made, made.pf, far
        self.one, self.two = made.open(0, 1)
        self.card = self.pf.function.card
        for port in (self.pf, self.one, self.two):
            port.wait_link(5.0)

    def explain(self, vf: int = 0) -> tuple[str, str]:
        """The summary, and the problems in one text."""
        answer = call("model0", "explain", vf=vf)
        lines = [line for line in answer["findings"] if line["kind"] == "problem"]
        return answer["summary"], "\n".join(
            f"{line['way']}: {line['text']}; {line['mend']}" for line in lines
        )

    def notes(self, vf: int = 0) -> str:
        return "\n".join(line["text"] for line in call("model0", "explain", vf=vf)["findings"])

    def settle(self) -> None:
        for _ in range(5):
            self.card.sleep(1e-3)
            for port in (self.one, self.two):
                port.watch()


@pytest.fixture
def place() -> Iterator[Place]:
    with fleet(2, ",thread=off") as made:
        far = pmd.probe("model1,promiscuous=on,mtu=9000")
        far.configure(mempool=made.pool)
        far.rx(0), far.tx(0)
        far.start()
        try:
            yield Place(made, far)
        finally:
            far.close()


def sent_by(mac: str, to: str, count: int = 40, **more: int) -> list[bytes]:
    """Frames with that source."""
    source = bytes.fromhex(mac.replace(":", ""))
    return [data[:6] + source + data[12:] for data in (frame(n, to=to, **more) for n in range(count))]


def test_nothing_is_wrong(place: Place) -> None:
    place.one.multicast.set([GROUP])
    assert send(place.one.tx(0), sent_by(place.one.mac, place.two.mac)) == 40
    assert place.explain() == ("nothing keeps it from sending and receiving", "")
    assert len(receive(place.two.rx(0), 64)) == 32
    assert place.explain(1)[1] == ""


def test_the_pf_is_not_up(place: Place) -> None:
    place.pf.stop()
    summary, text = place.explain()
    assert summary == "sends and receives nothing"
    assert text.startswith("both: the PF is not up: its port is stopped; start the PF's port")


def test_no_pf_at_all() -> None:
    with pytest.raises(PortError, match=r"no PF of model0 runs here.*start one with model0,vfs=N"):
        call("model0", "explain", vf=0)


def test_no_link(place: Place) -> None:
    unplug(place.card)
    place.card.sleep(0.1)
    place.settle()
    assert not place.one.link.up
    assert "both: the port has no link: nothing passes, not even between VFs" in place.explain()[1]
    plug(place.card)
    for port in (place.one, place.two):
        assert port.wait_link(1.0).up
    assert place.explain()[1] == ""


def test_an_address_that_is_not_its_own(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert send(place.one.tx(0), sent_by(STRANGER, place.two.mac)) == 40
    summary, text = place.explain()
    assert summary == "sends nothing"
    assert (
        "tx: the source address or VLAN is not its own: dropped by the spoof check, 40 frames in 0.25 s; "
        f"its address is {place.one.mac}, and it may send untagged frames only" in text
    )
    assert receive(place.two.rx(0)) == []
    send(place.one.tx(0), sent_by(STRANGER, place.two.mac, 7))
    assert main(["vf", "explain", "model0", "0"]) == 1
    assert "dropped by the spoof check, 7 frames" in capsys.readouterr().out
    assert place.explain()[1] == "", "it has stopped doing so"
    assert "has dropped 47 frames" in place.notes()


def test_what_a_vf_knows_itself(place: Place) -> None:
    assert place.one.explain()["ok"]
    begun, sleep = [], place.one.bar.sleep

    def spoof(seconds: float) -> None:
        if not begun:
            begun.append(send(place.one.tx(0), sent_by(STRANGER, place.two.mac, 5)))
        sleep(seconds)

    place.one.bar.sleep = spoof
    told = place.one.explain()
    place.one.bar.sleep = sleep
    assert begun == [5] and not told["ok"] and told["summary"] == "sends nothing"
    assert "none leaves: their source address or VLAN is not its own" in str(told["findings"])
    unplug(place.card)
    place.card.sleep(0.1)
    assert "no link: " in str(place.one.explain()["findings"])
    plug(place.card)
    place.one.stop()
    assert place.one.explain()["summary"] == "sends and receives nothing"


def test_a_vlan_that_is_not_allowed(place: Place) -> None:
    tagged = sent_by(place.one.mac, place.two.mac, tag=7)
    send(place.one.tx(0), tagged)
    assert "dropped by the spoof check, 40 frames in 0.25 s" in place.explain()[1]
    place.one.vlans.add(7)
    send(place.one.tx(0), tagged)
    assert place.explain()[1] == ""
    assert receive(place.two.rx(0)) == [], "it is not in that VLAN"
    assert "VLAN: untagged frames; it has asked for no VLAN, so tagged ones are dropped" in place.notes(1)
    place.two.vlans.add(7)
    send(place.one.tx(0), tagged)
    place.settle()
    assert receive(place.two.rx(0), 64) == tagged[:32]


def test_its_own_tags_beside_a_port_vlan(place: Place) -> None:
    call("model0", "set", vf=0, settings={"vlan": "7"})
    place.settle()
    assert place.one.link.up
    send(place.one.tx(0), sent_by(place.one.mac, STRANGER, tag=9))
    summary, text = place.explain()
    assert summary == "sends nothing"
    assert (
        "none leaves: its own tags are not allowed; it may send untagged frames, which get port VLAN 7"
        in text
    )
    send(place.one.tx(0), sent_by(place.one.mac, STRANGER))
    assert place.explain()[1] == ""


def test_frames_over_the_pfs_maximum(place: Place) -> None:
    send(place.far.tx(0), sent_by(STRANGER, place.one.mac, 12, size=3000))
    summary, text = place.explain()
    assert summary == "receives nothing"
    assert (
        "rx: frame over the PF's maximum: the port has dropped 12 of more than 1518 bytes in 0.25 s" in text
    )
    assert "make the sender's MTU 1500, or the PF's larger" in text
    place.two.close()
    with pytest.raises(PortError, match="an MTU of 9000 is more than its PF lets it have"):
        pmd.probe("model0.vf1,mtu=9000")
    assert (
        "refused: SET_LPE 9018: frames of 9018 bytes, the PF's largest are 1518: set its MTU"
        in place.notes(1)
    )


def test_no_buffers(place: Place) -> None:
    """Its application does not take its packets: 63 descriptors are soon full."""
    for _ in range(4):
        assert send(place.far.tx(0), sent_by(STRANGER, place.one.mac, 25)) == 25
        place.card.step(8)
    send(place.far.tx(0), sent_by(STRANGER, place.one.mac, 30))
    summary, text = place.explain()
    assert summary == "receives nothing"
    assert (
        "rx: no buffers: Rx queue 0 has no free descriptor, 30 frames were dropped for that in 0.25 s" in text
    )
    assert len(receive(place.one.rx(0), 32) + receive(place.one.rx(0), 32)) == 63


def test_a_group_that_it_never_asked_for(place: Place) -> None:
    send(place.far.tx(0), sent_by(STRANGER, GROUP, 5))
    assert "multicast: it never asked for a group" in place.notes()
    assert receive(place.one.rx(0)) == []
    place.one.multicast.set([GROUP])
    send(place.far.tx(0), sent_by(STRANGER, GROUP, 5))
    assert "multicast: 1 groups by their hashes" in place.notes()
    assert len(receive(place.one.rx(0))) == 5
    assert receive(place.two.rx(0)) == []


def test_a_vf_answers_for_itself(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """`dataplane vf explain VF` asks the program that has the VF: its PF may be in another machine."""
    assert main(["vf", "explain", "model0.vf0"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("model0.vf0: nothing keeps it from sending and receiving\n")
    assert f"unicast: it has {place.one.mac}" in said

    unplug(place.card)
    place.settle()
    assert main(["vf", "explain", "model0.vf0"]) == 1
    assert "both ways  no link" in capsys.readouterr().out
    plug(place.card)

    assert main(["vf", "explain", "model0.vf0", "1"]) == 1
    assert "reports only on itself: leave 1 out, or ask its PF" in capsys.readouterr().err
    place.one.stop()
    assert main(["vf", "explain", "model0.vf0"]) == 1
    assert "is a VF that no program here has started" in capsys.readouterr().err
