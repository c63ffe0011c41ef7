# SPDX-License-Identifier: BSD-3-Clause
"""A VF that cannot agree with its PF, on the strict model: what it says, what its PF says, how often it tries."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from dataplane import pmd
from dataplane.errors import DeviceGone, DeviceTimeout, PortError
from dataplane.pmd.ixgbe.vf import watch
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.pmd.ixgbe.vf.watch import Backoff
from tests.pmd.ixgbe.fleet import Fleet, fleet, until

REFUSED = r"an MTU of 9000 is more than its PF lets it have \(1500\): raise the PF's MTU to 9000, or lower this one to 1500"


def restart(made: Fleet, mtu: int) -> None:
    made.pf.stop()
    made.pf.mtu = mtu
    made.pf.start()


@pytest.fixture
def small() -> Iterator[tuple[Fleet, IxgbeVfPort]]:
    """A VF with an MTU of 9000, under a PF that was started again with 1500."""
    with fleet(2, ",mtu=9000") as made:
        (vf,) = made.open(0, options=",mtu=9000")
        vf.wait_link(5.0)
        restart(made, 1500)
        until(lambda: "MTU" in vf.why_no_link())
        yield made, vf


def test_both_sides_name_the_mtu(small: tuple[Fleet, IxgbeVfPort]) -> None:
    made, vf = small
    told = vf.explain()
    assert told["summary"] == "sends and receives nothing"
    assert "no link: an MTU of 9000 is more than its PF lets it have (1500)" in str(told["findings"])
    with pytest.raises(DeviceTimeout, match=REFUSED):
        vf.wait_link(0.05)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:  # not only for a moment
        found = str(made.pf.vfs.explain(0)["findings"])
        assert "it wants frames of 9018 bytes, over the PF's maximum: the port takes 1518" in found
        assert "give the PF an MTU of 9000, or the VF one of 1500" in found
        time.sleep(0.05)


def test_a_refused_mtu_costs_no_resets(
    small: tuple[Fleet, IxgbeVfPort], caplog: pytest.LogCaptureFixture
) -> None:
    made, _ = small
    rule = made.pf.host
    assert rule is not None
    state = rule.table.vfs[0]
    resets, asked = state.resets, sum(state.refusals.values())
    with caplog.at_level(logging.WARNING, "dataplane"):
        time.sleep(2.0)
    assert state.resets == resets, "the old driver reset it 23 times"
    assert state.clear_to_send and state.active
    # After 0.1, 0.3, 0.7, 1.5 s; the first of them may be over.
    assert 1 <= sum(state.refusals.values()) - asked <= 5
    assert not [line for line in caplog.messages if "no link" in line], "the cause is the same"


def test_it_comes_back_with_a_large_mtu(small: tuple[Fleet, IxgbeVfPort]) -> None:
    """Also from the longest pause: the PF's reset is heard at once."""
    made, vf = small
    until(lambda: vf.trouble is not None)
    time.sleep(1.0)
    restart(made, 9000)
    assert until(lambda: vf.link.up) < 2.0
    assert vf.trouble is None
    assert vf.explain()["ok"]
    assert made.pf.vfs.explain(0)["ok"]


def test_it_comes_back_with_a_small_mtu_of_its_own(small: tuple[Fleet, IxgbeVfPort]) -> None:
    _, vf = small
    with pytest.raises(PortError, match=REFUSED):
        vf.stop()
        vf.start()
    assert "MTU" in vf.why_no_link(), "not started, for that reason"
    vf.mtu = 1500
    vf.start()
    assert vf.wait_link(5.0).up


def test_each_cause_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dataplane"), fleet(2, ",mtu=9000") as made:
        (vf,) = made.open(0, options=",mtu=9000")
        vf.wait_link(5.0)
        made.pf.stop()
        until(lambda: "its PF is not up" in vf.why_no_link())
        time.sleep(1.0)
        restart(made, 1500)
        until(lambda: "MTU" in vf.why_no_link())
        time.sleep(0.5)
        restart(made, 9000)
        until(lambda: vf.link.up)
        until(lambda: "the PF is back" in caplog.text)
        assert vf.name in caplog.text
        lines = [line.partition("no link: ")[2] for line in caplog.messages if "no link: " in line]
    causes = ["MTU" if "MTU" in line else "not up" for line in lines]
    # Between two starts of the PF the VF may look, or not.
    assert causes in (["not up", "MTU"], ["not up", "MTU", "not up"])


def test_a_pf_that_is_not_up_is_tried_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0
    plain = IxgbeVfPort.recover

    def recover(port: IxgbeVfPort, **how: bool) -> None:
        nonlocal tries
        tries += 1
        plain(port, **how)

    monkeypatch.setattr(IxgbeVfPort, "recover", recover)
    with fleet(2) as made:
        (vf,) = made.open(0)
        vf.wait_link(5.0)
        made.pf.stop()
        until(lambda: tries)
        time.sleep(2.5)
        assert tries <= 7
        assert "its PF is not up: start the PF" in str(vf.explain()["findings"])
        made.pf.start()
        assert until(lambda: vf.link.up) < 2.0, "at once, not when the pause is over"


def test_the_pause_doubles_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    retry, pauses = Backoff(), []
    for _ in range(8):
        assert retry.due
        retry.failed()
        assert not retry.due
        pauses.append(round(retry.delay, 3))
        now += retry.delay
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    retry.failed()
    retry.reset()
    assert retry.due and not retry.delay


def test_a_vf_that_is_gone_for_good(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "dataplane"), fleet(2) as made, pmd.probe("model1"):  # the card stays
        (vf,) = made.open(1)
        vf.wait_link(5.0)
        made.pf.close(force=True)
        with fleet(1, pool=made.pool):
            until(lambda: "is gone" in vf.why_no_link())
            why = vf.why_no_link()
            assert "Its PF has fewer VFs now, its card was removed" in why
            assert "open it again" in why
            assert "start the PF" not in why
            for ask in (vf.explain, vf.wait_link, lambda: vf.link):
                with pytest.raises(DeviceGone, match="Its PF has fewer VFs now"):
                    ask()
            assert vf._dog is not None
            vf._dog.join(10)
            assert not vf._dog.is_alive(), "there is nothing to try again"
            assert caplog.text.count("Its PF has fewer VFs now") == 1


def test_a_closed_vf_does_not_accuse_its_pf() -> None:
    with fleet(1) as made:
        (vf,) = made.open(0)
        vf.close()
        assert vf.why_no_link() == "its port is closed: open it again"


def test_its_administrators_word() -> None:
    with fleet(1) as made:
        (vf,) = made.open(0)
        vf.wait_link(5.0)
        made.pf.vfs.set(0, state="disable")
        until(lambda: "administrator" in vf.why_no_link())
        assert not vf.link.up
        assert "the PF's administrator has switched it off" in str(vf.explain()["findings"])
