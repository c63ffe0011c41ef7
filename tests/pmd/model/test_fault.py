# SPDX-License-Identifier: BSD-3-Clause
"""Each fault shows in the register it names, spoils what it says, and can be healed."""

import ctypes
import struct

import pytest
from chip_fixtures import Chip

from dataplane.errors import ConfigError, DeviceGone, DeviceTimeout
from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import (
    CTRL,
    DMATXCTL,
    EEC,
    EERD,
    EICR,
    FWSM,
    LINKS,
    RDRXCTL,
    RXCTRL,
    RXDCTL,
    SECRXCTRL,
    SECRXSTAT,
    STATUS,
    SW_FW_SYNC,
    SWSM,
    TDBAH,
    TDBAL,
    TDH,
    TDLEN,
    TDT,
    TXDCTL,
)
from dataplane.pmd.datasheet import eeprom as words
from dataplane.pmd.ixgbe.device_bar import DeviceBar, pf_registers
from dataplane.pmd.model.fault import FAULTS_AT_BRINGUP, fault, heal, lose_doorbells, plug, stick, unplug
from dataplane.pmd.model.wire.port import PortWire


@pytest.fixture
def chip():
    with Chip() as chip:
        PortWire(chip.chip.engine, chip.card.ports[1].engine)
        chip.bar.sleep(0.02)
        yield chip


def reset(bar):
    bar.set(CTRL.RST)
    bar.wait(CTRL.RST, 0, timeout=0.01)
    bar.sleep(0.01)


def eerd(bar):
    bar.write(EERD, EERD.pack(START=1))
    bar.wait(EERD.DONE, timeout=0.01)


def checksum(bar):
    assert bar.get(FWSM.EXT_ERR_IND) == 0, "bad checksum"


def semaphore(bar):
    assert bar.get(SWSM.SMBI) == 0, "held"
    bar.set(SWSM.SWESMBI)
    taken = bar.get(SWSM.SWESMBI)
    bar.write(SWSM, 0)
    assert taken, "not given"


def master(bar):
    bar.set(CTRL.GIO_DIS)
    bar.wait(STATUS.GIO, 0, timeout=0.01)
    bar.clear(CTRL.GIO_DIS)


def start(line):
    def act(bar):
        bar.set(line[3].ENABLE)
        bar.wait(line[3].ENABLE, timeout=0.01)

    return act


def rx_path(bar):
    bar.clear(SECRXCTRL.RX_DIS)
    bar.set(SECRXCTRL.RX_DIS)
    bar.wait(SECRXSTAT.SECRX_RDY, timeout=0.01)


def waits_for(field):
    return lambda bar: bar.wait(field, timeout=0.05)


def firmware(bar):
    assert bar.get(SW_FW_SYNC.FW_MAC) == 0, "held"


def present(bar):
    assert bar.get(EEC.PRES) == 1, "absent"


# What a driver does that meets the fault: it works on a healthy card and fails on an ill one.
MEETS = {
    "master-never-ends": master,
    "reset-never-ends": reset,
    "eeprom-never-read": waits_for(EEC.ARD),
    "eeprom-absent": present,
    "eeprom-bad-checksum": checksum,
    "eeprom-read-never-ends": eerd,
    "dma-never-ready": waits_for(RDRXCTL.DMAIDONE),
    "semaphore-held": semaphore,
    "firmware-semaphore-held": semaphore,
    "firmware-holds-mac": firmware,
    "rx-path-never-stops": rx_path,
    "rx-queue-never-starts": start(RXDCTL),
    "tx-queue-never-starts": start(TXDCTL),
    "link-never-up": waits_for(LINKS.UP),
    "pulled-out": lambda bar: DeviceBar(bar).check(),
}


@pytest.mark.parametrize("each", FAULTS_AT_BRINGUP, ids=str)
def test_each_fault_is_met_and_healed(chip, each):
    meet = MEETS[each.name]
    meet(chip.bar)
    each.inject(chip.card)
    with pytest.raises((DeviceTimeout, DeviceGone, AssertionError)) as caught:
        meet(chip.bar)
    if caught.type is DeviceTimeout:
        assert each.register in str(caught.value) and each.section in str(caught.value)
    each.heal(chip.card)
    if each.name != "pulled-out":
        reset(chip.bar)
        meet(chip.bar)


def test_every_fault_has_a_name_of_its_own_and_a_test():
    assert [each.name for each in FAULTS_AT_BRINGUP] == list(dict.fromkeys(MEETS))
    assert fault("dma-never-ready").register == "RDRXCTL"
    with pytest.raises(KeyError, match="no fault 'lunch': there are master-never-ends"):
        fault("lunch")


