# SPDX-License-Identifier: BSD-3-Clause
"""The facts about this machine in /proc, /sys and /dev. The root is a parameter, so that tests can lay one out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NicFunction", "Host", "Interface"]

CAP_NET_ADMIN, CAP_NET_RAW = 12, 13


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
        """A file's text, stripped; `default` when it is not there or keeps silent (sysfs does, with EINVAL)."""
        return _text(self.path(name), default)

    def number(self, name: str, default: int = 0) -> int:
        """A file that holds one number."""
        text = self.read(name)
        return int(text) if re.fullmatch(r"-?\d+", text) else default

    def write(self, name: str, text: str) -> None:
        """Write `text` to a file of the kernel. Raises OSError if the kernel refuses it."""
        self.path(name).write_text(text)

    def link_name(self, name: str) -> str:
        """The name that a link of sysfs leads to (a device's driver or IOMMU group), "" if the link does not exist."""
        return _link_name(self.path(name))

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

    def cards(self) -> list[NicFunction]:
        """Every PCI function of an 82599, physical and virtual, by address."""
        from dataplane.pmd.datasheet import pci  # brings the register maps with it, and only this needs them

        virtual = {
            pci.VF_82599: "82599 virtual function",
            pci.VF_82599_HV: "82599 virtual function (Hyper-V)",
        }
        kinds = pci.PF_IDS | virtual
        folder = self.path("/sys/bus/pci/devices")
        found = []
        for device in sorted(folder.iterdir()) if folder.is_dir() else ():
            identifier = _hex(device / "device")
            if _hex(device / "vendor") != pci.INTEL or identifier not in kinds:
                continue
            names = device / "net"
            found.append(
                NicFunction(
                    address=device.name,
                    kind=kinds[identifier],
                    virtual=identifier in virtual,
                    driver=_link_name(device / "driver"),
                    group=_link_name(device / "iommu_group"),
                    numa=int(_text(device / "numa_node", "-1")),
                    vfs=int(_text(device / "sriov_numvfs", "0")),
                    interfaces=tuple(sorted(x.name for x in names.iterdir())) if names.is_dir() else (),
                    node=_node(device),
                )
            )
        return found

    def interfaces(self) -> list[Interface]:
        """The kernel's network interfaces, by name."""
        folder = self.path("/sys/class/net")
        found = []
        for device in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not (device / "address").exists():  # bonding_masters is no interface
                continue
            speed = _text(device / "speed", "0")
            found.append(
                Interface(
                    name=device.name,
                    mac=_text(device / "address"),
                    state=_text(device / "operstate", "unknown"),
                    driver=_link_name(device / "device" / "driver"),
                    speed=int(speed) if speed.isdigit() else 0,
                    loopback=_text(device / "type") == "772",  # ARPHRD_LOOPBACK
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


def _text(path: Path, default: str = "") -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return default


def _hex(path: Path) -> int:
    text = _text(path)
    return int(text, 16) if re.fullmatch(r"0x[0-9a-fA-F]+", text) else -1


def _node(device: Path) -> str:
    if _link_name(device / "driver") == "vfio-pci":
        return f"/dev/vfio/{_link_name(device / 'iommu_group')}"
    names = sorted(path.name for path in (device / "uio").glob("uio*"))
    return f"/dev/{names[0]}" if names else ""


def _link_name(path: Path) -> str:
    return path.resolve().name if path.exists() else ""
