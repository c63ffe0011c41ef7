# SPDX-License-Identifier: BSD-3-Clause
"""The VFs of a PF: what each may do and has, and the registers that enforce it (datasheet 7.10, 4.6.10).

Nothing here waits, and nothing sends a message to a VF: `VfService` does, to the VFs in `notify`. Methods may be called from
any thread; `lock` guards the tables that PF and VFs share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dataplane.errors import ConfigError
from dataplane.limits import FRAME_MAX_WITH_FCS_BYTES, FRAME_MIN_WITH_FCS_BYTES, FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.pmd.datasheet import (
    GCR_EXT,
    GPIE,
    HLREG0,
    MAXFRS,
    MTQC,
    PFDTXGSWC,
    PFVFSPOOF,
    QDE,
    RTTDCS,
    TDWBAH,
    TDWBAL,
    VFRE,
    VFTE,
    VLANA_ALWAYS,
    VLANA_DESCRIPTOR,
    VMECM,
    VMOLR,
    VMTXSW,
    VMVIR,
    VT_CTL,
    mailbox,
)
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.counters import Counters
from dataplane.pmd.ixgbe.errors import SettingRefused, VfRequestRefused
from dataplane.pmd.ixgbe.rates import TxRates
from dataplane.pmd.ixgbe.sriov.addresses import VfAddresses
from dataplane.pmd.ixgbe.sriov.rates import VfRates
from dataplane.pmd.ixgbe.sriov.settings import SETTINGS, Setting, VfSettings, row_of
from dataplane.pmd.ixgbe.sriov.state import VfState, stable_mac
from dataplane.pmd.ixgbe.steering.pool_filters import PoolFilters
from dataplane.pmd.ixgbe.steering.pools import set_pool
from dataplane.pmd.ixgbe.vf_counters import VfLedger

__all__ = ["VfTable"]


class VfTable:
    """VFs 0 to `layout.vfs` - 1 of a port. name: what messages call the PF; pf_mac: its permanent address.

    counters: who reads the port's counters; rates: who writes the limits of its queues.
    """

    def __init__(
        self,
        bar: Bar,
        name: str,
        filters: PoolFilters,
        pf_mac: bytes,
        counters: Counters | None = None,
        rates: TxRates | None = None,
    ) -> None:
        self.bar, self.name, self.filters, self.layout = bar, name, filters, filters.layout
        self.lock = filters.lock
        self.vfs = [VfState(n, stable_mac(pf_mac, n)) for n in range(self.layout.vfs)]
        self.addresses = VfAddresses(filters, self.vfs)
        self.notify = 0  # a bit for each VF that must be notified of a change
        self.up = False
        self.counters = counters or Counters(bar, self.layout.queues_of(self.layout.pf_pool))
        self.ledger = VfLedger(bar, self.layout.vfs)
        self.rates = VfRates(rates or TxRates(bar), self.layout, name, self.ledger.sent)
        self.epoch = 0  # counts the times that the port came up or went down
        self.lent: int | None = None  # the VF whose drops alone SSVPC counts just now
        self.frame = FRAME_STANDARD_WITH_FCS_BYTES  # the PF's own largest frame, with FCS
        self.speed = 0  # Mbit/s of the link, 0 while it is down

    # ---- the port -----------------------------------------------------------------------------------------------

    def set_up(self, frame: int) -> None:
        """4.6.10.1: pools and switching on, after a reset and before the queues. frame: the PF's largest, with FCS.

        Every VF is without rights until it asks: after the reset it must reinitialise (RSTI, 7.10.2.9).
        """
        bar, layout = self.bar, self.layout
        with self.lock:
            self.frame = frame
            bar.update(GCR_EXT, VT_MODE=layout.vt_mode)
            bar.update(GPIE, VT_MODE=layout.vt_mode)  # 8.2.3.5.18: both must say the same
            bar.set(RTTDCS.ARBDIS)
            bar.write(MTQC, layout.mtqc)
            bar.clear(RTTDCS.ARBDIS)
            # 7.10.3.3: what no VF takes is the PF's; broadcasts and multicasts are copied to every pool that wants them.
            bar.write(VT_CTL, VT_CTL.pack(VT_ENA=1, DEF_PL=layout.pf_pool, DIS_DEF_POOL=0, RPL_EN=1))
            for n in range(2):
                bar.write(VMTXSW[n], 0)  # no pool receives its own frames
                for register in (VFRE[n], VFTE[n]):
                    pool = layout.pf_pool - 32 * n
                    bar.write(register, 1 << pool if 0 <= pool < 32 else 0)
                bar.write(VMECM[n], 0)
            bar.set(PFDTXGSWC.LBE)
            # 7.10.3.4: a pool's packets are drained even with flow control off only if FCRTH is set: the link unit does it.
            self.epoch, self.lent = self.epoch + 1, None
            self.ledger.rebase()
            for state in self.vfs:
                state.reset()
                self.rates.begin(state.number)
                self._drop_without_descriptors(state.number)
                self._defaults(state)
            self.up = True

    def go_down(self) -> None:
        """4.6.10: close the gates of all VFs, and have each notified."""
        with self.lock:
            self.up = False
            self.epoch += 1
            for state in self.vfs:
                state.clear_to_send = False
                self._write_gates(state)
            self.notify = self._all

    def link_changed(self, speed: int) -> None:
        """Take the new speed of the link, Mbit/s, 0: down, and have every VF notified."""
        with self.lock:
            self.speed = speed
            self.notify = self._all

    @property
    def in_use(self) -> list[VfState]:
        """VFs whose drivers have begun and not gone."""
        return [state for state in self.vfs if state.active]

    @property
    def _all(self) -> int:
        return (1 << self.layout.vfs) - 1

    def vf(self, number: int) -> VfState:
        """The record of VF `number`. Raises ConfigError if there is no such VF."""
        if not 0 <= number < len(self.vfs):
            raise ConfigError(f"{self.name} has no VF {number}: it has 0..{len(self.vfs) - 1}")
        return self.vfs[number]

    @property
    def spoofed(self) -> int:
        """Frames that the spoof check has dropped, of all VFs, as of the last `counters.collect`."""
        return self.counters.total("vf_spoofed_packets")

    # ---- what happens to a VF -------------------------------------------------------------------------------------

    def on_reset(self, state: VfState) -> None:
        """4.6.10.2: a VF was reset: only its settings remain."""
        with self.lock:
            state.resets += 1
            self._forget(state)
            self._write_gates(state)
            self._defaults(state)

    def begin(self, state: VfState) -> bytes:
        """RESET: the VF's driver is there. Returns its address."""
        with self.lock:
            self._forget(state)
            state.active = True
            self._defaults(state)
            self._drop_without_descriptors(state.number)
            for queue in self.layout.queues_of(state.number):
                # 8.2.3.9.11: no reset clears where heads are written to, so the next driver would have them in its memory.
                self.bar.write(TDWBAL[queue], 0)
                self.bar.write(TDWBAH[queue], 0)
            self.addresses.begin(state)
            self.rates.begin(state.number)  # before the gates open
            self._write_gates(state)
            state.clear_to_send = True
            return state.mac

    def _forget(self, state: VfState) -> None:
        number = state.number
        self.addresses.forget(state)
        self.filters.set_hashes(number, ())
        self.filters.set_allmulti(number, False)
        state.reset()

    def _defaults(self, state: VfState) -> None:
        """8.2.3.27.14: broadcasts, and untagged frames unless it has a port VLAN; VLAN 0 or the port VLAN."""
        for vid in self.filters.vlans_of(state.number):
            self.filters.leave_vlan(vid, state.number)
        self.filters.join_vlan(state.settings.vlan, state.number)
        self.bar.write(
            VMOLR[state.number], VMOLR[state.number].pack(BAM=1, AUPE=int(not state.settings.port_vlan))
        )
        self._write_tag(state)
        self._write_spoof(state)

    # ---- what a VF asks -------------------------------------------------------------------------------------------

    def give_mac(self, state: VfState, mac: bytes) -> None:
        """SET_MAC_ADDR. Raises VfRequestRefused."""
        with self.lock:
            self.addresses.ask(state, mac)

    def give_macvlan(self, state: VfState, index: int, mac: bytes) -> None:
        """SET_MACVLAN. Raises VfRequestRefused."""
        with self.lock:
            self.addresses.ask_further(state, index, mac)

    def give_vlan(self, state: VfState, vid: int, add: bool) -> None:
        """SET_VLAN. Raises VfRequestRefused."""
        with self.lock:
            if state.settings.port_vlan:
                raise VfRequestRefused(f"it has port VLAN {state.settings.vlan}, which is the only one")
            if not add:
                if vid:  # VLAN 0 is untagged traffic with a priority: it stays, and that is no error
                    self.filters.leave_vlan(vid, state.number)
                return
            has = self.filters.vlans_of(state.number)
            if vid in self.filters.slots or vid in has:
                self.filters.join_vlan(vid, state.number)
                return
            free = self.filters.slots.free
            without = sum(
                not any(self.filters.vlans_of(other.number)) for other in self.vfs if other is not state
            )
            if any(has) and 0 < free <= without and not state.settings.trust:
                raise VfRequestRefused(
                    f"{free} of the chip's 64 VLANs are left, for {without} VFs that have none"
                )
            if not self.filters.join_vlan(vid, state.number):
                raise VfRequestRefused("the chip's 64 VLANs are taken")

    def give_frame(self, state: VfState, frame: int) -> None:
        """SET_LPE. Raises VfRequestRefused.

        One limit holds for the whole port, so a VF with small buffers must not receive while others take large frames.
        """
        with self.lock:
            if not FRAME_MIN_WITH_FCS_BYTES <= frame <= FRAME_MAX_WITH_FCS_BYTES:
                raise VfRequestRefused(
                    f"a largest frame of {frame} bytes: must be {FRAME_MIN_WITH_FCS_BYTES} to {FRAME_MAX_WITH_FCS_BYTES}"
                )
            jumbo = self.frame > FRAME_STANDARD_WITH_FCS_BYTES
            why = ""
            words: tuple[int, ...] = ()
            if jumbo and state.api < mailbox.API_1_1:
                why = f"the PF takes frames of {self.frame} bytes, and a VF that speaks API 1.0 cannot say that it does"
            elif not jumbo and frame > FRAME_STANDARD_WITH_FCS_BYTES:
                why = f"frames of {frame} bytes, the PF's largest are {self.frame}: set its MTU"
                words = (self.frame,)  # ours, from which its driver can say what would do; others do not look
            state.frame, state.too_large = (0, frame) if why else (frame, 0)
            if not why and frame > self.bar.get(MAXFRS.MFS):
                self.bar.update(MAXFRS, MFS=frame)
                self.bar.set(HLREG0.JUMBOEN)
            self._write_gates(state)
            if why:
                raise VfRequestRefused(why, words)

    def give_hashes(self, state: VfState, hashes: tuple[int, ...]) -> None:
        """SET_MULTICAST: instead of those it had."""
        with self.lock:
            state.hashes = hashes
            self.filters.set_hashes(state.number, hashes)
            self._write_xcast(state)

    def give_xcast(self, state: VfState, mode: int) -> int:
        """UPDATE_XCAST_MODE: the mode that it gets. Raises VfRequestRefused."""
        with self.lock:
            if mode > mailbox.XCAST_PROMISC:
                raise VfRequestRefused(f"there is no mode {mode}")
            if mode == mailbox.XCAST_PROMISC and state.api < mailbox.API_1_3:
                raise VfRequestRefused("promiscuous is a mode from API 1.3 on")
            if not state.settings.trust:
                mode = min(mode, mailbox.XCAST_MULTI)
            if mode == mailbox.XCAST_PROMISC:
                raise VfRequestRefused("no pool of an 82599 can be promiscuous")
            state.xcast = mode
            self._write_xcast(state)
            return mode

    # ---- settings -------------------------------------------------------------------------------------------------

    def set(self, number: int, name: str, text: str) -> None:
        """Change one setting of VF `number`: ``ip link set PF vf NUMBER NAME TEXT``. Raises ConfigError."""
        self.change(number, {name: text})

    def change(self, number: int, texts: Mapping[str, str]) -> None:
        """Change settings of VF `number`, all or none, by name and in the words of `Setting.parse`.

        A driver that uses the VF reinitialises if one of its rows says `restart`. Raises ConfigError.
        """
        state = self.vf(number)
        with self.lock:
            values: dict[str, Any] = {name: row_of(name).parse(text) for name, text in texts.items()}
            before, after = state.settings, replace(state.settings, **values)
            rows = [row_of(name) for name in texts]
            for row in rows:
                if row.check:
                    row.check(self, number, after)
            overrides = bool(state.chosen) or not self.up
            changed = [
                row
                for row in rows
                if values[row.name] != getattr(before, row.name)
                or (row.again and overrides and values[row.name] != row.default)
            ]
            state.settings = after
            for apply in dict.fromkeys(row.apply for row in changed if row.apply):
                apply(self, number)
            if self.up and any(row.restart for row in changed):
                self._restart(state)

    def restore(self, settings: Mapping[int, VfSettings]) -> None:
        """Take settings by VF number, all or none, before the port comes up.

        Raises SettingRefused, with VF and row, for settings that this port cannot have.
        """
        with self.lock:
            before = [state.settings for state in self.vfs]
            for number, each in settings.items():
                self.vfs[number].settings = each
            try:
                for number, each in settings.items():
                    for row in SETTINGS.values():
                        _check(row, self, number, each)
            except ConfigError:
                for state, each in zip(self.vfs, before, strict=True):
                    state.settings = each
                raise
            for number, each in settings.items():
                for row in SETTINGS.values():
                    if row.apply and getattr(each, row.name) != row.default:
                        row.apply(self, number)

    def _restart(self, state: VfState) -> None:
        """Have the driver that uses a VF reinitialise: it notices by a message without CTS (7.10.2.9)."""
        if state.active:
            state.clear_to_send = False
            self.notify |= 1 << state.number

    def check_mac(self, vf: int, settings: VfSettings) -> None:
        """Raise ConfigError if the VF may not have its address with these settings."""
        self.addresses.check(self.vfs[vf], settings)

    def check_vlan(self, vf: int, settings: VfSettings) -> None:
        """Raise ConfigError if the chip has no room for another VLAN."""
        vid, slots = settings.vlan, self.filters.slots
        if self.up and vid != self.vfs[vf].settings.vlan and vid not in slots and not slots.free:
            raise ConfigError(f"vlan {vid}: the chip's 64 VLANs are taken: free one by vlan 0 of another VF")

    def check_max_tx_rate(self, vf: int, settings: VfSettings) -> None:
        """Raise ConfigError for a limit that is too low for the chip."""
        self.rates.check(settings.max_tx_rate)

    def apply_mac(self, vf: int) -> None:
        """Give the VF the address that was set, and take it from an untrusted VF that had chosen it."""
        state = self.vfs[vf]
        state.overruled = True
        for loser in self.addresses.enforce(state, said=True) if self.up else ():
            self._restart(loser)

    def apply_trust(self, vf: int) -> None:
        """Withdraw what requires trust; a trusted VF asks for it again."""
        state = self.vfs[vf]
        state.overruled |= bool(state.settings.mac) and not state.settings.trust
        if self.up:
            self.addresses.enforce(state, said=False)
            state.xcast = min(state.xcast, mailbox.XCAST_MULTI)
            self._write_xcast(state)

    def apply_vlan(self, vf: int) -> None:
        """Write the port VLAN, which replaces the VLANs that the VF asked for."""
        if self.up:
            self._defaults(self.vfs[vf])
            self._write_xcast(self.vfs[vf])

    def apply_max_tx_rate(self, vf: int) -> None:
        """Limit what the VF sends; while the PF is down, from its start on."""
        self.rates.limit(vf, self.vfs[vf].settings.max_tx_rate, write=self.up)

    def apply_spoofchk(self, vf: int) -> None:
        """Switch the checks of source address and VLAN."""
        if self.up:
            self._write_spoof(self.vfs[vf])

    def apply_state(self, vf: int) -> None:
        """Open or close the gates of the VF."""
        if self.up:
            self._write_gates(self.vfs[vf])

    def link_enabled(self, state: VfState) -> bool:
        """Whether the administrator has left the VF's link on; `auto`: as long as the PF is up."""
        return state.settings.state != "disable" and (self.up or state.settings.state == "enable")

    # ---- registers ------------------------------------------------------------------------------------------------

    def _write_gates(self, state: VfState) -> None:
        """8.2.3.27: PFVFTE, PFVFRE. While the PF takes jumbo frames a VF receives only once it has said that it does too."""
        sends = state.active and self.up and self.link_enabled(state)
        fits = not state.too_large and (bool(state.frame) or self.frame <= FRAME_STANDARD_WITH_FCS_BYTES)
        set_pool(self.bar, VFTE, state.number, sends)
        set_pool(self.bar, VFRE, state.number, sends and fits)

    def _write_tag(self, state: VfState) -> None:
        """8.2.3.27: PFVMVIR: the port VLAN in every frame, or what the descriptor says."""
        settings, register = state.settings, VMVIR[state.number]
        if settings.port_vlan:
            word = register.pack(VID=settings.vlan, PRIORITY=settings.qos, VLANA=VLANA_ALWAYS)
        else:
            word = register.pack(VLANA=VLANA_DESCRIPTOR)
        self.bar.write(register, word)

    def _write_spoof(self, state: VfState) -> None:
        """8.2.3.27: source address and VLAN must be the VF's own. The VLAN check works only beside the other."""
        register, bit, on = PFVFSPOOF[state.number >> 3], 1 << (state.number & 7), state.settings.spoofchk
        word = self.bar.read(register)
        macs, vlans = register.MACAS.extract(word), register.VLANAS.extract(word)
        if on:
            macs, vlans = macs | bit, vlans | bit
        else:
            macs, vlans = macs & ~bit, vlans & ~bit
        self.bar.write(register, register.pack(MACAS=macs, VLANAS=vlans))
        self.count_spoofed()

    def count_spoofed(self) -> None:
        """8.2.3.27: PFVMECM: SSVPC counts the drops of every pool that is checked; of one alone while it is lent to that."""
        words = [0, 0]
        for state in self.vfs:
            if state.settings.spoofchk and self.lent in (None, state.number):
                words[state.number >> 5] |= 1 << (state.number & 31)
        for register, word in zip(VMECM, words, strict=True):
            self.bar.write(register, word)

    def _write_xcast(self, state: VfState) -> None:
        """8.2.3.27.14. A VF without groups takes none, or it would get those of others."""
        number = state.number
        # CONFLICT: Linux' PF takes broadcasts away in mode "none", DPDK's leaves them. DPDK's VF says "none" when it is
        # no longer promiscuous, and needs ARP even so.
        self.bar.update(
            VMOLR[number],
            ROMPE=int(bool(state.hashes) and state.xcast >= mailbox.XCAST_MULTI),
            MPE=int(state.xcast >= mailbox.XCAST_ALLMULTI),
        )
        self.filters.set_allmulti(number, state.xcast >= mailbox.XCAST_ALLMULTI)

    def _drop_without_descriptors(self, number: int) -> None:
        """8.2.3.27.9: a VF that takes no packets must not hold up the port: they are dropped, whatever its SRRCTL says."""
        for queue in self.layout.queues_of(number):
            self.bar.write(QDE, QDE.pack(QUEUE=queue, QDE=1, WE=1))
            self.bar.read(QDE)  # 8.2.3.27.9: one write must have arrived before the next


def _check(row: Setting, table: VfTable, vf: int, settings: VfSettings) -> None:
    try:
        if row.check:
            row.check(table, vf, settings)
    except ConfigError as error:
        raise SettingRefused(vf, row.name, str(error)) from None
