# SPDX-License-Identifier: BSD-3-Clause
"""A PF port with VFs, and their ports: the order in which they come and go, and what may be asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dataplane.errors import ConfigError, DeviceError, PortError
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import (
    DMATXCTL,
    MAXFRS,
    MTQC,
    QPRDC,
    RDH,
    RDT,
    RQSMR,
    RXCTRL,
    RXDCTL,
    SSVPC,
    STATUS,
    TXDCTL,
    VT_CTL,
    pci,
)
from dataplane.pmd.ixgbe.control import call
from dataplane.pmd.ixgbe.counters import LENT_SET, VF_SET
from dataplane.pmd.ixgbe.errors import PfNotUp, VfsInUse
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.pmd.portstring import PortString
from tests.pmd.ixgbe.fakeboard import Board, BoardFunction
from tests.pmd.ixgbe.sriov.pfboard import PfFunction, PfPort


class VfPort(IxgbeVfPort):
    def _watch_pf(self) -> None:
        return


Pair = Callable[..., tuple[PfPort, Callable[..., VfPort]]]


@pytest.fixture
def made() -> Iterator[Pair]:
    """made(vfs, options): the PF's port, started, and a function that opens VF n."""
    pool = Mempool(4096, hugepages="no", debug=True)
    vf_ports: list[VfPort] = []
    pf_ports: list[PfPort] = []

    def make(vfs: int = 4, options: str = "", queues: int = 1) -> tuple[PfPort, Callable[..., VfPort]]:
        pf = PfPort(vfs, options)
        pf_ports.append(pf)
        pf.configure(mempool=pool, rx_desc=64, tx_desc=64)
        if queues:
            pf.rx(queues - 1), pf.tx(queues - 1)
        pf.start()

        def open_vf(number: int = 0, options: str = "") -> VfPort:
            function = BoardFunction(pf.board, number)
            spec = PortString.split_options(f"{function.name}{options}", "", function.name, options)
            port = VfPort(function, spec)
            vf_ports.append(port)
            port.configure(mempool=pool, rx_desc=64, tx_desc=64)
            port.rx(0), port.tx(0)
            return port

        return pf, open_vf

    yield make
    for port in vf_ports:
        port.close()
    for pf in pf_ports:
        pf.close(force=True)
    assert pool.available == pool.n


def test_the_pf_has_the_pool_behind_its_vfs(made: Pair) -> None:
    pf, open_vf = made(4, queues=2)
    bar = pf.bar
    config = pf.function.config
    assert config.read16(pci.EXTENDED + pci.SRIOV_NUM_VFS) == 4
    assert config.read16(pci.EXTENDED + pci.SRIOV_CONTROL) == 0b11001
    assert pf.info.max_rx_queues == pf.info.max_tx_queues == 4
    assert bar.get(VT_CTL.DEF_PL) == 4
    assert bar.read(MTQC) == 0xA
    for queue in (16, 17):
        assert bar.get(RXDCTL[queue].ENABLE)
        assert bar.get(TXDCTL[queue].ENABLE)
    assert not bar.get(RXDCTL[0].ENABLE)
    vf = open_vf(1)
    vf.start()
    assert bar.get(RXDCTL[4].ENABLE)
    assert bar.read(RQSMR[4]) & 0x0F0F0F0F == 0x03020100, "the PF's queues count in the first sets"
    assert bar.read(RQSMR[0]) & 0x0F0F0F0F == 0x0F0F0F0F, "and all VFs' in the last"
    pf.function.bar(0)[QPRDC[VF_SET].offset] = 7
    pf.poll_stats()
    stats = pf.xstats()
    assert stats["vf_rx_errors"] == 7
    assert stats["rx_missed_errors"] == 0, "what a VF misses is not the PF's loss"


def test_a_pf_without_queues_of_its_own(made: Pair) -> None:
    pf, open_vf = made(2, queues=0)
    assert pf.bar.get(RXCTRL.RXEN)
    assert pf.bar.get(DMATXCTL.TE)
    open_vf(0).start()


def test_63_vfs(made: Pair) -> None:
    pf, open_vf = made(63)
    assert pf.info.max_rx_queues == 2
    assert pf.bar.get(RXDCTL[126].ENABLE)
    vf = open_vf(62)
    vf.start()
    assert vf.info.max_rx_queues == 2
    assert pf.bar.get(RXDCTL[124].ENABLE)


@pytest.mark.parametrize("vfs", [64, -1])
def test_counts_that_are_not_possible(vfs: int) -> None:
    spec = PortString.split_options(f"board0,vfs={vfs}", "", "board0", f",vfs={vfs}")
    with pytest.raises(ConfigError, match="must be 1 to 63"):
        IxgbePort(PfFunction(Board()), spec)


def test_a_host_without_sriov() -> None:
    spec = PortString.split_options("board0,vfs=2", "", "board0", ",vfs=2")
    with pytest.raises(DeviceError, match="no SR-IOV capability: switch SR-IOV on"):
        IxgbePort(PfFunction(Board(), capable=False), spec)


def test_it_refuses_to_go_while_vfs_are_in_use(made: Pair) -> None:
    pf, open_vf = made()
    vf = open_vf(2)
    vf.start()
    with pytest.raises(VfsInUse, match=r"VF 2 \(..:..:..:..:..:..\) is in use\. Close their ports first"):
        pf.close()
    assert pf.started
    assert vf.link.up
    vf.close()
    pf.close()
    assert pf.closed
    assert not pf.function.config.read16(pci.EXTENDED + pci.SRIOV_CONTROL) & pci.SRIOV_VF_ENABLE


