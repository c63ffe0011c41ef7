# SPDX-License-Identifier: BSD-3-Clause
"""The state of a card as text, from its registers, to find mistakes. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from dataplane.pmd.datasheet import (
    ALL,
    DMATXCTL,
    FCTRL,
    GCR_EXT,
    LINKS,
    MBPS,
    MRQC,
    PFDTXGSWC,
    POOL_QUEUES,
    POOL_QUEUES_RX,
    RAH,
    RAL,
    RC,
    RDBAH,
    RDBAL,
    RDH,
    RDLEN,
    RDT,
    RXCTRL,
    RXDCTL,
    TDBAH,
    TDBAL,
    TDH,
    TDLEN,
    TDT,
    TXDCTL,
    VFRE,
    VFTE,
    VT_CTL,
    Register,
    limits,
)
from dataplane.pmd.model.registers.controller import Controller
from dataplane.pmd.model.wire.explain import explain_wire, wire_counters
from dataplane.port import format_mac

__all__ = ["picture"]

_SIDES = (("Rx", RXDCTL, RDBAL, RDBAH, RDLEN, RDH, RDT), ("Tx", TXDCTL, TDBAL, TDBAH, TDLEN, TDH, TDT))
_COUNTERS = [line for line in ALL if line[0].bits(RC) == 0xFFFF_FFFF]


def picture(ports: Sequence[Controller]) -> str:
    """A few lines per port: link, addresses, wire, enabled queues, counters that are not 0, DMA faults.

    ports: of one card; its lock is held meanwhile.
    """
    with ports[0].lock:
        return "\n".join(line for chip in ports for line in _port(chip))


def _port(chip: Controller) -> list[str]:
    if chip.gone or chip.asleep:
        return [f"{chip.name}: {'pulled out' if chip.gone else 'asleep: its registers do not answer'}"]
    lines = [f"{chip.name}: {_link(chip)}, {_switches(chip)}", f"  addresses {', '.join(_addresses(chip))}"]
    lines += _wire(chip)
    lines += _pools(chip)
    for side in _SIDES:
        lines += _queues(chip, *side)
    counters = [
        f"{register.name} {chip.peek(register.offset)}"
        for line in _COUNTERS
        for register in line
        if chip.peek(register.offset)
    ]
    if counters:
        lines.append(f"  counters {', '.join(counters)}")
    if chip.engine.domain.fault_count:
        lines.append(f"  {chip.engine.domain.fault_count} DMA accesses outside the map")
    return lines


def _link(chip: Controller) -> str:
    word = chip.peek(LINKS.offset)
    if not LINKS.UP.extract(word):
        return "link down" if chip.engine.wire is not None else "link down (no wire)"
    return f"link up at {MBPS[LINKS.SPEED.extract(word)] // 1000} Gb/s"


def _wire(chip: Controller) -> list[str]:
    words = explain_wire(chip.engine)
    return [f"  wire {words}", *(f"  {line}" for line in wire_counters(chip.engine))] if words else []


def _switches(chip: Controller) -> str:
    def on(bit: int) -> str:
        return "on" if bit else "off"

    rx, tx = RXCTRL.RXEN.extract(chip.peek(RXCTRL.offset)), DMATXCTL.TE.extract(chip.peek(DMATXCTL.offset))
    taken = [name for name in ("UPE", "MPE", "BAM", "SBP") if FCTRL.unpack(chip.peek(FCTRL.offset))[name]]
    dma = "stopped" if chip.stopped else "on"
    return f"Rx {on(rx)}, Tx {on(tx)}, DMA {dma}, FCTRL {' '.join(taken) or 'none'}"


def _addresses(chip: Controller) -> list[str]:
    found = []
    for low, high in zip(RAL, RAH, strict=True):
        word = chip.peek(high.offset)
        if RAH[0].AV.extract(word):
            found.append(
                format_mac(
                    chip.peek(low.offset).to_bytes(4, "little") + (word & 0xFFFF).to_bytes(2, "little")
                )
            )
    return found or ["none"]


def _pools(chip: Controller) -> list[str]:
    control = VT_CTL.unpack(chip.peek(VT_CTL.offset))
    mode, mrqe = GCR_EXT.VT_MODE.extract(chip.peek(GCR_EXT.offset)), MRQC.MRQE.extract(chip.peek(MRQC.offset))
    queues = POOL_QUEUES_RX.get(mrqe, POOL_QUEUES.get(mode))
    if not control["VT_ENA"] or not queues:
        return []
    default = "no default pool" if control["DIS_DEF_POOL"] else f"default pool {control['DEF_PL']}"
    gates = [
        f"{way} {_numbers(chip.peek(gate[0].offset) | chip.peek(gate[1].offset) << 32)}"
        for way, gate in (("receive", VFRE), ("send", VFTE))
    ]
    switch = "on" if PFDTXGSWC.LBE.extract(chip.peek(PFDTXGSWC.offset)) else "off"
    vfs = chip.config.sriov.num_vfs if chip.config.sriov.enabled else 0
    return [
        f"  {128 // queues} pools of {queues} queues, {vfs} VFs, {default}, {', '.join(gates)}, switch {switch}"
    ]


def _numbers(mask: int) -> str:
    """The bits of a mask, as in 0-3,8."""
    found = [n for n in range(mask.bit_length()) if mask >> n & 1]
    starts = [n for n in found if n - 1 not in found]
    ends = [n for n in found if n + 1 not in found]
    ranges = [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]
    return ",".join(ranges) or "none"


def _queues(chip: Controller, side: str, control: Register, *ring: Register) -> list[str]:
    lines = []
    low, high, length, head, tail = ring
    for n, each in enumerate(control):
        if each.ENABLE.extract(chip.peek(each.offset)):
            at = chip.peek(low[n].offset) | chip.peek(high[n].offset) << 32
            slots = chip.peek(length[n].offset) // limits.DESCRIPTOR_SIZE
            first, last = chip.peek(head[n].offset), chip.peek(tail[n].offset)
            owned = (last - first) % slots if slots else 0
            lines.append(
                f"  {side} queue {n}: {slots} descriptors at IOVA {at:#x}, head {first}, tail {last}, {owned} with the chip"
            )
    return lines
