# SPDX-License-Identifier: BSD-3-Clause
"""UIO on a folder that looks like sysfs. Whether a device's DMA arrives is seen in a guest (tests/vm)."""

import fcntl
import gc
import os
from pathlib import Path

import pytest
from cardtree import BAR0, CardTree

from dataplane.errors import DeviceError, DeviceGone, DeviceTimeout, MemoryExhausted, PortError
from dataplane.memory.hugepage import Arena, free_hugepages
from dataplane.pmd.bus.uio import UioFunction
from dataplane.pmd.datasheet import CTRL


def open_files():
    gc.collect()  # closes descriptors that earlier tests left now, and not between two counts
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def tree(tmp_path):
    return CardTree(tmp_path)


@pytest.fixture
def device(tree):
    made = tree.card("0000:03:00.0", driver="uio_pci_generic")
    tree.uio(made)
    return made


def test_open_and_close(tree, device):
    function = UioFunction(device, tree.dev)
    assert function.name == "0000:03:00.0"
    assert function.config.read16(4) == 0x0002  # memory on; bus mastering is the driver's to ask for
    function.bar(0).write32(0x10, 0x1234)
    assert function.bar(0) is function.bar(0)
    assert (device.folder / "resource0").read_bytes()[0x10:0x12] == b"\x34\x12"
    function.config.write16(4, 0x0006)
    function.reset()
    assert (device.folder / "reset").read_text() == "1"
    assert function.vectors == 0
    with pytest.raises(DeviceError, match="poll the device"):
        function.interrupt(0, 0)
    with pytest.raises(DeviceError, match="no BAR1"):
        function.bar(1)
    function.close()
    function.close()
    assert (device.folder / "config").read_bytes()[4] == 0x02  # bus mastering is off


def test_a_bar_without_a_driver_asks_configuration_space(tree, device):
    """Its accesses raise nothing, as those of any PCI device; `check` and `wait` do."""
    with UioFunction(device, tree.dev) as function:
        bar = function.bar(0)
        bar.write32(8, 0xFFFF_FFFF)
        bar.check()  # a register may read all ones
        with pytest.raises(DeviceTimeout):
            bar.wait(CTRL.RST, 1, timeout=0.01)
        for name in ("config", "resource0"):
            file = device.folder / name
            with file.open("r+b") as gone:
                gone.write(b"\xff" * file.stat().st_size)
        assert bar.read32(8) == 0xFFFF_FFFF
        with pytest.raises(DeviceGone, match=r"0000:03:00\.0 is gone"):
            bar.check()
        with pytest.raises(DeviceGone):
            bar.wait(CTRL.RST, 1, timeout=5)


def test_one_process_has_it(tree, device):
    with (tree.dev / "uio0").open("r+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(PortError, match="another process has"):
            UioFunction(device, tree.dev)
    with UioFunction(device, tree.dev), pytest.raises(PortError, match="another process has"):
        UioFunction(device, tree.dev)
    UioFunction(device, tree.dev).close()


def test_no_descriptor_is_left_behind(tree, device):
    before = open_files()
    with UioFunction(device, tree.dev) as function:
        function.bar(0)
    (device.folder / "config").unlink()
    with pytest.raises(FileNotFoundError):
        UioFunction(device, tree.dev)
    assert open_files() == before


def test_without_its_node(tree):
    device = tree.card("0000:03:00.0", driver="uio_pci_generic")
    with pytest.raises(PortError, match="bind it again"):
        UioFunction(device, tree.dev)
    tree.uio(device).unlink()
    with pytest.raises(PortError, match=r"no .*/uio0"):
        UioFunction(device, tree.dev)


@pytest.mark.parametrize("kind", ["DMA", "DMA-FQ"])
def test_an_iommu_that_translates_is_refused(tree, kind):
    device = tree.card("0000:03:00.0", driver="uio_pci_generic", group="7")
    tree.group("7", kind)
    tree.uio(device)
    with pytest.raises(PortError, match=r"dataplane bind 0000:03:00\.0.*iommu=pt"):
        UioFunction(device, tree.dev)
    tree.group("7", "identity")
    UioFunction(device, tree.dev).close()


def test_arenas_have_physical_addresses_while_it_is_open(tree, device):
    with Arena(4096, hugepages="no") as early, UioFunction(device, tree.dev) as function:
        with pytest.raises(MemoryExhausted, match="made before this port was opened"):
            function.dma_map(early)
        with pytest.raises(MemoryExhausted, match="only those of hugepages"):
            Arena(4096, hugepages="no")
    with Arena(4096, hugepages="no") as late:
        assert not late.physical


def test_hugepages_with_physical_addresses(tree, device):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if free_hugepages() < 1:
        pytest.skip("needs 1 free hugepage")
    with UioFunction(device, tree.dev) as function, Arena(4096) as arena:
        assert arena.physical
        assert arena.iova % (2 << 20) == 0
        function.dma_map(arena)
        function.dma_unmap(arena)


def test_bar_of_the_size_that_sysfs_says(tree, device):
    with UioFunction(device, tree.dev) as function:
        function.bar(0).read32(BAR0 - 4)
        with pytest.raises(DeviceError, match="no register"):
            function.bar(0).read32(BAR0)


def test_no_vfs(tree, device):
    (device.folder / "sriov_totalvfs").write_text("63")
    (device.folder / "sriov_numvfs").mkdir()
    with UioFunction(device, tree.dev) as function, pytest.raises(DeviceError, match="does not make VFs"):
        function.set_vfs(1)
