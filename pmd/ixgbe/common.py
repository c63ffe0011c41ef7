# SPDX-License-Identifier: BSD-3-Clause
"""What PF and VF share: memory the device can reach, queues on and off, counters of queues, the order of start and stop."""

from __future__ import annotations

import atexit
import itertools
import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import MappingProxyType
from typing import cast

from dataplane.errors import ConfigError, DeviceError, DeviceGone, PortGone
from dataplane.limits import FCS_BYTES, FRAME_STANDARD_WITH_FCS_BYTES, HEADER_AND_FCS_BYTES, VLAN_TAG_BYTES
from dataplane.memory.hugepage import Arena, Block, unwatch_arenas, watch_arenas
from dataplane.pmd.datasheet import STATUS, RegisterRef, limits, pci
from dataplane.pmd.function import Bar, Function
from dataplane.pmd.ixgbe.counters import Watch
from dataplane.pmd.ixgbe.datapath import RxRegisters, RxUnit, TxRegisters, TxUnit
from dataplane.pmd.ixgbe.queues.kernels import widths
from dataplane.pmd.ixgbe.queues.rx import IxgbeRxQueue
from dataplane.pmd.ixgbe.queues.tx import IxgbeTxQueue
from dataplane.pmd.portstring import PortString
from dataplane.port import Port

__all__ = ["RING_LENGTHS", "IxgbeBase"]

log = logging.getLogger("dataplane")

RING_LENGTHS = (limits.RING_MIN, limits.RING_MAX, limits.RING_MULTIPLE)

_numbers = itertools.count()
_running: set[IxgbeBase] = set()


@atexit.register
def _stop_all() -> None:
    """Stop the ports of a program that ends without doing so: no device may write to memory that is freed."""
    for port in list(_running):
        try:
            port.stop()
        except Exception as error:  # the next port must be stopped nevertheless
            if not isinstance(error, PortGone):
                log.error("%s: %s", port.name, error)


