# SPDX-License-Identifier: BSD-3-Clause
"""The VF driver against our PF's service: both talk for real, on a board that moves no packets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from dataplane.byhand import receive, send
from dataplane.errors import ConfigError, DeviceGone, DeviceTimeout, PortError
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import MTA, PFMBICR, PSRTYPE, RXDCTL, SRRCTL, TDBAL, TXDCTL, VFRE, VMOLR, mailbox
from dataplane.pmd.ixgbe.errors import MailboxRefused, PfNotUp
from dataplane.pmd.ixgbe.sriov.state import stable_mac
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.port import parse_mac
from tests.pmd.ixgbe.fakeboard import Board
from tests.pmd.ixgbe.ruled import PF_MAC, Ruled
from tests.pmd.ixgbe.vf.vfport import VfPort, open_vf

FRAME = bytes(60)


Open = Callable[..., VfPort]


@pytest.fixture
def opened() -> Iterator[Open]:
    """open(board, number, options) with a pool; closed at the end, every mbuf back."""
    made: list[tuple[VfPort, Mempool]] = []

    def make(board: Board, number: int = 0, options: str = "", queues: int = 1) -> VfPort:
        port = open_vf(board, number, options)
        pool = Mempool(1024, hugepages="no", debug=True)
        port.configure(mempool=pool, rx_desc=64, tx_desc=64)
        port.rx(queues - 1), port.tx(queues - 1)
        made.append((port, pool))
        return port

    yield make
    for port, pool in made:
        port.close()
        assert pool.available == pool.n
        pool.check()


@pytest.fixture
def ruled() -> Ruled:
    return Ruled()


def test_it_is_given_an_address_and_queues(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board, 1)
    assert parse_mac(port.mac) == stable_mac(PF_MAC, 1)
    assert (port.info.max_rx_queues, port.info.max_tx_queues, port.info.driver) == (4, 4, "ixgbevf")
    assert ruled.table.vfs[1].api == mailbox.API_1_3
    assert port.session.handshakes == 1
    with pytest.raises(ConfigError, match=r"no Rx queue 4: it has 0\.\.3"):
        port.rx(4)


def test_queues_of_its_pool(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board, 1, queues=2)
    port.start()
    board = ruled.board
    for queue in (4, 5):
        assert board[RXDCTL[queue]] & RXDCTL[queue].ENABLE.mask
        assert board[TXDCTL[queue]] & TXDCTL[queue].ENABLE.mask
        assert board.pf.get(SRRCTL[queue].DESCTYPE) == 1
    assert not board[RXDCTL[6]] & RXDCTL[6].ENABLE.mask
    assert board.pf.get(PSRTYPE[1].RQPL) == 1
    assert board[TDBAL[4]]
    assert receive(port.rx(0)) == []
    assert send(port.tx(0), [FRAME]) == 1
    assert port.link.up
    assert port.link.speed == 10_000
    port.stop()
    assert not board[RXDCTL[4]] & RXDCTL[4].ENABLE.mask
    port.start()
    assert board[RXDCTL[4]] & RXDCTL[4].ENABLE.mask


def test_close_tells_the_pf(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board, 2)
    assert ruled.table.in_use == [ruled.table.vfs[2]]
    port.close()
    ruled.round()
    assert ruled.table.in_use == []


def test_a_pf_that_is_not_up_is_waited_for(opened: Open) -> None:
    board = Board()
    before = board.time
    with pytest.raises(PfNotUp, match=r"its PF is not up for 3 s .*RSTI still 1.*start the PF first"):
        opened(board, options=",pf_wait=3")
    assert 3 <= board.time - before < 4
    ruled = Ruled()
    ruled.board.reset()
    ruled.board.on_sleep.append(
        lambda: ruled.board.time > 102 and ruled.board.boxes[0].rsti and ruled.bring_up()
    )
    port = opened(ruled.board)
    assert port.session.up, "it came up meanwhile"


def test_a_pf_whose_driver_died_is_not_waited_for_without_end(ruled: Ruled, opened: Open) -> None:
    ruled.board.on_sleep.clear()
    before = ruled.board.time
    with pytest.raises(PfNotUp, match="no answer to RESET"):
        opened(ruled.board, options=",pf_wait=0")
    assert ruled.board.time - before < 1.5


def test_settings_are_asked_for(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board)
    state = ruled.table.vfs[0]
    port.mac = "02:aa:00:00:00:01"
    assert state.mac == parse_mac(port.mac) == parse_mac("02:aa:00:00:00:01")
    port.multicast.set(["01:00:5e:00:00:fb"])
    assert state.hashes == (0x0FB0 | 0,)
    assert ruled.board[MTA[0x0FB0 >> 5]] == 1 << (0x0FB0 & 31)
    port.vlans.add(100)
    port.vlans.add(200)
    port.vlans.remove(200)
    assert ruled.filters.vlans_of(0) == [0, 100]
    for wrong in ("01:00:00:00:00:01", "00:00:00:00:00:00"):
        with pytest.raises(ConfigError, match="multicast or zero"):
            port.mac = wrong
    with pytest.raises(ConfigError, match="no multicast address"):
        port.multicast.set(["02:00:00:00:00:01"])
    with pytest.raises(ConfigError, match="must be 0 to 4095"):
        port.vlans.add(4096)


def test_what_is_refused_is_said_and_not_asked_again(ruled: Ruled, opened: Open) -> None:
    ruled.table.set(0, "mac", "02:aa:00:00:00:01")
    port = opened(ruled.board)
    with pytest.raises(MailboxRefused, match=r"refuses SET_MAC_ADDR 02:aa:00:00:00:02.*vf explain"):
        port.mac = "02:aa:00:00:00:02"
    assert port.mac == "02:aa:00:00:00:01"
    assert port.session.wanted.mac == b""
    ruled.table.set(0, "vlan", "7")
    with pytest.raises(MailboxRefused, match="SET_VLAN add 5"):
        port.vlans.add(5)
    assert port.session.wanted.vlans == set()


def test_promiscuity_as_granted(ruled: Ruled, opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    port = opened(ruled.board)
    with caplog.at_level(logging.WARNING, "dataplane"):
        port.promiscuous = True
    assert not port.promiscuous
    assert not port.allmulticast
    assert "grants reception mode multi, not promisc" in caplog.text
    ruled.table.set(0, "trust", "on")
    ruled.round()
    port.watch()
    assert port.allmulticast, "refused to be promiscuous, it asked for the next mode"
    assert ruled.board[VMOLR[0]] & VMOLR[0].MPE.mask
    port.promiscuous = False
    assert not port.allmulticast
    port.allmulticast = True
    assert port.allmulticast


def test_frame_sizes(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board)
    port.mtu = 9000
    with pytest.raises(
        PortError, match=r"an MTU of 9000 is more than its PF lets it have .*raise the PF's MTU"
    ):
        port.start()
    assert "frames of 9018 bytes" in next(iter(ruled.table.vfs[0].refusals))
    port.mtu = 1400
    port.start()
    assert ruled.table.vfs[0].frame == 1418
    jumbo = Ruled(frame=9018)
    large = opened(jumbo.board, options=",mtu=9000")
    large.start()
    assert jumbo.board[VFRE[0]] & 1


def test_it_comes_back_after_a_reset_of_the_pf(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board, queues=2)
    port.start()
    port.mac = "02:aa:00:00:00:01"
    port.vlans.add(100)
    port.multicast.set(["01:00:5e:00:00:fb"])
    send(port.tx(0), [FRAME] * 5)
    ruled.board.reset()
    before = ruled.board.time
    with pytest.raises(PfNotUp):
        port.watch()
    assert not port.link.up
    assert port.mempool.available == port.mempool.n, "nothing lies in the device while it is down"
    assert receive(port.rx(0)) == []
    assert send(port.tx(0), [FRAME]) == 0
    ruled.bring_up()
    port.watch()
    assert ruled.board.time - before < 1.0
    state = ruled.table.vfs[0]
    assert port.link.up
    assert state.mac == parse_mac("02:aa:00:00:00:01")
    assert ruled.filters.vlans_of(0) == [0, 100]
    assert state.hashes == (0xFB0,)
    assert ruled.board[RXDCTL[1]] & RXDCTL[1].ENABLE.mask
    assert send(port.tx(0), [FRAME]) == 1
    assert port.xstats()["vf_recoveries"] == 1
    port.watch()
    assert port.recoveries == 1


def test_a_reset_between_two_looks_is_seen(ruled: Ruled, opened: Open) -> None:
    """RSTD stays until it is read: a PF that was closed and opened quickly has forgotten the VF, too."""
    port = opened(ruled.board)
    port.start()
    ruled.board.reset()
    ruled.bring_up()
    port.watch()
    assert port.recoveries == 1
    assert ruled.table.vfs[0].clear_to_send


def test_a_verb_during_a_reset_is_not_lost(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board)
    port.start()
    ruled.board.reset()
    ruled.bring_up()
    port.vlans.add(300)
    assert port.recoveries == 1
    assert 300 in ruled.filters.vlans_of(0)


def test_a_pf_that_forgot_the_vf_is_met_anew(ruled: Ruled, opened: Open) -> None:
    """NACK without CTS: the PF's driver was started again, without a reset that could be seen."""
    port = opened(ruled.board)
    port.start()
    ruled.table.vfs[0].clear_to_send = False
    port.vlans.add(300)
    assert port.recoveries == 1
    assert 300 in ruled.filters.vlans_of(0)


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_lost_messages_are_asked_again(ruled: Ruled, opened: Open, lost: str) -> None:
    port = opened(ruled.board)
    times = iter(range(1000))

    def lose() -> None:
        if lost == "request" and ruled.board[PFMBICR[0]] & 1 and next(times) % 3 == 0:
            ruled.board[PFMBICR[0]] = 0
        if lost == "answer" and ruled.board.boxes[0].pfsts and next(times) % 3 == 0:
            ruled.board.boxes[0].pfsts = False

    ruled.board.on_sleep.insert(0 if lost == "request" else 1, lose)
    port.start()
    for vid in range(1, 20):
        port.vlans.add(vid)
    assert ruled.filters.vlans_of(0) == list(range(20))
    assert port.xstats()["vf_repeated_requests"] > 3


