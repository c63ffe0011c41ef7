# SPDX-License-Identifier: BSD-3-Clause
"""Rules about queues. How a queue is set up is judged when it starts (`_starting`), whatever it was before that.

A doorbell is an event, and so is a change of what the chip has taken over: those are judged when they are written.
"""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import (
    DESCTYPE_LEGACY,
    DMATXCTL,
    GCR_EXT,
    HLREG0,
    MTQC,
    PSRTYPE,
    RDBAH,
    RDBAL,
    RDH,
    RDLEN,
    RDRXCTL,
    RDT,
    RFCTL,
    RSCCTL,
    RXCTRL,
    RXDCTL,
    SRRCTL,
    TDBAH,
    TDBAL,
    TDH,
    TDLEN,
    TDT,
    TXDCTL,
    VFRE,
    VFTE,
    RegisterRef,
)
from dataplane.pmd.datasheet import limits as limit
from dataplane.pmd.model.strict.rules.rule import AT_START, Rules, Write

rule = Rules()

_RX = (RDBAL, RDBAH, RDLEN, RDH, RDT, SRRCTL, RXDCTL)


def _control(write: Write) -> RegisterRef:
    """RXDCTL or TXDCTL of the queue that this register belongs to."""
    return (RXDCTL if write.register.register in _RX else TXDCTL)[write.index]


def _ring(control: RegisterRef) -> tuple[RegisterRef, RegisterRef, RegisterRef, RegisterRef, RegisterRef]:
    """Base low and high, length, head, tail of that queue."""
    lines = (RDBAL, RDBAH, RDLEN, RDH, RDT) if control.register is RXDCTL else (TDBAL, TDBAH, TDLEN, TDH, TDT)
    low, high, length, head, tail = (line[control.index] for line in lines)
    return low, high, length, head, tail


def owner(write: Write, queue: int) -> int | None:
    """The VF that a queue belongs to, None if it is the PF's."""
    mode = write.get(GCR_EXT.VT_MODE)  # 1: 8 queues a pool, 2: 4, 3: 2
    pool = queue >> 4 - mode
    return pool if mode and pool < len(write.chip.sriov.vfs) else None


def _rests(write: Write, control: RegisterRef) -> bool:
    """Whether an enabled queue still does nothing: Rx while RXEN is 0. A VF does not know RXEN: its queues never rest."""
    waits = control.register is RXDCTL and not write.get(RXCTRL.RXEN)
    return waits and owner(write, control.index) is None


def _comes(write: Write, control: RegisterRef) -> bool:
    """Whether a queue is enabled, or is about to be: ENABLE was written and does not read 1 yet."""
    return bool(write.get(control.ENABLE)) != write.chip.is_pending(control.offset)


def _starting(write: Write) -> list[RegisterRef]:
    """RXDCTL or TXDCTL of the queues that the chip puts to work with this write, and whose set-up it then takes over.

    A write of ENABLE starts its queue; where RXEN is still 0, RXEN does it for all Rx queues of the PF.
    """
    if write.register.register is RXCTRL:
        if not write.sets(RXCTRL.RXEN):
            return []
        queues = (RXDCTL[n] for n in range(limit.RX_QUEUES))
        return [each for each in queues if owner(write, each.index) is None and _comes(write, each)]
    control = _control(write)
    return [control] if write.sets(control.ENABLE) and not _rests(write, control) else []


def _first(write: Write, look: Callable[[Write, RegisterRef], str | None]) -> str | None:
    """The first error that `look` finds in the queues that start."""
    return next((wrong for control in _starting(write) if (wrong := look(write, control))), None)


# ---- descriptor rings ---------------------------------------------------------------------------------------------


@rule("ring-base", "8.2.3.8.1, 8.2.3.9.5", "A descriptor ring starts on a multiple of 128 bytes",
      RXDCTL, TXDCTL, RXCTRL, when=AT_START)  # fmt: skip
def _ring_base(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef) -> str | None:
        low = _ring(control)[0]
        told = write.last_written(low, write.peek(low))  # the lowest bits do not exist in the register
        return f"{low.name} was written {told:#x}" if told % limit.RING_ALIGN else None

    return _first(write, look)


@rule("ring-length", "8.2.3.8.3, 8.2.3.9.7",
      "A descriptor ring is a multiple of 128 bytes, at most 8192 descriptors",
      RXDCTL, TXDCTL, RXCTRL, when=AT_START)  # fmt: skip
