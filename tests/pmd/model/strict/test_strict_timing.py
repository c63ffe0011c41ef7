# SPDX-License-Identifier: BSD-3-Clause
"""Strict rules are judged when the chip would act: what was wrong before that, and is right by then, is no fault."""

import pytest
from chip_fixtures import Chip
from strict_steps import (
    after,
    director,
    enabled,
    no_filters,
    receiving,
    reset,
    rx_ready,
    rx_ring,
    seen,
    sending,
    turn_on,
    tx_ready,
    tx_ring,
    update,
    vmdq,
    write,
)
from vf_fixtures import VfChip

from dataplane.errors import DatasheetViolation
from dataplane.pmd.datasheet import (
    CTRL,
    DMATXCTL,
    FDIRCTRL,
    FTQF,
    L34TIMIR,
    MRQC,
    MTQC,
    MTQC_32POOLS,
    RDBAL,
    RDLEN,
    RDT,
    RFCTL,
    RTTDCS,
    RXCTRL,
    RXDCTL,
    RXPBSIZE,
    SRRCTL,
    STATUS,
    TDBAL,
    TDLEN,
    TDT,
    TXDCTL,
    VFTE,
    VT_CTL,
)

ON_RX, ON_TX = turn_on(RXDCTL[0].ENABLE), turn_on(TXDCTL[0].ENABLE)

# name -> what a driver may do, though it passes through a state that the rules forbid to a chip at work
ALLOWED = {
    "buffers": after(receiving, rx_ring, write(SRRCTL[0], 0), update(SRRCTL[0], BSIZEPACKET=2, DESCTYPE=1), ON_RX),
    "no buffers, never enabled": after(receiving, write(SRRCTL[5], 0)),
    "no buffers while RXEN is 0": after(rx_ready, rx_ring, write(SRRCTL[0], 0), ON_RX),
    "reserved type": after(receiving, rx_ring, update(SRRCTL[0], DESCTYPE=7), update(SRRCTL[0], DESCTYPE=1), ON_RX),
    "rx base": after(receiving, rx_ring, write(RDBAL[0], 0x1040), write(RDBAL[0], 0x1080), ON_RX),
    "rx length": after(receiving, rx_ring, write(RDLEN[0], 17), write(RDLEN[0], 1024), ON_RX),
    "rx ring while RXEN is 0": after(rx_ready, write(RDBAL[0], 0x1040), write(RDLEN[0], 17), ON_RX),
    "tx base": after(sending(), write(TDBAL[0], 0x1040), write(TDBAL[0], 0x1080), ON_TX),
    "tx length": after(sending(), write(TDLEN[0], 17), write(TDLEN[0], 1024), ON_TX),
    "tail before RXEN": after(
        rx_ready, rx_ring, enabled, write(RDT[0], 200), write(RDT[0], 63), turn_on(RXCTRL.RXEN)
    ),
    "director before buffers": after(
        rx_ready,
        write(FDIRCTRL, FDIRCTRL.pack(PBALLOC=1)),
        update(RXPBSIZE[0], SIZE=448),
        turn_on(RXCTRL.RXEN),
    ),
    "director": after(director, turn_on(RXCTRL.RXEN)),
    "filter word bit by bit": after(
        no_filters,
        write(L34TIMIR[0], 3 << 21),
        write(L34TIMIR[0], 3 << 21 | 0x40 << 13),
        turn_on(FTQF[0].ENABLE),
    ),
    "filter on before its word": after(no_filters, turn_on(FTQF[0].ENABLE), write(L34TIMIR[0], 3 << 21 | 0x40 << 13)),
    "pools after VT_CTL": after(
        rx_ready, turn_on(VT_CTL.VT_ENA), turn_on(RFCTL.RSC_DIS), update(MRQC, MRQE=0xA), turn_on(RXCTRL.RXEN)
    ),
    "MTQC after TE": after(
        tx_ready,
        turn_on(VT_CTL.VT_ENA),
        turn_on(DMATXCTL.TE),
        turn_on(RTTDCS.ARBDIS),
        write(MTQC, MTQC_32POOLS),
        tx_ring,
        ON_TX,
    ),
    "pools without SR-IOV": after(
        vmdq, rx_ready, rx_ring, turn_on(RXCTRL.RXEN), ON_RX, sending(), ON_TX, seen(TXDCTL[0].ENABLE), write(TDT[0], 1)
    ),
}  # fmt: skip


@pytest.mark.parametrize("steps", ALLOWED.values(), ids=ALLOWED)
def test_what_is_right_when_the_chip_acts_is_no_fault(steps):
    with Chip(manner="strict") as chip:
        reset(chip.bar)
        steps(chip.bar)
        chip.card.check()


def test_a_queue_that_is_about_to_be_enabled_is_judged_when_rxen_is_set():
    """ENABLE is written and does not read 1 yet."""
    with Chip(manner="strict") as chip:
        reset(chip.bar)
        rx_ready(chip.bar)
        rx_ring(chip.bar)
        chip.bar.write(SRRCTL[0], 0)
        chip.bar.set(RXDCTL[0].ENABLE)
        with pytest.raises(DatasheetViolation, match=r"BSIZEPACKET of SRRCTL\[0\] is 0"):
            chip.bar.set(RXCTRL.RXEN)


def test_a_vf_s_queue_is_the_vf_s_fault():
    """RXEN starts it, and the PF that sets RXEN did not set it up."""
    with VfChip(queues=2, manner="strict") as chip:
        rx_ready(chip.bar)
        chip.bar.set(RFCTL.RSC_DIS)
        chip.chip.poke(RXDCTL[2].offset, RXDCTL[2].ENABLE.mask)
        chip.bar.set(RXCTRL.RXEN)


@pytest.mark.parametrize("control", [RXDCTL, TXDCTL], ids=lambda line: line.name)
def test_a_vf_that_enables_a_queue_before_a_reset_is_not_the_pf_s_fault(control):
    """The PF cannot prevent it. With the master disabled the queue does no DMA; without, the PF has not waited."""
    with VfChip(queues=2, manner="strict") as chip:
        of_the_vf, of_the_pf = control[2], control[120]
        chip.chip.poke(of_the_vf.offset, of_the_vf.ENABLE.mask)
        with pytest.raises(DatasheetViolation, match=rf"reset while {control.name}\[2\]"):
            chip.bar.set(CTRL.RST)
        chip.bar.set(CTRL.GIO_DIS)
        chip.bar.wait(STATUS.GIO, 0)
        chip.chip.poke(of_the_pf.offset, of_the_pf.ENABLE.mask)
        with pytest.raises(DatasheetViolation, match=rf"reset while {control.name}\[120\]"):
            chip.bar.set(CTRL.RST)
        chip.chip.poke(of_the_pf.offset, 0)
        chip.bar.set(CTRL.RST)


def test_a_pool_that_is_off_excuses_no_pf():
    """VFTE is 0 as long as its driver wants: unlike a VF, it knows that its doorbell is lost."""
    with Chip(manner="strict") as chip:
        reset(chip.bar)
        vmdq(chip.bar)
        tx_ring(chip.bar, 8)
        chip.bar.write(VFTE[0], 0)
        with pytest.raises(DatasheetViolation, match="the chip loses it"):
            chip.bar.write(TDT[8], 1)
