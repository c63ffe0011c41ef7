# SPDX-License-Identifier: BSD-3-Clause
"""VFIO with the kernel's side played: the order of requests, who shares what, every refusal. The kernel is in tests/vm."""

import errno
import gc
import os
import struct
import uuid
from pathlib import Path

import pytest
from cardtree import BAR0, CardTree

from dataplane.errors import DeviceError, MemoryExhausted, PortError
from dataplane.memory.hugepage import Arena
from dataplane.pmd.bus import vfio, vfio_api
from dataplane.pmd.bus.vfio import VfioFunction
from dataplane.pmd.datasheet.pci import VF_82599

TOKEN = uuid.UUID(int=7)


def open_files():
    gc.collect()  # closes descriptors that earlier tests left now, and not between two counts
    return len(list(Path("/proc/self/fd").iterdir()))


class Kernel:
    """Stands in for the kernel behind `vfio_api`: answers and notes requests; refuses those in `refusals` with an errno."""

    def __init__(self, tree: CardTree) -> None:
        self.tree = tree
        self.calls: list[tuple[object, ...]] = []
        self.maps: dict[int, dict[int, int]] = {}  # container -> IOVA -> size
        self.vectors: list[int] = []
        self.refusals: dict[str, int] = {}
        self.viable = True
        self.ranges = [(0, 0xFEDF_FFFF), (0xFEF0_0000, (1 << 39) - 1)]

    def _ask(self, name: str, *details: object) -> None:
        self.calls.append((name, *details))
        if name in self.refusals:
            raise OSError(self.refusals[name], os.strerror(self.refusals[name]))

    def version(self, container):
        return 0

    def check_extension(self, container, extension):
        return extension == vfio_api.TYPE1V2

    def group_status(self, group):
        return int(self.viable)

    def group_join(self, group, container):
        self.maps[container] = {}

    def set_iommu(self, container, kind):
        self._ask("set_iommu", kind)

    def group_device(self, group, name):
        self._ask("device", name)
        return os.open(self.tree.root / "bus/pci/devices" / name.split()[0] / "config", os.O_RDWR)

    def region(self, device, index):
        return (7, BAR0, 0) if index == vfio_api.CONFIG_REGION else (3, BAR0, 0)

    def iova_ranges(self, container):
        return self.ranges

    def dma_map(self, container, address, iova, size):
        self._ask("map", iova)
        self.maps[container][iova] = size

    def dma_unmap(self, container, iova, size):
        assert self.maps[container].pop(iova) == size

    def irq_count(self, device, index):
        return 64

    def set_irqs(self, device, index, eventfds):
        self._ask("irqs", list(eventfds))

    def reset(self, device):
        self._ask("reset")

    def set_vf_token(self, device, token):
        self._ask("token", token)


@pytest.fixture
def tree(tmp_path):
    return CardTree(tmp_path)


@pytest.fixture
def kernel(tree, monkeypatch):
    played = Kernel(tree)
    for name in vars(Kernel):
        if not name.startswith("_"):
            monkeypatch.setattr(vfio_api, name, getattr(played, name))
    (tree.dev / "vfio").write_text("")
    yield played
    assert not vfio._groups, "a group was left open"
    assert not any(played.maps.values()), "something was left mapped"


def card(tree, address="0000:03:00.0", group="7", **more):
    (tree.dev / group).write_text("")
    return tree.card(address, driver="vfio-pci", group=group, **more)


def test_arenas_are_mapped_once_and_go_with_the_function(tree, kernel):
    device = card(tree)
    with Arena(1 << 20, hugepages="no") as one, Arena(1 << 20, hugepages="no") as two:
        with VfioFunction(device, dev=tree.dev) as function:
            function.dma_map(one)
            function.dma_map(one)
            function.dma_map(two)
            function.dma_unmap(two)
            function.dma_unmap(two)
            assert list(kernel.maps.values()) == [{one.iova: 1 << 20}]
            assert function.config.read16(4) == 0x0002
            function.config.write16(4, 0x0006)
        assert (device.folder / "config").read_bytes()[4] == 0x02


def test_groups_have_address_spaces_of_their_own_and_functions_of_a_group_share_one(tree, kernel):
    near, far = card(tree), card(tree, "0000:03:00.1")
    other = card(tree, "0000:04:00.0", group="8")
    with Arena(4096, hugepages="no") as arena:
        functions = [VfioFunction(device, dev=tree.dev) for device in (near, far, other)]
        for function in functions:
            function.dma_map(arena)
        assert [len(maps) for maps in kernel.maps.values()] == [1, 1]
        functions[0].close()
        assert [len(maps) for maps in kernel.maps.values()] == [1, 1]  # its neighbour still wants it
        functions[1].close()
        assert [len(maps) for maps in kernel.maps.values()] == [0, 1]
        functions[2].close()


def test_a_function_is_opened_once(tree, kernel):
    device = card(tree)
    with VfioFunction(device, dev=tree.dev), pytest.raises(PortError, match="open in this process already"):
        VfioFunction(device, dev=tree.dev)


def test_no_descriptor_is_left_behind(tree, kernel):
    device, before = card(tree), open_files()
    VfioFunction(device, dev=tree.dev).close()
    for refused in ("set_iommu", "device"):
        kernel.refusals = {refused: errno.EBUSY}
        with pytest.raises(PortError):
            VfioFunction(device, dev=tree.dev)
    assert open_files() == before


