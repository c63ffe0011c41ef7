# SPDX-License-Identifier: BSD-3-Clause
"""Which frames come in and to which queue: MAC, multicast, VLAN, RSS (datasheet 7.1.1, 7.1.2, 8.2.3.7).

The filters are kept here, and written again after each reset.
"""

from __future__ import annotations

from collections.abc import Iterable

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import (
    ETQF,
    FCTRL,
    FTQF,
    MCSTCTRL,
    MPSAR_HI,
    MPSAR_LO,
    MRQE_OFF,
    MRQE_RSS,
    MTA,
    PSRTYPE,
    RAH,
    RAL,
    RFCTL,
    RXCSUM,
    SYNQF,
    UTA,
    VFTA,
    VLNCTRL,
    VLVF,
    VLVFB,
    limits,
)
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.steering.pools import AddressTable
from dataplane.pmd.ixgbe.steering.rss import Reach, Rss, read_table
from dataplane.port import format_mac, parse_mac

__all__ = ["Filters", "multicast_hash"]


def multicast_hash(address: bytes) -> int:
    """7.1.1.1: the bit of MTA for an address: its bits 47:36 with MCSTCTRL.MO = 0."""
    return (address[4] >> 4 | address[5] << 4) & 0xFFF


class Filters:
    """The filters of a port without VFs."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.mac = bytes(6)
        self.macs: tuple[bytes, ...] = ()  # further addresses of the port itself
        self.addresses = AddressTable(bar)
        self.promiscuous = False
        self.allmulticast = False
        self.multicast: tuple[bytes, ...] = ()
        self.vlans: set[int] | None = None  # None: no filter
        self.rss = Rss()
        self.hashes = False  # whether RSS is on
        self.merges = False  # whether the port wants RSC, which `Merging` sets up

    def permanent_mac(self) -> bytes:
        """8.2.3.7.8, 8.2.3.7.9: RAR 0, as the EEPROM filled it in at reset."""
        bar = self.bar
        return bar.read(RAL[0]).to_bytes(4, "little") + bar.get(RAH[0].ADDR).to_bytes(2, "little")

    def clear_tables(self) -> None:
        """4.6.7: tables are memories, undefined after power-up. The VFs' ones too: a VF must not inherit a filter."""
        bar = self.bar
        for n in range(1, limits.RX_ADDRESSES):
            bar.write(RAH[n], 0)  # AV first: half an address must not match
            bar.write(RAL[n], 0)
        for table in (MPSAR_LO, MPSAR_HI, MTA, VFTA, VLVF, VLVFB, UTA, FTQF, ETQF, PSRTYPE):
            for register in table:
                bar.write(register, 0)
        bar.write(SYNQF, 0)
        self.addresses.forget()

    @property
    def pool(self) -> int:
        """The port's own pool; without VFs there is one."""
        return 0

    def write_all(self, rx_queues: int) -> None:
        """4.6.7: everything that was asked for."""
        self.write_mac()
        for mac in self.macs:
            self.addresses.add(mac, self.pool)
        self.write_multicast()
        self.write_vlans()
        self.write_modes()
        self.write_rss(rx_queues)

    def write_mac(self) -> None:
        """8.2.3.7.8, 8.2.3.7.9: RAR 0; not valid while it is written."""
        bar = self.bar
        bar.clear(RAH[0].AV)
        bar.write(RAL[0], int.from_bytes(self.mac[:4], "little"))
        bar.write(RAH[0], RAH[0].pack(ADDR=int.from_bytes(self.mac[4:], "little"), AV=1))

    def set_mac(self, mac: bytes, running: bool) -> None:
        """Another first address; one of the further ones moves. running: write it now."""
        self.remove_mac(mac, running)
        self.mac = mac
        if running:
            self.write_mac()

    def add_mac(self, mac: bytes, running: bool) -> None:
        """One more address; running: write it now. Raises ConfigError when the chip has no entry left."""
        if mac in (self.mac, *self.macs):
            return
        if self.room < 1:
            raise ConfigError(
                f"no entry for {format_mac(mac)}: the chip's {limits.RX_ADDRESSES} are taken, port.macs.remove() frees one; "
                f"promiscuous takes every frame"
            )
        self.macs += (mac,)
        if running:
            self.addresses.add(mac, self.pool)

    def remove_mac(self, mac: bytes, running: bool) -> None:
        """A further address is the port's no longer."""
        if mac in self.macs:
            self.macs = tuple(each for each in self.macs if each != mac)
            if running:
                self.addresses.remove(mac, self.pool)

    @property
    def room(self) -> int:
        """How many further addresses the chip has an entry for."""
        return limits.RX_ADDRESSES - 1 - len(self.macs)

    def write_modes(self) -> None:
        """8.2.3.7.1: broadcast always; unicast and multicast for others as asked."""
        self.bar.update(
            FCTRL,
            SBP=0,
            BAM=1,
            UPE=int(self.promiscuous),
            MPE=int(self.promiscuous or self.allmulticast),
        )

    def set_multicast(self, addresses: Iterable[str]) -> None:
        """Remember a list. Raises ConfigError for an address that is no multicast one."""
        parsed = [(text, parse_mac(text)) for text in addresses]
        for text, address in parsed:
            if not address[0] & 1:
                raise ConfigError(f"{text} is no multicast address: the lowest bit of its first byte is 0")
        self.multicast = tuple(address for _, address in parsed)

    def write_multicast(self) -> None:
        """8.2.3.7.3, 8.2.3.7.7: a bit of 4096 for each address, so groups with the same 12 bits come along."""
        bar = self.bar
        table = [0] * len(MTA)
        for address in self.multicast:
            vector = multicast_hash(address)
            table[vector >> 5] |= 1 << (vector & 31)
        for register, word in zip(MTA, table, strict=True):
            bar.write(register, word)
        bar.write(MCSTCTRL, MCSTCTRL.pack(MO=0, MFE=int(bool(self.multicast))))

    def set_vlan(self, vid: int, on: bool) -> None:
        """Remember a VLAN. Raises ConfigError."""
        if not 0 <= vid < limits.VLANS:
            raise ConfigError(f"VLAN {vid}: must be 0 to {limits.VLANS - 1}")
        if self.vlans is None:
            self.vlans = set()
        (self.vlans.add if on else self.vlans.discard)(vid)

    def write_vlan(self, vid: int) -> None:
        """8.2.3.7.11: one bit of the table."""
        register = VFTA[vid >> 5]
        first = vid & ~31
        self.bar.write(
            register, sum(1 << v - first for v in range(first, first + 32) if v in (self.vlans or ()))
        )

    def write_vlans(self) -> None:
        """8.2.3.7.2, 8.2.3.7.11: the table, then the filter's switch. Untagged frames always pass (7.1.1.2)."""
        for vid in sorted({vid & ~31 for vid in self.vlans or ()}):
            self.write_vlan(vid)
        self.bar.update(VLNCTRL, CFIEN=0, VFE=int(self.vlans is not None))

    def write_rss(self, rx_queues: int) -> None:
        """7.1.2.8, 8.2.3.7.12 to 15: flows spread over the queues, at most 16; off with one queue, unless asked for."""
        bar = self.bar
        # 8.2.3.7.5: with PCSD the descriptor carries the hash. SKIPPED: fragment checksums: no app uses them.
        bar.update(RXCSUM, PCSD=1, IPPCSE=0)
        if not self.merges:
            bar.set(RFCTL.RSC_DIS)  # 7.11: merged packets are not what came over the wire
        self.hashes = rx_queues > 1 or self.rss.wanted
        self.rss.write(bar, self.rss_usable(rx_queues), MRQE_RSS if self.hashes else MRQE_OFF)

    def rss_usable(self, rx_queues: int) -> int:
        """How many queues the table may name, the first ones, of a port with that many."""
        return max(min(rx_queues, limits.RSS_QUEUES), 1)

    def rss_reach(self, rx_queues: int) -> Reach:
        """The queues that the RSS table of a port with `rx_queues` Rx queues may name."""
        usable, most = self.rss_usable(rx_queues), self.rss_usable(limits.RSS_QUEUES)
        return Reach(max(min(rx_queues, most), usable), usable, most)

    def read_rss_table(self, rx_queues: int) -> tuple[int, ...]:
        """8.2.3.7.15: the port's queue for each value of the hash's low 7 bits, as the chip has it."""
        return read_table(self.bar)
