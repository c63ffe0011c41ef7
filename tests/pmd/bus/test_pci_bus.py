# SPDX-License-Identifier: BSD-3-Clause
"""Cards by address: the kernel driver decides on the bus, and each error names its cause and the next step."""

import pytest
from cardtree import BAR0, CardTree

from dataplane import pmd
from dataplane.errors import ConfigError, DeviceError, DeviceGone, PortError
from dataplane.pmd.bus import pci, uio, vfio
from dataplane.pmd.bus.card_function import CardFunction, FileConfig, WindowBar
from dataplane.pmd.bus.mmio import Window
from dataplane.pmd.datasheet import CTRL
from dataplane.pmd.datasheet.pci import VF_82599


class Kept(CardFunction):
    """The base of VFIO and UIO functions, alone."""

    def _nothing(self, *arguments):
        pass

    dma_map = dma_unmap = reset = close = _nothing


@pytest.fixture
def tree(tmp_path, monkeypatch):
    made = CardTree(tmp_path)
    monkeypatch.setattr(pci, "SYSFS", made.root)
    return made


@pytest.mark.parametrize("text", ["0000:03:00.0", "03:00.0,mtu=9000", "10000:e1:00.7"])
def test_an_address_without_a_device(text, tree):
    with pytest.raises(PortError, match=r"no PCI device .*dataplane ports"):
        pmd.probe(text)


def test_a_card_of_the_kernel_is_named_with_the_way_to_it(tree):
    tree.card("0000:03:00.0", driver="ixgbe")
    with pytest.raises(
        PortError, match=r"a 8086:10fb, bound to the kernel's ixgbe: 'sudo dataplane bind 0000:03:00\.0'"
    ):
        pmd.probe("03:00.0")
    tree.card("0000:04:00.0")
    with pytest.raises(PortError, match="bound to no driver"):
        pmd.probe("04:00.0")


@pytest.mark.parametrize(
    ("driver", "opener"),
    [
        ("vfio-pci", (vfio, "VfioFunction")),
        ("uio_pci_generic", (uio, "UioFunction")),
        ("igb_uio", (uio, "UioFunction")),
    ],
)
def test_the_kernel_driver_chooses_the_bus(tree, monkeypatch, driver, opener):
    tree.card("0000:03:00.0", driver=driver)
    opened = []

    def open_it(device, *rest):
        opened.append(device.address)
        raise DeviceError("enough seen")

    monkeypatch.setattr(*opener, open_it)
    with pytest.raises(DeviceError, match="enough seen"):
        pmd.probe("0000:03:00.0")
    assert opened == ["0000:03:00.0"]


def test_a_token_is_a_uuid(tree):
    tree.card("0000:03:00.0", driver="vfio-pci")
    with pytest.raises(ConfigError, match="uuidgen"):
        pmd.probe("0000:03:00.0,vf_token=sesame")


def test_bars_as_sysfs_tells_them(tree):
    device = tree.card("0000:03:00.0")
    assert device.bar_size(0) == BAR0
    assert device.bar_size(1) == device.bar_size(4) == device.bar_size(9) == 0
    with pytest.raises(DeviceError, match="BAR2 is of I/O ports"):
        device.bar_size(2)


def test_a_vf_is_known_by_sysfs_not_by_its_configuration_space(tree):
    function = Kept(tree.card("0000:03:10.0", device=VF_82599))
    assert (function.vendor_id, function.device_id, function.revision) == (0x8086, 0x10ED, 1)


def test_vfs_are_the_kernels_to_make(tree):
    device = tree.card("0000:03:00.0", driver="vfio-pci")
    function = Kept(device)
    assert function.vfs == 0
    with pytest.raises(DeviceError, match="no SR-IOV"):
        function.set_vfs(2)
    for name, text in (("sriov_numvfs", "0"), ("sriov_totalvfs", "63")):
        (device.folder / name).write_text(text)
    with pytest.raises(DeviceError, match="can have 63 VFs, not 64"):
        function.set_vfs(64)
    function.set_vfs(7)
    assert (device.folder / "sriov_numvfs").read_text() == "7" == str(function.vfs)
    (device.folder / "sriov_numvfs").unlink()
    (device.folder / "sriov_numvfs").mkdir()  # a file that cannot be written, for root too
    with pytest.raises(DeviceError, match=r"makes no 3 VFs .*enable_sriov"):
        function.set_vfs(3)


def test_configuration_space_is_a_file(tree):
    device = tree.card("0000:03:00.0")
    with (device.folder / "config").open("r+b", buffering=0) as file:
        config = FileConfig("card", file.fileno())
        assert config.read32(0) == 0x10FB8086
        config.write16(4, 0x0406)
        assert config.read16(4) == 0x0406
        with pytest.raises(DeviceError, match="only root"):
            config.read32(0x100)
    with pytest.raises(DeviceGone, match="cannot be read"):
        config.read32(0)
    with pytest.raises(DeviceGone, match="cannot be written"):
        config.write32(0, 0)


def test_registers_are_dwords_in_a_mapping(tree):
    device = tree.card("0000:03:00.0")
    with (device.folder / "resource0").open("r+b") as file:
        bar = WindowBar("card", Window(file.fileno(), 0, BAR0, "card"))
    bar.set(CTRL.RST)
    assert (device.folder / "resource0").read_bytes()[:4] == (1 << 26).to_bytes(4, "little")
    assert bar.read32(0) == 1 << 26
    assert bar.address(8) - bar.address(0) == 8
    for offset in (-4, 2, BAR0):
        with pytest.raises(DeviceError, match="no register of 32 bits at"):
            bar.read32(offset)
    with pytest.raises(OverflowError):
        bar.write32(0, 1 << 32)
    bar.window.close()
    bar.window.close()
    with pytest.raises(DeviceGone, match="closed"):
        bar.read32(0)


def test_what_cannot_be_mapped_says_why(tmp_path):
    with (tmp_path / "empty").open("w+b") as file, pytest.raises(DeviceError, match="EINVAL"):
        Window(file.fileno(), 1, 4096, "card")
