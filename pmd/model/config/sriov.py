# SPDX-License-Identifier: BSD-3-Clause
"""The SR-IOV capability in a PF's configuration space (datasheet 9.4.4): how many VFs, whether they are on, where."""

from __future__ import annotations

from dataplane.pmd.datasheet import pci
from dataplane.pmd.model.config.words import ConfigWords, extended_header

__all__ = ["SriovCapability"]

_AT = pci.PF_SRIOV
_CONTROL = _AT + pci.SRIOV_CONTROL
_NUM_VFS = _AT + pci.SRIOV_NUM_VFS
_PAGE_SIZE = _AT + pci.SRIOV_PAGE_SIZE
_BARS = {pci.VF_BAR_REGISTERS: _AT + pci.SRIOV_VF_BAR0, pci.VF_BAR_MSIX: _AT + pci.SRIOV_VF_BAR3}
_PAGE_UNIT = 4096


class SriovCapability:
    """Lives in the words of `config`. Only port 0's ARI bit can be set: it holds for the whole device."""

    def __init__(self, config: ConfigWords, port: int) -> None:
        self.config, self.port, self._ari_locked = config, port, False
        config.put(_AT, 4, extended_header(pci.EXT_SRIOV, 0))
        config.put(_AT + pci.SRIOV_INITIAL_VFS, 2, pci.SRIOV_VFS)
        config.put(_AT + pci.SRIOV_TOTAL_VFS, 2, pci.SRIOV_VFS)
        config.put(_AT + pci.SRIOV_FUNCTION_LINK, 1, port)
        config.put(_AT + pci.SRIOV_FIRST_VF, 2, pci.SRIOV_FIRST_VF_NO_ARI)
        config.put(_AT + pci.SRIOV_VF_STRIDE, 2, pci.SRIOV_STRIDE)
        config.put(_AT + pci.SRIOV_VF_DEVICE, 2, pci.VF_82599)
        config.put(_AT + pci.SRIOV_PAGE_SIZES, 4, pci.SRIOV_SUPPORTED_PAGES)
        config.put(_PAGE_SIZE, 4, 1)
        for at in _BARS.values():
            config.put(at, 4, pci.BAR_64BIT)
            config.put(at + 4, 4, 0, 0xFFFF_FFFF)
        self._allow()

    # ---- what it says -----------------------------------------------------------------------------------------

    @property
    def control(self) -> int:
        """The control word of the SR-IOV capability."""
        return self.config.read16(_CONTROL)

    @property
    def num_vfs(self) -> int:
        """NumVFs, whether they are enabled or not."""
        return self.config.read16(_NUM_VFS)

    @property
    def enabled(self) -> bool:
        """VF Enable."""
        return bool(self.control & pci.SRIOV_VF_ENABLE)

    @property
    def memory(self) -> bool:
        """VF MSE: the VFs' BARs answer."""
        return bool(self.control & pci.SRIOV_VF_MSE)

    @property
    def ari(self) -> bool:
        """Whether ARI is enabled."""
        return bool(self.control & pci.SRIOV_ARI)

    @property
    def vf_size(self) -> int:
        """Bytes that a VF has in each of its BARs: 16 KiB, or a page of the system if that is larger."""
        return max(pci.VF_REGISTERS_SIZE, self.config.read32(_PAGE_SIZE) * _PAGE_UNIT)

    def vf_bar(self, bar: int, vf: int) -> int:
        """The address where the host has placed a VF's BAR 0 or 3; 0 if it has not."""
        base = self.config.read32(_BARS[bar]) & ~0xF | self.config.read32(_BARS[bar] + 4) << 32
        return base + vf * self.vf_size if base else 0

    def routing_id(self, vf: int) -> int:
        """The VF's, counted from its PF's bus: bus * 256 + device * 8 + function (with ARI: bus * 256 + function)."""
        first = self.config.read16(_AT + pci.SRIOV_FIRST_VF)
        return self.port + first + vf * self.config.read16(_AT + pci.SRIOV_VF_STRIDE)

    # ---- writes -----------------------------------------------------------------------------------------------

    def settle(self, before: bytes) -> bool:
        """After a write: take back what the capability does not accept. before: all words as they were.

        True if the chip has to know: VFs came, went, or are no longer decoded, or their number changed.
        """
        config = self.config
        if self.num_vfs > pci.SRIOV_VFS:
            config.set(_NUM_VFS, 2, _word(before, _NUM_VFS, 2))
        page = config.read32(_PAGE_SIZE)
        if page.bit_count() != 1 or not page & pci.SRIOV_SUPPORTED_PAGES:
            config.set(_PAGE_SIZE, 4, _word(before, _PAGE_SIZE, 4))
        self._allow()
        for at in _BARS.values():  # the bits below the size of a VF's BAR read 0
            config.set(at, 4, config.read32(at) & ~(self.vf_size - 1) & 0xFFFF_FFFF | pci.BAR_64BIT)
        return any(_word(before, at, 2) != config.read16(at) for at in (_CONTROL, _NUM_VFS))

    def follow(self, ari: bool, locked: bool) -> None:
        """The device's ARI bit: where VFs are depends on it. locked: it stays, since some port has VFs."""
        first = pci.SRIOV_FIRST_VF_ARI if ari else pci.SRIOV_FIRST_VF_NO_ARI
        self.config.set(_AT + pci.SRIOV_FIRST_VF, 2, first)
        self._ari_locked = locked
        self._allow()

    def _allow(self) -> None:
        """NumVFs, the page size and ARI cannot be changed while there are VFs (9.4.4.3, 9.4.4.5, 9.4.4.9)."""
        config, locked = self.config, self.enabled
        ari = pci.SRIOV_ARI if self.port == 0 and not locked and not self._ari_locked else 0
        config.allow(_CONTROL, 2, pci.SRIOV_VF_ENABLE | pci.SRIOV_VF_MSE | ari)
        config.allow(_NUM_VFS, 2, 0 if locked else 0xFFFF)
        config.allow(_PAGE_SIZE, 4, 0 if locked else 0xFFFF_FFFF)
        for at in _BARS.values():
            config.allow(at, 4, ~(self.vf_size - 1) & 0xFFFF_FFFF)


def _word(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")
