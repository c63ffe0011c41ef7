# SPDX-License-Identifier: BSD-3-Clause
"""A port with pools for tests of the data path alone: rules are written to its registers, frames go in and come out."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dataplane.pmd.datasheet import (
    FCTRL,
    GCR_EXT,
    MCSTCTRL,
    MPSAR_HI,
    MPSAR_LO,
    MRCTL,
    MRQC,
    MTA,
    MTQC,
    PFDTXGSWC,
    PFVFSPOOF,
    RAH,
    RAL,
    UTA,
    VFRE,
    VFTA,
    VFTE,
    VLNCTRL,
    VLVF,
    VLVFB,
    VMOLR,
    VMRVLAN,
    VMRVM,
    VMTXSW,
    VT_CTL,
    Register,
)
from dataplane.pmd.datasheet import descriptors as d
from dataplane.pmd.model.shared import Clock
from dataplane.pmd.model.wire.port import PortWire
from tests.pmd.model.pool_rules import PoolRules
from tests.pmd.model.rig import Port, Received, RxQueue, TxQueue

# queues of a pool -> GCR_EXT.VT_MODE, MTQC, MRQC.MRQE
LAYOUTS = {8: (1, 0xF, 0xC), 4: (2, 0xA, 0xA), 2: (3, 0x6, 0xB)}


def bits(pools: Iterable[int]) -> int:
    return sum(1 << pool for pool in pools)


@dataclass
class Lines:
    """Where a rig's writes go; only what differs from what was written last is written."""

    port: Port
    written: dict[int, int]

    def write(self, register: Register, words: Mapping[int, int], default: int = 0) -> None:
        for ref in register:
            value = words.get(ref.index, default)
            if self.written.get(ref.offset) != value:
                self.port.write(ref, value)
                self.written[ref.offset] = value


class PoolPort(Port):
    """A port in a layout of `queues` queues a pool; `use` opens the first queues of some pools.

    sriov: GCR_EXT.VT_MODE says so too; without it (VMDq alone) MRQC and MTQC do.
    """

    def __init__(
        self, name: str, clock: Clock, queues: int = 2, size: int = 1 << 22, *, sriov: bool = True
    ) -> None:
        super().__init__(name, clock, size)
        self.sriov = sriov
        self.lay_out(queues)
        self.lines = Lines(self, {})
        self.first: dict[int, tuple[RxQueue, TxQueue]] = {}

    def lay_out(self, queues: int) -> None:
        """Give each pool this number of queues."""
        self.queues = queues
        mode, mtqc, mrqe = LAYOUTS[queues]
        self.write(GCR_EXT, mode if self.sriov else 0)
        self.write(MTQC, mtqc)
        self.write(MRQC, mrqe)

    def use(self, pools: Iterable[int], n: int = 32, **options: int) -> None:
        for pool in pools:
            queue = pool * self.queues
            self.first[pool] = self.rx_queue(queue, n, **options), self.tx_queue(queue, n)

    def rule(self, rules: PoolRules) -> None:
        """Write the rules to the registers."""
        lines = self.lines
        default = rules.default or 0
        control = VT_CTL.pack(
            VT_ENA=1, DEF_PL=default, DIS_DEF_POOL=int(rules.default is None), RPL_EN=int(rules.replicate)
        )
        lines.write(VT_CTL, {0: control})
        lines.write(PFDTXGSWC, {0: int(rules.switching)})
        for register, pools in ((VFRE, rules.receive), (VFTE, rules.send), (VMTXSW, rules.echo)):
            lines.write(register, _halves(bits(pools)))
        modes = {
            pool: VMOLR[pool].pack(
                AUPE=int(pool in rules.untagged),
                ROMPE=int(pool in rules.by_group),
                ROPE=int(pool in rules.by_unicast_hash),
                BAM=int(pool in rules.broadcast),
                MPE=int(pool in rules.all_multicast),
            )
            for pool in range(64)
        }
        lines.write(VMOLR, modes)
        self._addresses(rules.addresses)
        lines.write(MTA, _table(rules.groups or ()))
        lines.write(UTA, _table(rules.unicast_hashes))
        lines.write(MCSTCTRL, {0: MCSTCTRL.pack(MFE=int(rules.groups is not None))})
        lines.write(VLNCTRL, {0: VLNCTRL.pack(VET=0x8100, VFE=int(rules.vlan_filter))})
        if rules.port_vlans is None:
            lines.write(VFTA, {}, 0xFFFF_FFFF)
        else:
            lines.write(VFTA, _table(rules.port_vlans))
        slots = list(rules.vlans)
        lines.write(VLVF, {n: VLVF[n].pack(VLAN_ID=vid, VI_EN=1) for n, vid in enumerate(slots)})
        members = [_halves(bits(rules.vlans[vid])) for vid in slots]
        lines.write(VLVFB, {2 * n + half: pair[half] for n, pair in enumerate(members) for half in range(2)})
        fctrl = FCTRL.pack(
            UPE=int(rules.port_unicast), MPE=int(rules.port_multicast), BAM=int(rules.port_broadcast)
        )
        lines.write(FCTRL, {0: fctrl})
        checks = {}
        for n in range(8):
            macs, vlans = bits(rules.check_mac) >> 8 * n & 0xFF, bits(rules.check_vlan) >> 8 * n & 0xFF
            checks[n] = PFVFSPOOF[n].pack(MACAS=macs, VLANAS=vlans)
        lines.write(PFVFSPOOF, checks)
        self._mirrors(rules, slots)

    def _addresses(self, addresses: Sequence[tuple[bytes, set[int]]]) -> None:
        words: dict[Register, dict[int, int]] = {RAL: {}, RAH: {}, MPSAR_LO: {}, MPSAR_HI: {}}
        for n, (address, pools) in enumerate(addresses):
            low, high = struct.unpack("<IH", address)
            mask = bits(pools)
            words[RAL][n], words[RAH][n] = low, high | 1 << 31
            words[MPSAR_LO][n], words[MPSAR_HI][n] = mask & 0xFFFF_FFFF, mask >> 32
        for register, values in words.items():
            self.lines.write(register, values)

    def _mirrors(self, rules: PoolRules, slots: list[int]) -> None:
        control, pools, vlans = {}, {}, {}
        for n, rule in enumerate(rules.mirrors):
            control[n] = MRCTL[n].pack(
                VPME=int(bool(rule.to_pools)),
                VLME=int(bool(rule.vlans)),
                UPME=int(rule.from_wire),
                DPME=int(rule.to_wire),
                MP=rule.target,
            )
            for words, mask in (
                (pools, bits(rule.to_pools)),
                (vlans, bits(slots.index(v) for v in rule.vlans if v in slots)),
            ):
                words[n], words[n + 4] = mask & 0xFFFF_FFFF, mask >> 32
        self.lines.write(MRCTL, control)
        self.lines.write(VMRVM, pools)
        self.lines.write(VMRVLAN, vlans)

    # ---- frames -----------------------------------------------------------------------------------------------

    def take(self) -> dict[int, list[Received]]:
        """The frames that each pool got since the last call, in its first queue."""
        got = {pool: rx.take() for pool, (rx, _) in self.first.items()}
        return {pool: frames for pool, frames in got.items() if frames}

    def send_from(self, pool: int, frame: bytes, command: int = 0, upper: int = 0) -> None:
        """With a context and CC, as the switch wants it."""
        _, tx = self.first[pool]
        tx.context(14, 0, vlan=0)
        tx.send(frame, command=command, upper=upper | d.TXD_CC)


