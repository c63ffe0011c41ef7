# SPDX-License-Identifier: BSD-3-Clause
"""Rules about filters: the flow director (7.1.2.7) and 5-tuple filters."""

from __future__ import annotations

from dataplane.pmd.datasheet import (
    CMD_ADD,
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
    FTQF,
    L34TIMIR,
    RXCSUM,
    RXCTRL,
    RXPBSIZE,
)
from dataplane.pmd.datasheet import limits as limit
from dataplane.pmd.model.strict.rules.rule import AT_RXEN, Rules, Write

rule = Rules()

# ---- the flow director (7.1.2.7) ----------------------------------------------------------------------------------


# RXPBSIZE may be written after FDIRCTRL: no frame is in the memory that both would use before RXEN is set.
@rule(
    "director-memory",
    "7.1.2.7, 8.2.3.21",
    "The packet buffers leave the flow director's memory alone",
    FDIRCTRL,
    RXCTRL,
    when="while RXEN is 1",
)
def _director_memory(write: Write) -> str | None:
    if write.register.register is RXCTRL:
        receives, control = write.sets(RXCTRL.RXEN), write.peek(FDIRCTRL)
    else:
        receives, control = bool(write.get(RXCTRL.RXEN)), write.value
    memory = FDIRCTRL.PBALLOC.extract(control)
    packets = sum(write.get(each.SIZE) for each in RXPBSIZE)
    wrong = receives and memory and packets + (32 << memory) > limit.RX_PACKET_BUFFER >> 10
    return f"{32 << memory} KiB are given to it, and RXPBSIZE has {packets} of the 512" if wrong else None


@rule(
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
@rule("director-busy", "7.1.2.7, 8.2.3.21", "With perfect filters one command at a time: FDIRCMD.CMD is 0 before the next",
       FDIRCMD)  # fmt: skip
def _director_busy(write: Write) -> str | None:
    busy = write.get(FDIRCTRL.PERFECT_MATCH) and FDIRCMD.CMD.extract(write.value) and write.get(FDIRCMD.CMD)
    return f"written while command {write.get(FDIRCMD.CMD)} is under way" if busy else None


@rule("director-add", "8.2.3.21", "A filter is added with FDIRCMD.LAST 1; perfect ones are IPv4's, signatures do not drop",
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


@rule("director-masks", "7.1.2.7, 8.2.3.21", "Masks and keys change only while there are no filters",
       FDIRM, FDIRSIP4M, FDIRDIP4M, FDIRTCPM, FDIRUDPM, FDIRIP6M, FDIRHKEY, FDIRSKEY)  # fmt: skip
def _director_masks(write: Write) -> str | None:
    there = write.chip.engine.directed
    return f"changed while there are {there} filters" if there and write.changes(~0) else None


@rule(
    "director-report",
    "8.2.3.21, 8.2.3.7.5",
    "FDIRCTRL.REPORT_STATUS takes the hash's place: RXCSUM.PCSD is 1",
    RXCTRL,
    when=AT_RXEN,
)
def _director_report(write: Write) -> str | None:
    reports = write.get(FDIRCTRL.PBALLOC) and write.get(FDIRCTRL.REPORT_STATUS)
    wrong = write.sets(RXCTRL.RXEN) and reports and not write.get(RXCSUM.PCSD)
    return "RXEN with REPORT_STATUS 1 and PCSD 0" if wrong else None


# ---- 5-tuple filters (7.1.2.5) ------------------------------------------------------------------------------------


# Before a filter is on its words may be anything. DPDK sets FTQF.ENABLE before it writes L34TIMIR for the first time.
@rule(
    "filter-reserved",
    "8.2.3.7.20",
    "L34TIMIR bits 19:13 of a filter that is on are written 1000000b",
    L34TIMIR,
    FTQF,
    when="while the filter is on",
)
def _filter_reserved(write: Write) -> str | None:
    word = (
        write.value if write.register.register is L34TIMIR else write.last_written(L34TIMIR[write.index], 0)
    )
    if write.register.register is L34TIMIR:
        judged = bool(write.get(FTQF[write.index].ENABLE))
    else:
        judged = write.sets(FTQF[write.index].ENABLE)
    reserved = L34TIMIR[0].RESERVED.extract(word)
    wrong = judged and word and reserved != 0x40
    return f"bits 19:13 of {L34TIMIR[write.index].name} are written {reserved:07b}b" if wrong else None
