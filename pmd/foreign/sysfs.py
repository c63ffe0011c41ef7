# SPDX-License-Identifier: BSD-3-Clause
"""What Linux shows of a PCI function that is bound to UIO: the files of sysfs, in a folder of ours.

root/sys/devices/pci0000:00/ADDRESS/   config, resource, resourceN, vendor, ..., uio/uioN/maps
root/sys/bus/pci/devices/ADDRESS       a link to it
root/sys/bus/pci/drivers/igb_uio/      bind, unbind, links to its devices
root/sys/class/uio/uioN                a link
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from dataplane.pmd.bus.model import ModelFunction
from dataplane.pmd.bus.model_vf import ModelVfFunction
from dataplane.pmd.datasheet import pci

__all__ = ["DRIVER", "SysfsFolder", "make_tree"]

DRIVER = "igb_uio"  # one MSI-X message for everything, and VFs; DPDK takes it for what it is

_ATTRIBUTES = ("bind", "unbind", "new_id", "remove_id")  # of the driver
_SUBSYSTEM = 0x0003  # of a dual-port SFP+ adapter
_PF_BARS = {
    pci.PF_BAR_REGISTERS: 0x80000,
    pci.PF_BAR_IO: pci.IO_SIZE,
    pci.PF_BAR_MSIX: pci.MSIX_SIZE,
}
_VF_BARS = {pci.VF_BAR_REGISTERS: pci.VF_REGISTERS_SIZE, pci.VF_BAR_MSIX: pci.MSIX_SIZE}
_MEMORY_64BIT, _PORTS = 0x140204, 0x40101  # a resource's flags, as Linux prints them
_PORTS_AT, _PORTS_STEP = 0xE000, 0x20
_UIO_MAJOR = 240


def make_tree(root: Path) -> None:
    """The folders that all slots share."""
    for name in (
        "dev", "card", "sys/devices/pci0000:00", "sys/bus/pci/devices", f"sys/bus/pci/drivers/{DRIVER}", "sys/class/uio",
    ):  # fmt: skip
        (root / name).mkdir(parents=True)
    for name in _ATTRIBUTES:
        (root / "sys/bus/pci/drivers" / DRIVER / name).touch()


class SysfsFolder:
    """The files of one function. `at` is where they are; `bars` maps the number of a BAR to (address, size)."""

    def __init__(
        self, root: Path, number: int, function: ModelFunction | ModelVfFunction, address: str
    ) -> None:
        self.root, self.address, self.uio = root, address, f"uio{number}"
        self.at = root / "sys/devices/pci0000:00" / address
        self.function = function
        memory = 0xF000_0000 + number * 0x10_0000
        self.bars: dict[int, tuple[int, int]] = {}
        for bar, size in (_VF_BARS if isinstance(function, ModelVfFunction) else _PF_BARS).items():
            ports = bar == pci.PF_BAR_IO and size == pci.IO_SIZE
            self.bars[bar] = (_PORTS_AT + number * _PORTS_STEP if ports else memory, size)
            memory += 0 if ports else size
        self._write(number)
        self.bind(True)

    def bind(self, on: bool) -> None:
        """Show the function bound to its driver, with a UIO device, or without both. Nothing the second time."""
        driver, uio = self.at / "driver", self.root / "sys/class/uio" / self.uio
        links = {
            driver: f"../../../bus/pci/drivers/{DRIVER}",
            self.root / "sys/bus/pci/drivers" / DRIVER / self.address: f"../../../../devices/pci0000:00/{self.address}",
            uio: f"../../devices/pci0000:00/{self.address}/uio/{self.uio}",
        }  # fmt: skip
        if on == driver.is_symlink():
            return
        for link, target in links.items():
            if on:
                link.symlink_to(target)
            else:
                link.unlink(missing_ok=True)
        if on:
            self._write_uio()
        else:
            shutil.rmtree(self.at / "uio")
        self._write_uevent(DRIVER if on else "")

    def _write(self, number: int) -> None:
        f, virtual = self.function, isinstance(self.function, ModelVfFunction)
        self.at.mkdir()
        (self.root / "sys/bus/pci/devices" / self.address).symlink_to(
            f"../../../devices/pci0000:00/{self.address}"
        )
        (self.at / "subsystem").symlink_to("../../../bus/pci")
        attributes = {
            "vendor": f"{f.vendor_id:#06x}",
            "device": f"{f.device_id:#06x}",
            "subsystem_vendor": f"{pci.INTEL:#06x}",
            "subsystem_device": f"{_SUBSYSTEM:#06x}",
            "class": f"{pci.CLASS_ETHERNET:#08x}",
            "revision": f"{f.revision:#04x}",
            "modalias": self._modalias(),
            "numa_node": "-1",
            "local_cpulist": f"0-{(os.cpu_count() or 1) - 1}",
            "irq": str(24 + number),
            "enable": "1",
            "driver_override": "(null)",
            "max_link_speed": "5.0 GT/s PCIe",
            "max_link_width": "8",
            "current_link_speed": "5.0 GT/s PCIe",
            "current_link_width": "8",
            "resource": self._resources(),
            "reset": "",
        }
        if not virtual:
            attributes |= {
                "sriov_totalvfs": str(pci.SRIOV_VFS - 1),
                "sriov_numvfs": str(f.vfs),
                "sriov_offset": str(pci.SRIOV_FIRST_VF_ARI),
                "sriov_stride": str(pci.SRIOV_STRIDE),
                "sriov_vf_device": f"{pci.VF_82599:x}",
            }
        for name, text in attributes.items():
            (self.at / name).write_text(f"{text}\n" if text else "")
        (self.at / "config").write_bytes(f.config.read(0, pci.SIZE))  # its size; the socket answers
        for bar, (_, size) in self.bars.items():
            (self.at / f"resource{bar}").touch()
            os.truncate(self.at / f"resource{bar}", size)

    def _modalias(self) -> str:
        f, kind = self.function, pci.CLASS_ETHERNET
        return (
            f"pci:v{f.vendor_id:08X}d{f.device_id:08X}sv{pci.INTEL:08X}sd{_SUBSYSTEM:08X}"
            f"bc{kind >> 16:02X}sc{kind >> 8 & 0xFF:02X}i{kind & 0xFF:02X}"
        )

    def _write_uevent(self, driver: str) -> None:
        f = self.function
        lines = [f"DRIVER={driver}"] * bool(driver) + [
            f"PCI_CLASS={pci.CLASS_ETHERNET:X}",
            f"PCI_ID={f.vendor_id:04X}:{f.device_id:04X}",
            f"PCI_SUBSYS_ID={pci.INTEL:04X}:{_SUBSYSTEM:04X}",
            f"PCI_SLOT_NAME={self.address}",
            f"MODALIAS={self._modalias()}",
        ]
        (self.at / "uevent").write_text("\n".join(lines) + "\n")

    def _write_uio(self) -> None:
        """The UIO device: its number, and its maps, which are the BARs of memory."""
        folder = self.at / "uio" / self.uio
        folder.mkdir(parents=True)
        (folder / "device").symlink_to(f"../../../{self.address}")
        (folder / "subsystem").symlink_to("../../../../../class/uio")
        for name, text in {
            "name": DRIVER,
            "version": "0.1",
            "event": "0",
            "dev": f"{_UIO_MAJOR}:{self.uio.removeprefix('uio')}",
        }.items():
            (folder / name).write_text(f"{text}\n")
        memory = [bar for bar in sorted(self.bars) if not self._is_ports(bar)]
        for number, bar in enumerate(memory):
            at = folder / "maps" / f"map{number}"
            at.mkdir(parents=True)
            address, size = self.bars[bar]
            for name, text in {
                "name": f"BAR{bar}",
                "addr": f"{address:#018x}",
                "offset": "0x0",
                "size": f"{size:#018x}",
            }.items():
                (at / name).write_text(f"{text}\n")

    def _is_ports(self, bar: int) -> bool:
        return self.bars[bar][1] == pci.IO_SIZE

    def _resources(self) -> str:
        """Start, end and flags of six BARs, the ROM and six BARs of VFs."""
        lines = ["0x" + " 0x".join(["0" * 16] * 3)] * (
            7 if isinstance(self.function, ModelVfFunction) else 13
        )
        for bar, (at, size) in self.bars.items():
            flags = _PORTS if self._is_ports(bar) else _MEMORY_64BIT
            lines[bar] = f"{at:#018x} {at + size - 1:#018x} {flags:#018x}"
        return "\n".join(lines)