def _halves(mask: int) -> dict[int, int]:
    return {0: mask & 0xFFFF_FFFF, 1: mask >> 32}


def _table(numbers: Iterable[int]) -> dict[int, int]:
    """A set of 12-bit numbers as 128 words."""
    words: dict[int, int] = {}
    for number in numbers:
        words[number >> 5] = words.get(number >> 5, 0) | 1 << (number & 31)
    return words


@dataclass
class Street:
    """`home` has pools; `far` is the other end of its wire, takes everything, and sends by its queue 0."""

    far: Port
    home: PoolPort

    def arrive(self, frame: bytes) -> dict[int, list[Received]]:
        """The copies of a frame from the wire that the pools get."""
        self.far.tx[0].send(frame)
        self.far.step()
        self.home.step(2)
        return self.home.take()

    def depart(
        self, pool: int, frame: bytes, **options: int
    ) -> tuple[dict[int, list[Received]], list[bytes]]:
        """The copies of a frame from a pool that the pools, and the far end, get."""
        self.home.send_from(pool, frame, **options)
        self.home.step(2)
        self.far.step(2)
        return self.home.take(), [got.data for got in self.far.rx[0].take()]


def street(
    pools: Iterable[int], queues: int = 2, n: int = 32, *, sriov: bool = True, elastic: bool = True
) -> Street:
    """A port with these pools in use, and its neighbour."""
    clock = Clock(virtual=True)
    made = Street(Port("far", clock, 1 << 21), PoolPort("home", clock, queues, sriov=sriov))
    PortWire(made.far.engine, made.home.engine, elastic=elastic)
    made.far.write(FCTRL, FCTRL.pack(UPE=1, MPE=1, BAM=1))
    made.far.tx_queue(), made.far.rx_queue(drop=1)
    made.home.use(pools, n, drop=1)
    return made
