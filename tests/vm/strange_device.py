# SPDX-License-Identifier: BSD-3-Clause
"""One step with a device on vfio-pci: ``strange_device.py STEP ADDRESS``. Runs in a guest; ends with "STEP: well"."""

from __future__ import annotations

import os
import sys
import time
import uuid

from dataplane.errors import DeviceError, PortError
from dataplane.memory.hugepage import Arena
from dataplane.pmd.bus.pci import device_of
from dataplane.pmd.bus.vfio import VfioFunction
from dataplane.pmd.datasheet import pci

TOKEN = uuid.UUID("6c1f2f0e-5a3b-4c55-8d2e-1f1f2a3b4c5d")
STATUS, RAL = 0x8, 0x5400
GPIE, EICS, EIMS = 0x1514, 0x1520, 0x1524


def open_(function: VfioFunction) -> None:
    """Identity, configuration space and registers."""
    assert (function.vendor_id, function.device_id, function.vfs) == (pci.INTEL, 0x10C9, 0)
    assert function.config.read16(pci.COMMAND) & pci.COMMAND_MEMORY
    assert function.config.find(pci.CAP_MSIX)
    assert function.bar(0).read32(RAL) == 0x12005452  # 52:54:00:12, QEMU's addresses
    assert function.bar(0) is function.bar(0)


def memory(function: VfioFunction) -> None:
    """Arenas come and go, on hugepages and plain ones; what the IOMMU cannot address is refused."""
    assert any(first <= 0x20_0000_0000 <= last for first, last in function.group.ranges), (
        function.group.ranges
    )
    for pages in ("2M", "no"):
        with Arena(4 << 20, hugepages=pages) as arena:
            function.dma_map(arena)
            function.dma_map(arena)
            function.dma_unmap(arena)
            function.dma_map(arena)
            function.dma_unmap(arena)


def interrupts(function: VfioFunction) -> None:
    """Make the device raise vector 1 by itself: its eventfd counts it."""
    function.config.write16(pci.COMMAND, function.config.read16(pci.COMMAND) | pci.COMMAND_BUS_MASTER)
    bar, fd = function.bar(0), os.eventfd(0, os.EFD_NONBLOCK)
    assert function.vectors == 10
    function.interrupt(1, fd)
    bar.write32(GPIE, 1 << 4)  # several vectors
    bar.write32(EIMS, 1 << 1)
    bar.write32(EICS, 1 << 1)
    deadline = time.monotonic() + 10
    while True:
        try:
            assert os.eventfd_read(fd) >= 1
            break
        except BlockingIOError:
            assert time.monotonic() < deadline, "no interrupt"
            time.sleep(0.01)
    function.interrupt(1, None)
    os.close(fd)


def reset(function: VfioFunction) -> None:
    """Bus mastering and BARs are back after it."""
    before = function.config.read16(pci.COMMAND)
    function.bar(0).write32(RAL, 0x11223344)
    function.reset()
    assert function.config.read16(pci.COMMAND) == before
    assert function.bar(0).read32(RAL) != 0x11223344


def vfs(function: VfioFunction) -> None:
    """The kernel makes VFs; one is opened by who knows the word, once, and keeps its PF from taking it away."""
    function.set_vfs(2)
    assert function.vfs == 2
    device = function.device.virtual_functions()[0]
    deadline = time.monotonic() + 10
    while device.driver != "vfio-pci":
        assert time.monotonic() < deadline, f"{device.address} is with {device.driver or 'no driver'}"
        time.sleep(0.05)
    with _refused("vf_token=UUID"):
        VfioFunction(device)
    with VfioFunction(device, TOKEN) as vf, Arena(1 << 20, hugepages="no") as arena:
        assert (vf.vendor_id, vf.device_id) == (pci.INTEL, 0x10CA)
        assert vf.bar(0).read32(STATUS) != 0xFFFF_FFFF
        vf.dma_map(arena)
        with _refused("open in this process already"):
            VfioFunction(device, TOKEN)
        with _refused("keeps its VFs"):
            function.set_vfs(0)
    function.set_vfs(0)
    assert not function.device.virtual_functions()


class _refused:
    """pytest.raises, which a guest need not have."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        assert isinstance(error, (PortError, DeviceError)), f"not refused: {error!r}"
        assert self.words in str(error), error
        return True


def hold(function: VfioFunction) -> None:
    """Until it is killed."""
    print("holding", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    step, address = sys.argv[1:]
    with VfioFunction(device_of(address), TOKEN if step == "vfs" else None) as opened:
        {"open": open_, **globals()}[step](opened)
    print(f"{step}: well")
