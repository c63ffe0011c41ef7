# SPDX-License-Identifier: BSD-3-Clause
"""What a driver must not do to registers, as a table: `VIOLATIONS`. The strict manner looks each write up in it.

A check gets a `Write` and returns what is wrong, or nothing. It runs before the write happens. What only the data path can
see (a tail stored past the length, DMA outside the map, a bad descriptor) it reports itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dataplane.pmd.datasheet import (
    CMD_ADD,
    CTRL,
    DMATXCTL,
    EERD,
    EIMS,
    EIMS_EX,
    ETQF,
    FDIRCMD,
    FDIRCTRL,
    FDIRDIP4M,
    FDIRHKEY,
    FDIRIP6M,
    FDIRM,
    FDIRSIP4M,
    FDIRSKEY,
    FDIRTCPM,
    FDIRUDPM,
    GCR_EXT,
    GPIE,
    HLREG0,
    L34TIMIR,
    MRQC,
    MRQE_16POOLS_8TC,
    MRQE_32POOLS_4TC,
    MRQE_32POOLS_RSS,
    MRQE_64POOLS,
    MRQE_64POOLS_RSS,
    MTQC,
    MTQC_16POOLS_8TC,
    MTQC_32POOLS,
    MTQC_32POOLS_4TC,
    MTQC_64POOLS,
    RDBAH,
    RDBAL,
    RDH,
    RDLEN,
    RDRXCTL,
    RDT,
    RFCTL,
    RTTDCS,
    RXCSUM,
    RXCTRL,
    RXDCTL,
    RXPBSIZE,
    SRRCTL,
    STATUS,
    SW_FW_SYNC,
    SWSM,
    TDBAH,
    TDBAL,
    TDH,
    TDLEN,
    TDT,
    TXDCTL,
    TXPBSIZE,
    VFRE,
    VFTE,
    VLNCTRL,
    VMOLR,
    VT_CTL,
    VT_MODE_16,
    VT_MODE_32,
    VT_MODE_64,
    FieldRef,
    Register,
    RegisterRef,
)  # fmt: skip
from dataplane.pmd.datasheet import limits as limit
from dataplane.pmd.model.controller import Controller

__all__ = ["VIOLATIONS", "Violation", "Write"]


@dataclass(frozen=True, slots=True)
class Write:
    """A write that is about to happen."""

    chip: Controller
    register: RegisterRef
    old: int
    value: int

    @property
    def index(self) -> int:
        return self.register.index

    def peek(self, register: RegisterRef) -> int:
        """A register's word, stored."""
        return self.chip.peek(register.offset)

    def get(self, field: FieldRef) -> int:
        """A field's value, stored."""
        return field.extract(self.chip.peek(field.register.offset))

    def sets(self, field: FieldRef) -> bool:
        """Whether this write turns a bit on."""
        return bool(self.value & ~self.old & field.mask)

    def changes(self, mask: int) -> bool:
        """Whether it changes any of these bits."""
        return bool((self.old ^ self.value) & mask)


