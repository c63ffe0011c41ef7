# SPDX-License-Identifier: BSD-3-Clause
"""What the PF writes for its VFs: mode registers, layouts, and what an administrator says (datasheet 7.10, 4.6.10)."""

from __future__ import annotations

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import (
    FCTRL,
    GCR_EXT,
    GPIE,
    MPSAR_HI,
    MPSAR_LO,
    MRQC,
    MTA,
    MTQC,
    PFDTXGSWC,
    PFVFSPOOF,
    PSRTYPE,
    QDE,
    RAH,
    RTTDCS,
    VFRE,
    VFTA,
    VFTE,
    VLNCTRL,
    VLVF,
    VLVFB,
    VMOLR,
    VMVIR,
    VT_CTL,
    mailbox,
)
from dataplane.pmd.ixgbe.sriov.settings import VfSettings
from dataplane.pmd.ixgbe.sriov.state import stable_mac
from dataplane.pmd.ixgbe.steering.pools import PoolLayout
from dataplane.port import parse_mac
from tests.pmd.ixgbe.ruled import OK, PF_MAC, Ruled, set_multicast, set_vlan


def told(ruled: Ruled, number: int) -> list[int]:
    """The types of the messages that the PF sent to a VF unasked."""
    script = ruled.vf(number, begun=False)
    words = script.read(20)
    return words[:1] if words else []


@pytest.mark.parametrize(
    ("vfs", "pools", "queues", "mode", "mtqc", "mrqe"),
    [(1, 32, 4, 2, 0xA, 0xA), (31, 32, 4, 2, 0xA, 0xA), (32, 64, 2, 3, 0x6, 0xB), (63, 64, 2, 3, 0x6, 0xB)],
)
def test_mode_registers(vfs: int, pools: int, queues: int, mode: int, mtqc: int, mrqe: int) -> None:
    ruled = Ruled(vfs)
    board, layout = ruled.board, ruled.table.layout
    assert (layout.pools, layout.queues, layout.pf_pool) == (pools, queues, vfs)
    assert board.pf.get(GCR_EXT.VT_MODE) == board.pf.get(GPIE.VT_MODE) == mode
    assert board[MTQC] == mtqc
    assert board.pf.get(MRQC.MRQE) == mrqe
    assert not board[RTTDCS] & RTTDCS.ARBDIS.mask
    assert VT_CTL.unpack(board[VT_CTL]) == {"VT_ENA": 1, "DEF_PL": vfs, "DIS_DEF_POOL": 0, "RPL_EN": 1}
    gates = board[VFRE[0]] | board[VFRE[1]] << 32
    assert gates == board[VFTE[0]] | board[VFTE[1]] << 32 == 1 << vfs, "the PF's pool alone"
    assert board[PFDTXGSWC] == 1
    assert board[MPSAR_LO[0]] | board[MPSAR_HI[0]] << 32 == 1 << vfs, "the PF's address is its pool's"
    assert board[VLNCTRL] & VLNCTRL.VFE.mask
    assert all(board[VFTA[n]] == 0xFFFF_FFFF for n in range(128)), "a PF without a filter gets every VLAN"
    assert board[VMOLR[vfs]] == VMOLR[vfs].pack(AUPE=1, BAM=1)
    assert board[PFVFSPOOF[0]] & 1
    last = vfs >> 3
    assert not board[PFVFSPOOF[last]] & 1 << (vfs & 7), "the PF's own pool is not checked"
    assert sorted(board.qde) == list(range(vfs * queues)), "every VF queue drops, the PF's are its own affair"
    assert set(layout.queues_of(vfs)) == set(range(vfs * queues, (vfs + 1) * queues))


def test_mtqc_changes_only_while_the_arbiter_rests() -> None:
    ruled = Ruled()
    names = [name for _, name, _ in ruled.board.log]
    at = names.index("MTQC")
    values = [value for _, name, value in ruled.board.log[:at] if name == "RTTDCS"]
    assert values[-1] & RTTDCS.ARBDIS.mask


def test_every_queue_is_written_apart() -> None:
    """8.2.3.27.9: a read between two writes of PFQDE."""
    ruled = Ruled(vfs=2)
    writes = [value for _, name, value in ruled.board.log if name == "QDE"]
    assert [QDE.QUEUE.extract(value) for value in writes] == list(range(8))


@pytest.mark.parametrize("vfs", [64, -1])
def test_counts_that_are_not_possible(vfs: int) -> None:
    with pytest.raises(ConfigError, match="must be 1 to 63"):
        PoolLayout.of(vfs)


def test_addresses_are_stable_local_and_different() -> None:
    macs = [stable_mac(PF_MAC, n) for n in range(63)]
    assert macs == [stable_mac(PF_MAC, n) for n in range(63)]
    assert len(set(macs)) == 63
    assert all(mac[0] & 3 == 2 for mac in macs), "locally administered, for one station"
    assert not set(macs) & {stable_mac(b"\x02" * 6, n) for n in range(63)}


