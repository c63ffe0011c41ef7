# SPDX-License-Identifier: BSD-3-Clause
"""The order of the bring-up, against the facts; and waits that end, with a device that answers nothing."""

import gc
import time

import pytest
from fakenic import MAC, FakeFunction

from dataplane.errors import ConfigError, DeviceError, DeviceGone, DeviceTimeout, MempoolError
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import (
    CTRL,
    CTRL_EXT,
    DMATXCTL,
    EEC,
    EERD,
    FCTRL,
    FWSM,
    HLREG0,
    LINKS,
    MAXFRS,
    MRQC,
    MTA,
    RAH,
    RAL,
    RDRXCTL,
    RDT,
    RETA,
    RXCTRL,
    RXDCTL,
    RXPBSIZE,
    SECRXSTAT,
    SRRCTL,
    STATUS,
    SW_FW_SYNC,
    SWSM,
    TXDCTL,
    TXPBSIZE,
    VFTA,
    VLNCTRL,
    eeprom,
    pci,
)
from dataplane.pmd.ixgbe import common
from dataplane.pmd.ixgbe.counters import Watch
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.portstring import PortString
from dataplane.port import format_mac


def port_of(function, options=""):
    return IxgbePort(function, PortString.split_options(f"fake0{options}", "", "fake0", options))


@pytest.fixture
def function():
    return FakeFunction()


@pytest.fixture
def pool():
    pool = Mempool(2048, hugepages="no")
    yield pool
    assert pool.available == pool.n


@pytest.fixture
def port(function, pool):
    port = port_of(function)
    port.configure(mempool=pool)
    yield port
    port.close()


def written(function, name):
    return [value for what, register, value in function.registers.trace if what == "w" and register == name]


def first(function, name, test=lambda value: True):
    """Where in the trace a register is first written with such a value."""
    return next(
        at
        for at, (what, register, value) in enumerate(function.registers.trace)
        if what == "w" and register == name and test(value)
    )


def test_opening_resets_and_reads_the_mac(function):
    with port_of(function) as port:
        assert port.mac == format_mac(MAC)
        assert port.link.up and port.link.speed == 10_000
        command = function.config.read16(pci.COMMAND)
        assert command & (pci.COMMAND_BUS_MASTER | pci.COMMAND_MEMORY) == 6
        assert any(value & CTRL.RST.mask for value in written(function, "CTRL"))
        assert function.registers.get(CTRL_EXT.DRV_LOAD)
    assert not function.registers.get(CTRL_EXT.DRV_LOAD)
    assert function.closes == 1


def test_bring_up_in_the_datasheets_order(function, port):
    port.rx(1), port.tx(0)
    function.registers.trace.clear()
    port.start()
    at = lambda name, test=lambda value: True: first(function, name, test)  # noqa: E731
    order = [
        at("RXCTRL"),
        at("EIMC"),
        at("CTRL", lambda v: v & CTRL.GIO_DIS.mask),
        at("CTRL", lambda v: v & CTRL.RST.mask),
        at("FCRTH[0]"),
        at("MTA[0]"),
        at("RXPBSIZE[0]"),
        at("RDRXCTL"),
        at("TXPBSIZE[0]"),
        at("MTQC"),
        at("TDLEN[0]"),
        at("DMATXCTL", lambda v: v & 1),
        at("TXDCTL[0]", lambda v: v & TXDCTL[0].ENABLE.mask),
        at("RDLEN[0]"),
        at("SRRCTL[0]"),
        at("RXDCTL[0]", lambda v: v & RXDCTL[0].ENABLE.mask),
        at("RDT[0]", lambda v: v == port.rx_desc - 1),
        at("RXDCTL[1]", lambda v: v & RXDCTL[1].ENABLE.mask),
        at("RXCTRL", lambda v: v & 1),
    ]
    assert order == sorted(order)


def test_what_the_datasheet_wants_written(function, port):
    port.rx(0), port.tx(0)
    port.configure(rx_desc=64, tx_desc=128)
    port.start()
    bar = function.registers
    assert bar[RXPBSIZE[0]] == 0x80000 and not any(bar[RXPBSIZE[n]] for n in range(1, 8))
    assert bar[TXPBSIZE[0]] == 0x28000
    assert bar.get(RDRXCTL.CRCSTRIP) == bar.get(HLREG0.RXCRCSTRP) == 1
    assert (bar.get(RDRXCTL.RSCFRSTSIZE), bar.get(RDRXCTL.RSCACKC), bar.get(RDRXCTL.FCOE_WRFIX)) == (0, 1, 1)
    assert bar.get(SRRCTL[0].BSIZEPACKET) == 2 and bar.get(SRRCTL[0].DESCTYPE) == 1
    assert bar.get(SRRCTL[0].DROP_EN) == 0
    assert bar.get(DMATXCTL.TE) and bar.get(RXCTRL.RXEN)
    assert bar[RDT[0]] == 63
    assert bar.get(FCTRL.BAM) and not bar.get(FCTRL.UPE)
    assert bar.get(TXDCTL[0].WTHRESH) == 0
    assert bar.get(CTRL_EXT.NS_DIS)
    assert bar[MRQC] == 0


