# SPDX-License-Identifier: BSD-3-Clause
"""The facts about this machine in /proc, /sys and /dev. The root is a parameter, so that tests can lay one out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataplane.files.sysfs import entries, link_name, read_number, read_text

if TYPE_CHECKING:
    from dataplane.pmd.pci_device import PciDevice

__all__ = ["NicFunction", "Host", "Interface"]

CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
ARPHRD_LOOPBACK = 772


@dataclass(frozen=True)
class NicFunction:
    """One PCI function of an 82599. driver: the kernel driver that holds it, "" if none. group: IOMMU group, "" if none.

    node: the file by which a program opens it ("/dev/vfio/17", "/dev/uio0"), "" while a kernel driver has it.
    """

    address: str
    kind: str
    virtual: bool
    driver: str
    group: str
    numa: int
    vfs: int
    interfaces: tuple[str, ...]
    node: str = ""


@dataclass(frozen=True)
class Interface:
    """A network interface of the kernel. speed: Mbit/s, 0 if it has none."""

    name: str
    mac: str
    state: str
    driver: str
    speed: int
    loopback: bool


class Host:
    """A machine, seen from `root`."""

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root)

    def path(self, name: str) -> Path:
        """Where a file of this machine is."""
        return self.root / name.lstrip("/")

    def read(self, name: str, default: str = "") -> str:
        """The text of a file of the kernel, without white space around it; `default` if it cannot be read."""
        return read_text(self.path(name), default)

    def number(self, name: str, default: int = 0) -> int:
        """The number in a file of the kernel; `default` if it cannot be read."""
        return read_number(self.path(name), default)

    def write(self, name: str, text: str) -> None:
        """Write `text` to a file of the kernel. Raises OSError if the kernel refuses it."""
        self.path(name).write_text(text)

    def link_name(self, name: str) -> str:
        """The name of a link's target in sysfs, "" if the link does not exist."""
        return link_name(self.path(name))

    def usable(self, name: str) -> bool:
        """Whether this user may read and write that file."""
        return os.access(self.path(name), os.R_OK | os.W_OK)

    # ---- processor and process ----------------------------------------------------------------------------------

    def cpu_flags(self) -> frozenset[str]:
        """The first processor's flags."""
        found = re.search(r"^flags\s*:(.*)$", self.read("/proc/cpuinfo"), re.MULTILINE)
        return frozenset(found[1].split()) if found else frozenset()

    def is_amd(self) -> bool:
        """Whether the CPU is an AMD."""
        return "AuthenticAMD" in self.read("/proc/cpuinfo")

    def allowed_cpus(self) -> list[int]:
        """The CPUs this process may run on."""
        found = re.search(r"^Cpus_allowed_list:\s*(\S+)$", self.read("/proc/self/status"), re.MULTILINE)
        return parse_cpu_list(found[1]) if found else []

    def isolated_cpus(self) -> list[int]:
        """The CPUs that the kernel's scheduler leaves alone."""
        return parse_cpu_list(self.read("/sys/devices/system/cpu/isolated"))

    def has_capability(self, number: int) -> bool:
        """Whether this process has Linux capability `number`."""
        found = re.search(r"^CapEff:\s*([0-9a-f]+)$", self.read("/proc/self/status"), re.MULTILINE)
        return bool(found and int(found[1], 16) >> number & 1)

    def memlock(self) -> int | None:
        """Bytes that this process may lock, None: no limit."""
        found = re.search(r"^Max locked memory\s+(\S+)", self.read("/proc/self/limits"), re.MULTILINE)
        return int(found[1]) if found and found[1].isdigit() else None

    def mounts(self, kind: str) -> list[str]:
        """Where file systems of that kind are mounted."""
        rows = (line.split() for line in self.read("/proc/mounts").splitlines())
        return [row[1] for row in rows if len(row) > 2 and row[2] == kind]

    # ---- devices ------------------------------------------------------------------------------------------------

    def device(self, address: str) -> PciDevice:
        """The PCI device at `address`, as in "0000:03:00.0", which need not exist."""
        from dataplane.pmd.pci_device import PciDevice  # most commands need no card

        return PciDevice(address, self.path("/sys"))

    def cards(self) -> list[NicFunction]:
        """Every PCI function of an 82599, physical and virtual, by address."""
        from dataplane.pmd.datasheet import pci  # brings the register maps with it, and only this needs them

        virtual = {
            pci.VF_82599: "82599 virtual function",
            pci.VF_82599_HV: "82599 virtual function (Hyper-V)",
        }
        kinds = pci.PF_IDS | virtual
        found = []
        for path in entries(self.path("/sys/bus/pci/devices")):
            device = self.device(path.name)
            identifier = device.number("device")
            if device.number("vendor") != pci.INTEL or identifier not in kinds:
                continue
            found.append(
                NicFunction(
                    address=device.address,
                    kind=kinds[identifier],
                    virtual=identifier in virtual,
                    driver=device.driver,
                    group=device.iommu_group,
                    numa=device.number("numa_node", -1),
                    vfs=device.number("sriov_numvfs"),
                    interfaces=tuple(device.interfaces),
                    node=device.node,
                )
            )
        return found

    def interfaces(self) -> list[Interface]:
        """The kernel's network interfaces, by name."""
        found = []
        for device in entries(self.path("/sys/class/net")):
            if not (device / "address").exists():  # bonding_masters is no interface
                continue
            found.append(
                Interface(
                    name=device.name,
                    mac=read_text(device / "address"),
                    state=read_text(device / "operstate", "unknown"),
                    driver=link_name(device / "device" / "driver"),
                    speed=max(read_number(device / "speed"), 0),  # -1 while the link is down
                    loopback=read_number(device / "type") == ARPHRD_LOOPBACK,
                )
            )
        return found


def parse_cpu_list(text: str) -> list[int]:
    """The kernel's notation: "0-2,5" is [0, 1, 2, 5]."""
    cpus: list[int] = []
    for piece in filter(None, text.split(",")):
        first, _, last = piece.partition("-")
        cpus.extend(range(int(first), int(last or first) + 1))
    return cpus
