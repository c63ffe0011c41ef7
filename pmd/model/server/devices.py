# SPDX-License-Identifier: BSD-3-Clause
"""The functions of a card as vfio-user devices: regions, interrupts, DMA, reset. One client at a time has each.

All of it is called by the server's one thread.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from dataplane.pmd.datasheet import EICR, EIMS, pci
from dataplane.pmd.function import ConfigSpace
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.config.pf import BAR_SIZES
from dataplane.pmd.model.config.vf import VfConfig
from dataplane.pmd.model.datapath.doorbell import Doorbells
from dataplane.pmd.model.datapath.iommu import Domain
from dataplane.pmd.model.functions.vf import VirtualFunction
from dataplane.pmd.model.interrupts.msix import MsixBar
from dataplane.pmd.model.server.host_view import HostView
from dataplane.pmd.model.server.refusal import ClientRequestRefused
from dataplane.pmd.vfio_user.messages import IrqKind, Region

__all__ = ["Device", "PfDevice", "RegionSpec", "VfDevice"]

_DEVICE_CONTROL = pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL
BAR_ACCESS_MOST = 64  # bytes; drivers read and write 4, or 8


class RegionSpec(NamedTuple):
    """size: bytes, 0 for a region that is not there. read(offset, count), write(offset, data)."""

    size: int
    read: Callable[[int, int], bytes]
    write: Callable[[int, bytes], None]


class Device(ABC):
    """A function as its client sees it. regions: by number; irqs: the number of interrupts of each kind.

    number: of a VF, -1: a PF.
    """

    regions: dict[int, RegionSpec]
    irqs: dict[int, int]
    domain: Domain
    config: ConfigSpace

    def __init__(self, card: Card, port: int, name: str, number: int) -> None:
        self.card, self.chip, self.name, self.number = card, card.ports[port], name, number
        self._on_return: Callable[[], None] | None = None
        self._bells: Doorbells | None = None

    @abstractmethod
    def connect(self, vector: int, eventfd: int) -> None:
        """Signal a duplicate of `eventfd` when the vector fires; -1: nothing any more."""

    @abstractmethod
    def mask(self, vector: int, on: bool) -> None:
        """The vector fires no more until its mask is lifted."""

    @abstractmethod
    def level(self) -> bool:
        """Whether an interrupt line would be asserted now."""

    @abstractmethod
    def reset(self) -> None:
        """Function level reset; the host's part of configuration space becomes that of a function without a client."""

    def attach(self, bells: Doorbells | None) -> None:
        """The function's tails are there from now on, None: where messages reach them and nothing else.

        Raises OSError if the kernel has no room for what a client wakes the card by.
        """
        if bells is not None and bells.wakes:
            self.card.listen(bells.eventfd, True)
        before, self._bells = self._bells, bells
        with self.card.lock:
            self.chip.engine.attach(self.number, bells)
        if before is not None and before.wakes:
            self.card.listen(before.eventfd, False)  # a client may hold it open for longer than we do
        self.card.nudge()

    def asks(self, since: int) -> None:
        """A message is about to be done, which was sent at `since` (ns of the card's clock) or later; 0: just now."""
        self.chip.general.asked_at = since

    def on_return(self, call: Callable[[], None] | None) -> None:
        """`call` is made when the card has emptied the function's domain and it has memory again. Lock held."""
        self._on_return = call

    # ---- regions ----------------------------------------------------------------------------------------------

    def _config_region(self) -> RegionSpec:
        return RegionSpec(pci.SIZE, self._read_config, lambda offset, data: self.config.write(offset, data))

    def _read_config(self, offset: int, count: int) -> bytes:
        """ARI and SR-IOV go by the name of a vendor's own capability in the one large read that QEMU makes.

        QEMU takes both away from a device that it hands on, by what it sees there. In reads of a register's size, which it
        passes through, they have their names: so a guest's driver can make VFs.
        """
        data = bytearray(self.config.read(offset, count))
        if count > 4:
            for at in (pci.PF_ARI, pci.PF_SRIOV):
                known = self.config.read16(at) in (pci.EXT_ARI, pci.EXT_SRIOV)
                for byte, value in enumerate(_VENDOR_SPECIFIC.to_bytes(2, "little"), at - offset):
                    if known and 0 <= byte < count:
                        data[byte] = value
        return bytes(data)

    def _msix_region(self, table: MsixBar) -> RegionSpec:
        def read(offset: int, count: int) -> bytes:
            first = offset & ~3
            words = (table.read32(at).to_bytes(4, "little") for at in range(first, offset + count, 4))
            return b"".join(words)[offset - first : offset - first + count]

        def write(offset: int, data: bytes) -> None:
            for skip in range(-offset % 4, len(data) - 3, 4):
                table.write32(offset + skip, int.from_bytes(data[skip : skip + 4], "little"))

        return RegionSpec(pci.MSIX_SIZE, _checked(read), _short(write))


_VENDOR_SPECIFIC = 0x000B