def test_settings_hold_over_a_restart(function, port):
    port.rx(0)
    port.mac = "02:00:00:00:00:99"
    port.promiscuous = True
    port.multicast.set(["01:00:5e:00:00:01"])
    port.vlans.add(100)
    port.mtu = 9000
    bar = function.registers
    for _ in range(2):
        port.start()
        assert bar[RAL[0]] == 0x00000002 and bar[RAH[0]] == 0x8000_9900
        assert bar.get(FCTRL.UPE) and bar.get(FCTRL.MPE)
        vector = (0x00 >> 4 | 0x01 << 4) & 0xFFF
        assert bar[MTA[vector >> 5]] == 1 << (vector & 31)
        assert bar[VFTA[3]] == 1 << 4 and bar.get(VLNCTRL.VFE)
        assert bar.get(HLREG0.JUMBOEN) and bar.get(MAXFRS.MFS) == 9018
        port.stop()
    port.start()
    port.promiscuous = False
    port.vlans.remove(100)
    assert not bar.get(FCTRL.UPE) and bar[VFTA[3]] == 0


@pytest.mark.parametrize(("queues", "entries"), [(2, 2), (3, 3), (16, 16), (20, 16)])
def test_rss_over_the_queues(function, port, queues, entries):
    port.rx(queues - 1)
    port.configure(rx_desc=64)
    port.start()
    bar = function.registers
    table = [bar[RETA[n]] >> 8 * i & 0xF for n in range(32) for i in range(4)]
    assert table == [n % entries for n in range(128)]
    assert bar.get(MRQC.MRQE) == 1
    assert bar.get(SRRCTL[0].DROP_EN) == 1  # one slow queue must not hold up the others


def stick(field, value):
    def apply(bar):
        bar.stuck[field.register.offset] = field.mask, value << field.shift

    return apply


def no_eeprom(bar):
    stick(EEC.PRES, 0)(bar)


def bad_word(bar):
    bar.words[0x10] ^= 1


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (stick(CTRL.RST, 1), ("CTRL.RST", "0.1 s", "8.2.3.1.1")),
        (stick(STATUS.GIO, 1), ("STATUS.GIO", "0.08 s", "8.2.3.1.2")),
        (stick(EEC.ARD, 0), ("EEC.ARD", "1.0 s", "8.2.3.2.1")),
        (no_eeprom, ("EEC.PRES", "8.2.3.2.1")),
        (stick(FWSM.EXT_ERR_IND, 1), ("FWSM.EXT_ERR_IND", "8.2.3.4.10")),
        (bad_word, ("checksum", "EERD", "eeprom_check=off")),
        (stick(EERD.DONE, 0), ("EERD.DONE", "0.5 s", "8.2.3.2.2")),
        (stick(RDRXCTL.DMAIDONE, 0), ("RDRXCTL.DMAIDONE", "1.0 s", "8.2.3.8.8")),
        (stick(SWSM.SMBI, 1), ("SWSM.SMBI", "8.2.3.4.9")),
        (stick(SWSM.SWESMBI, 0), ("SWSM.SWESMBI", "1 s", "8.2.3.4.9")),
        (stick(SW_FW_SYNC.FW_EEP, 1), ("SW_FW_SYNC.FW_EEP", "1 s", "8.2.3.4.11")),
        (stick(SW_FW_SYNC.SW_EEP, 1), ("SW_FW_SYNC.SW_EEP", "1 s", "8.2.3.4.11")),
    ],
)
def test_each_wait_of_opening_ends(function, fault, names):
    fault(function.registers)
    with pytest.raises(DeviceError) as error:
        port_of(function)
    for name in (*names, "fake0"):
        assert name in str(error.value)
    assert function.registers.clock < 10


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (stick(RXDCTL[0].ENABLE, 0), ("RXDCTL[0].ENABLE", "0.01 s", "8.2.3.8.6")),
        (stick(TXDCTL[0].ENABLE, 0), ("TXDCTL[0].ENABLE", "0.01 s", "8.2.3.9.10")),
        (stick(SECRXSTAT.SECRX_RDY, 0), ("SECRXSTAT.SECRX_RDY", "0.04 s", "8.2.3.12.6")),
    ],
)
def test_each_wait_of_starting_ends_with_every_mbuf_back(function, port, pool, fault, names):
    port.rx(0), port.tx(0)
    fault(function.registers)
    with pytest.raises(DeviceTimeout) as error:
        port.start()
    for name in (*names, "fake0"):
        assert name in str(error.value)
    assert pool.available == pool.n
    assert not port.started and not function.arenas
    function.registers.stuck.clear()
    port.start()
    assert pool.available == pool.n - port.rx_desc


