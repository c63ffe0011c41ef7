# SPDX-License-Identifier: BSD-3-Clause
"""Rules about the chip's common parts: reset, EEPROM, semaphores, bits and blocks that it does not have.

Each is judged when it is written: these are commands, and what is written into a reserved bit the chip may take for one.
"""

from __future__ import annotations

from dataplane.pmd.datasheet import (
    CTRL,
    DMATXCTL,
    EERD,
    ETQF,
    FCBUFF,
    IPSRXIDX,
    IPSTXIDX,
    RXCTRL,
    RXDCTL,
    STAMP_ALL,
    STAMP_EVENTS,
    STAMP_L2_V2,
    STAMP_L4_V1,
    STAMP_V2,
    STATUS,
    SW_FW_SYNC,
    SWSM,
    TSAUXC,
    TSYNCRXCTL,
    TXDCTL,
    VLNCTRL,
    VMOLR,
)
from dataplane.pmd.model.strict.rules.queues import owner
from dataplane.pmd.model.strict.rules.rule import Rules, Write

rule = Rules()


@rule(
    "reset-running",
    "4.2.1.6, 5.2.5.3.2",
    "Queues stop and PCIe master requests end before CTRL.RST is set",
    CTRL,
)
def _reset_running(write: Write) -> str | None:
    if not write.value & (CTRL.RST.mask | CTRL.LRST.mask):
        return None
    disabled = not write.get(STATUS.GIO)
    for line in (RXDCTL, TXDCTL):
        for each in line:
            # A VF may enable its queues at any moment, and no PF can prevent it. Once the master is disabled they do no DMA.
            if write.get(each.ENABLE) and not (disabled and owner(write, each.index) is not None):
                return f"reset while {each.ENABLE} is 1"
    busy = write.get(STATUS.GIO) and (write.get(RXCTRL.RXEN) or write.get(DMATXCTL.TE))
    return "reset while STATUS.GIO is 1 (set CTRL.GIO_DIS and wait)" if busy else None


@rule("eeprom-busy", "8.2.3.2.2", "One EEPROM read at a time: EERD.DONE is 1 before the next START", EERD)
def _eeprom_busy(write: Write) -> str | None:
    busy = write.value & EERD.START.mask and write.chip.is_pending(EERD.offset)
    return "started while the last read is under way" if busy else None


@rule("semaphore", "10.5.4, 8.2.3.4.11", "SW_FW_SYNC is written only by who holds SWSM.SWESMBI", SW_FW_SYNC)
def _semaphore(write: Write) -> str | None:
    return "written while SWSM.SWESMBI is 0" if not write.get(SWSM.SWESMBI) else None


# Bits that are reserved on the 82599 and have a meaning on its successors.
_LATER_CHIPS = {
    RXDCTL: 0x0000_BFFF,  # RLPML and its enable: X540
    VMOLR: 0x00C0_0000,  # UPE, VPE: X540, X550
    ETQF: 1 << 29,  # anti-spoofing: X550
    VLNCTRL: 1 << 31,  # VME: 82598
}


@rule("reserved-bits", "8.2.1", "Bits that only other chips have stay 0", *_LATER_CHIPS)
def _reserved_bits(write: Write) -> str | None:
    wrong = write.value & _LATER_CHIPS[write.register.register]
    return f"reserved bits {wrong:#x} are written 1" if wrong else None


_STAMPED = (STAMP_L2_V2, STAMP_L4_V1, STAMP_V2, STAMP_ALL, STAMP_EVENTS)


@rule(
    "stamp-type",
    "8.2.3.26",
    "TSYNCRXCTL.TYPE is none of the reserved 3, 6 and 7 while ENABLE is 1",
    TSYNCRXCTL,
)
def _stamp_type(write: Write) -> str | None:
    kind = TSYNCRXCTL.TYPE.extract(write.value)
    wrong = write.value & TSYNCRXCTL.ENABLE.mask and kind not in _STAMPED
    return f"Rx stamps of type {kind}" if wrong else None


# ---- what the model does not have ---------------------------------------------------------------------------------


@rule(
    "no-security",
    "7.12, 8.2.3.14",
    "There is no IPsec: SECTXSTAT.SECTX_OFF_DIS and SECRXSTAT.SECRX_OFF_DIS are 1",
    IPSTXIDX,
    IPSRXIDX,
)
def _no_security(write: Write) -> str | None:
    return "turned on" if write.sets(write.register.EN) else None


@rule("no-clock-pins", "7.9, 8.2.3.26", "The clock drives no pin and samples none: TSAUXC stays 0", TSAUXC)
def _no_clock_pins(write: Write) -> str | None:
    return "turned on" if write.value else None


@rule("no-fcoe", "7.13, 8.2.3.16", "The model does not place data of FCoE", FCBUFF)
def _no_fcoe(write: Write) -> str | None:
    return "a buffer is given" if write.sets(FCBUFF.VALID) else None