def _checked(read: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    def limited(offset: int, count: int) -> bytes:
        if count > BAR_ACCESS_MOST:
            raise ClientRequestRefused(
                errno.EINVAL, f"a read of {count} bytes of a BAR: {BAR_ACCESS_MOST} are the most"
            )
        return read(offset, count)

    return limited


def _short(write: Callable[[int, bytes], None]) -> Callable[[int, bytes], None]:
    """A long write would hold up every other client: 16 KiB are 4096 registers, each with its side effects."""

    def limited(offset: int, data: bytes) -> None:
        if len(data) > BAR_ACCESS_MOST:
            raise ClientRequestRefused(
                errno.EINVAL, f"a write of {len(data)} bytes to a BAR: {BAR_ACCESS_MOST} are the most"
            )
        write(offset, data)

    return limited


class PfDevice(Device):
    """Port `port` of the card."""

    def __init__(self, card: Card, port: int) -> None:
        super().__init__(card, port, card.ports[port].name, -1)
        chip = self.chip
        self.config, self.domain = chip.config, chip.engine.domain
        self._msix = MsixBar(self.name, pci.PF_VECTORS, self.mask, lambda: chip.interrupts.pending_bits)
        self._io_address = 0
        self.regions = {
            pci.PF_BAR_REGISTERS: RegionSpec(
                BAR_SIZES[pci.PF_BAR_REGISTERS], _checked(chip.read_bytes), _short(chip.write_bytes)
            ),
            pci.PF_BAR_IO: RegionSpec(pci.IO_SIZE, self._read_io, self._write_io),
            pci.PF_BAR_MSIX: self._msix_region(self._msix),
            Region.CONFIG: self._config_region(),
        }
        self.irqs = {IrqKind.INTX: 1, IrqKind.MSI: 1, IrqKind.MSIX: pci.PF_VECTORS}

    def connect(self, vector: int, eventfd: int) -> None:
        with self.card.lock:
            self.chip.interrupts.connect(vector, eventfd)

    def mask(self, vector: int, on: bool) -> None:
        with self.card.lock:
            self.chip.interrupts.table_mask(vector, on)

    def level(self) -> bool:
        with self.card.lock:
            return bool(self.chip.peek(EICR.offset) & self.chip.peek(EIMS.offset))

    def reset(self) -> None:
        self.config.write16(_DEVICE_CONTROL, self.config.read16(_DEVICE_CONTROL) | pci.DEVICE_CONTROL_FLR)
        self._msix.reset()
        self._io_address = 0

    def _read_io(self, offset: int, count: int) -> bytes:
        """SILENT about the layout of BAR2: IOADDR at 0 holds an offset, IODATA at 4 is that register."""
        if (offset, count) == (0, 4):
            return self._io_address.to_bytes(4, "little")
        if (offset, count) == (4, 4):
            return int(self.chip.read(self._io_address)).to_bytes(4, "little")
        return b"\xff" * count

    def _write_io(self, offset: int, data: bytes) -> None:
        value = int.from_bytes(data, "little")
        if (offset, len(data)) == (0, 4):
            self._io_address = value
        elif (offset, len(data)) == (4, 4):
            self.chip.write(self._io_address, value)


class VfDevice(Device):
    """VF `number` of a port. Its PF's driver makes it; until then, and when it was taken away, its BARs read all ones."""

    def __init__(self, card: Card, port: int, number: int) -> None:
        super().__init__(card, port, f"{card.ports[port].name}.vf{number}", number)
        self._sriov = self.chip.sriov
        self._sriov.watchers.append(self._vfs_changed)
        self.config = self._host = HostView(self._own_config)
        self.domain = self.chip.engine.domain_of_vf(number)
        interrupts = self.chip.interrupts.vfs
        self._msix = MsixBar(self.name, pci.VF_VECTORS, self.mask, lambda: interrupts.pending_bits(number))
        self.regions = {
            pci.VF_BAR_REGISTERS: RegionSpec(
                pci.VF_REGISTERS_SIZE, _checked(self._read), _short(self._write)
            ),
            pci.VF_BAR_MSIX: self._msix_region(self._msix),
            Region.CONFIG: self._config_region(),
        }
        self.irqs = {IrqKind.MSIX: pci.VF_VECTORS}

    @property
    def vf(self) -> VirtualFunction | None:
        """The function itself, if there is one."""
        vfs = self._sriov.vfs
        return vfs[self.number] if self.number < len(vfs) else None

    def connect(self, vector: int, eventfd: int) -> None:
        with self.card.lock:
            self.chip.interrupts.vfs.connect(self.number, vector, eventfd)

    def mask(self, vector: int, on: bool) -> None:
        with self.card.lock:
            self.chip.interrupts.vfs.table_mask(self.number, vector, on)

    def level(self) -> bool:
        return False  # a VF has no interrupt line

    def reset(self) -> None:
        vf = self.vf
        if vf is not None and vf.there:
            vf.config.write16(_DEVICE_CONTROL, pci.DEVICE_CONTROL_FLR)
        self._host.reset()
        self._msix.reset()

    def _own_config(self) -> VfConfig | None:
        vf = self.vf
        return vf.config if vf is not None and vf.there else None

    def _read(self, offset: int, count: int) -> bytes:
        vf = self.vf
        return b"\xff" * count if vf is None else vf.read_bytes(offset, count)

    def _write(self, offset: int, data: bytes) -> None:
        vf = self.vf
        if vf is not None:
            vf.write_bytes(offset, data)

    def _vfs_changed(self) -> None:
        if self._on_return is not None:
            self._on_return()
