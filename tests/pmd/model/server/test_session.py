# SPDX-License-Identifier: BSD-3-Clause
"""The replies of a served function, message by message, and its response to a client that misbehaves."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Iterator

import pytest
from rawclient import TIMEOUT, RawClient, memory
from served import Served

from dataplane.pmd.datasheet import EICS, EIMS, GPIE, RAL, STATUS, TDBAL, TDLEN, TDT, TXDCTL, pci
from dataplane.pmd.datasheet.registers.tx import DMATXCTL
from dataplane.pmd.vfio_user.framing import Hangup
from dataplane.pmd.vfio_user.messages import Command, IrqSet, Region, RegionAccess, RegionInfo, Version

IOVA = 0x10_0000
FIRE, MASK, UNMASK = IrqSet.NONE | IrqSet.TRIGGER, IrqSet.NONE | IrqSet.MASK, IrqSet.NONE | IrqSet.UNMASK
CONNECT = IrqSet.EVENTFD | IrqSet.TRIGGER
MSIX, INTX = 2, 0


@pytest.fixture(scope="module")
def nic() -> Iterator[Served]:
    with Served("--vfs", "1") as served:
        yield served


@pytest.fixture
def client(nic: Served) -> Iterator[RawClient]:
    with RawClient(nic.path("pf0")) as client:
        yield client.enable()


@pytest.fixture
def eventfd() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


def signalled(fd: int, within: float = 5.0) -> bool:
    return bool(select.select([fd], [], [], within)[0])


# ---- the conversation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [Version(1, 0, {}).pack(), b"", bytes(4) + b"no json\0"])
def test_no_version_no_conversation(nic: Served, said: bytes) -> None:
    with RawClient(nic.path("pf0")) as client:
        assert client.error(Command.VERSION, said) == errno.EINVAL
        with pytest.raises(Hangup):
            client.answer()


def test_nothing_before_the_version(nic: Served) -> None:
    with RawClient(nic.path("pf0")) as client:
        client.send(Command.GET_INFO, bytes(16))
        with pytest.raises(Hangup):
            client.answer()


def test_what_it_says_of_itself(nic: Served) -> None:
    with RawClient(nic.path("pf0")) as client:
        with client.ask(Command.VERSION, Version(0, 1, {}).pack()) as reply:
            said = Version.unpack(reply.body)
        assert (said.major, said.minor) == (0, 0)
        assert said.number("max_msg_fds", 0) == 16
        assert client.error(Command.VERSION, Version(0, 0, {}).pack()) == errno.EINVAL  # once is enough


@pytest.mark.parametrize("command", [0, 6, 11, 12, 14, 15, 77, 0xFFFF])
def test_a_command_that_nobody_knows(client: RawClient, command: int) -> None:
    assert client.error(command) == errno.ENOTSUP


@pytest.mark.parametrize("command", [2, 3, 4, 5, 7, 8, 9, 10])
def test_a_body_that_is_cut_short(client: RawClient, command: int) -> None:
    assert client.error(command, b"short") == errno.EINVAL
    assert client.read(0, STATUS.offset) != 0xFFFF_FFFF


def test_who_wants_no_reply_gets_none(client: RawClient) -> None:
    client.send(Command.REGION_WRITE, RegionAccess(EIMS.offset, 0, 4).pack() + b"\x80\0\0\0", no_reply=True)
    client.send(77, no_reply=True)
    assert client.read(0, EIMS.offset) == 0x80


@pytest.mark.parametrize(
    ("region", "offset", "count"),
    [
        (0, 0x80000, 4),
        (0, (1 << 64) - 4, 4),
        (0, 0, 0),
        (0, 0, 65),
        (1, 0, 4),
        (7, 0xFFD, 4),
        (9, 0, 4),
        (99, 0, 4),
    ],
)
def test_a_read_of_what_is_not_there(client: RawClient, region: int, offset: int, count: int) -> None:
    assert client.error(Command.REGION_READ, RegionAccess(offset, region, count).pack()) == errno.EINVAL


def test_a_write_whose_data_are_missing(client: RawClient) -> None:
    assert client.error(Command.REGION_WRITE, RegionAccess(0, 0, 4).pack() + b"12") == errno.EINVAL


def test_registers_in_pieces(client: RawClient) -> None:
    whole = client.read(0, RAL[0].offset, 8)
    assert client.read(0, RAL[0].offset) == whole & 0xFFFF_FFFF
    assert client.read(0, RAL[0].offset + 1, 2) == whole >> 8 & 0xFFFF


def test_qemus_large_read_sees_no_sriov(client: RawClient) -> None:
    """QEMU changes ARI and SR-IOV in the bytes that it has read, and not in those that a guest reads."""
    whole = client.read(Region.CONFIG, 0, pci.SIZE).to_bytes(pci.SIZE, "little")
    for at, name in ((pci.PF_ARI, pci.EXT_ARI), (pci.PF_SRIOV, pci.EXT_SRIOV)):
        assert int.from_bytes(whole[at : at + 2], "little") == 0x000B
        assert client.read(Region.CONFIG, at, 4) & 0xFFFF == client.read(Region.CONFIG, at, 2) == name
    assert whole[0:4] == bytes.fromhex("8680fb10")


def test_a_short_question_gets_a_short_answer(client: RawClient) -> None:
    """And says how long the whole would be; the descriptor comes with the whole only."""
    with client.ask(Command.GET_REGION_INFO, RegionInfo(32, 0, 9, 0, 0, 0).pack()) as reply:
        info = RegionInfo.unpack(reply.body)
        assert (len(reply.body), info.capabilities, reply.descriptors) == (32, 0, [])
    with client.ask(Command.GET_REGION_INFO, RegionInfo(info.argsz, 0, 9, 0, 0, 0).pack()) as reply:
        assert (len(reply.body), len(reply.descriptors)) == (info.argsz, 1)
        with pytest.raises(PermissionError):
            os.truncate(reply.descriptors[0], 0)


def test_a_client_that_takes_no_replies_holds_nobody_up(nic: Served, client: RawClient) -> None:
    big = RegionAccess(0, Region.CONFIG, pci.SIZE).pack()
    client.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(100_000):
            client.send(Command.REGION_READ, big)
    with RawClient(nic.path("pf1")) as other:
        other.enable()
        for _ in range(100):
            assert other.read(0, STATUS.offset) != 0xFFFF_FFFF


# ---- memory ---------------------------------------------------------------------------------------------------


def test_maps_that_cannot_be(nic: Served, client: RawClient) -> None:
    held = nic.descriptors()
    fd = memory(0x4000)
    reader, writer = os.pipe()
    folder = os.open("/", os.O_RDONLY)
    program = os.open(os.__file__, os.O_RDONLY)
    try:
        assert client.map(IOVA, 0x4000, fd) == 0
        assert client.map(IOVA + 0x3000, 0x2000, fd) == errno.EEXIST
        assert client.map(IOVA - 0x1000, 0x8000, fd) == errno.EEXIST
        assert client.map(0, 0, fd) == errno.EINVAL
        assert client.map((1 << 64) - 0x1000, 0x2000, fd) == errno.EINVAL
        assert client.map(0, 0x1000, fd, flags=0) == errno.EINVAL
        assert client.map(0, 0x1000, fd, flags=7) == errno.EINVAL
        assert client.map(0, 0x8000, fd) == errno.EINVAL  # the file is shorter
        assert client.map(0, 0x1000, fd, offset=0x4000) == errno.EINVAL
        assert client.map(0, 0x1000, fd, offset=12) == errno.EINVAL  # no page begins there
        assert client.map(0, 0x1000, fd, offset=(1 << 64) - 0x1000) == errno.EINVAL
        for wrong in (reader, folder, program, client.socket.fileno()):
            assert client.map(0, 0x1000, wrong) == errno.EINVAL
        assert client.error(Command.DMA_MAP, bytes(32), [fd, fd]) == errno.EINVAL
    finally:
        for each in (fd, reader, writer, folder, program):
            os.close(each)
    # The server closes descriptors in a thread. While it has the client's end, the client is not gone, and the next one is
    # turned away.
    deadline = time.monotonic() + TIMEOUT
    while nic.descriptors() > held:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_unmapping(client: RawClient) -> None:
    fd = memory(0x4000)
    for n in range(4):
        assert client.map(IOVA + n * 0x1000, 0x1000, fd, offset=n * 0x1000) == 0
    os.close(fd)
    assert client.unmap(IOVA + 0x800, 0x1000) == errno.EINVAL  # cuts two
    assert client.unmap(IOVA, 0) == errno.EINVAL
    assert client.unmap(IOVA, 0x2000, flags=1) == errno.ENOTSUP
    assert client.unmap(IOVA, 0x2000) == 0
    assert client.unmap(0, 0x1000) == 0  # nothing there, as the kernel's VFIO has it
    assert client.unmap(0, 0, flags=2) == 0
    assert client.map(IOVA, 0x4000, None) == 0
    assert client.map(IOVA, 0x1000, None) == errno.EEXIST


def test_read_only_memory_stays_so(client: RawClient, nic: Served) -> None:
    """A file that may only be read cannot be mapped for writing."""
    fd = memory(0x1000)
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    try:
        assert client.map(IOVA, 0x1000, reader) == errno.EACCES
        assert client.map(IOVA, 0x1000, reader, flags=1) == 0
    finally:
        os.close(fd)
        os.close(reader)


def test_a_file_cut_short_under_the_device(nic: Served) -> None:
    """The server goes on, the client is cut off, and the function is there for the next one."""
    fd = memory(0x20000)
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        assert client.map(IOVA, 0x20000, fd) == 0
        client.write(0, DMATXCTL.offset, DMATXCTL.pack(TE=1))
        for register, value in ((TDBAL[0], IOVA), (TDLEN[0], 0x10000), (TXDCTL[0], TXDCTL[0].pack(ENABLE=1))):
            client.write(0, register.offset, value)
        deadline = time.monotonic() + TIMEOUT
        while not client.read(0, TXDCTL[0].offset) & TXDCTL[0].ENABLE.mask:
            assert time.monotonic() < deadline
        os.truncate(fd, 0)
        os.close(fd)
        client.write(0, TDT[0].offset, 4000)
        with pytest.raises((Hangup, ConnectionError)):
            while time.monotonic() < deadline:
                client.read(0, STATUS.offset)
    with RawClient(nic.path("pf0")) as client:
        assert client.enable().read(0, STATUS.offset) != 0xFFFF_FFFF


# ---- interrupts -----------------------------------------------------------------------------------------------


def test_vectors(client: RawClient, eventfd: int) -> None:
    assert client.irqs(CONNECT, MSIX, 3, 1, [eventfd]) == 0
    assert client.irqs(FIRE, MSIX, 3, 1) == 0
    assert signalled(eventfd)
    assert os.eventfd_read(eventfd) == 1
    assert client.irqs(IrqSet.BOOL | IrqSet.TRIGGER, MSIX, 2, 3, data=b"\1\0\1") == 0
    assert not signalled(eventfd, 0.05)
    assert client.irqs(CONNECT, MSIX, 3, 1) == 0  # no descriptor: not that one any more
    assert client.irqs(FIRE, MSIX, 3, 1) == 0
    assert not signalled(eventfd, 0.05)


def test_a_masked_vector_waits(client: RawClient, eventfd: int) -> None:
    client.irqs(CONNECT, MSIX, 1, 1, [eventfd])
    client.write(0, GPIE.offset, GPIE.pack(MSIX=1))
    client.write(0, EIMS.offset, 2)
    assert client.irqs(MASK, MSIX, 1, 1) == 0
    client.write(0, EICS.offset, 2)
    assert not signalled(eventfd, 0.05)
    assert client.irqs(UNMASK, MSIX, 1, 1) == 0
    assert signalled(eventfd)


def test_an_interrupt_line_that_is_still_asserted_interrupts_again(client: RawClient, eventfd: int) -> None:
    client.irqs(CONNECT, INTX, 0, 1, [eventfd])
    client.write(0, EIMS.offset, 2)
    client.write(0, EICS.offset, 2)
    assert signalled(eventfd)
    os.eventfd_read(eventfd)
    assert client.irqs(UNMASK, INTX, 0, 1) == 0
    assert signalled(eventfd)
    os.eventfd_read(eventfd)
    client.write(0, 0x800, 2)  # EICR: acknowledged
    assert client.irqs(UNMASK, INTX, 0, 1) == 0
    assert not signalled(eventfd, 0.05)


def test_a_full_eventfd_does_not_stop_the_card(client: RawClient, eventfd: int) -> None:
    os.eventfd_write(eventfd, (1 << 64) - 2)
    client.irqs(CONNECT, MSIX, 0, 1, [eventfd])
    client.write(0, GPIE.offset, GPIE.pack(MSIX=1))
    client.write(0, EIMS.offset, 1)
    for _ in range(3):
        client.write(0, EICS.offset, 1)
        assert client.irqs(FIRE, MSIX, 0, 1) == 0
    assert client.read(0, STATUS.offset) != 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("flags", "index", "start", "count"),
    [
        (FIRE, MSIX, 64, 1), (FIRE, MSIX, 0xFFFF_FFFF, 2), (FIRE, 3, 0, 1), (FIRE, 99, 0, 1), (CONNECT, 99, 0, 0x1000),
        (0, MSIX, 0, 1), (FIRE | MASK, MSIX, 0, 1), (IrqSet.EVENTFD | IrqSet.MASK, MSIX, 0, 1), (3 | 32, MSIX, 0, 1),
        (IrqSet.BOOL | IrqSet.TRIGGER, MSIX, 0, 1), (0x80 | FIRE, MSIX, 0, 1),
    ],
)  # fmt: skip
def test_interrupts_that_are_not_there(
    client: RawClient, flags: int, index: int, start: int, count: int
) -> None:
    assert client.irqs(flags, index, start, count) == errno.EINVAL


def test_only_an_eventfd_is_signalled(client: RawClient, eventfd: int) -> None:
    """A write to a pipe or a socket could wait for ever, with the whole card."""
    reader, writer = os.pipe()
    left, right = socket.socketpair()
    with left, right:
        for wrong in (reader, writer, left.fileno()):
            assert client.irqs(CONNECT, MSIX, 0, 1, [wrong]) == errno.EINVAL
        assert client.irqs(CONNECT, MSIX, 0, 2, [eventfd, writer]) == errno.EINVAL
        assert client.irqs(CONNECT, MSIX, 0, 3, [eventfd, eventfd]) == errno.EINVAL
    os.close(reader)
    os.close(writer)
    assert client.irqs(FIRE, MSIX, 0, 1) == 0
    assert not signalled(eventfd, 0.05)