def test_a_queue_that_does_not_stop_is_reset_before_its_memory_goes(function, port, pool):
    port.rx(0)
    port.start()
    stick(RXDCTL[0].ENABLE, 1)(function.registers)
    with pytest.raises(DeviceTimeout, match=r"RXDCTL\[0\].ENABLE"):
        port.stop()
    assert pool.available == pool.n
    assert function.resets == 1
    function.registers.stuck.clear()


def test_a_dead_semaphore_owner_is_got_over(function):
    function.registers[SWSM.offset] = SWSM.SMBI.mask
    function.registers[SW_FW_SYNC.offset] = SW_FW_SYNC.SW_EEP.mask
    function.registers.power_up = lambda: None  # a reset does not free them: they belong to both ports
    with port_of(function) as port:
        assert port.mac
    assert function.registers[SW_FW_SYNC.offset] == 0


def test_eeprom_check_can_be_left_out(function):
    bad_word(function.registers)
    port_of(function, ",eeprom_check=off").close()
    function.registers.words[eeprom.MAC0] = 200  # a section that runs past the end
    function.registers.words[200] = 500
    with pytest.raises(DeviceError, match="past the end"):
        port_of(function)


def test_a_device_that_is_not_there(function):
    function.registers.unplug()
    with pytest.raises(DeviceGone):
        port_of(function)


def test_a_device_that_goes_away_gives_everything_back(function, port, pool):
    port.rx(0), port.tx(0)
    port.start()
    before = port.xstats()
    function.registers.unplug()
    assert port.xstats() == before
    with pytest.raises(DeviceGone):
        port.poll_stats()
    with pytest.raises(DeviceGone):
        _ = port.link
    port.stop()
    assert pool.available == pool.n and not function.arenas


def test_link_that_stays_down(function, port):
    stick(LINKS.UP, 0)(function.registers)
    assert not port.link.up
    with pytest.raises(
        DeviceTimeout, match=r"LINKS.UP still 0 after 0.5 s on fake0 .*8\.2\.3\.22\.20.*cable"
    ):
        port.wait_link(0.5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (",rx_desc=100", "a multiple of 8 from 8 to 8192"),
        (",tx_desc=4", "a multiple of 8 from 8 to 8192"),
        (",tx_desc=8200", "a multiple of 8 from 8 to 8192"),
        (",mtu=9711", "must be 68 .* to 9710"),
        (",drop_en=maybe", "one of on, off, auto"),
        (",rss_key=1234", "80 hex digits"),
        (",queues=3", "no option 'queues': it knows"),
    ],
)
def test_options_that_are_refused(function, options, says):
    with pytest.raises(ConfigError, match=says):
        port_of(function, options)
    assert not function.registers.trace, "the device was touched"


@pytest.mark.parametrize("mac", ["ff:ff:ff:ff:ff:ff", "01:00:00:00:00:01", "00:00:00:00:00:00", "02:00:00"])
def test_macs_that_are_refused(port, mac):
    with pytest.raises(ConfigError):
        port.mac = mac


def test_too_few_mbufs_for_the_ring(function, port):
    small = Mempool(100, hugepages="no")
    port.rx(0)
    port.configure(mempool=small)
    with pytest.raises(MempoolError, match=r"100 mbufs left for a descriptor ring of 512.*rx_desc smaller"):
        port.start()
    assert small.available == 100
    del small
    gc.collect()


def test_buffers_below_a_kib_cannot_receive(port):
    port.rx(0)
    port.configure(mempool=Mempool(2048, data_room=512, hugepages="no"))
    with pytest.raises(ConfigError, match=r"8\.2\.3\.8\.7.*data_room=1024"):
        port.start()


def test_the_counters_are_read_by_themselves(function, port, monkeypatch):
    monkeypatch.setattr(common, "Watch", lambda name, collect: Watch(name, collect, 0.002))
    port.start()
    function.registers.trace.clear()
    for _ in range(500):
        if sum(name == "GPTC" for _, name, _ in function.registers.trace) > 2:
            break
        time.sleep(0.002)
    else:
        raise AssertionError("nobody read the counters")