class IxgbeBase(Port):
    """A function of an 82599. Subclasses say where a queue's registers are and bring the device up and down.

    Options of the port string, read here:

    - rx_desc, tx_desc: descriptors. mtu: bytes.
    - drop_en (on, off, auto): a queue without free descriptors drops frames instead of blocking the others. auto: on with
      more than one Rx queue, or with VFs.
    - vlan_strip (on, off): move tags from the frame to ``vlan_tci``.
    - simd (scalar, sse4.2, avx2, avx512, auto): the kernels, if the CPU has them. auto: the fastest.
    """

    shared = False
    """Whether pools share the port (7.10): then what is sent is switched, and descriptors name a context."""

    gated = True

    def __init__(self, function: Function, spec: PortString, bar: Bar) -> None:
        super().__init__(spec.text)
        self.function = function
        self.bar = bar
        self.number = next(_numbers) % 0xFFFF
        self.rx_unit = RxUnit(bar)
        self.tx_unit = TxUnit(bar)
        self._rings: Arena | None = None
        self._blocks: tuple[list[Block], list[Block]] = [], []  # of the Rx queues, of the Tx queues
        self._mapped: list[Arena] = []
        self._watch: Watch | None = None
        self._baseline: dict[str, int] = {}
        self._left = dict.fromkeys(("rx_untaken_packets", "tx_unsent_packets", "tx_link_down_packets"), 0)
        self.drop_en = spec.word("drop_en", "auto", ("on", "off", "auto"))
        self.vlan_strip = spec.flag("vlan_strip", False)
        self.simd = spec.word("simd", "auto", ("auto", *widths()))
        self.rx_desc = self._checked_length("rx_desc", spec.integer("rx_desc", self.rx_desc), RING_LENGTHS)
        self.tx_desc = self._checked_length("tx_desc", spec.integer("tx_desc", self.tx_desc), RING_LENGTHS)
        self.mtu = spec.integer("mtu", self.mtu)

    @property
    def wire(self) -> str:
        """The other end of the port's wire, if its bus knows it: "to model1, elastic" on the model."""
        return self.function.wire

    # ---- for PF and VF ----------------------------------------------------------------------------------------

    @abstractmethod
    def _rx_registers(self, index: int) -> RxRegisters:
        """Where Rx queue `index` is controlled."""

    @abstractmethod
    def _tx_registers(self, index: int) -> TxRegisters:
        """Where Tx queue `index` is controlled."""

    @abstractmethod
    def _bring_up(self) -> None:
        """The device, reset and set up, with every queue and both units still off."""

    @abstractmethod
    def _quiet(self) -> None:
        """Reset: after this the device touches no memory, whatever state it was in."""

    @abstractmethod
    def _collect(self) -> None:
        """Add up the device's counters. Raises DeviceGone."""

    @abstractmethod
    def _device_xstats(self) -> dict[str, int]:
        """The totals of `_collect`, by DPDK's names."""

    @property
    def hidden_vlan(self) -> bool:
        """Whether frames arrive with the tag of a port VLAN: it is stripped, and not reported."""
        return False

    # ---- queues -----------------------------------------------------------------------------------------------

    @property
    def _own_rx(self) -> dict[int, IxgbeRxQueue]:
        """The Rx queues, which are all of our making."""
        return cast("dict[int, IxgbeRxQueue]", self._rx)

    @property
    def _own_tx(self) -> dict[int, IxgbeTxQueue]:
        return cast("dict[int, IxgbeTxQueue]", self._tx)

    def _make_rx(self, index: int) -> IxgbeRxQueue:
        return IxgbeRxQueue(self, index)

    def _make_tx(self, index: int) -> IxgbeTxQueue:
        return IxgbeTxQueue(self, index)

    def prepare(self) -> None:
        """Check what belongs to the function: a file that the model's wire writes."""
        self.function.prepare()

    def begin(self) -> None:
        """Make what belongs to the function: a file that the model's wire writes."""
        self.function.begin()

    def _start(self) -> None:
        for index in range(self.rx_queues):  # naming queue 3 asks for 0 to 3
            self._rx.setdefault(index, self._make_rx(index))
        for index in range(self.tx_queues):
            self._tx.setdefault(index, self._make_tx(index))
        if self._rx:
            self._check_buffers()
        if not self.hosts_vfs:  # a PF with VFs runs before the run that needs it has been checked
            self.begin()
        with self._pollers_out():
            try:
                self._collect()  # a reset loses what was counted since the last read
                self._bring_up()
                watch_arenas(self)
                self._blocks = self._cut_rings()
                self._start_queues()
            except BaseException:
                self._abandon()
                raise
        _running.add(self)
        self._watch = Watch(self.name, self._collect)
        self._watch.start()

    @contextmanager
    def _pollers_out(self) -> Iterator[None]:
        """No lcore works on a queue of this port meanwhile, even if one still polls it."""
        queues: list[IxgbeRxQueue | IxgbeTxQueue] = [*self._own_rx.values(), *self._own_tx.values()]
        with ExitStack() as stack:
            for queue in queues:
                queue.pause()
                stack.callback(queue.resume)
            yield

    def _start_queues(self) -> None:
        """4.6.7, 4.6.8: every queue on, on the descriptor rings that were cut for it."""
        rx_rings, tx_rings = self._blocks
        self._start_tx(tx_rings)
        self._start_rx(rx_rings)

    def _start_tx(self, rings: list[Block]) -> None:
        """4.6.8: the unit before its queues."""
        frame_max = self._frame_size() - FCS_BYTES
        for index, ring in enumerate(rings):
            self.tx_unit.set_queue(self._tx_registers(index), ring)
        if rings:
            self._enable_tx()
        for index, ring in enumerate(rings):
            registers = self._tx_registers(index)
            self._own_tx[index].attach(
                ring,
                self._at(registers.tail),
                self._status_at(),
                frame_max,
                self.shared,
                self.simd,
                waker=self.bar.waker(),
            )
            self.tx_unit.start_queue(registers)

    def _start_rx(self, rings: list[Block]) -> None:
        """4.6.7: queues full of buffers first, then the unit's gate."""
        merged = self._merged_pieces()
        for index, ring in enumerate(rings):
            registers = self._rx_registers(index)
            self.rx_unit.set_queue(registers, ring, self._buffer_size(), self._drops)
            self._set_merging(index, merged)
            strip = self.vlan_strip and not self.hidden_vlan
            self._own_rx[index].attach(
                ring,
                self._at(registers.tail),
                self._status_at(),
                self.mempool,
                self.number,
                strip,
                self.simd,
                pieces=min(self._pieces(), self.rx_desc - 1),
                hide=self.hidden_vlan,
                waker=self.bar.waker(),
                merges=merged > 0,
            )
            self.rx_unit.start_queue(registers, self.rx_desc, self.vlan_strip or self.hidden_vlan)
        if rings:
            self._enable_rx()

    def _at(self, register: RegisterRef) -> int:
        """Where a register is in this process's memory."""
        return self.bar.address(register.offset)

    def _status_at(self) -> int:
        """Where a word is that reads all ones when the device is gone."""
        return self._at(STATUS)

    def _enable_rx(self) -> None:
        """The unit of all queues; a VF's is its PF's."""

    def _enable_tx(self) -> None:
        """The unit of all queues; a VF's is its PF's."""

    def _disable_rx(self) -> None:
        """No packets to any queue."""

    def _disable_tx(self) -> None:
        """No packets from any queue."""

    def _stop(self) -> None:
        """4.6.7.1.2, 4.6.8.1.2: Rx first, so that Tx can run dry. A device that is gone has stopped already."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        _running.discard(self)
        with self._pollers_out():
            self._stop_queues()

    def _stop_queues(self) -> None:
        heads: dict[int, int] = {}
        up = True
        try:
            # Packets handed over are sent, unless the link is down or its other end takes nothing.
            drained = [self.tx_unit.drain_queue(self._tx_registers(index)) for index in self._tx]
            up = all(drained) or self.link.up
            self._disable_rx()
            for index in self._rx:
                self.rx_unit.stop_queue(self._rx_registers(index))
            for index in self._tx:
                self.tx_unit.stop_queue(self._tx_registers(index))
            heads = {index: self.bar.read(self._tx_registers(index).head) for index in self._tx}
            self._disable_tx()
            self._collect()
        except DeviceGone:
            self._let_go()
        except BaseException:
            self._abandon()
            raise
        else:
            self._let_go(heads, up)

    def _abandon(self) -> None:
        """Something failed half-way: no memory is given back before the device is quiet."""
        try:
            with suppress(DeviceGone):
                self._quiet()
        except DeviceError:
            # It may still write to its buffers. A function level reset is what is left.
            with suppress(DeviceGone), self.bar.exclusively():
                self.function.reset()
        self._let_go()

    def _let_go(self, heads: Mapping[int, int] = MappingProxyType({}), up: bool = True) -> None:
        """Every mbuf back to its pool, every mapping away. Packets that were still in descriptor rings are counted.

        heads: the NIC's head of each Tx queue that it was read of; up: whether the link was up at the end.
        """
        self._detach(heads, up)
        unwatch_arenas(self)
        while self._mapped:
            with suppress(DeviceGone):  # then it reaches nothing
                self.function.dma_unmap(self._mapped.pop())
        if self._rings is not None:
            self._blocks = [], []
            self._rings.close()
            self._rings = None

    def _detach(self, heads: Mapping[int, int] = MappingProxyType({}), up: bool = True) -> None:
        """Take the descriptor rings from the queues, and count what was in them. See `_let_go`."""
        for receiver in self._own_rx.values():
            self._left["rx_untaken_packets"] += receiver.detach()
        for index, sender in self._own_tx.items():
            self._left["tx_unsent_packets" if up else "tx_link_down_packets"] += sender.detach(
                heads.get(index)
            )

    def waiting(self) -> tuple[int, int]:
        """Packets in descriptor rings now: received and not taken, taken for sending and not sent. Raises DeviceGone."""
        if not self.started:
            return 0, 0
        sent = sum(
            queue.waiting(self.bar.read(self._tx_registers(index).head))
            for index, queue in self._own_tx.items()
        )
        return sum(queue.waiting for queue in self._own_rx.values()), sent

    @property
    def whole(self) -> bool:
        """False once packets were cut by the NIC (TSO), and while it merges packets (RSC): it counts frames."""
        return not self._merged_pieces() and not any(queue.cuts for queue in self._own_tx.values())

    # ---- memory -----------------------------------------------------------------------------------------------

    def arena_opened(self, arena: Arena) -> None:
        """Packets of any mempool may be sent through this port: the device must reach all of them."""
        self.function.dma_map(arena)
        self._mapped.append(arena)

    def arena_closing(self, arena: Arena) -> None:
        """Its memory goes: the device must not reach it any longer."""
        if arena in self._mapped:
            self._mapped.remove(arena)
            self.function.dma_unmap(arena)

    def _cut_rings(self) -> tuple[list[Block], list[Block]]:
        """One arena for the descriptors of all queues."""
        rx_size, tx_size = self.rx_desc * limits.DESCRIPTOR_SIZE, self.tx_desc * limits.DESCRIPTOR_SIZE
        total = self.rx_queues * rx_size + self.tx_queues * tx_size
        if not total:
            return [], []
        self._rings = Arena(total, name=f"{self.name}-rings")
        cut = self._rings.alloc
        rx = [cut(rx_size, align=limits.RING_ALIGN, name=f"rx{n}") for n in range(self.rx_queues)]
        return rx, [cut(tx_size, align=limits.RING_ALIGN, name=f"tx{n}") for n in range(self.tx_queues)]

    def _buffer_size(self) -> int:
        """Bytes of a buffer as the chip counts them: whole KiB, at most 16."""
        whole = self.mempool.data_room // limits.RX_BUFFER_UNIT * limits.RX_BUFFER_UNIT
        return int(min(whole, limits.RX_BUFFER_MAX))

    def _frame_size(self) -> int:
        """Bytes of the longest frame with FCS, VLAN tags not counted."""
        # CONFLICT: an MTU below 1500 holds for sending only in Linux; less than 1518 the chip cannot say without JUMBOEN.
        return max(self._mtu + HEADER_AND_FCS_BYTES, FRAME_STANDARD_WITH_FCS_BYTES)

    @property
    def _drops(self) -> bool:
        """Whether a queue without free descriptors drops. On a shared port one that holds packets holds up every pool."""
        return self.drop_en == "on" or (self.drop_en == "auto" and (self.rx_queues > 1 or self.shared))

    def _longest_arriving(self) -> int:
        """Bytes with FCS of the longest frame that the chip lets in, VLAN tags not counted."""
        return self._frame_size()

    def _merged_pieces(self) -> int:
        """Rx buffers that a packet may have which the chip has merged from several (7.11); 0: it merges none."""
        return 0

    def _set_merging(self, index: int, pieces: int) -> None:
        """7.11: Rx queue `index` merges packets, if the port does."""

    def _pieces(self) -> int:
        """Rx buffers that the longest packet takes, with the tag that MAXFRS does not count (8.2.3.22.13)."""
        frame = self._frame_size() if self._drops else self._longest_arriving()
        return max(-(-(frame - FCS_BYTES + VLAN_TAG_BYTES) // self._buffer_size()), self._merged_pieces())

    def _check_buffers(self) -> None:
        """7.1.9, 7.1.10: one descriptor of a ring is never armed, and a frame must fit the rest: else it waits for ever.

        Raises ConfigError with the smallest ring that works.
        """
        size = self._buffer_size()
        if size == 0:
            raise ConfigError(
                f"{self.name}: mbufs with {self.mempool.data_room} bytes of data cannot receive: the chip counts buffers "
                f"in KiB (datasheet 8.2.3.8.7), give the port a mempool with data_room=1024 or more"
            )
        pieces = self._pieces()
        if pieces > self.rx_desc - 1:
            _, _, multiple = RING_LENGTHS
            smallest = -(-(pieces + 1) // multiple) * multiple
            raise ConfigError(
                f"{self.name}: rx_desc={self.rx_desc}: the longest packet takes {pieces} buffers of {size} bytes, and this "
                f"ring arms {self.rx_desc - 1}: rx_desc={smallest} is the smallest that works, or take larger mbufs"
            )

    # ---- counters ---------------------------------------------------------------------------------------------

    def poll_stats(self) -> None:
        """Read the device's counters now; the port does it by itself every 20 s. Raises DeviceGone."""
        self._collect()

    def xstats(self) -> dict[str, int]:
        """Counters since the port was opened, by DPDK's names; of a device that is gone, the last that it told."""
        if not self.closed:
            with suppress(DeviceGone):
                self._collect()
        return {name: count - self._baseline.get(name, 0) for name, count in self._totals().items()}

    def reset_xstats(self) -> None:
        """Count from zero again."""
        self._baseline = {}
        self._baseline = self.xstats()

    def _totals(self) -> dict[str, int]:
        totals = self._device_xstats()
        totals |= self._left
        totals["tx_errors"] = sum(queue.errors for queue in self._own_tx.values())
        totals["rx_mbuf_allocation_errors"] = sum(queue.alloc_failures for queue in self._own_rx.values())
        return totals

    def _claim(self) -> None:
        """9.3.3.3: registers and bus mastering on, the INTx line off."""
        config = self.function.config
        command = config.read16(pci.COMMAND)
        config.write16(
            pci.COMMAND, command | pci.COMMAND_MEMORY | pci.COMMAND_BUS_MASTER | pci.COMMAND_NO_INTX
        )