def test_faults_of_one_port_leave_the_other_alone(chip):
    fault("dma-never-ready").inject(chip.card, 0)
    other = chip.card.ports[1]
    assert other.read(RDRXCTL.offset) & RDRXCTL.DMAIDONE.mask


def test_any_bit_can_be_stuck(chip):
    stick(chip.card, 0, RXCTRL.RXEN, 1)
    chip.bar.write(RXCTRL, 0)
    assert chip.bar[RXCTRL] == 1 and chip.stored(RXCTRL) == 1  # the data path sees it too
    heal(chip.card)
    chip.bar.write(RXCTRL, 0)
    assert chip.bar[RXCTRL] == 0


def test_sixteen_stuck_fields_are_the_most(chip):
    for n in range(16):
        stick(chip.card, 0, RXDCTL[n].ENABLE, 0)
    with pytest.raises(ConfigError, match="16 stuck fields"):
        stick(chip.card, 0, RXDCTL[16].ENABLE, 0)


def test_spoiled_eeprom_reads_wrong_through_eerd(chip):
    fault("eeprom-bad-checksum").inject(chip.card)
    assert not words.is_valid(chip.card.eeprom)
    heal(chip.card)
    assert words.is_valid(chip.card.eeprom)


def test_a_pulled_wire_is_seen_at_both_ends_and_raises_a_cause(chip):
    other = chip.card.ports[1]
    chip.bar.read(EICR)
    for _ in range(3):
        unplug(chip.card)
        chip.bar.sleep(0.01)
        assert chip.bar.get(LINKS.UP) == 0
        assert not other.read(LINKS.offset) & LINKS.UP.mask
        assert chip.bar.get(EICR.LSC) == 1
        plug(chip.card)
        chip.bar.sleep(0.01)
        assert chip.bar.get(LINKS.UP) == 1
        assert other.read(LINKS.offset) & LINKS.UP.mask
        assert chip.bar.get(EICR.LSC) == 1


def test_the_other_end_of_the_wire_sees_a_removal(chip):
    other = chip.card.ports[1]
    chip.bar.set(RXDCTL[0].ENABLE)  # under way when it happens
    chip.card.remove(0)
    chip.bar.sleep(0.02)
    assert not other.read(LINKS.offset) & LINKS.UP.mask
    assert all(chip.stored(each) == 0xFFFF_FFFF for each in (RXDCTL[0], LINKS, STATUS))


def test_surprise_removal_reads_ones_and_stops_dma_and_interrupts(chip):
    chip.bar.describe(pf_registers())
    chip.card.remove(0)
    assert chip.bar[STATUS] == 0xFFFF_FFFF
    chip.bar.write(RXCTRL, 1)
    assert chip.stored(RXCTRL) == 0xFFFF_FFFF  # where a driver has mapped them, too
    assert chip.chip.stopped
    fired = chip.chip.interrupts.fired
    chip.chip.interrupts.raise_other(EICR.LSC.mask)
    assert chip.chip.interrupts.fired == fired
    with pytest.raises(DeviceGone, match="model0 is gone"):
        chip.bar.wait(RXCTRL.RXEN)


def test_a_lost_doorbell_leaves_descriptors_lying(chip):
    ring = Arena(4096, hugepages="no")
    chip.function.dma_map(ring)
    # Two packets of 64 bytes that lie in the arena's second half.
    for slot in range(2):
        ctypes.memmove(
            ring.address + 16 * slot, struct.pack("<QII", ring.iova + 2048, 0x2B30_0000 | 64, 64 << 14), 16
        )
    bar = chip.bar
    bar.write(TDBAL[0], ring.iova & 0xFFFF_FFFF)
    bar.write(TDBAH[0], ring.iova >> 32)
    bar.write(TDLEN[0], 64 * 16)
    bar.set(DMATXCTL.TE)
    bar.set(TXDCTL[0].ENABLE)
    bar.wait(TXDCTL[0].ENABLE)
    bar.wait(LINKS.UP)
    bar.write(TDT[0], 1)
    chip.card.step()
    assert bar[TDH[0]] == 1
    lose_doorbells(chip.card, 0, "tx", 0)
    bar.write(TDT[0], 2)
    chip.card.step(10)
    assert (bar[TDT[0]], bar[TDH[0]]) == (2, 1)
    lose_doorbells(chip.card, 0, "tx", 0, lost=False)
    chip.card.step()
    assert bar[TDH[0]] == 2
    chip.function.dma_unmap(ring)
    ring.close()