@pytest.mark.parametrize(
    ("setting", "text", "why"),
    [
        ("mac", "02:00", "no MAC address"),
        ("mac", "01:00:00:00:00:01", "multicast"),
        ("vlan", "4095", "must be 0 to 4094"),
        ("vlan", "x", "expected an integer"),
        ("qos", "8", "must be 0 to 7"),
        ("spoofchk", "maybe", "on or off"),
        ("state", "up", "one of auto, enable, disable"),
        ("max_tx_rate", "39", "from 40 Mb/s on: each of the VF's 4 Tx queues has 10"),
        ("max_tx_rate", "10001", "must be 0 to 10000"),
        ("colour", "red", "one of mac, vlan"),
    ],
)
def test_words_that_make_no_sense(setting: str, text: str, why: str) -> None:
    ruled = Ruled()
    with pytest.raises(ConfigError, match=why):
        ruled.table.set(0, setting, text)
    assert ruled.table.vfs[0].settings == VfSettings()
    with pytest.raises(ConfigError, match=r"board0 has no VF 4: it has 0\.\.3"):
        ruled.table.set(4, setting, text)


def test_a_port_vlan() -> None:
    ruled = Ruled()
    script = ruled.vf(0)
    script.ask(*set_vlan(100))
    ruled.table.set(0, "vlan", "7")
    ruled.table.set(0, "qos", "3")
    board = ruled.board
    assert VMVIR[0].unpack(board[VMVIR[0]]) == {"VID": 7, "CFI": 0, "PRIORITY": 3, "VLANA": 1}
    assert not board[VMOLR[0]] & VMOLR[0].AUPE.mask
    assert ruled.filters.vlans_of(0) == [7]
    assert told(ruled, 0) == [mailbox.PF_CONTROL_MSG], "without CTS: it has to begin anew"
    script = ruled.vf(0)
    assert ruled.filters.vlans_of(0) == [7]
    ruled.table.set(0, "vlan", "0")
    ruled.table.set(0, "qos", "0")
    assert board[VMVIR[0]] == 0
    assert board[VMOLR[0]] & VMOLR[0].AUPE.mask
    assert ruled.filters.vlans_of(0) == [0]


def test_no_slot_for_a_port_vlan() -> None:
    ruled = Ruled(vfs=2)
    script = ruled.vf(0)
    ruled.vf(1).ask(*set_vlan(1))
    for vid in range(1, 64):
        assert script.ask(*set_vlan(vid))[0] & mailbox.ACK
    with pytest.raises(ConfigError, match="64 VLANs are taken"):
        ruled.table.set(1, "vlan", "100")
    assert ruled.table.vfs[1].settings.vlan == 0
    ruled.table.set(1, "vlan", "63")
    assert ruled.filters.vlans_of(1) == [63]


def test_spoof_check_off_and_on() -> None:
    ruled = Ruled(vfs=10)
    ruled.table.set(9, "spoofchk", "off")
    assert ruled.board[PFVFSPOOF[1]] == PFVFSPOOF[1].pack(MACAS=1, VLANAS=1)
    ruled.table.set(9, "spoofchk", "on")
    assert ruled.board[PFVFSPOOF[1]] == PFVFSPOOF[1].pack(MACAS=3, VLANAS=3)


def test_link_states() -> None:
    ruled = Ruled()
    script = ruled.vf(0, api=mailbox.API_1_3)
    ruled.table.set(0, "state", "disable")
    assert not (ruled.board[VFRE[0]] | ruled.board[VFTE[0]]) & 1
    assert told(ruled, 0) == [mailbox.PF_CONTROL_MSG]
    script = ruled.vf(0, api=mailbox.API_1_3)
    assert script.ask(mailbox.GET_LINK_STATE, 0)[:2] == [mailbox.GET_LINK_STATE | OK, 0]
    assert not (ruled.board[VFRE[0]] | ruled.board[VFTE[0]]) & 1, "it stays so when it begins anew"
    for state in ("enable", "auto"):
        ruled.table.set(0, "state", state)
        script = ruled.vf(0, api=mailbox.API_1_3)
        assert script.ask(mailbox.GET_LINK_STATE, 0)[1] == 1
        assert ruled.board[VFRE[0]] & ruled.board[VFTE[0]] & 1


def test_every_vf_hears_of_the_link() -> None:
    ruled = Ruled()
    scripts = [ruled.vf(n) for n in range(3)]
    ruled.round(100)
    for script in scripts:
        script.read(3)
    ruled.board.link_up = False
    ruled.round(100)
    for script in scripts:
        assert (script.read() or [0])[0] == mailbox.PF_CONTROL_MSG | mailbox.CTS


