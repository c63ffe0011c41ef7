# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane bind` and `unbind` on a machine laid out in a folder, whose kernel is played. The true one is in tests/vm."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataplane.apps.command import bind, unbind
from dataplane.apps.command.cli import main
from dataplane.apps.command.system.binding import Binder, addresses, neighbours
from dataplane.apps.command.system.host import Host
from dataplane.errors import PortError

CARD = "0000:03:00.0"
ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"


class Kernel(Host):
    """A machine whose kernel binds what is written to it; own: the driver it chooses by itself; refused: those that fail."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.own, self.refused = "ixgbe", set[str]()
        for name in ("ixgbe", "vfio-pci", "uio_pci_generic"):
            self.path(f"/sys/bus/pci/drivers/{name}").mkdir(parents=True)
        self.path("/proc/net").mkdir(parents=True)

    def card(self, address: str = CARD, driver: str = "ixgbe", group: str = "9") -> Path:
        folder = self.path(f"/sys/bus/pci/devices/{address}")
        folder.mkdir(parents=True)
        (folder / "class").write_text("0x020000\n")
        if driver:
            self._link(folder / "driver", f"/sys/bus/pci/drivers/{driver}")
        if group:
            self._link(folder / "iommu_group", f"/sys/kernel/iommu_groups/{group}")
            self._link(
                self.path(f"/sys/kernel/iommu_groups/{group}/devices/{address}"), str(folder), outside=True
            )
        return folder

    def _link(self, link: Path, target: str, outside: bool = False) -> None:
        where = Path(target) if outside else self.path(target)
        where.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(where)

    def write(self, name: str, text: str) -> None:
        text = text.strip()
        if name.endswith("/driver/unbind"):
            self.path(name).parent.unlink()
        elif name.endswith("/drivers_probe"):
            device = f"/sys/bus/pci/devices/{text}"
            driver = self.read(f"{device}/driver_override") or self.own
            if driver and driver not in self.refused:
                self._link(self.path(f"{device}/driver"), f"/sys/bus/pci/drivers/{driver}")
        else:
            super().write(name, text)

    def driver(self, address: str = CARD) -> str:
        return self.link_name(f"/sys/bus/pci/devices/{address}/driver")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def test_there_and_back(kernel: Kernel) -> None:
    folder = kernel.card()
    said = Binder(kernel).bind(CARD, "vfio-pci")
    assert said == f"{CARD}: from ixgbe to vfio-pci; to undo it: sudo dataplane unbind {CARD}"
    assert kernel.driver() == "vfio-pci"
    assert Binder(kernel).bind(CARD, "vfio-pci") == f"{CARD} is already bound to vfio-pci"
    assert "from vfio-pci to uio_pci_generic" in Binder(kernel).bind(CARD, "uio_pci_generic")
    assert Binder(kernel).unbind(CARD) == f"{CARD}: from uio_pci_generic to ixgbe"
    assert (folder / "driver_override").read_text().strip() == ""
    assert "nothing to undo" in Binder(kernel).unbind(CARD)


def test_a_card_that_no_loaded_driver_wants(kernel: Kernel) -> None:
    kernel.card(driver="")
    kernel.own = ""
    assert "from no driver to vfio-pci" in Binder(kernel).bind(CARD, "vfio-pci")
    assert "modprobe ixgbe" in Binder(kernel).unbind(CARD)


def test_what_the_driver_refuses_goes_back(kernel: Kernel) -> None:
    kernel.card()
    kernel.refused = {"vfio-pci"}
    with pytest.raises(PortError, match=r"vfio-pci refused it .*dmesg.*bound again to ixgbe"):
        Binder(kernel).bind(CARD, "vfio-pci")
    assert kernel.driver() == "ixgbe"


def use_default_route(kernel: Kernel, folder: Path) -> str:
    kernel.path("/proc/net/route").write_text(f"{ROUTES}eth7\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\n")
    return "the default route goes through eth7"


def use_ipv6_default_route(kernel: Kernel, folder: Path) -> str:
    row = f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}1 00000064 00000001 00000000 00000003 eth7"
    kernel.path("/proc/net/ipv6_route").write_text(f"{row}\n")
    return "the default route goes through eth7"


def use_address(kernel: Kernel, folder: Path) -> str:
    kernel.path("/proc/net/route").write_text(f"{ROUTES}eth7\t004D0A0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n")
    return r"eth7 has routes \(10\.10\.77\.0/24\)"


def use_in_a_bridge(kernel: Kernel, folder: Path) -> str:
    bridge = kernel.path("/sys/devices/virtual/net/br0")
    bridge.mkdir(parents=True)
    (folder / "net/eth7/master").symlink_to(bridge)
    return "eth7 belongs to br0"


def use_by_a_vlan(kernel: Kernel, folder: Path) -> str:
    (folder / "net/eth7/upper_eth7.5").mkdir()
    return "eth7.5 is on top of eth7"


def use_with_vfs(kernel: Kernel, folder: Path) -> str:
    (folder / "sriov_numvfs").write_text("2\n")
    return "it has 2 VFs"


@pytest.mark.parametrize(
    "use",
    [use_default_route, use_ipv6_default_route, use_address, use_in_a_bridge, use_by_a_vlan, use_with_vfs],
)
def test_a_card_in_use_stays(kernel: Kernel, use) -> None:  # type: ignore[no-untyped-def]
    folder = kernel.card()
    (folder / "net/eth7").mkdir(parents=True)
    reason = use(kernel, folder)
    with pytest.raises(PortError, match=f"{reason}.*--force"):
        Binder(kernel).bind(CARD, "vfio-pci")
    assert kernel.driver() == "ixgbe"
    Binder(kernel).bind(CARD, "vfio-pci", force=True)
    assert kernel.driver() == "vfio-pci"


def test_an_interface_that_is_only_up_is_not_in_use(kernel: Kernel) -> None:
    (kernel.card() / "net/eth7").mkdir(parents=True)
    rows = [
        f"fe80{'0' * 28} 40 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001 eth7",
        f"ff00{'0' * 28} 08 {'0' * 32} 00 {'0' * 32} 00000100 00000001 00000000 00000001 eth7",
        f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200 lo",
    ]
    kernel.path("/proc/net/ipv6_route").write_text("\n".join(rows))
    kernel.path("/proc/net/route").write_text(f"{ROUTES}eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\n")
    Binder(kernel).bind(CARD, "vfio-pci")


@pytest.mark.parametrize(("driver", "node"), [("vfio-pci", "/dev/vfio/9"), ("uio_pci_generic", "/dev/uio0")])
def test_a_card_that_a_program_has_open_is_not_taken_away(kernel: Kernel, driver: str, node: str) -> None:
    folder = kernel.card(driver=driver)
    (folder / "uio/uio0").mkdir(parents=True)
    files = kernel.path("/proc/4711/fd")
    files.mkdir(parents=True)
    (files / "5").symlink_to(node)
    with pytest.raises(PortError, match=f"process 4711 has {node} open"):
        Binder(kernel).unbind(CARD)
    assert kernel.driver() == driver


def test_what_cannot_be_bound(kernel: Kernel) -> None:
    binder = Binder(kernel)
    with pytest.raises(PortError, match="no PCI device"):
        binder.bind("0000:09:00.0", "vfio-pci")
    kernel.card(group="")
    with pytest.raises(PortError, match=r"no IOMMU group.*--driver uio_pci_generic"):
        binder.bind(CARD, "vfio-pci")
    with pytest.raises(PortError, match="igb_uio is not loaded: 'sudo modprobe igb_uio'"):
        binder.bind(CARD, "igb_uio")
    disk = kernel.card("0000:05:00.0")
    (disk / "class").write_text("0x010802\n")
    with pytest.raises(PortError, match="not a network card"):
        binder.bind("0000:05:00.0", "vfio-pci")


def test_neighbours_that_would_keep_the_group(kernel: Kernel) -> None:
    kernel.card(driver="vfio-pci")
    kernel.card("0000:03:00.1", driver="ixgbe")
    kernel.card("0000:02:00.0", driver="")
    kernel.card("0000:04:00.0", group="10")
    assert neighbours(kernel, CARD) == ["0000:03:00.1"]
    assert neighbours(kernel, "0000:04:00.0") == []


def test_addresses() -> None:
    assert addresses(["03:00.0", "0001:0A:1F.7"]) == ["0000:03:00.0", "0001:0a:1f.7"]
    with pytest.raises(PortError, match="expected a PCI address"):
        addresses(["eth0"])


def test_the_commands(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.card()
    kernel.card("0000:03:00.1")
    for module in (bind, unbind):
        monkeypatch.setattr(module, "Host", lambda: kernel)
    assert main(["bind", "03:00.0"]) == 0
    shown = capsys.readouterr().out
    assert "sudo dataplane unbind 0000:03:00.0" in shown
    assert "shares its IOMMU group with 0000:03:00.1" in shown
    assert main(["unbind", "03:00.0", "03:00.1"]) == 0
    assert "from vfio-pci to ixgbe" in capsys.readouterr().out
    assert main(["bind", "07:00.0"]) == 1
    assert "no PCI device 0000:07:00.0" in capsys.readouterr().err
