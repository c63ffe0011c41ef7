# SPDX-License-Identifier: BSD-3-Clause
"""Configuration space as bytes with masks: which bits a write changes, which a 1 clears. For PF and VF."""

from __future__ import annotations

from dataplane.pmd.datasheet import pci
from dataplane.pmd.function import ConfigSpace

__all__ = ["ConfigWords", "extended_header"]


class ConfigWords(ConfigSpace):
    """4096 bytes, little-endian. `keep_reset` is called when they are filled in; `reset` brings that state back."""

    def __init__(self) -> None:
        self._words = bytearray(pci.SIZE)
        self._writable = bytearray(pci.SIZE)
        self._w1c = bytearray(pci.SIZE)
        self._reset_image = bytes(pci.SIZE)

    def put(self, offset: int, size: int, value: int, writable: int = 0, w1c: int = 0) -> None:
        """A field: its value now, the bits that a write changes, and those that a 1 clears."""
        self.set(offset, size, value)
        self.allow(offset, size, writable)
        self._w1c[offset : offset + size] = w1c.to_bytes(size, "little")

    def set(self, offset: int, size: int, value: int) -> None:
        """A field's value, whatever a write could do."""
        self._words[offset : offset + size] = value.to_bytes(size, "little")

    def allow(self, offset: int, size: int, writable: int) -> None:
        """The bits that a write changes, from now on."""
        self._writable[offset : offset + size] = writable.to_bytes(size, "little")

    def keep_reset(self) -> None:
        """Keep the present content as the reset values."""
        self._reset_image = bytes(self._words)

    def reset(self) -> None:
        """Every word is as after power-up."""
        self._words[:] = self._reset_image

    def read(self, offset: int, length: int) -> bytes:
        """Bytes; past the end, and with nothing behind, all ones."""
        return bytes(self._words[offset : offset + length]).ljust(length, b"\xff")

    def store(self, offset: int, data: bytes) -> None:
        """Change what may be changed; no consequence."""
        for at, byte in enumerate(data, offset):
            if at < pci.SIZE:
                kept = self._words[at] & ~self._writable[at] & ~(byte & self._w1c[at])
                self._words[at] = kept | byte & self._writable[at]

    def header(self, subsystem: int, capabilities: int) -> None:
        """The words that the headers of all functions share."""
        self.put(pci.STATUS, 2, pci.STATUS_CAPABILITIES, w1c=0xF900)
        self.put(pci.REVISION, 1, pci.REVISION_ON_CARDS)
        self.put(pci.CLASS, 3, pci.CLASS_ETHERNET)
        self.put(pci.SUBSYSTEM_VENDOR, 2, pci.INTEL)
        self.put(pci.SUBSYSTEM, 2, subsystem)
        self.put(pci.CAPABILITIES, 1, capabilities)

    def capability(self, at: int, identifier: int, following: int) -> None:
        """The first two bytes of a capability."""
        self.put(at, 1, identifier)
        self.put(at + 1, 1, following)

    def msix(self, at: int, vectors: int, bar: int) -> None:
        """9.3.8: the MSI-X capability; table at 0 of a BAR, pending bits behind it."""
        self.put(at + pci.MSIX_CONTROL, 2, vectors - 1, pci.MSIX_ENABLE | pci.MSIX_MASK_ALL)
        self.put(at + pci.MSIX_TABLE, 4, bar)
        self.put(at + pci.MSIX_PBA, 4, pci.MSIX_PBA_AT | bar)

    def msix_on(self, at: int) -> bool:
        """Whether messages go out, by the capability at `at`."""
        control = self.read16(at + pci.MSIX_CONTROL)
        return bool(control & pci.MSIX_ENABLE) and not control & pci.MSIX_MASK_ALL


def extended_header(identifier: int, following: int) -> int:
    """The first dword of a PCI Express extended capability, version 1."""
    return identifier | 1 << 16 | following << 20