def test_an_administrators_address_holds_at_once() -> None:
    ruled = Ruled()
    ruled.vf(0)
    ruled.table.set(0, "mac", "02:aa:00:00:00:07")
    assert ruled.filters.addresses.owners(parse_mac("02:aa:00:00:00:07")) == 1
    assert not ruled.filters.addresses.owners(stable_mac(PF_MAC, 0))
    assert told(ruled, 0) == [mailbox.PF_CONTROL_MSG]
    assert ruled.vf(0).state.mac == parse_mac("02:aa:00:00:00:07")
    ruled.table.set(0, "mac", "00:00:00:00:00:00")
    assert ruled.vf(0).state.mac == stable_mac(PF_MAC, 0)


def test_trust_taken_away_takes_what_came_of_it() -> None:
    ruled = Ruled()
    ruled.table.set(0, "trust", "on")
    script = ruled.vf(0, api=mailbox.API_1_3)
    script.ask(mailbox.UPDATE_XCAST_MODE, mailbox.XCAST_ALLMULTI)
    assert ruled.board[FCTRL] & FCTRL.MPE.mask, "the port must let in what a pool is to get"
    ruled.table.set(0, "trust", "off")
    assert not ruled.board[VMOLR[0]] & VMOLR[0].MPE.mask
    assert not ruled.board[FCTRL] & FCTRL.MPE.mask


def test_groups_of_all_share_one_table() -> None:
    ruled = Ruled()
    a, b = ruled.vf(0), ruled.vf(1)
    a.ask(*set_multicast(1, 2))
    b.ask(*set_multicast(2, 3))
    assert ruled.board[MTA[0]] == 0b1110
    a.ask(*set_multicast())
    assert ruled.board[MTA[0]] == 0b1100
    assert not ruled.board[VMOLR[0]] & VMOLR[0].ROMPE.mask
    b.begin()
    assert ruled.board[MTA[0]] == 0
    ruled.filters.set_multicast(["01:00:00:00:00:00"])
    ruled.filters.write_multicast()
    assert ruled.board[MTA[0]] == 1
    assert ruled.board[VMOLR[4]] & VMOLR[4].ROMPE.mask


def test_vlans_of_pf_and_vfs() -> None:
    ruled = Ruled()
    script = ruled.vf(0)
    script.ask(*set_vlan(100))
    ruled.filters.set_vlan(100, True)
    ruled.filters.set_vlan(200, True)
    ruled.filters.write_vlans()
    board = ruled.board

    def bit(vid: int) -> int:
        return board[VFTA[vid >> 5]] >> (vid & 31) & 1

    def pools(vid: int) -> int:
        slot = next((n for n in range(64) if board[VLVF[n]] == VLVF[n].pack(VLAN_ID=vid, VI_EN=1)), None)
        return 0 if slot is None else board[VLVFB[2 * slot]]

    assert (bit(100), bit(200), bit(300)) == (1, 1, 0)
    assert pools(100) == 1 | 1 << 4
    assert pools(200) == 0, "what no VF has comes to the PF as the default pool"
    ruled.filters.set_vlan(100, False)
    ruled.filters.write_vlan(100)
    assert (bit(100), pools(100)) == (1, 1)
    script.ask(*set_vlan(100, False))
    assert (bit(100), pools(100)) == (0, 0)


def test_the_pf_goes_and_says_so() -> None:
    ruled = Ruled()
    script = ruled.vf(0)
    script.ask(mailbox.SET_LPE, 1518)
    assert [state.number for state in ruled.table.in_use] == [0]
    ruled.table.go_down()
    assert (ruled.board[VFRE[0]], ruled.board[VFTE[0]]) == (1 << 4, 1 << 4)
    assert (script.read() or [0])[0] == mailbox.PF_CONTROL_MSG
    assert script.ask(mailbox.SET_LPE, 1518)[0] == mailbox.SET_LPE | mailbox.NACK


def test_rss_of_the_pf_lies_within_its_pool() -> None:
    ruled = Ruled()
    for queues, bits in ((1, 0), (2, 1), (3, 1), (4, 2)):
        ruled.filters.write_rss(queues)
        assert ruled.board.pf.get(PSRTYPE[4].RQPL) == bits


def test_half_an_address_never_matches() -> None:
    ruled = Ruled()
    ruled.vf(0)
    ruled.board.log.clear()
    ruled.filters.addresses.add(parse_mac("02:aa:00:00:00:01"), 0, slot=10)
    order = [name for _, name, _ in ruled.board.log if name.startswith(("RA", "MPSAR"))]
    assert order[-2:] == ["RAL[10]", "RAH[10]"]
    assert order.index("MPSAR_LO[10]") < order.index("RAL[10]"), "or it would match for the pools of another"
    assert ruled.board[RAH[10]] & RAH[10].AV.mask
