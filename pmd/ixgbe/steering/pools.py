# SPDX-License-Identifier: BSD-3-Clause
"""Pools: the queues of each, and the tables that all pools share (datasheet 7.10.2, 7.10.3, 8.2.3.27).

VF n is pool n, the PF is the pool behind the last VF. Sets of pools are bit masks: bit p is pool p.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import (
    MPSAR_HI,
    MPSAR_LO,
    MRQE_32POOLS_RSS,
    MRQE_64POOLS_RSS,
    MRQE_OFF,
    MTQC_32POOLS,
    MTQC_64POOLS,
    MTQC_64Q,
    RAH,
    RAL,
    VLVF,
    VLVFB,
    VT_MODE_32,
    VT_MODE_64,
    VT_MODE_NONE,
    Register,
    limits,
)
from dataplane.pmd.function import Bar

__all__ = ["MOST_VFS", "AddressTable", "PoolLayout", "VlanSlots", "set_pool"]

MOST_VFS = limits.POOLS - 1  # one pool stays for the PF


@dataclass(frozen=True, slots=True)
class PoolLayout:
    """How the 128 queues are divided among pools. vfs: 0 to 63. queues: of each pool.

    Without VFs there is one pool, the PF's, with all queues.
    """

    vfs: int
    pools: int
    queues: int
    vt_mode: int
    mtqc: int
    mrqe: int

    @classmethod
    def of(cls, vfs: int) -> PoolLayout:
        """7.10.2.7: 32 pools of 4 queues if they suffice, otherwise 64 of 2. Raises ConfigError."""
        if not vfs:
            return cls(0, 1, limits.RX_QUEUES, VT_MODE_NONE, MTQC_64Q, MRQE_OFF)
        if not 1 <= vfs <= MOST_VFS:
            raise ConfigError(f"{vfs} VFs: must be 1 to {MOST_VFS}, because the PF has the last of 64 pools")
        # SKIPPED: 16 pools of 8 queues, which the chip has with 8 traffic classes only.
        if vfs < 32:
            return cls(vfs, 32, 4, VT_MODE_32, MTQC_32POOLS, MRQE_32POOLS_RSS)
        return cls(vfs, 64, 2, VT_MODE_64, MTQC_64POOLS, MRQE_64POOLS_RSS)

    @property
    def pf_pool(self) -> int:
        """The pool of the PF: the one behind those of the VFs."""
        return self.vfs

    @property
    def pf_queues(self) -> range:
        """The PF's queues by the chip's numbers."""
        return self.queues_of(self.pf_pool)

    @property
    def tx_queues(self) -> int:
        """Tx queues of a pool: without pools the chip has 64."""
        return min(self.queues, limits.TX_QUEUES_PLAIN)

    def queues_of(self, pool: int) -> range:
        """The pool's queues, Rx and Tx alike, by the PF's numbers."""
        return range(pool * self.queues, (pool + 1) * self.queues)


def set_pool(bar: Bar, register: Register, pool: int, on: bool) -> None:
    """One pool's bit in a pair of registers (VFRE, VFTE, VMECM, VMTXSW)."""
    word, mask = bar.read(register[pool >> 5]), 1 << (pool & 31)
    bar.write(register[pool >> 5], word | mask if on else word & ~mask)


class AddressTable:
    """8.2.3.7.8 to 10: RAR and MPSAR. Pools that share an address share one entry: the chip does not unite two."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self._slots: dict[bytes, int] = {}
        self._pools: dict[bytes, int] = {}

    def forget(self) -> None:
        """The chip's tables have been emptied."""
        self._slots.clear()
        self._pools.clear()

    def add(self, mac: bytes, pool: int, slot: int | None = None) -> bool:
        """Let the pool have frames to that address. slot: the entry it should have. False: there is no room."""
        if mac not in self._slots:
            at = slot if slot is not None and slot not in self._slots.values() else self._free()
            if at is None:
                return False
            self._slots[mac], self._pools[mac] = at, 0
        self._pools[mac] |= 1 << pool
        self._write(mac)
        return True

    def remove(self, mac: bytes, pool: int) -> None:
        """Take an address from a pool, and free the entry if it was the last."""
        if mac not in self._slots:
            return
        self._pools[mac] &= ~(1 << pool)
        if self._pools[mac]:
            self._write(mac)
            return
        at = self._slots.pop(mac)
        del self._pools[mac]
        bar = self.bar
        bar.write(RAH[at], 0)  # AV first: half an address must not match
        bar.write(RAL[at], 0)
        bar.write(MPSAR_LO[at], 0)
        bar.write(MPSAR_HI[at], 0)

    def owners(self, mac: bytes) -> int:
        """The pools that have an address."""
        return self._pools.get(mac, 0)

    def _free(self) -> int | None:
        # From 1 upwards: 0 is the PF's own, and the far end is where VFs have their first addresses.
        taken = set(self._slots.values())
        return next((n for n in range(1, limits.RX_ADDRESSES) if n not in taken), None)

    def _write(self, mac: bytes) -> None:
        bar, at, pools = self.bar, self._slots[mac], self._pools[mac]
        bar.write(MPSAR_LO[at], pools & 0xFFFF_FFFF)
        bar.write(MPSAR_HI[at], pools >> 32)
        high = RAH[at].pack(ADDR=int.from_bytes(mac[4:], "little"), AV=1)
        if bar.read(RAH[at]) == high and bar.read(RAL[at]) == int.from_bytes(mac[:4], "little"):
            return  # only its pools have changed: it need not be invalid for a moment
        bar.write(RAH[at], 0)
        bar.write(RAL[at], int.from_bytes(mac[:4], "little"))
        bar.write(RAH[at], high)


class VlanSlots:
    """8.2.3.27.15, 16: VLVF and VLVFB, which pools a VLAN's frames may go to. 64 VLANs, 0 among them."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self._slots: dict[int, int] = {}

    def forget(self) -> None:
        """The chip's tables have been emptied."""
        self._slots.clear()

    def __contains__(self, vid: int) -> bool:
        return vid in self._slots

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._slots))

    @property
    def free(self) -> int:
        """Slots for further VLANs; one is kept for VLAN 0."""
        return limits.VLAN_SLOTS - len(self._slots) - (0 not in self._slots)

    def set(self, vid: int, pools: int) -> bool:
        """Give a VLAN its pools; none: the slot is free again. False: there is no slot left."""
        bar = self.bar
        if not pools:
            at = self._slots.pop(vid, None)
            if at is not None:
                bar.write(VLVF[at], 0)
                bar.write(VLVFB[2 * at], 0)
                bar.write(VLVFB[2 * at + 1], 0)
            return True
        at = self._slots.get(vid, self._free(vid))
        if at is None:
            return False
        self._slots[vid] = at
        bar.write(VLVFB[2 * at], pools & 0xFFFF_FFFF)
        bar.write(VLVFB[2 * at + 1], pools >> 32)
        bar.write(
            VLVF[at], VLVF[at].pack(VLAN_ID=vid, VI_EN=1)
        )  # pools first: no other pool's frames in between
        return True

    def _free(self, vid: int) -> int | None:
        taken = set(self._slots.values())
        if vid == 0:
            return 0  # as every driver has it
        return next((n for n in range(1, limits.VLAN_SLOTS) if n not in taken), None)


def pools_in(mask: int) -> list[int]:
    """The pools of a set."""
    return [pool for pool in range(limits.POOLS) if mask >> pool & 1]