def test_forced_the_vfs_are_told(made: Pair) -> None:
    pf, open_vf = made()
    vf = open_vf(2)
    vf.start()
    pf.close(force=True)
    with pytest.raises(PfNotUp):
        vf.watch()
    assert not vf.link.up
    assert vf.mempool.available == vf.mempool.n
    assert pf.function.config.read16(pci.EXTENDED + pci.SRIOV_CONTROL) & pci.SRIOV_VF_ENABLE, (
        "its user has it"
    )
    vf.stop()


def test_an_error_on_its_way_out_is_not_hidden(made: Pair) -> None:
    pf, open_vf = made()
    open_vf(1)
    with pytest.raises(KeyError), pf:
        raise KeyError
    assert pf.closed


def test_the_end_of_a_block_is_not_refused_but_told(made: Pair) -> None:
    pf, open_vf = made()
    open_vf(1)
    with pytest.raises(VfsInUse, match="VF 1"), pf:
        pass
    assert pf.closed


def test_vfs_that_closed_while_the_pf_was_stopped_are_not_in_use(made: Pair) -> None:
    pf, open_vf = made()
    vf = open_vf(1)
    pf.stop()
    vf.close()
    pf.close()


def test_a_pf_that_starts_again_has_its_vfs_back(made: Pair) -> None:
    pf, open_vf = made()
    vf = open_vf(1)
    vf.start()
    for n in range(3):
        pf.stop()
        with pytest.raises(PfNotUp):
            vf.watch()
        assert not vf.link.up
        pf.start()
        before = pf.board.time
        vf.watch()
        assert vf.link.up
        assert pf.board.time - before < 1.0
        assert vf.recoveries == n + 1


def test_jumbo_is_agreed_on(made: Pair) -> None:
    pf, open_vf = made(2, ",mtu=9000")
    vf = open_vf(0, ",mtu=9000")
    vf.start()
    assert pf.bar.get(MAXFRS.MFS) == 9018


def test_control_from_outside(made: Pair) -> None:
    pf, open_vf = made(2)
    vf = open_vf(1)
    rows = call("board0", "show")
    assert [row["vf"] for row in rows] == [0, 1]
    assert [row["active"] for row in rows] == [False, True]
    assert rows[1]["mac"] == vf.mac
    call("board0", "set", vf=1, settings={"vlan": "7", "qos": "2"})
    assert call("board0", "show")[1]["vlan"] == 7
    with pytest.raises(PortError, match="board0: vlan 5000: must be 0 to 4094"):
        call("board0", "set", vf=1, settings={"trust": "on", "vlan": "5000"})
    assert not call("board0", "show")[1]["trust"], "all or none of them"
    with pytest.raises(PortError, match=r"board0 has no VF 9: it has 0\.\.1"):
        call("board0", "explain", vf=9)
    with pytest.raises(PortError, match="expected one of show, set, explain"):
        call("board0", "destroy")
    with pytest.raises(PortError, match="explain:"):
        call("board0", "explain", number=1)
    pf.stop()
    pf.close(force=True)
    with pytest.raises(PortError, match=r"no PF of board0 runs here.*start one with board0,vfs=N"):
        call("board0", "show")


def test_the_same_from_a_program(made: Pair) -> None:
    pf, open_vf = made(2)
    open_vf(1)
    pf.vfs.set(1, vlan=7, trust=True, mac="02:aa:00:00:00:01", state="disable")
    row = pf.vfs.show()[1]
    assert (row["vlan"], row["trust"], row["mac"], row["state"]) == (7, True, "02:aa:00:00:00:01", "disable")
    assert "its link was switched off by the administrator" in str(pf.vfs.explain(1)["findings"])
    with pytest.raises(ConfigError, match="colour: expected one of mac, vlan"):
        pf.vfs.set(1, colour="red")


def test_settings_hold_together_or_not_at_all(made: Pair) -> None:
    """Also when only the tables of the chip say that one of them cannot be had."""
    pf, open_vf = made(2)
    vf = open_vf(1)
    pf.vfs.set(1, trust=True, qos=2)
    pf.vfs.set(1, qos=0, trust=False)
    with pytest.raises(ConfigError, match=f"mac {vf.mac} is the address of VF 1"):
        pf.vfs.set(0, spoofchk=False, vlan=9, max_tx_rate=100, mac=vf.mac)
    row = pf.vfs.show()[0]
    assert (row["spoofchk"], row["vlan"], row["max_tx_rate"]) == (True, 0, 0)
    assert pf.filters.vlans_of(0) == [0]


def test_a_pf_without_vfs_has_nothing_to_rule() -> None:
    spec = PortString.split_options("board0", "", "board0", "")
    port = IxgbePort(PfFunction(Board()), spec)
    with pytest.raises(PortError, match=r"board0 has no VFs \(port\.vfs\): open it with vfs=N"):
        port.vfs.show()
    port.close()


def test_explain_over_the_socket_lends_counters_and_gives_them_back(made: Pair) -> None:
    pf, open_vf = made(2)
    vf = open_vf(1)
    vf.start()
    board, maps = pf.board, pf.bar.read(RQSMR[1])

    def spoof() -> None:
        board[SSVPC] = 5
        board[QPRDC[LENT_SET]] = 3
        board[RDH[4]] = board[RDT[4]]

    board.on_sleep.append(spoof)
    answer = call("board0", "explain", vf=1)
    board.on_sleep.remove(spoof)
    text = str(answer["findings"])
    assert answer["summary"] == "sends and receives nothing"
    assert "dropped by the spoof check, 5 frames" in text
    assert "Rx queue 0 has no free descriptor, 3 frames were dropped" in text
    assert pf.bar.read(RQSMR[1]) == maps
    assert pf.bar.read(STATUS) != 0xFFFF_FFFF
