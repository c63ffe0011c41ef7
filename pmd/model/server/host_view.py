# SPDX-License-Identifier: BSD-3-Clause
"""A VF's configuration space as a host hands it on: with the identity and the BARs that the VF itself does not have.

A VF of the chip reads 0xFFFF as its identity, and its BARs are part of the PF's SR-IOV capability. A user of the VF alone
could not identify it; the kernel's VFIO fills both in, and so does this module. The words exist before the VF does, since a
virtual machine reads them before the PF's driver has made a VF.
"""

from __future__ import annotations

from collections.abc import Callable

from dataplane.pmd.datasheet import pci
from dataplane.pmd.function import ConfigSpace
from dataplane.pmd.model.config.pf import SUBSYSTEM_ID
from dataplane.pmd.model.config.vf import VfConfig
from dataplane.pmd.model.config.words import ConfigWords

__all__ = ["HostView"]

_SHOWN = ((pci.VENDOR_ID, 4), (pci.BAR0, 24), (pci.COMMAND, 2))


class _HostConfigWords(ConfigWords):
    """Words without a consequence."""

    def write(self, offset: int, data: bytes) -> None:
        self.store(offset, data)


class HostView(ConfigSpace):
    """`current()`: the VF's own configuration space, None while there is no VF."""

    def __init__(self, current: Callable[[], VfConfig | None]) -> None:
        self._current = current
        self._absent = VfConfig(SUBSYSTEM_ID, lambda: True)
        self._host = _HostConfigWords()
        self._host.put(pci.VENDOR_ID, 2, pci.INTEL)
        self._host.put(pci.DEVICE_ID, 2, pci.VF_82599)
        self._host.put(pci.COMMAND, 2, 0, pci.COMMAND_MEMORY)
        for bar, size in ((pci.VF_BAR_REGISTERS, pci.VF_REGISTERS_SIZE), (pci.VF_BAR_MSIX, pci.MSIX_SIZE)):
            at = pci.BAR0 + 4 * bar
            self._host.put(at, 4, pci.BAR_64BIT, ~(size - 1) & 0xFFFF_FFFF)
            self._host.put(at + 4, 4, 0, 0xFFFF_FFFF)
        self._host.keep_reset()

    def read(self, offset: int, length: int) -> bytes:
        """Bytes, the host's words among them."""
        out = bytearray((self._current() or self._absent).read(offset, length))
        for start, size in _SHOWN:
            low, high = max(start, offset), min(start + size, offset + length)
            if low < high:
                shown = self._host.read(low, high - low)
                if start == pci.COMMAND:  # the VF has all bits but one
                    own = out[low - offset : high - offset]
                    shown = bytes(a | b for a, b in zip(shown, own, strict=True))
                out[low - offset : high - offset] = shown
        return bytes(out)

    def write(self, offset: int, data: bytes) -> None:
        """Write what may be written, on both sides."""
        self._host.store(offset, data)
        current = self._current()
        if current is not None:
            current.write(offset, data)

    def reset(self) -> None:
        """The state of a function without a user: no BARs placed, nothing enabled."""
        self._host.reset()