def _ring_length(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef) -> str | None:
        length = _ring(control)[2]
        told = write.last_written(length, write.peek(length))
        if told % (limit.RING_MULTIPLE * limit.DESCRIPTOR_SIZE):
            return f"{length.name} was written {told}, which is not a multiple of 128 bytes"
        if told > limit.RING_MAX * limit.DESCRIPTOR_SIZE:
            return f"{length.name} is above {limit.RING_MAX} descriptors"
        return None

    return _first(write, look)


@rule("ring-moved", "4.6.7.1, 4.6.8.1", "Base, length and buffer sizes of a queue stay as they are while it is enabled",
      RDBAL, RDBAH, RDLEN, TDBAL, TDBAH, TDLEN, SRRCTL, when="while ENABLE is 1")  # fmt: skip
def _ring_moved(write: Write) -> str | None:
    free = SRRCTL[0].DROP_EN.mask if write.register.register is SRRCTL else 0
    moved = write.get(_control(write).ENABLE) and write.changes(~free)
    return f"changed while {_control(write).ENABLE} is 1" if moved else None


@rule(
    "head-written",
    "8.2.3.8.4, 8.2.3.9.8",
    "The head belongs to the chip while the queue is enabled",
    RDH,
    TDH,
    when="while ENABLE is 1",
)
def _head_written(write: Write) -> str | None:
    if write.get(_control(write).ENABLE) and write.changes(~0):
        return f"written while {_control(write).ENABLE} is 1"
    return None


@rule(
    "tail-past-length",
    "8.2.3.8.5, 8.2.3.9.9",
    "A tail is below the number of descriptors",
    RDT,
    TDT,
    RXCTRL,
    when="once the queue has started",
)
def _tail_past_length(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef, tail: int | None = None) -> str | None:
        _, _, length, _, place = _ring(control)
        slots = write.peek(length) // limit.DESCRIPTOR_SIZE
        tail = write.peek(place) if tail is None else tail
        return (
            f"{place.name} is {tail}, and the ring has {slots} descriptors"
            if tail and tail >= slots
            else None
        )

    if write.register.register is RXCTRL:
        return _first(write, look)
    control = _control(write)
    if not write.get(control.ENABLE) or _rests(write, control):
        return None
    return look(write, control, write.value)


