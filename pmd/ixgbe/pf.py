# SPDX-License-Identifier: BSD-3-Clause
"""The 82599's Physical Function as a port. Bring-up follows the datasheet from 4.6.3 on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from dataplane.errors import DeviceGone, check_new
from dataplane.limits import FRAME_MAX_WITH_FCS_BYTES
from dataplane.pmd.datasheet import (
    DCA_RXCTRL,
    DCA_TXCTRL,
    RDBAH,
    RDBAL,
    RDH,
    RDLEN,
    RDT,
    RXCTRL,
    RXDCTL,
    SRRCTL,
    TDBAH,
    TDBAL,
    TDH,
    TDLEN,
    TDT,
    TDWBAL,
    TXDCTL,
    limits,
    pci,
)
from dataplane.pmd.function import Function
from dataplane.pmd.ixgbe.clock import IxgbeClock
from dataplane.pmd.ixgbe.common import RING_LENGTHS, IxgbeBase
from dataplane.pmd.ixgbe.counters import Counters
from dataplane.pmd.ixgbe.datapath import RxRegisters, TxRegisters
from dataplane.pmd.ixgbe.device_bar import DeviceBar, touches_device
from dataplane.pmd.ixgbe.errors import VfsInUse
from dataplane.pmd.ixgbe.link import LinkUnit
from dataplane.pmd.ixgbe.merging import Merging
from dataplane.pmd.ixgbe.nvm import Nvm
from dataplane.pmd.ixgbe.rates import PfRates, TxRates
from dataplane.pmd.ixgbe.reset import DeviceReset
from dataplane.pmd.ixgbe.sriov.host import VfHost, host_of
from dataplane.pmd.ixgbe.sriov.pf_vfs import PfVfs
from dataplane.pmd.ixgbe.steering.flows import FlowTable
from dataplane.pmd.ixgbe.steering.pf_filters import PfMacs, PfMulticast, PfVlans
from dataplane.pmd.ixgbe.steering.pf_flows import PfFlows
from dataplane.pmd.ixgbe.steering.pf_rss import PfRss
from dataplane.pmd.ixgbe.steering.rss import parse_key
from dataplane.pmd.portstring import PortString
from dataplane.port import Link, PortInfo, format_mac, parse_own_mac, parse_own_macs

__all__ = ["IxgbePort"]

_RX = (RDBAL, RDBAH, RDLEN, DCA_RXCTRL, SRRCTL, RDH, RDT, RXDCTL)
_TX = (TDBAL, TDBAH, TDLEN, DCA_TXCTRL, TDWBAL, TDH, TDT, TXDCTL)


class IxgbePort(IxgbeBase):
    """A port of an 82599. `dataplane.pmd.probe` makes it.

    Up to 128 Rx queues, of which RSS fills the first 16, and 64 Tx queues, with 8 to 8192 descriptors each. Options in
    addition to those of `IxgbeBase`:

    - promiscuous, allmulticast (on, off): as the properties.
    - macs: further addresses, joined by +, as `PfMacs.add` takes them.
    - rss_key: default, symmetric or 80 hex digits.
    - rss_types: the fields to hash, joined by +, as in ipv4+ipv4-udp; with it also a single queue gets hashes.
    - eeprom_check (on, off): compare the checksum of the whole EEPROM when the port is opened.
    - speed (10, 1): Gbit/s of the module in an SFP+ cage.
    - vfs (0 to 63): virtual functions, which the port serves while it is started. The PF itself then has 4 queues, or 2 with
      more than 31 VFs.
    - vf_state: a file that keeps the settings of the VFs, see `SettingsFile`.
    - lro (on, off): merge packets of a TCP connection over IPv4, see docs/driver.md. Not with VFs.
    - max_lro_pkt_size: bytes of the largest merged packet.
    """

    lacks = {"vfs": "open it with vfs=N"}

    info = PortInfo(
        driver="ixgbe",
        max_rx_queues=limits.RX_QUEUES,
        max_tx_queues=limits.TX_QUEUES_PLAIN,
        rx_desc=RING_LENGTHS,
        tx_desc=RING_LENGTHS,
        max_frame=FRAME_MAX_WITH_FCS_BYTES,
        line_rate=10_000_000_000,
    )

    def __init__(self, function: Function, spec: PortString) -> None:
        check_new(self, "host")
        bar = DeviceBar(function.bar(pci.PF_BAR_REGISTERS))
        self.host = host_of(spec, bar)
        self.filters, self.layout = self.host.filters, self.host.layout
        self.shared = self.hosts_vfs = self.layout.vfs > 0
        self.info = replace(self.info, max_rx_queues=self.layout.queues, max_tx_queues=self.layout.tx_queues)
        super().__init__(function, spec, bar)
        self._reset = DeviceReset(bar)
        self._nvm = Nvm(bar)
        self._counters = Counters(bar, self.layout.pf_queues if self.shared else None)
        self.filters.promiscuous = spec.flag("promiscuous", False)
        self.filters.allmulticast = spec.flag("allmulticast", False)
        self.filters.macs = parse_own_macs(spec.word("macs", ""))
        self._merging = Merging(bar, spec, self.layout.vfs)
        self.filters.merges = self._merging.on
        self.filters.rss.key = parse_key(spec.word("rss_key", "default"))
        if types := spec.word("rss_types", ""):
            self.filters.rss.set_types(types)
        check = spec.flag("eeprom_check", True)
        gbps = int(spec.word("speed", "10", ("1", "10")))
        self.info = replace(self.info, line_rate=gbps * 1_000_000_000)
        settings_file = spec.word("vf_state", "")
        spec.done()
        self.host.read_file(function.name, settings_file)
        self._claim()
        self.bar.check()
        function.set_vfs(self.layout.vfs)
        self._reset.run()
        self._nvm.wait_auto_read()
        caps = self._nvm.verify() if check else self._nvm.read_caps()
        self.filters.mac = self.filters.permanent_mac()
        self._link = LinkUnit(bar, function.device_id, caps, gbps)
        self._link.flow_control_off()
        self._link.set_up()
        self._reset.announce(serves=False)
        self._counters.forget()
        rates = TxRates(bar, self._link.fastest)
        self.host.open(function, self._link.state, self._counters, rates)
        self._rates = PfRates(self, rates, self._first, self._check_tx)
        self._flows = FlowTable(bar, self.layout, self._refill)
        self._clock = IxgbeClock(self, gbps, self._flows.seek)
        self._provide(
            clock=self._clock,
            flows=PfFlows(self, self._flows, self._count_flows),
            macs=PfMacs(self, self.filters, self.host.owner),
            multicast=PfMulticast(self, self.filters),
            rates=self._rates,
            rss=PfRss(self, self.filters),
            vlans=PfVlans(self, self.filters),
        )
        if isinstance(self.host, VfHost):
            self._provide(vfs=PfVfs(self, self.host))

    # ---- bring-up ---------------------------------------------------------------------------------------------

    def _bring_up(self) -> None:
        """4.6.3: reset, then general, link, statistics, filters, receive, transmit, in this order."""
        self._clock.hold()
        self._reset.run()
        self._nvm.wait_auto_read()
        self._flows.fit()
        self._link.flow_control_off(limits.RX_PACKET_BUFFER - (self._flows.kilobytes << 10))
        self._link.set_up()
        self._counters.map_queues()
        self._set_filters()
        self._set_receive()
        self._set_transmit()
        self.host.bring_up(self._frame_size())
        self._clock.begin()
        self._reset.announce()
        self._counters.forget()

    def _set_filters(self) -> None:
        """7.1.1: tables emptied, then what was asked for."""
        self.filters.clear_tables()
        self.filters.write_all(self.rx_queues)
        self._flows.write_filters()

    def _set_receive(self) -> None:
        """4.6.7: what all Rx queues share."""
        self.rx_unit.packet_buffer(self._flows.kilobytes)
        self._flows.write_director()
        self.rx_unit.crc_and_dma()
        self.rx_unit.frame_size(self._frame_size())
        self.rx_unit.snooping()
        self._merging.write()

    def _set_transmit(self) -> None:
        """4.6.8: what all Tx queues share."""
        self.tx_unit.mac()
        self.tx_unit.packet_buffer()
        self.tx_unit.arbiter(self.layout.mtqc)
        self._rates.rates.clear(self._frame_size())
        self._rates.write_all(self.tx_queues)
        self.tx_unit.ordering()

    def _rx_registers(self, index: int) -> RxRegisters:
        return RxRegisters(*(register[self._first + index] for register in _RX))

    def _tx_registers(self, index: int) -> TxRegisters:
        return TxRegisters(*(register[self._first + index] for register in _TX))

    def _merged_pieces(self) -> int:
        return self._merging.buffers(self._buffer_size())

    def _set_merging(self, index: int, pieces: int) -> None:
        self._merging.write_queue(self._first + index, pieces)

    def _longest_arriving(self) -> int:
        return self.host.longest_arriving(self._frame_size())

    @property
    def _first(self) -> int:
        """The chip's number of the PF's queue 0 (7.10.2.7)."""
        return self.layout.pf_queues.start

    def _start(self) -> None:
        self.filters.rss.check(self.filters.rss_reach(self.rx_queues))
        self._flows.check(self.rx_queues)
        super()._start()
        self._flows.running = True
        self.host.start(self._enable_units)

    def _stop(self) -> None:
        """With VFs: notify them; they have no link until the PF is started again."""
        self._flows.running = False
        self.host.stop()
        super()._stop()

    def _enable_units(self) -> None:
        self._enable_tx()
        self._enable_rx()

    def _enable_rx(self) -> None:
        self.rx_unit.enable()

    def _enable_tx(self) -> None:
        self.tx_unit.enable()

    def _disable_rx(self) -> None:
        self.rx_unit.disable()

    def _disable_tx(self) -> None:
        self.tx_unit.disable()

    def _quiet(self) -> None:
        """4.6.3: a reset, and no driver owns the port."""
        self._clock.hold()
        self._reset.run()

    def close(self, force: bool = False) -> None:
        """Stop the port and release the device.

        force: close even if drivers use its VFs, and notify them first; otherwise VfsInUse is raised then.
        """
        if not force and not self.closed and (users := self.host.in_use):
            raise VfsInUse(
                f"{self.name} is not closed: {', '.join(map(str, users))} {'is' if len(users) == 1 else 'are'} in use. "
                f"Close their ports first, or take the PF away from them by close(force=True)"
            )
        super().close()

    def __exit__(self, *exc: object) -> None:
        """Close, even if VFs are in use: notify them, and raise VfsInUse afterwards."""
        try:
            self.close()
        except VfsInUse:
            self.close(force=True)
            if exc[0] is None:  # do not hide the error that ends the block
                raise

    def _close(self) -> None:
        """4.6.3, 8.2.3.1.3: quiet, ownership withdrawn, the function given back. VFs that are in use stay, without a PF."""
        self.host.close()
        self._clock.close()
        try:
            with suppress(DeviceGone):
                self._collect()
                self._reset.withdraw()
                self._quiet()
                self.host.release(self.function)
        finally:
            self.function.close()

    # ---- settings ---------------------------------------------------------------------------------------------

    @property
    def mac(self) -> str:
        """Its MAC address; the card's own until it is changed, which holds for as long as the port is open."""
        return format_mac(self.filters.mac)

    @mac.setter
    @touches_device
    def mac(self, value: str) -> None:
        self.filters.set_mac(parse_own_mac(value), self.started)

    def _check_tx(self, queue: int) -> None:
        """Raise ConfigError, PortError for a Tx queue that the port cannot have."""
        self._check_queue("Tx", queue, self.info.max_tx_queues, queue in self._tx)

    @property
    def promiscuous(self) -> bool:
        """Whether frames for other addresses are received; settable at any time."""
        return self.filters.promiscuous

    @promiscuous.setter
    @touches_device
    def promiscuous(self, on: bool) -> None:
        self.filters.promiscuous = bool(on)
        if self.started:
            self.filters.write_modes()

    @property
    def allmulticast(self) -> bool:
        """Whether every multicast frame is received; settable at any time."""
        return self.filters.allmulticast

    @allmulticast.setter
    @touches_device
    def allmulticast(self, on: bool) -> None:
        self.filters.allmulticast = bool(on)
        if self.started:
            self.filters.write_modes()

    # ---- flow rules ---------------------------------------------------------------------------------------------

    def _count_flows(self) -> None:
        self._counters.directs = self._flows.directs
        if self._flows.drops:
            self._counters.drop_queue = self._first + self._flows.drop_queue

    def _refill(self, write: Callable[[], None]) -> None:
        """8.2.3.8.9: the packet buffer changes its size while nothing comes in."""
        receiving = self.bar.get(RXCTRL.RXEN)
        self._disable_rx()
        self.bar.sleep(1e-3)  # SILENT about how long: what the packet buffer holds goes to its queues
        self.rx_unit.packet_buffer(self._flows.kilobytes)
        self._link.flow_control_off(limits.RX_PACKET_BUFFER - (self._flows.kilobytes << 10))
        write()
        if receiving:
            self._enable_rx()

    # ---- link and clock -----------------------------------------------------------------------------------------

    @property
    def link(self) -> Link:
        """State of the link, read now."""
        return self._link.state()

    def wait_link(self, timeout: float = 10.0) -> Link:
        """Wait until the link is up, at most `timeout` s. Raises DeviceTimeout when it stays down."""
        self._link.wait_up(timeout)
        return self.link

    @property
    def clock(self) -> IxgbeClock:
        """Its IEEE 1588 clock and the stamps of its packets (7.9); the clock starts at its first use.

        Raises PortError if the port is closed, DeviceGone.
        """
        self._clock.use()
        return self._clock

    # ---- counters ---------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        self._counters.collect()
        self._clock.look()
        if self.started:
            self.host.collect()

    def _device_xstats(self) -> dict[str, int]:
        return self._counters.snapshot(self.rx_queues, self.tx_queues)

    def _totals(self) -> dict[str, int]:
        totals = super()._totals()
        if self._merging.on:
            counts = zip((0, 0, 0), *(queue.merging for queue in self._own_rx.values()), strict=True)
            names = ("rx_lro_merged_packets", "rx_lro_packets", "rx_lro_errors")
            totals.update(zip(names, map(sum, counts), strict=True))
        return totals
