# SPDX-License-Identifier: BSD-3-Clause
"""The bring-up of other 82599 drivers, step by step with their time-outs, on both manners of the model.

Each test is one thing that such a driver depends on; the limits are theirs.
"""

import pytest
from chip_fixtures import Chip

from dataplane.pmd.datasheet import (
    ANLP1,
    AUTOC,
    CTRL,
    CTRL_EXT,
    EEC,
    EEMNGCTL,
    EERD,
    EICR,
    EIMC,
    EIMC_EX,
    ESDP,
    FACTPS,
    FWSM,
    HLREG0,
    LINKS,
    LMS_10G_SERIAL,
    MSCA,
    RAH,
    RAL,
    RDRXCTL,
    RTTBCNRC,
    RTTDCS,
    RTTDQSEL,
    RXCTRL,
    RXDCTL,
    SECRXCTRL,
    SECRXSTAT,
    STATUS,
    SW_FW_SYNC,
    SWSM,
    TXDCTL,
)
from dataplane.pmd.model.wire.port import PortWire


@pytest.fixture(params=["lenient", "strict"])
def chip(request):
    with Chip(manner=request.param) as chip:
        PortWire(chip.chip.engine, chip.card.ports[1].engine)
        chip.bar.sleep(0.02)
        yield chip


def acquire(bar, mask):
    """The software-firmware semaphore: SMBI, then SWESMBI, then the bits of SW_FW_SYNC, 200 tries 5 ms apart."""
    for _ in range(200):
        if not bar.get(SWSM.SMBI):
            bar.set(SWSM.SWESMBI)
            if bar.get(SWSM.SWESMBI):
                word = bar[SW_FW_SYNC]
                free = not word & (mask | mask << 5)
                if free:
                    bar.write(SW_FW_SYNC, word | mask)
                bar.clear(SWSM.SWESMBI)
                bar.clear(SWSM.SMBI)
                if free:
                    return True
        bar.sleep(0.005)
    return False


def release(bar, mask):
    assert bar.get(SWSM.SMBI) == 0
    bar.set(SWSM.SWESMBI)
    bar.write(SW_FW_SYNC, bar[SW_FW_SYNC] & ~mask)
    bar.clear(SWSM.SWESMBI)
    bar.clear(SWSM.SMBI)


def test_stop_and_reset(chip):
    """Stop, master disable within 800 x 100 us, reset within 10 x 1 us, 50 ms, and everything is as after power-up."""
    bar = chip.bar
    bar.clear(RXCTRL.RXEN)
    bar.write(EIMC, 0x7FFF_FFFF)
    for bank in EIMC_EX:
        bar.write(bank, 0xFFFF_FFFF)
    bar.read(EICR)
    for n in range(128):
        bar.write(TXDCTL[n], TXDCTL[n].SWFLSH.mask)
        bar.write(RXDCTL[n], bar[RXDCTL[n]] & ~RXDCTL[n].ENABLE.mask)
    bar.sleep(0.002)
    bar.set(CTRL.GIO_DIS)
    bar.wait(STATUS.GIO, 0, timeout=0.08, interval=1e-4)
    bar.set(CTRL.RST)
    for _ in range(10):
        bar.sleep(1e-6)
        if not bar.get(CTRL.RST):
            break
    assert bar.get(CTRL.RST) == 0
    bar.sleep(0.05)
    assert bar.get(EEC.ARD) == bar.get(EEC.PRES) == bar.get(RDRXCTL.DMAIDONE) == 1
    assert bar.get(FWSM.EXT_ERR_IND) == 0 and bar.get(FWSM.FW_VALID) == 1
    assert bar.get(EEMNGCTL.CFG_DONE0) == 1 and not bar[FACTPS] & FACTPS.LFS.mask
    assert bar[RAL[0]] | bar[RAH[0]] and bar.get(RAH[0].AV)


