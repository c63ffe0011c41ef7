# SPDX-License-Identifier: BSD-3-Clause
"""VFs of a served NIC: a client each, under a PF that a client of its own drives."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator

import pytest
from served import TIMEOUT, Served

from dataplane.byhand import receive, send
from dataplane.errors import DeviceError
from dataplane.pmd import probe
from dataplane.pmd.bus.vfio_user import VfioUserFunction
from dataplane.pmd.datasheet import STATUS, pci
from dataplane.pmd.datasheet.vf import VFRDT, VFSTATUS, VFTDT
from dataplane.pmd.ixgbe.device_bar import vf_registers
from dataplane.port import Port


@pytest.fixture(scope="module")
def nic() -> Iterator[Served]:
    with Served("--vfs", "3") as served:
        yield served


def frame(to: Port, origin: Port, number: int) -> bytes:
    addresses = (bytes.fromhex(port.mac.replace(":", "")) for port in (to, origin))
    return b"".join(addresses) + bytes.fromhex("88b5") + number.to_bytes(46, "big")


def test_before_its_pf_a_vf_can_be_looked_at(nic: Served) -> None:
    with VfioUserFunction(str(nic.path("pf0.vf2")), "vf2") as function:
        assert (function.vendor_id, function.device_id) == (pci.INTEL, pci.VF_82599)
        assert function.vectors == pci.VF_VECTORS
        function.config.write32(pci.BAR0, 0xFFFF_FFFF)
        assert function.config.read32(pci.BAR0) == ~(pci.VF_REGISTERS_SIZE - 1) & 0xFFFF_FFFF | pci.BAR_64BIT
        assert function.bar(0)[VFSTATUS] == 0xFFFF_FFFF
        with pytest.raises(DeviceError, match="vf2 has no BAR4: it has BAR0, BAR3"):
            function.bar(4)


def test_a_vf_waits_for_its_pf(nic: Served) -> None:
    with pytest.raises(DeviceError, match=r"its PF has not made this VF \(waited 1 s\)"):
        probe(nic.port("pf0.vf0", ",pf_wait=1"))
    with (
        probe(nic.port("pf0", ",vfs=2")) as pf,
        pytest.raises(DeviceError, match="its PF has not made this VF"),
    ):
        pf.start()
        probe(nic.port("pf0.vf2", ",pf_wait=0"))


def test_packets_between_two_vfs_and_the_wire(nic: Served) -> None:
    with (
        probe(nic.port("pf0", ",vfs=2")) as pf,
        probe(nic.port("pf1")) as far,
    ):
        pf.start()
        far.rx(0), far.tx(0)
        far.start()
        with probe(nic.port("pf0.vf0")) as one, probe(nic.port("pf0.vf1")) as two:
            for port in (one, two):
                port.rx(0), port.tx(0)
                port.start()
                assert port.wait_link(TIMEOUT).up
            for sender, receiver in ((one, two), (two, one), (one, far), (far, two)):
                sent = [frame(receiver, sender, number) for number in range(64)]
                assert send(sender.tx(0), sent, timeout=5) == 64
                assert receive(receiver.rx(0), 64, timeout=5) == sent
            assert one.xstats()["tx_good_packets"] == 128


def test_a_vf_maps_its_own_tails_and_nothing_else(nic: Served) -> None:
    with (
        probe(nic.port("pf0", ",vfs=2")) as pf,
        VfioUserFunction(str(nic.path("pf0.vf0")), "vf0") as one,
        VfioUserFunction(str(nic.path("pf0.vf1")), "vf1") as two,
    ):
        pf.start()
        for function in (one, two):
            _answer(function)
        bars = one.bar(0), two.bar(0)
        tails = [ctypes.c_uint32.from_address(bar.address(VFTDT[0].offset)) for bar in bars]
        tails[0].value, tails[1].value = 5, 9
        assert [bar[VFTDT[0]] for bar in bars] == [5, 9]
        bars[1].write32(VFRDT[1].offset, 33)
        assert ctypes.c_uint32.from_address(bars[1].address(VFRDT[1].offset)).value == 33
        assert bars[0][VFRDT[1]] == 0
        with pytest.raises(DeviceError, match="only the tails of queues can be mapped"):
            bars[0].address(0x1000)


def test_the_page_of_a_client_that_is_gone_rings_for_nobody(nic: Served) -> None:
    """Its successor gets another page, so that a process which keeps the old one mapped has no hand in it."""
    with probe(nic.port("pf0", ",vfs=1")) as pf:
        pf.start()
        before = VfioUserFunction(str(nic.path("pf0.vf0")), "vf0")
        _answer(before)
        old = ctypes.c_uint32.from_address(before.bar(0).address(VFTDT[0].offset))
        before.close()
        with VfioUserFunction(str(nic.path("pf0.vf0")), "vf0") as after:
            _answer(after)
            new = ctypes.c_uint32.from_address(after.bar(0).address(VFTDT[0].offset))
            new.value = 3
            old.value = 77
            assert after.bar(0)[VFTDT[0]] == 3


def test_vfs_go_with_the_process_of_their_pf_and_come_with_the_next(nic: Served) -> None:
    with VfioUserFunction(str(nic.path("pf0.vf0")), "vf0") as vf:
        bar = vf.bar(0)
        for _ in range(2):
            with probe(nic.port("pf0", ",vfs=1")) as pf:
                pf.start()
                _answer(vf)
            _until(lambda: bar[STATUS] == 0xFFFF_FFFF)


def _answer(vf: VfioUserFunction) -> None:
    vf.bar(0).describe(vf_registers())
    _until(lambda: vf.bar(0)[STATUS] != 0xFFFF_FFFF)


def _until(happened: object) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