def _out_of_use(write: Write) -> bool:
    """Whether the queue is a VF's whose pool is off (VFRE, VFTE): its PF was reset before the VF's driver can know."""
    vf = owner(write, write.index)
    gate = VFRE if _control(write).register is RXDCTL else VFTE
    return vf is not None and not write.peek(gate[vf // 32]) >> vf % 32 & 1


@rule("tail-before-enable", "4.6.7.1, 4.6.8.1", "A tail moves only after ENABLE reads 1", RDT, TDT)
def _tail_before_enable(write: Write) -> str | None:
    head = _ring(_control(write))[3]
    lost = not write.get(_control(write).ENABLE) and write.value not in (0, write.peek(head))
    lost = lost and not _out_of_use(write)
    return f"moved while {_control(write).ENABLE} reads 0: the chip loses it" if lost else None


# ---- enabling queues ----------------------------------------------------------------------------------------------


@rule("queue-without-ring", "4.6.7.1, 4.6.8.1",
      "A queue has its base and length before it is enabled, or at the latest when RXEN is set",
      RXDCTL, TXDCTL, RXCTRL, when=AT_START)  # fmt: skip
def _queue_without_ring(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef) -> str | None:
        low, high, length, _, _ = _ring(control)
        if not write.peek(low) | write.peek(high):
            return f"{control.ENABLE} is set before its base ({low.name} is 0)"
        if not write.peek(length):
            return f"{control.ENABLE} is set before its length ({length.name} is 0)"
        return None

    return _first(write, look)


@rule(
    "queue-with-tail",
    "4.6.7.1, 4.6.8.1",
    "Head and tail are equal when a queue is enabled",
    RXDCTL,
    TXDCTL,
    when="when ENABLE is set",
)
def _queue_with_tail(write: Write) -> str | None:
    _, _, _, head, tail = _ring(_control(write))
    if write.sets(_control(write).ENABLE) and write.peek(head) != write.peek(tail):
        return f"enabled with {head.name} at {write.peek(head)} and {tail.name} at {write.peek(tail)}"
    return None


@rule(
    "queue-before-te",
    "4.6.8",
    "DMATXCTL.TE is set before a Tx queue is enabled",
    TXDCTL,
    when="when ENABLE is set",
)
def _queue_before_te(write: Write) -> str | None:
    early = write.sets(TXDCTL[write.index].ENABLE) and not write.get(DMATXCTL.TE)
    return "enabled while DMATXCTL.TE is 0" if early else None


@rule(
    "queue-of-no-pool",
    "7.2.1.2.1",
    "Without pools and traffic classes only Tx queues 0 to 63 exist",
    TXDCTL,
    when=AT_START,
)
def _queue_of_no_pool(write: Write) -> str | None:
    beyond = (
        write.index >= limit.TX_QUEUES_PLAIN and not write.get(MTQC.VT_ENA) and not write.get(MTQC.RT_ENA)
    )
    return "MTQC gives it to no pool or class" if write.sets(TXDCTL[write.index].ENABLE) and beyond else None


@rule("buffer-size", "8.2.3.8.7",
      "SRRCTL of a queue that starts has a descriptor type that exists and buffers of 1 to 16 KiB",
      RXDCTL, RXCTRL, when=AT_START)  # fmt: skip
def _buffer_size(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef) -> str | None:
        register = SRRCTL[control.index]
        fields = register.unpack(write.peek(register))
        if fields["DESCTYPE"] in (3, 6, 7):
            return f"DESCTYPE of {register.name} is {fields['DESCTYPE']}, which is reserved"
        if not 1 <= fields["BSIZEPACKET"] <= limit.RX_BUFFER_MAX // limit.RX_BUFFER_UNIT:
            return f"BSIZEPACKET of {register.name} is {fields['BSIZEPACKET']}"
        if fields["DESCTYPE"] in (2, 5) and not fields["BSIZEHEADER"]:
            return f"header splitting without a header buffer (BSIZEHEADER of {register.name} is 0)"
        return None

    return _first(write, look)


# ---- merging (RSC) ------------------------------------------------------------------------------------------------


def _first_merging(write: Write, look: Callable[[Write, RegisterRef], str | None]) -> str | None:
    """The first error that `look` finds in the queues that start and merge packets."""

    def asked(write: Write, control: RegisterRef) -> str | None:
        merges = write.get(RSCCTL[control.index].RSCEN) and not write.get(RFCTL.RSC_DIS)
        return look(write, control) if merges else None

    return _first(write, asked)


@rule("merge-receiver", "4.6.7.2, 8.2.3.8.8",
      "Where a queue merges packets (RSC), the CRC is stripped, RDRXCTL.RSCFRSTSIZE is 0 and RSCACKC is 1",
      RXDCTL, RXCTRL, when=AT_START)  # fmt: skip
def _merge_receiver(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef) -> str | None:
        wanted = (
            (HLREG0.RXCRCSTRP, 1),
            (RDRXCTL.CRCSTRIP, 1),
            (RDRXCTL.RSCFRSTSIZE, 0),
            (RDRXCTL.RSCACKC, 1),
        )
        for field, value in wanted:
            if write.get(field) != value:
                return f"{RSCCTL[control.index].RSCEN} is 1 and {field} is {write.get(field)}"
        return None

    return _first_merging(write, look)


@rule("merge-header", "4.6.7.2, 8.2.3.8.7, 8.2.3.7.4",
      "A queue that merges packets has advanced descriptors, SRRCTL.BSIZEHEADER for 128 bytes or more, and PSRTYPE.TCP",
      RXDCTL, RXCTRL, when=AT_START)  # fmt: skip
def _merge_header(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef) -> str | None:
        register = SRRCTL[control.index]
        if write.get(register.DESCTYPE) == DESCTYPE_LEGACY:
            return f"{RSCCTL[control.index].RSCEN} is 1 and {register.DESCTYPE} is legacy"
        if (size := write.get(register.BSIZEHEADER)) < limit.RSC_HEADER_MIN // limit.RX_HEADER_UNIT:
            return f"{register.BSIZEHEADER} is {size}: {size * limit.RX_HEADER_UNIT} bytes"
        return None if write.get(PSRTYPE[0].TCP) else f"{PSRTYPE[0].TCP} is 0"

    return _first_merging(write, look)


@rule(
    "merge-size",
    "8.2.3.8.13",
    "The buffers of a merged packet (RSCCTL.MAXDESC of SRRCTL.BSIZEPACKET) have fewer than 64 KiB",
    RXDCTL,
    RXCTRL,
    when=AT_START,
)
def _merge_size(write: Write) -> str | None:
    def look(write: Write, control: RegisterRef) -> str | None:
        buffers = limit.RSC_BUFFERS[write.get(RSCCTL[control.index].MAXDESC)]
        size = write.get(SRRCTL[control.index].BSIZEPACKET) * limit.RX_BUFFER_UNIT
        many = buffers * size > limit.RSC_MAX
        return f"{RSCCTL[control.index].MAXDESC} allows {buffers} buffers of {size} bytes" if many else None

    return _first_merging(write, look)