def test_the_administrators_link(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board)
    port.start()
    ruled.table.set(0, "state", "disable")
    ruled.round()
    port.watch()
    assert not port.link.up
    with pytest.raises(DeviceTimeout, match="administrator has switched it off"):
        port.wait_link(0.1)
    ruled.table.set(0, "state", "auto")
    for _ in range(3):
        ruled.round()
        port.watch()
    assert port.wait_link(1.0).up


def test_a_link_that_flaps(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board)
    port.start()
    for up in (False, True, False, True):
        ruled.board.link_up = up
        ruled.round(60)
        port.watch()
        assert port.link.up is up
    assert port.recoveries == 0, "the agreement with the PF holds"
    ruled.board.link_up = False
    with pytest.raises(DeviceTimeout, match=r"VFLINKS.UP is 0 .*cable and module"):
        port.wait_link(0.1)


def test_a_pf_that_goes_tells_and_the_link_is_down(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board)
    port.start()
    ruled.table.go_down()
    ruled.service.farewell()
    assert not ruled.table.notify
    ruled.board.on_sleep.clear()
    with pytest.raises(PfNotUp):
        port.watch()
    assert not port.link.up
    assert "PF is not up" in port.why_no_link()


@pytest.mark.parametrize("rx", [True, False])
def test_a_vf_that_its_host_resets_notices_and_begins_anew(ruled: Ruled, opened: Open, rx: bool) -> None:
    """4.2.2: a function level reset of the VF sets neither RSTI nor RSTD: only the PF hears of it."""
    port = opened(ruled.board)
    if not rx:
        del port._rx[0]
    port.start()
    port.vlans.add(7)
    ruled.board.reset_vf(0)
    ruled.round(3)
    assert not ruled.table.vfs[0].active
    port.watch()
    assert port.recoveries == 1
    assert port.link.up
    assert ruled.filters.vlans_of(0) == [0, 7]
    port.watch()
    assert port.recoveries == 1


