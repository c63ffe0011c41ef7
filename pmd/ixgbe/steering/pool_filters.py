# SPDX-License-Identifier: BSD-3-Clause
"""The filters of a PF that shares its port with VFs (datasheet 7.10.3.3, 8.2.3.27).

A frame must pass the port's filter, and then each pool's: so what VFs want is added to the tables that were the PF's alone,
and what the PF wants gets a pool. The verbs are those of `Filters`; those of a VF stand beside them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Concatenate, ParamSpec

from dataplane.pmd.datasheet import (
    FCTRL,
    MCSTCTRL,
    MTA,
    PSRTYPE,
    RFCTL,
    RXCSUM,
    VFTA,
    VLNCTRL,
    VMOLR,
    limits,
)
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.steering.filters import Filters, multicast_hash
from dataplane.pmd.ixgbe.steering.pools import PoolLayout, VlanSlots
from dataplane.pmd.ixgbe.steering.rss import read_table

__all__ = ["PoolFilters"]

P = ParamSpec("P")


def _locked(
    method: Callable[Concatenate[PoolFilters, P], None],
) -> Callable[Concatenate[PoolFilters, P], None]:
    @wraps(method)
    def under_lock(self: PoolFilters, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with self.lock:
            method(self, *args, **kwargs)

    return under_lock


class PoolFilters(Filters):
    """The filters of a port with VFs, for PF and VFs."""

    def __init__(self, bar: Bar, layout: PoolLayout) -> None:
        super().__init__(bar)
        self.layout = layout
        self.lock = threading.RLock()  # the PF's owner and its VFs' service write the same tables
        self.slots = VlanSlots(bar)
        self.vf_macs: Callable[[], set[bytes]] = set  # the further addresses of VFs
        self._members: dict[int, int] = {}  # VLAN -> the VFs that have it
        self._hashes: dict[int, tuple[int, ...]] = {}
        self._allmulti = 0  # VFs that get every multicast frame
        self._mta = [0] * len(MTA)
        self._wanted = [0] * limits.MULTICAST_HASHES  # by how many, for each bit of it
        self._pf_hashes: tuple[int, ...] = ()
        self._pf_mac = b""

    def clear_tables(self) -> None:
        """4.6.7: and nothing is left of what VFs had."""
        super().clear_tables()
        for register in VMOLR:
            self.bar.write(register, 0)
        self.slots.forget()
        self._members.clear()
        self._hashes.clear()
        self._allmulti, self._mta, self._pf_mac = 0, [0] * len(MTA), b""
        self._wanted, self._pf_hashes = [0] * limits.MULTICAST_HASHES, ()

    @property
    def pool(self) -> int:
        """The PF's."""
        return self.layout.pf_pool

    @property
    def room(self) -> int:
        """How many further addresses there is an entry for: PF and VFs have one each for their first, in use or not."""
        return limits.RX_ADDRESSES - 1 - self.layout.vfs - len({*self.macs, *self.vf_macs()})

    # ---- the PF's own -------------------------------------------------------------------------------------------

    @_locked
    def write_mac(self) -> None:
        """8.2.3.7.8: RAR 0 belongs to the PF's pool."""
        pool = self.layout.pf_pool
        if self._pf_mac != self.mac:
            self.addresses.remove(self._pf_mac, pool)
        self.addresses.add(self.mac, pool, slot=0)
        self._pf_mac = self.mac

    @_locked
    def set_mac(self, mac: bytes, running: bool) -> None:
        super().set_mac(mac, running)

    @_locked
    def add_mac(self, mac: bytes, running: bool) -> None:
        super().add_mac(mac, running)

    @_locked
    def remove_mac(self, mac: bytes, running: bool) -> None:
        super().remove_mac(mac, running)

    @_locked
    def write_modes(self) -> None:
        """8.2.3.7.1, 8.2.3.27.14: the port accepts the frames that any pool wants; the pools' registers distribute them.

        The 82599 has no pool that is promiscuous for unicast: the PF gets by being the default pool what the port lets in
        and no VF takes.
        """
        everything = self.promiscuous or self.allmulticast
        self.bar.update(
            FCTRL, SBP=0, BAM=1, UPE=int(self.promiscuous), MPE=int(everything or bool(self._allmulti))
        )
        self.bar.update(
            VMOLR[self.layout.pf_pool],
            AUPE=1,
            BAM=1,
            ROPE=0,
            ROMPE=int(bool(self.multicast)),
            MPE=int(everything),
        )

    @_locked
    def write_multicast(self) -> None:
        """8.2.3.7.3, 8.2.3.7.7: the PF's groups stand in one table with the VFs' hashes."""
        before, self._pf_hashes = self._pf_hashes, tuple(map(multicast_hash, self.multicast))
        self._change_hashes(before, self._pf_hashes)
        self.bar.update(VMOLR[self.layout.pf_pool], ROMPE=int(bool(self.multicast)))

    def _change_hashes(self, before: Iterable[int], after: Iterable[int]) -> None:
        """Clear the bits of the table that no pool wants any more, set new ones, and write the words that differ."""
        seen: dict[int, int] = {}
        for change, vectors in ((-1, before), (1, after)):
            for vector in vectors:
                word, bit = vector >> 5, 1 << (vector & 31)
                seen.setdefault(word, self._mta[word])
                self._wanted[vector] += change
                self._mta[word] = self._mta[word] | bit if self._wanted[vector] else self._mta[word] & ~bit
        for word, old in seen.items():
            if self._mta[word] != old:
                self.bar.write(MTA[word], self._mta[word])
        self.bar.write(MCSTCTRL, MCSTCTRL.pack(MO=0, MFE=int(any(self._mta))))

    @_locked
    def write_vlan(self, vid: int) -> None:
        """8.2.3.7.11, 8.2.3.27.15: the port's table has a VLAN if the PF or a VF has it."""
        pools = self._members.get(vid, 0)
        if not pools:
            self._write_vfta(vid)  # 7.10.3.3: the port's bit goes first, and comes first
            self.slots.set(vid, 0)
            return
        if self._pf_has(vid):
            pools |= 1 << self.layout.pf_pool  # or a broadcast in this VLAN would reach VFs and not the PF
        self._write_vfta(vid)
        self.slots.set(vid, pools)

    @_locked
    def write_vlans(self) -> None:
        """8.2.3.7.2: with pools the VLAN filter is always on; a PF that has not asked for one gets every VLAN."""
        for register in VFTA:
            self._write_vfta(register.index * 32)
        for vid in tuple(self._members):
            self.write_vlan(vid)
        self.bar.update(VLNCTRL, CFIEN=0, VFE=1)

    def write_rss(self, rx_queues: int) -> None:
        """7.1.2.8: RSS within a pool: one key and one table for all, PSRTYPE.RQPL says how many bits count."""
        bar, layout = self.bar, self.layout
        bar.update(RXCSUM, PCSD=1, IPPCSE=0)
        bar.set(RFCTL.RSC_DIS)  # 7.10: no merging with pools
        self.hashes = True
        self.rss.write(bar, layout.queues, layout.mrqe)
        bits = max(min(rx_queues, layout.queues), 1).bit_length() - 1
        bar.write(PSRTYPE[layout.pf_pool], PSRTYPE[layout.pf_pool].pack(RQPL=bits))

    def rss_usable(self, rx_queues: int) -> int:
        """7.1.2.8: whole bits of an entry count: a PF of 3 queues uses 2, and one of one queue leaves all to VFs."""
        most = self.layout.queues
        return 1 << min(rx_queues, most).bit_length() - 1 if rx_queues > 1 else most

    def read_rss_table(self, rx_queues: int) -> tuple[int, ...]:
        """8.2.3.7.15, 8.2.3.7.4: the bits that the PF's pool uses of each entry; with one queue all, which are the VFs'."""
        table = read_table(self.bar)
        if rx_queues < 2:
            return table
        mask = (1 << self.bar.get(PSRTYPE[self.layout.pf_pool].RQPL)) - 1
        return tuple(entry & mask for entry in table)

    # ---- VFs ----------------------------------------------------------------------------------------------------

    def join_vlan(self, vid: int, vf: int) -> bool:
        """Let a VF have a VLAN's frames. False: all 64 slots are taken."""
        if vid not in self.slots and vid and not self.slots.free:
            return False
        self._members[vid] = self._members.get(vid, 0) | 1 << vf
        self.write_vlan(vid)
        return True

    def leave_vlan(self, vid: int, vf: int) -> None:
        """A VF has that VLAN no longer."""
        if not self._members.get(vid, 0) >> vf & 1:
            return
        self._members[vid] &= ~(1 << vf)
        if not self._members[vid]:
            del self._members[vid]
        self.write_vlan(vid)

    def vlans_of(self, vf: int) -> list[int]:
        """The VLANs that a VF has."""
        return sorted(vid for vid, pools in self._members.items() if pools >> vf & 1)

    def set_hashes(self, vf: int, hashes: tuple[int, ...]) -> None:
        """The multicast groups of a VF, as 12-bit hashes."""
        before = self._hashes.get(vf, ())
        if before != hashes:
            self._hashes[vf] = hashes
            self._change_hashes(before, hashes)

    def set_allmulti(self, vf: int, on: bool) -> None:
        """Whether a VF gets every multicast frame."""
        mask = self._allmulti | 1 << vf if on else self._allmulti & ~(1 << vf)
        if mask != self._allmulti:
            self._allmulti = mask
            self.write_modes()

    def _pf_has(self, vid: int) -> bool:
        return self.vlans is None or vid in self.vlans or vid == 0

    def _write_vfta(self, vid: int) -> None:
        first = vid & ~31
        word = 0xFFFF_FFFF if self.vlans is None else 0
        for v in range(first, first + 32):
            if self._pf_has(v) or v in self._members:
                word |= 1 << v - first
        self.bar.write(VFTA[vid >> 5], word)