def test_semaphore_dance_from_both_ports(chip):
    other = Chip.__new__(Chip)
    other.bar = type(chip.bar)(chip.card, chip.card.ports[1])
    mac, eeprom = SW_FW_SYNC.SW_MAC.mask, SW_FW_SYNC.SW_EEP.mask
    assert acquire(chip.bar, mac)
    assert acquire(other.bar, eeprom)
    assert not acquire(other.bar, mac)
    release(chip.bar, mac)
    assert acquire(other.bar, mac)


def test_eeprom_by_grant_and_by_word(chip):
    """REQ until GNT within 1000 x 5 us; each EERD word within 100000 x 5 us; the checksum over all."""
    bar = chip.bar
    bar.set(EEC.REQ)
    bar.wait(EEC.GNT, timeout=0.005, interval=5e-6)
    bar.clear(EEC.REQ)
    total = 0
    for address in range(0x3F + 1):
        bar.write(EERD, address << 2 | 1)
        bar.wait(EERD.DONE, timeout=0.5, interval=5e-6)
        total += bar[EERD] >> 16
    assert bar[EERD] & 0xFFFF == 0x3F << 2 | 2
    sections = {0x100, 0x110, 0x120, 0x130}
    total += sum(sum(chip.card.eeprom[at + 1 : at + 1 + chip.card.eeprom[at]]) for at in sections)
    assert total & 0xFFFF == 0xBABA


def test_pipeline_reset_around_autoc(chip):
    """AUTOC with LMS bit 15 toggled and RESTART_AN; ANLP1 not idle within 10 x 4 ms; AUTOC back; link within 9 s."""
    bar = chip.bar
    autoc = bar[AUTOC]
    assert AUTOC.LMS.extract(autoc) == LMS_10G_SERIAL
    bar.write(AUTOC, (autoc ^ 1 << 15) | AUTOC.RESTART_AN.mask)
    bar.sleep(0.004)
    assert bar.get(ANLP1.AN_STATE) != 0
    bar.write(AUTOC, autoc | AUTOC.RESTART_AN.mask)
    bar.wait(LINKS.UP, timeout=9.0, interval=0.1)
    assert LINKS.SPEED.extract(bar[LINKS]) == 3
    assert bar[ESDP] & ESDP.SDP2.mask  # no crosstalk: a module is in


def test_receive_is_switched_on_behind_the_security_block(chip):
    """SECRX_RDY within 4000 x 10 us."""
    bar = chip.bar
    for each, value in ((RDRXCTL, {"RSCFRSTSIZE": 0, "RSCACKC": 1, "FCOE_WRFIX": 1, "CRCSTRIP": 1}),):
        bar.update(each, **value)
    bar.set(HLREG0.RXCRCSTRP)
    bar.set(SECRXCTRL.RX_DIS)
    bar.wait(SECRXSTAT.SECRX_RDY, timeout=0.04, interval=1e-5)
    bar.clear(SECRXCTRL.RX_DIS)


def test_start_of_the_second_generation(chip):
    """Rate limiters of all queues cleared, driver loaded, no snoop off, mailboxes told."""
    bar = chip.bar
    for queue in range(128):
        bar.write(RTTDQSEL, queue)
        bar.write(RTTBCNRC, 0)
    bar.set(CTRL_EXT.NS_DIS, CTRL_EXT.DRV_LOAD, CTRL_EXT.PFRSTD)
    assert bar.get(CTRL_EXT.DRV_LOAD) == 1
    bar.set(RTTDCS.ARBDIS)
    bar.clear(RTTDCS.ARBDIS)


def test_a_search_for_phys_ends_at_once(chip):
    """32 addresses, each command within 100 x 10 us."""
    bar = chip.bar
    for phy in range(32):
        for op in (0, 3):
            bar.write(MSCA, MSCA.pack(OP=op, PHY=phy, DEV_TYPE=1, ADDR=2, START=1))
            bar.wait(MSCA.START, 0, timeout=0.001, interval=1e-5)