def test_a_port_vlan_is_taken_off_unseen(ruled: Ruled, opened: Open) -> None:
    ruled.table.set(0, "vlan", "7")
    port = opened(ruled.board)
    port.start()
    assert port.hidden_vlan
    assert ruled.board[RXDCTL[0]] & RXDCTL[0].VME.mask


def test_counters_are_read_beside_no_talk_with_the_pf(ruled: Ruled, opened: Open) -> None:
    """A read of VFMAILBOX clears bits, and who has its memory must not find out from another thread that it is gone."""
    port = opened(ruled.board)
    port.start()
    box, looks = port.session.box, 0
    plain = box.look

    def look() -> int:
        nonlocal looks
        looks += 1
        return plain()

    box.look = look  # type: ignore[method-assign]
    with port._lock:
        reader = threading.Thread(target=port.xstats)
        reader.start()
        reader.join(10)
        assert not reader.is_alive() and not looks
    port.xstats()
    assert looks


def test_too_many_groups_are_told(ruled: Ruled, opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    port = opened(ruled.board)
    with caplog.at_level(logging.WARNING, "dataplane"):
        port.multicast.set([f"01:00:5e:00:00:{n:02x}" for n in range(40)])
    assert "allmulticast is the way out" in caplog.text
    assert len(ruled.table.vfs[0].hashes) == 30


def test_a_vf_that_was_taken_away_is_noticed_by_the_polls(ruled: Ruled, opened: Open) -> None:
    port = opened(ruled.board)
    port.start()
    ruled.board.gone = True
    IxgbeVfPort._watch_pf(port)
    with pytest.raises(DeviceGone):
        _ = port.link
    with pytest.raises(DeviceGone, match=r"rx\(0\): .* is gone: its registers"):
        for _ in range(70000):
            receive(port.rx(0))
    ruled.board.gone = False
