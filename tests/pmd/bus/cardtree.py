# SPDX-License-Identifier: BSD-3-Clause
"""A folder that looks like the sysfs of a machine with cards, for the buses of real cards."""

from __future__ import annotations

from pathlib import Path

from dataplane.pmd.datasheet import pci
from dataplane.pmd.pci_device import PciDevice

BAR0 = 0x20000


class CardTree:
    """Devices below `root`; /dev is a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.dev = root / "sys", root / "dev"
        self.dev.mkdir()

    def card(
        self, address: str, driver: str = "", group: str = "", device: int = pci.PF_82599_SFP
    ) -> PciDevice:
        folder = self.root / "bus/pci/devices" / address
        folder.mkdir(parents=True)
        config = bytearray(256)
        config[0:4] = b"\xff\xff\xff\xff" if device == pci.VF_82599 else b"\x86\x80\xfb\x10"
        for name, text in {
            "vendor": "0x8086",
            "device": f"{device:#06x}",
            "revision": "0x01",
            "class": "0x020000",
            "resource": f"0x00000000fe000000 0x{0xFE000000 + BAR0 - 1:016x} 0x000000000014220c\n"
            "0x0 0x0 0x0\n0x000000000000c000 0x000000000000c01f 0x0000000000040101\n",
        }.items():
            (folder / name).write_text(text)
        (folder / "config").write_bytes(config)
        (folder / "resource0").write_bytes(bytes(BAR0))
        (folder / "reset").write_text("")
        if driver:
            self.link(folder / "driver", self.root / "bus/pci/drivers" / driver)
        if group:
            self.link(folder / "iommu_group", self.group(group))
            self.link(self.group(group) / "devices" / address, folder)
        return PciDevice(address, self.root)

    def group(self, number: str, kind: str = "DMA-FQ") -> Path:
        folder = self.root / "kernel/iommu_groups" / number
        (folder / "devices").mkdir(parents=True, exist_ok=True)
        (folder / "type").write_text(kind)
        return folder

    def uio(self, device: PciDevice, number: int = 0) -> Path:
        """Its node, as uio_pci_generic makes it."""
        (device.folder / f"uio/uio{number}").mkdir(parents=True)
        node = self.dev / f"uio{number}"
        node.write_text("")
        return node

    @staticmethod
    def link(name: Path, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        name.symlink_to(target)