Check = Callable[[Write], "str | None"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule. registers: a write to any of them is looked at; section: where the rule stands."""

    name: str
    section: str
    rule: str
    registers: tuple[Register, ...]
    broken: Check


VIOLATIONS: list[Violation] = []


def _rule(name: str, section: str, rule: str, *registers: Register) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        VIOLATIONS.append(Violation(name, section, rule, registers, check))
        return check

    return add


# ---- descriptor rings ---------------------------------------------------------------------------------------------


def _control(write: Write) -> RegisterRef:
    """RXDCTL or TXDCTL of the queue that this register belongs to."""
    is_rx = write.register.register in (RDBAL, RDBAH, RDLEN, RDH, RDT, SRRCTL, RXDCTL)
    return (RXDCTL if is_rx else TXDCTL)[write.index]


def _out_of_use(write: Write) -> bool:
    """Whether the queue is of a pool that is off (VFRE, VFTE): of a VF whose PF was reset before its driver can know."""
    mode = write.get(GCR_EXT.VT_MODE)  # 1: 8 queues a pool, 2: 4, 3: 2
    pool = write.index >> 4 - mode
    gate = VFRE if _control(write).register is RXDCTL else VFTE
    return bool(mode) and not write.peek(gate[pool // 32]) >> pool % 32 & 1


def _ring(write: Write) -> tuple[RegisterRef, RegisterRef, RegisterRef, RegisterRef, RegisterRef]:
    """Base low and high, length, head, tail of that queue."""
    is_rx = _control(write).register is RXDCTL
    lines = (RDBAL, RDBAH, RDLEN, RDH, RDT) if is_rx else (TDBAL, TDBAH, TDLEN, TDH, TDT)
    low, high, length, head, tail = (line[write.index] for line in lines)
    return low, high, length, head, tail


# Bits below 128 bytes do not exist in these registers, and Linux's register test writes all sorts of patterns to them: what
# counts is what a driver had written when it enables the queue.


def _told(write: Write, register: RegisterRef) -> int:
    """What was written to the register last."""
    word: int = write.chip.blocks["queues"].told.get(register.offset, write.peek(register))
    return word


@_rule("ring-base", "8.2.3.8.1, 8.2.3.9.5", "A descriptor ring starts on a multiple of 128 bytes",
       RXDCTL, TXDCTL)  # fmt: skip
def _ring_base(write: Write) -> str | None:
    low, *_ = _ring(write)
    wrong = write.sets(_control(write).ENABLE) and _told(write, low) % limit.RING_ALIGN
    return f"{low.name} was written {_told(write, low):#x}" if wrong else None


@_rule("ring-length", "8.2.3.8.3, 8.2.3.9.7",
       "A descriptor ring is a multiple of 128 bytes, at most 8192 descriptors", RXDCTL, TXDCTL)  # fmt: skip
def _ring_length(write: Write) -> str | None:
    _, _, length, _, _ = _ring(write)
    told = _told(write, length)
    if not write.sets(_control(write).ENABLE):
        return None
    if told % (limit.RING_MULTIPLE * limit.DESCRIPTOR_SIZE):
        return f"{length.name} was written {told}, which is not a multiple of 128 bytes"
    if told > limit.RING_MAX * limit.DESCRIPTOR_SIZE:
        return f"{length.name} is above {limit.RING_MAX} descriptors"
    return None


@_rule("ring-moved", "4.6.7.1, 4.6.8.1", "Base, length and buffer sizes of a queue stay as they are while it is enabled",
       RDBAL, RDBAH, RDLEN, TDBAL, TDBAH, TDLEN, SRRCTL)  # fmt: skip
def _ring_moved(write: Write) -> str | None:
    moved = write.get(_control(write).ENABLE) and write.changes(
        ~SRRCTL[0].DROP_EN.mask if write.register.register is SRRCTL else ~0
    )
    return f"changed while {_control(write).ENABLE} is 1" if moved else None


@_rule(
    "head-written",
    "8.2.3.8.4, 8.2.3.9.8",
    "The head belongs to the chip while the queue is enabled",
    RDH,
    TDH,
)
def _head_written(write: Write) -> str | None:
    if write.get(_control(write).ENABLE) and write.changes(~0):
        return f"written while {_control(write).ENABLE} is 1"
    return None


@_rule("tail-past-length", "8.2.3.8.5, 8.2.3.9.9", "A tail is below the number of descriptors", RDT, TDT)
def _tail_past_length(write: Write) -> str | None:
    control, (_, _, length, _, _) = _control(write), _ring(write)
    slots = write.peek(length) // limit.DESCRIPTOR_SIZE
    if _out_of_use(write) or (control.register is RXDCTL and not slots and not write.get(RXCTRL.RXEN)):
        return None  # nothing that would use it: a register test, or what its driver cannot know
    return f"the ring has {slots} descriptors" if write.value and write.value >= slots else None


@_rule("tail-before-enable", "4.6.7.1, 4.6.8.1", "A tail moves only after ENABLE reads 1", RDT, TDT)
def _tail_before_enable(write: Write) -> str | None:
    _, _, _, head, _ = _ring(write)
    lost = not write.get(_control(write).ENABLE) and write.value not in (0, write.peek(head))
    lost = lost and not _out_of_use(write)
    return f"moved while {_control(write).ENABLE} reads 0: the chip loses it" if lost else None


# ---- enabling queues ----------------------------------------------------------------------------------------------


@_rule("queue-without-ring", "4.6.7.1, 4.6.8.1",
       "A queue has its base and length before it is enabled, or at the latest when RXEN is set",
       RXDCTL, TXDCTL, RXCTRL)  # fmt: skip
def _queue_without_ring(write: Write) -> str | None:
    if write.register is RXCTRL:
        lacking = (_lacks(write, RXDCTL[n]) for n in range(limit.RX_QUEUES) if write.get(RXDCTL[n].ENABLE))
        return next((wrong for wrong in lacking if wrong), None) if write.sets(RXCTRL.RXEN) else None
    control = _control(write)
    idle = control.register is RXDCTL and not write.get(RXCTRL.RXEN)
    return _lacks(write, control) if write.sets(control.ENABLE) and not idle else None


def _lacks(write: Write, control: RegisterRef) -> str | None:
    low, high, length = (
        line[control.index]
        for line in ((RDBAL, RDBAH, RDLEN) if control.register is RXDCTL else (TDBAL, TDBAH, TDLEN))
    )
    if not write.peek(low) | write.peek(high):
        return f"{control.ENABLE} is set before its base ({low.name} is 0)"
    if not write.peek(length):
        return f"{control.ENABLE} is set before its length ({length.name} is 0)"
    return None


@_rule(
    "queue-with-tail", "4.6.7.1, 4.6.8.1", "Head and tail are equal when a queue is enabled", RXDCTL, TXDCTL
)
def _queue_with_tail(write: Write) -> str | None:
    _, _, _, head, tail = _ring(write)
    if write.sets(_control(write).ENABLE) and write.peek(head) != write.peek(tail):
        return f"enabled with {head.name} at {write.peek(head)} and {tail.name} at {write.peek(tail)}"
    return None


@_rule("queue-before-te", "4.6.8", "DMATXCTL.TE is set before a Tx queue is enabled", TXDCTL)
def _queue_before_te(write: Write) -> str | None:
    early = write.sets(TXDCTL[write.index].ENABLE) and not write.get(DMATXCTL.TE)
    return "enabled while DMATXCTL.TE is 0" if early else None


@_rule(
    "queue-of-no-pool", "7.2.1.2.1", "Without pools and traffic classes only Tx queues 0 to 63 exist", TXDCTL
)
def _queue_of_no_pool(write: Write) -> str | None:
    beyond = (
        write.index >= limit.TX_QUEUES_PLAIN and not write.get(MTQC.VT_ENA) and not write.get(MTQC.RT_ENA)
    )
    return "MTQC gives it to no pool or class" if write.sets(TXDCTL[write.index].ENABLE) and beyond else None


@_rule(
    "buffer-size", "8.2.3.8.7", "SRRCTL has a descriptor type that exists and buffers of 1 to 16 KiB", SRRCTL
)
def _buffer_size(write: Write) -> str | None:
    fields = write.register.unpack(write.value)
    if fields["DESCTYPE"] in (3, 6, 7):
        return f"DESCTYPE {fields['DESCTYPE']} is reserved"
    if not 1 <= fields["BSIZEPACKET"] <= limit.RX_BUFFER_MAX // limit.RX_BUFFER_UNIT:
        return f"BSIZEPACKET is {fields['BSIZEPACKET']}"
    if fields["DESCTYPE"] in (2, 5) and not fields["BSIZEHEADER"]:
        return "header splitting without a header buffer (BSIZEHEADER is 0)"
    return None


# ---- turning the receiver and the transmitter on ------------------------------------------------------------------


# Only the first packet buffer of each direction: the others come up as large as the whole memory, and DPDK's driver leaves
# them so, with one traffic class and with eight.
@_rule(
    "rx-buffers",
    "8.2.3.8.9, 4.6.11.3",
    "The first Rx packet buffer has 1 to 512 KiB before RXEN is set",
    RXCTRL,
)
def _rx_buffers(write: Write) -> str | None:
    kilobytes = write.get(RXPBSIZE[0].SIZE)
    if write.sets(RXCTRL.RXEN) and not 0 < kilobytes <= limit.RX_PACKET_BUFFER >> 10:
        return f"RXEN with {kilobytes} KiB in RXPBSIZE[0], of {limit.RX_PACKET_BUFFER >> 10}"
    return None


# A reset leaves HLREG0.RXCRCSTRP 1 and RDRXCTL.CRCSTRIP 0, and Linux's self-test receives with that.
@_rule("crc-strip", "8.2.3.8.8, 8.2.3.22.8", "RDRXCTL.CRCSTRIP is 1 only with HLREG0.RXCRCSTRP", RXCTRL)
def _crc_strip(write: Write) -> str | None:
    wrong = write.get(RDRXCTL.CRCSTRIP) and not write.get(HLREG0.RXCRCSTRP)
    return (
        "RXEN with HLREG0.RXCRCSTRP 0 and RDRXCTL.CRCSTRIP 1" if write.sets(RXCTRL.RXEN) and wrong else None
    )


# GPIE's copy is of the interrupt logic: Linux's ixgbe writes it when queues run already, before it lifts the masks.
@_rule("pool-mode", "8.2.3.5.18, 8.2.3.4.12", "GPIE.VT_MODE and GCR_EXT.VT_MODE agree", EIMS, EIMS_EX)
def _pool_mode(write: Write) -> str | None:
    if write.value and write.get(GPIE.VT_MODE) != write.get(GCR_EXT.VT_MODE):
        return f"unmasked with GPIE.VT_MODE {write.get(GPIE.VT_MODE)} and GCR_EXT.VT_MODE {write.get(GCR_EXT.VT_MODE)}"
    return None


# GCR_EXT.VT_MODE -> what MRQC.MRQE and MTQC may be with it (7.1.2.7, 7.2.1.2.1)
_LAYOUTS = {
    VT_MODE_16: ((MRQE_16POOLS_8TC,), (MTQC_16POOLS_8TC,)),
    VT_MODE_32: ((MRQE_32POOLS_RSS, MRQE_32POOLS_4TC), (MTQC_32POOLS, MTQC_32POOLS_4TC)),
    VT_MODE_64: ((MRQE_64POOLS, MRQE_64POOLS_RSS), (MTQC_64POOLS,)),
}


@_rule("pool-layout", "8.2.3.7.12, 8.2.3.9.15", "MRQC.MRQE and MTQC deal out queues as GCR_EXT.VT_MODE does",
       RXCTRL, DMATXCTL)  # fmt: skip
def _pool_layout(write: Write) -> str | None:
    mode = write.get(GCR_EXT.VT_MODE)
    if not write.get(VT_CTL.VT_ENA) or mode not in _LAYOUTS:
        return None
    mrqe, mtqc = _LAYOUTS[mode]
    if write.register is RXCTRL and write.sets(RXCTRL.RXEN) and write.get(MRQC.MRQE) not in mrqe:
        return f"RXEN with MRQC.MRQE {write.get(MRQC.MRQE):#x} and GCR_EXT.VT_MODE {mode}"
    if write.register is DMATXCTL and write.sets(DMATXCTL.TE) and write.peek(MTQC) not in mtqc:
        return f"TE with MTQC {write.peek(MTQC):#x} and GCR_EXT.VT_MODE {mode}"
    return None


@_rule("pool-merging", "7.10, 7.11", "RFCTL.RSC_DIS is 1 where there are pools", RXCTRL)
def _pool_merging(write: Write) -> str | None:
    merges = write.get(VT_CTL.VT_ENA) and not write.get(RFCTL.RSC_DIS)
    return "RXEN with RSC_DIS 0 and VT_CTL.VT_ENA 1" if merges and write.sets(RXCTRL.RXEN) else None


@_rule("rx-running", "8.2.3.8.9, 8.2.3.8.8, 8.2.3.7.12, 8.2.3.22.8",
       "Packet buffers, RDRXCTL, MRQC.MRQE and CRC stripping change only while RXEN is 0",
       RXPBSIZE, RDRXCTL, MRQC, HLREG0)  # fmt: skip
def _rx_running(write: Write) -> str | None:
    masks = {
        RXPBSIZE: RXPBSIZE[0].SIZE.mask,
        RDRXCTL: RDRXCTL.bits(RDRXCTL.access),
        MRQC: MRQC.MRQE.mask,
        HLREG0: HLREG0.RXCRCSTRP.mask,
    }
    changed = write.changes(masks[write.register.register])
    return "changed while RXCTRL.RXEN is 1" if changed and write.get(RXCTRL.RXEN) else None


@_rule(
    "tx-buffers",
    "8.2.3.9.13, 4.6.11.3",
    "The first Tx packet buffer has 1 to 160 KiB before TE is set",
    DMATXCTL,
)
def _tx_buffers(write: Write) -> str | None:
    kilobytes = write.get(TXPBSIZE[0].SIZE)
    if write.sets(DMATXCTL.TE) and not 0 < kilobytes <= limit.TX_PACKET_BUFFER >> 10:
        return f"TE with {kilobytes} KiB in TXPBSIZE[0], of {limit.TX_PACKET_BUFFER >> 10}"
    return None


@_rule("arbiter", "8.2.3.9.15, 4.6.11.3", "MTQC changes only while RTTDCS.ARBDIS is 1", MTQC)
def _arbiter(write: Write) -> str | None:
    return "changed while RTTDCS.ARBDIS is 0" if write.changes(~0) and not write.get(RTTDCS.ARBDIS) else None


# ---- the flow director (7.1.2.7) ----------------------------------------------------------------------------------


@_rule(
    "director-memory",
    "7.1.2.7, 8.2.3.21",
    "The packet buffers leave the flow director's memory alone",
    FDIRCTRL,
)
def _director_memory(write: Write) -> str | None:
    memory = FDIRCTRL.PBALLOC.extract(write.value)
    packets = sum(write.get(each.SIZE) for each in RXPBSIZE)
    wrong = memory and packets + (32 << memory) > limit.RX_PACKET_BUFFER >> 10
    return f"{32 << memory} KiB are given to it, and RXPBSIZE has {packets} of the 512" if wrong else None


@_rule(
    "director-ready",
    "7.1.2.7, 8.2.3.21",
    "Commands wait for FDIRCTRL.INIT_DONE, and have FDIRCMD.CLEARHT 0",
    FDIRCMD,
)
def _director_ready(write: Write) -> str | None:
    if not FDIRCMD.CMD.extract(write.value):
        return None
    if not write.get(FDIRCTRL.INIT_DONE):
        return "a command while FDIRCTRL.INIT_DONE is 0"
    return "a command with CLEARHT 1" if FDIRCMD.CLEARHT.extract(write.value) else None


# Linux adds signatures in its transmit path without a look at the command before, and that works.
@_rule("director-busy", "7.1.2.7, 8.2.3.21", "With perfect filters one command at a time: FDIRCMD.CMD is 0 before the next",
       FDIRCMD)  # fmt: skip
def _director_busy(write: Write) -> str | None:
    busy = write.get(FDIRCTRL.PERFECT_MATCH) and FDIRCMD.CMD.extract(write.value) and write.get(FDIRCMD.CMD)
    return f"written while command {write.get(FDIRCMD.CMD)} is under way" if busy else None


@_rule("director-add", "8.2.3.21", "A filter is added with FDIRCMD.LAST 1; perfect ones are IPv4's, signatures do not drop",
       FDIRCMD)  # fmt: skip
def _director_add(write: Write) -> str | None:
    if FDIRCMD.CMD.extract(write.value) != CMD_ADD:
        return None
    perfect = write.get(FDIRCTRL.PERFECT_MATCH)
    if not FDIRCMD.LAST.extract(write.value):
        return "a filter is added with LAST 0"
    if FDIRCMD.DROP.extract(write.value) and not perfect:
        return "a signature is added with DROP 1"
    return "a perfect filter is added with IPV6 1" if perfect and FDIRCMD.IPV6.extract(write.value) else None


@_rule("director-masks", "7.1.2.7, 8.2.3.21", "Masks and keys change only while there are no filters",
       FDIRM, FDIRSIP4M, FDIRDIP4M, FDIRTCPM, FDIRUDPM, FDIRIP6M, FDIRHKEY, FDIRSKEY)  # fmt: skip
def _director_masks(write: Write) -> str | None:
    there = write.chip.engine.directed
    return f"changed while there are {there} filters" if there and write.changes(~0) else None


@_rule(
    "director-report",
    "8.2.3.21, 8.2.3.7.5",
    "FDIRCTRL.REPORT_STATUS takes the hash's place: RXCSUM.PCSD is 1",
    RXCTRL,
)
def _director_report(write: Write) -> str | None:
    reports = write.get(FDIRCTRL.PBALLOC) and write.get(FDIRCTRL.REPORT_STATUS)
    wrong = write.sets(RXCTRL.RXEN) and reports and not write.get(RXCSUM.PCSD)
    return "RXEN with REPORT_STATUS 1 and PCSD 0" if wrong else None


# ---- the rest -----------------------------------------------------------------------------------------------------


@_rule(
    "reset-running",
    "4.2.1.6, 5.2.5.3.2",
    "Queues stop and PCIe master requests end before CTRL.RST is set",
    CTRL,
)
def _reset_running(write: Write) -> str | None:
    if not write.value & (CTRL.RST.mask | CTRL.LRST.mask):
        return None
    for line in (RXDCTL, TXDCTL):
        for each in line:
            if write.get(each.ENABLE):
                return f"reset while {each.ENABLE} is 1"
    busy = write.get(STATUS.GIO) and (write.get(RXCTRL.RXEN) or write.get(DMATXCTL.TE))
    return "reset while STATUS.GIO is 1 (set CTRL.GIO_DIS and wait)" if busy else None


@_rule("filter-reserved", "8.2.3.7.20", "L34TIMIR bits 19:13 are written 1000000b", L34TIMIR)
def _filter_reserved(write: Write) -> str | None:
    reserved = L34TIMIR[0].RESERVED.extract(write.value)
    return f"bits 19:13 are written {reserved:07b}b" if write.value and reserved != 0x40 else None


@_rule("eeprom-busy", "8.2.3.2.2", "One EEPROM read at a time: EERD.DONE is 1 before the next START", EERD)
def _eeprom_busy(write: Write) -> str | None:
    busy = write.value & EERD.START.mask and write.chip.is_pending(EERD.offset)
    return "started while the last read is under way" if busy else None


@_rule("semaphore", "10.5.4, 8.2.3.4.11", "SW_FW_SYNC is written only by who holds SWSM.SWESMBI", SW_FW_SYNC)
def _semaphore(write: Write) -> str | None:
    return "written while SWSM.SWESMBI is 0" if not write.get(SWSM.SWESMBI) else None


# Bits that are reserved on the 82599 and have a meaning on its successors.
_LATER_CHIPS = {
    RXDCTL: 0x0000_BFFF,  # RLPML and its enable: X540
    VMOLR: 0x00C0_0000,  # UPE, VPE: X540, X550
    ETQF: 1 << 29,  # anti-spoofing: X550
    VLNCTRL: 1 << 31,  # VME: 82598
}


@_rule("reserved-bits", "8.2.1", "Bits that only other chips have stay 0", *_LATER_CHIPS)
def _reserved_bits(write: Write) -> str | None:
    wrong = write.value & _LATER_CHIPS[write.register.register]
    return f"reserved bits {wrong:#x} are written 1" if wrong else None