@pytest.mark.parametrize(
    ("refused", "code", "message"),
    [
        ("set_iommu", errno.EPERM, "allow_unsafe_interrupts"),
        ("set_iommu", errno.ENODEV, "gets no address space"),
        ("device", errno.EBUSY, "another process may have it"),
    ],
)
def test_refusals_of_the_kernel(tree, kernel, refused, code, message):
    kernel.refusals[refused] = code
    with pytest.raises(PortError, match=message):
        VfioFunction(card(tree), dev=tree.dev)


def test_a_group_that_a_kernel_driver_is_in(tree, kernel):
    device = card(tree)
    tree.card("0000:03:00.1", driver="ixgbe", group="7")
    kernel.viable = False
    with pytest.raises(PortError, match=r"0000:03:00\.1 \(ixgbe\): bind them to vfio-pci too"):
        VfioFunction(device, dev=tree.dev)


def test_without_an_iommu(tree, kernel):
    with pytest.raises(PortError, match=r"intel_iommu=on.*uio_pci_generic"):
        VfioFunction(tree.card("0000:03:00.0", driver="vfio-pci"), dev=tree.dev)


def test_without_the_groups_node(tree, kernel):
    device = tree.card("0000:03:00.0", driver="vfio-pci", group="9")
    with pytest.raises(PortError, match=r"no .*/dev/9"):
        VfioFunction(device, dev=tree.dev)


def test_memory_that_cannot_be_mapped(tree, kernel):
    with VfioFunction(card(tree), dev=tree.dev) as function, Arena(4096, hugepages="no") as arena:
        kernel.refusals["map"] = errno.ENOMEM
        with pytest.raises(MemoryExhausted, match="ulimit -l"):
            function.dma_map(arena)
        kernel.refusals["map"] = errno.EEXIST
        with pytest.raises(MemoryExhausted, match=r"cannot map .*File exists"):
            function.dma_map(arena)
        kernel.refusals.clear()
        function.dma_map(arena)


def test_addresses_beyond_the_iommu(tree, kernel):
    kernel.ranges = [(0, (1 << 37) - 1)]
    with VfioFunction(card(tree), dev=tree.dev) as function, Arena(4096, hugepages="no") as arena:
        with pytest.raises(
            MemoryExhausted, match="outside of what this IOMMU can address: 0x0 to 0x1fffffffff"
        ):
            function.dma_map(arena)
        assert not any(kernel.maps.values())


def test_vectors_are_set_from_0_on(tree, kernel):
    with VfioFunction(card(tree), dev=tree.dev) as function:
        function.interrupt(2, 30)
        function.interrupt(0, 10)
        function.interrupt(5, 50)  # the set grows: off and on again, for older kernels
        function.interrupt(5, None)
        function.interrupt(2, None)
        function.interrupt(0, None)
        with pytest.raises(DeviceError, match="no interrupt vector 64"):
            function.interrupt(64, 1)
    sets = [words for name, *words in kernel.calls if name == "irqs"]
    grown, less = [10, -1, 30, -1, -1, 50], [10, -1, 30]
    assert sets == [[[-1, -1, 30]], [less], [[]], [grown], [[]], [less], [[]], [[10]], [[]]]


def test_reset(tree, kernel):
    with VfioFunction(card(tree), dev=tree.dev) as function:
        function.reset()
        kernel.refusals["reset"] = errno.ENOTTY
        with pytest.raises(DeviceError, match="cannot reset it"):
            function.reset()


def test_the_word_between_a_pf_and_its_vfs(tree, kernel):
    physical, virtual = card(tree), card(tree, "0000:03:10.0", group="8", device=VF_82599)
    tree.link(virtual.folder / "physfn", physical.folder)
    with VfioFunction(physical, TOKEN, tree.dev), VfioFunction(virtual, TOKEN, tree.dev):
        pass
    asked = [call for call in kernel.calls if call[0] in ("device", "token")]
    assert asked == [
        ("device", "0000:03:00.0"),
        ("token", TOKEN),
        ("device", f"0000:03:10.0 vf_token={TOKEN}"),
    ]
    kernel.refusals["device"] = errno.EACCES
    with pytest.raises(PortError, match=r"its PF 0000:03:00\.0 is on vfio-pci too.*vf_token=UUID"):
        VfioFunction(virtual, dev=tree.dev)


def test_the_kernels_list_of_ranges_is_read_wherever_it_is_in_the_answer(monkeypatch):
    """An answer of two capabilities: another one first, then the ranges."""
    ranges = struct.pack("=HHIIIQQQQ", 1, 1, 0, 2, 0, 0, 99, 200, 299)
    answer = (
        struct.pack("=IIQII", 40 + len(ranges), 3, 4096, 24, 0)
        + struct.pack("=HHIII", 3, 1, 40, 0, 0)
        + ranges
    )

    def ioctl(fd, request, buffer):
        assert request == 0x3B70
        buffer[: min(len(buffer), len(answer))] = answer[: len(buffer)]

    monkeypatch.setattr(vfio_api.fcntl, "ioctl", ioctl)
    assert vfio_api.iova_ranges(3) == [(0, 99), (200, 299)]
