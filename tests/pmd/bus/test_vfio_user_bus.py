# SPDX-License-Identifier: BSD-3-Clause
"""The vfio-user bus: our driver on a NIC that another process serves."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from served import TIMEOUT, Served
from stopwatch import Stopwatch

from dataplane import Pipeline
from dataplane.apps import Sink
from dataplane.byhand import receive, send
from dataplane.errors import DeviceError, DeviceGone
from dataplane.pmd import probe
from dataplane.pmd.bus.vfio_user import VfioUserFunction
from dataplane.pmd.datasheet import CTRL, EICS, EIMS, GPIE, RAL, RDT, STATUS, pci

FRAME = bytes.fromhex("ffffffffffff02000000000188b5") + bytes(range(50))


@pytest.fixture(scope="module")
def nic() -> Iterator[Served]:
    with Served("--vfs", "2") as served:
        yield served


@pytest.fixture
def function(nic: Served) -> Iterator[VfioUserFunction]:
    with VfioUserFunction(str(nic.path("pf0")), "pf0") as function:
        yield function


def test_a_function_is_what_the_server_has(function: VfioUserFunction) -> None:
    assert (function.vendor_id, function.device_id) == (pci.INTEL, pci.PF_82599_SFP)
    assert function.vectors == pci.PF_VECTORS
    bar = function.bar(0)
    assert bar is function.bar(0)
    assert bar[STATUS] & STATUS.GIO.mask
    assert bar[RAL[0]] == 0x90598202
    with pytest.raises(DeviceError, match="pf0 has no BAR1: it has BAR0, BAR2, BAR4"):
        function.bar(1)
    with pytest.raises(DeviceError, match="has 0x80000 bytes, none at 0x80000"):
        bar.read32(0x80000)


def test_capabilities_have_their_names_in_small_reads(function: VfioUserFunction) -> None:
    assert function.config.find(pci.EXT_SRIOV, extended=True) == pci.PF_SRIOV
    assert function.config.find(pci.EXT_ARI, extended=True) == pci.PF_ARI
    assert function.config.read(0, 5)[:4] == bytes.fromhex("8680fb10")


def test_a_write_has_happened_when_it_returns(function: VfioUserFunction) -> None:
    bar = function.bar(0)
    for value in range(50):
        bar.write32(RDT[3].offset, value)
        assert bar[RDT[3]] == value


def test_an_interrupt_is_an_eventfd(function: VfioUserFunction) -> None:
    bar = function.bar(0)
    eventfd = os.eventfd(0)
    try:
        function.interrupt(5, eventfd)
        bar.update(GPIE, MSIX=1)
        bar.write32(EIMS.offset, 1 << 5)
        bar.write32(EICS.offset, 1 << 5)
        assert select.select([eventfd], [], [], 5)[0], "no interrupt within 5 s"
        assert os.eventfd_read(eventfd) == 1
        function.interrupt(5, None)
        bar.write32(EICS.offset, 1 << 5)
        assert not select.select([eventfd], [], [], 0.1)[0]
    finally:
        os.close(eventfd)
    with pytest.raises(DeviceError, match="no MSI-X vector 64: it has 64"):
        function.interrupt(64, None)


def test_reset_makes_registers_new(function: VfioUserFunction) -> None:
    bar = function.bar(0)
    bar.write32(EIMS.offset, 1 << 7)
    function.reset()
    assert bar[EIMS] == 0
    assert function.config.read16(pci.COMMAND) & pci.COMMAND_BUS_MASTER


def test_one_client_at_a_time(nic: Served, function: VfioUserFunction) -> None:
    with pytest.raises(DeviceError, match="another client has this function"):
        VfioUserFunction(str(nic.path("pf0")), "again")
    assert function.bar(0)[STATUS] & STATUS.GIO.mask


def test_what_a_client_did_is_undone_when_it_goes(nic: Served) -> None:
    before = nic.descriptors()
    for _ in range(3):
        with VfioUserFunction(str(nic.path("pf1")), "pf1") as function:
            function.bar(0).write32(EIMS.offset, 1 << 7)
            eventfd = os.eventfd(0)
            function.interrupt(0, eventfd)
            os.close(eventfd)
    with VfioUserFunction(str(nic.path("pf1")), "pf1") as function:
        assert function.bar(0)[EIMS] == 0
    assert _settled(nic, before)


def test_no_such_socket() -> None:
    with pytest.raises(DeviceError, match="no such socket: start 'dataplane nic serve'"):
        probe("vfio-user:/nowhere/pf0.sock")


def test_frames_cross_from_port_to_port(nic: Served) -> None:
    with probe(nic.port("pf0")) as near, probe(nic.port("pf1")) as far:
        sender, receiver = near.tx(0), far.rx(0)
        near.start()
        far.start()
        near.wait_link()
        far.wait_link()
        for _ in range(20):
            assert send(sender, [FRAME] * 16) == 16
            assert receive(receiver, 16, timeout=5) == [FRAME] * 16
        assert near.xstats()["tx_good_packets"] == 320
        assert far.xstats()["rx_good_packets"] == 320


def test_frames_cross_without_doorbells() -> None:
    """The tails are words of our own then, and a thread passes them on."""
    with Served("--no-doorbells") as nic, probe(nic.port("pf0")) as near, probe(nic.port("pf1")) as far:
        sender, receiver = near.tx(0), far.rx(0)
        for _ in range(2):  # tails restart with the queues
            near.start()
            far.start()
            near.wait_link()
            far.wait_link()
            for _ in range(20):
                assert send(sender, [FRAME] * 16) == 16
                assert receive(receiver, 16, timeout=5) == [FRAME] * 16
            far.stop()
            near.stop()


def test_a_server_that_dies_is_told_within_a_second() -> None:
    with Served() as nic, probe(nic.port("pf0")) as port:
        pipeline = Pipeline(port.rx(0) >> Sink())
        died: list[Stopwatch] = []

        def kill() -> None:
            nic.process.send_signal(signal.SIGKILL)
            died.append(Stopwatch())

        timer = threading.Timer(0.5, kill)
        timer.start()
        with pytest.raises(DeviceGone, match="its server has ended"):
            pipeline.run(seconds=TIMEOUT)
        assert died[0].own < 1
        timer.join()
        with pytest.raises(DeviceGone, match="its server has ended"):
            port.function.bar(0).write32(CTRL.offset, 0)
        nic.process.communicate(timeout=TIMEOUT)


def _settled(nic: Served, descriptors: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if nic.descriptors() <= descriptors:
            return True
        time.sleep(0.02)
    return False
