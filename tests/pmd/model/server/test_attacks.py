# SPDX-License-Identifier: BSD-3-Clause
"""Attacks by one client to end, hang, starve or leak a server that others use, each alone.

`test_abuse.py` does all of it at once; `test_fuzz.py` makes up others.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rawclient import TIMEOUT, RawClient, memory
from served import Served

from dataplane.memory.hugepage import free_hugepages
from dataplane.pmd.datasheet import STATUS, TDBAL, TDLEN, TDT, TXDCTL, pci
from dataplane.pmd.datasheet.registers.tx import DMATXCTL
from dataplane.pmd.vfio_user.framing import Hangup
from dataplane.pmd.vfio_user.messages import Command, IrqSet, MessageHeader, RegionAccess, RegionInfo

HUGE, IOVA = 2 << 20, 0x4000_0000
MAPS = 16000
MFD_HUGETLB = 0x4
CONNECT, FIRE = IrqSet.EVENTFD | IrqSet.TRIGGER, IrqSet.NONE | IrqSet.TRIGGER
MSIX = 2


@pytest.fixture
def nic() -> Iterator[Served]:
    with Served("--vfs", "1", quiet=True) as served:
        yield served


@pytest.fixture
def neighbour(nic: Served) -> Iterator[RawClient]:
    with RawClient(nic.path("pf1")) as client:
        yield client.enable()


def lives(neighbour: RawClient) -> None:
    assert neighbour.read(0, STATUS.offset) != 0xFFFF_FFFF
    assert neighbour.read(7, 0) == 0x10FB8086


def mappings(nic: Served) -> int:
    return len(Path(f"/proc/{nic.process.pid}/maps").read_text().splitlines())


def cpu_seconds(nic: Served) -> float:
    fields = Path(f"/proc/{nic.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send_from(client: RawClient, address: int) -> None:
    """The device reads a descriptor at that IOVA: ring and frame are there."""
    client.write(0, DMATXCTL.offset, 1)
    client.write(0, TDBAL[0].offset, address)
    client.write(0, TDLEN[0].offset, 128)
    client.write(0, TXDCTL[0].offset, 1 << 25)
    client.write(0, TDT[0].offset, 1)


@pytest.fixture
def hugepages() -> int:
    if free_hugepages(HUGE) < 4:
        pytest.skip("needs 4 free hugepages of 2 MiB: echo 8 >/proc/sys/vm/nr_hugepages")
    return os.memfd_create("huge", MFD_HUGETLB | 21 << 26)


# ---- end it -------------------------------------------------------------------------------------------------------


def test_a_hugepage_of_which_only_a_part_is_mapped_is_cut_away(
    nic: Served, neighbour: RawClient, hugepages: int
) -> None:
    os.truncate(hugepages, HUGE)
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        assert client.map(IOVA, 0x3000, hugepages, offset=0x1000) == 0
        os.truncate(hugepages, 0)
        os.close(hugepages)
        send_from(client, IOVA)
        with pytest.raises(Hangup):
            for _ in range(1000):
                client.read(0, STATUS.offset)
                time.sleep(0.01)
    lives(neighbour)


def test_mapping_a_hugepage_again_and_again_leaks_nothing(
    nic: Served, neighbour: RawClient, hugepages: int
) -> None:
    os.truncate(hugepages, HUGE)
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        assert client.map(IOVA, 0x1000, hugepages) == 0
        before = mappings(nic)
        for _ in range(50):
            assert client.unmap(IOVA, 0x1000) == 0
            assert client.map(IOVA, 0x1000, hugepages) == 0
        deadline = time.monotonic() + TIMEOUT
        while mappings(nic) > before + 8:
            assert time.monotonic() < deadline, "each unmap leaves a mapping behind"
            time.sleep(0.05)
    os.close(hugepages)
    lives(neighbour)


def test_the_address_space_is_not_used_up(nic: Served, neighbour: RawClient) -> None:
    hole = memory(1 << 42)
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        said = [client.map(n << 42, 1 << 42, hole) for n in range(1, 64)]
        assert set(said) == {errno.ENOMEM}
        said = [client.map(n << 34, 1 << 34, hole) for n in range(1, 64)]
        assert said.count(0) == 8, "128 GiB are a client's"
        assert client.unmap(1 << 34, 1 << 34) == 0
        deadline = time.monotonic() + TIMEOUT
        while client.map(1 << 34, 1 << 34, hole):
            assert time.monotonic() < deadline, "what was unmapped still counts"
    os.close(hole)
    lives(neighbour)


def test_no_descriptors_are_held_in_half_a_message(nic: Served, neighbour: RawClient) -> None:
    fds, before = [os.eventfd(0) for _ in range(64)], nic.descriptors()
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        with contextlib.suppress(Hangup, ConnectionError):
            for n in range(40):
                client.raw(bytes([n, 0, 0, 0]) if n else MessageHeader(1, 2, 4096, 0, 0).pack(), fds * 3)
                time.sleep(0.005)
            client.answer()
        assert nic.descriptors() < before + 80
        assert neighbour.irqs(CONNECT, MSIX, 0, 16, fds[:16]) == 0
    for fd in fds:
        os.close(fd)
    lives(neighbour)


def test_a_neighbours_interrupts_when_no_descriptor_is_left(nic: Served, neighbour: RawClient) -> None:
    """One request is refused, whichever client has all descriptors, and nothing else happens."""
    limits = resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE)
    fds = [os.eventfd(0) for _ in range(4)]
    resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE, (nic.descriptors() + 5, limits[1]))
    assert neighbour.irqs(CONNECT, MSIX, 0, 4, fds) == errno.EMFILE
    lives(neighbour)
    resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE, limits)
    assert neighbour.irqs(CONNECT, MSIX, 0, 4, fds) == 0
    for fd in fds:
        os.close(fd)


def test_doorbells_when_no_descriptor_is_left(nic: Served, neighbour: RawClient) -> None:
    limits = resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE, (nic.descriptors(), limits[1]))
    ask = RegionInfo(256, 0, 9, 0, 0, 0).pack()
    assert neighbour.error(Command.GET_REGION_INFO, ask) == errno.EMFILE
    lives(neighbour)
    resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE, limits)
    with neighbour.ask(Command.GET_REGION_INFO, ask) as reply:
        assert len(reply.descriptors) == 1


# ---- hang it ------------------------------------------------------------------------------------------------------


def test_an_eventfd_that_is_filled_while_it_is_signalled(nic: Served, neighbour: RawClient) -> None:
    """Between a look for room and the write: within some rounds it is hit."""
    fd, stop = os.eventfd(0, os.EFD_NONBLOCK), threading.Event()
    plain = os.eventfd(0)  # blocks, as the attacker chooses
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        assert client.irqs(CONNECT, MSIX, 0, 1, [plain]) == 0
        message = MessageHeader.of_command(1, Command.SET_IRQS, 20, True).pack()
        message += struct.pack("<IIIII", 20, FIRE, MSIX, 0, 1)

        def flood() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    client.socket.sendall(message * 8)

        flooding = threading.Thread(target=flood)
        flooding.start()
        try:
            for _ in range(150):
                os.eventfd_read(plain)
                time.sleep(0.0005)
                with contextlib.suppress(BlockingIOError):
                    _fill(plain)
                began = time.monotonic()
                neighbour.read(0, STATUS.offset)
                assert time.monotonic() < began + TIMEOUT / 2
        finally:
            stop.set()
            with contextlib.suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)
            flooding.join()
    os.close(fd)
    os.close(plain)


def _fill(fd: int) -> None:
    """The counter is full, however much was added meanwhile: none of our own writes waits."""
    os.set_blocking(fd, False)
    try:
        step = 1 << 63
        while step:
            try:
                os.eventfd_write(fd, step)
            except BlockingIOError:
                step >>= 1
    finally:
        os.set_blocking(fd, True)


@contextlib.contextmanager
def lingering(seconds: int) -> Iterator[int]:
    """A socket whose last close takes that long: its reader never reads. Who uses it closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        end = socket.create_connection(server.getsockname())
        other, _ = server.accept()
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
        end.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                end.send(bytes(1 << 16))
        with other:
            yield end.detach()


def send_and_close(client: RawClient, descriptor: int) -> None:
    """The server has it before it has the whole message. Were ours the last to be closed, we would be who waits."""
    message = MessageHeader.of_command(9, Command.GET_INFO, 16).pack() + bytes(16)
    client.raw(message[:8], [descriptor])
    os.close(descriptor)
    client.raw(message[8:])


def test_a_descriptor_whose_end_takes_a_minute(nic: Served, neighbour: RawClient) -> None:
    with lingering(60) as descriptor, RawClient(nic.path("pf0")) as client:
        client.enable()
        began = time.monotonic()
        send_and_close(client, descriptor)
        client.answer().close()
        lives(neighbour)
        assert client.read(0, STATUS.offset) != 0xFFFF_FFFF
        assert time.monotonic() < began + TIMEOUT / 2


def test_descriptors_that_close_slowly_are_waited_for(nic: Served, neighbour: RawClient) -> None:
    """They count until they are closed. A client does not know when that is: it is held up, and not cut off."""
    with lingering(1) as descriptor, RawClient(nic.path("pf0")) as client:
        client.enable()
        send_and_close(client, descriptor)
        client.answer().close()
        eventfd, before = os.eventfd(0), nic.descriptors()
        for _ in range(200):
            assert client.error(Command.GET_INFO, bytes(16), [eventfd]) == 0
            assert nic.descriptors() < before + 80
        os.close(eventfd)
        lives(neighbour)


def test_descriptors_that_do_not_close_end_their_client(nic: Served, neighbour: RawClient) -> None:
    with lingering(60) as descriptor, RawClient(nic.path("pf0")) as client:
        client.enable()
        send_and_close(client, descriptor)
        client.answer().close()
        eventfd, began, cpu = os.eventfd(0), time.monotonic(), cpu_seconds(nic)
        with pytest.raises(Hangup):
            for _ in range(200):
                client.error(Command.GET_INFO, bytes(16), [eventfd])
                lives(neighbour)
        os.close(eventfd)
        assert time.monotonic() < began + TIMEOUT
        assert cpu_seconds(nic) < cpu + 2.5, "it spins: awake every millisecond it takes 0.2 s"
        lives(neighbour)


# ---- starve it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [68, 16 << 10])
def test_a_write_of_many_registers_is_refused(nic: Served, size: int) -> None:
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        body = RegionAccess(0, 0, size).pack() + bytes(size)
        assert client.error(Command.REGION_WRITE, body) == errno.EINVAL
        assert client.write(0, STATUS.offset, 0, 64) == 0


def test_a_message_that_is_too_large_is_cut_off(nic: Served, neighbour: RawClient) -> None:
    with RawClient(nic.path("pf0")) as client:
        client.enable()
        with pytest.raises((Hangup, ConnectionError)):
            client.raw(MessageHeader(1, 10, 512 << 10, 0, 0).pack() + bytes(512 << 10))
            client.answer()
    lives(neighbour)


def test_sixteen_thousand_maps_come_and_go_in_an_instant(nic: Served, neighbour: RawClient) -> None:
    """The last costs no more than the first. One message removes them all, so a neighbour waits for all of them."""
    fd, some = memory(0x2000), 500

    def add(first: int, count: int) -> float:
        """Seconds of the server's CPU for these maps."""
        began = cpu_seconds(nic)
        for n in range(first, first + count):
            assert client.map(n << 13, 0x1000, fd, offset=n % 2 << 12) == 0
        return cpu_seconds(nic) - began

    with RawClient(nic.path("pf0")) as client:
        client.enable()
        early = add(0, some)
        add(some, MAPS - 2 * some)
        late = add(MAPS - some, some)
        assert late < 3 * early + 0.05, "a map costs more the more there are"
        used = cpu_seconds(nic)
        assert client.unmap(0, MAPS << 13) == 0
        lives(neighbour)
        assert cpu_seconds(nic) < used + 1
        assert client.map(IOVA, 0x1000, fd) == 0
    os.close(fd)


# ---- spin it ------------------------------------------------------------------------------------------------------


def test_a_client_calls_when_no_descriptor_is_left() -> None:
    with Served("--vfs", "1") as nic, RawClient(nic.path("pf1")) as neighbour:
        neighbour.enable()
        limits = resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE, (nic.descriptors(), limits[1]))
        callers = []
        for _ in range(5):
            callers.append(socket.socket(socket.AF_UNIX))
            callers[-1].connect(str(nic.path("pf0")))
        time.sleep(0.3)
        before = cpu_seconds(nic)
        time.sleep(1)
        assert cpu_seconds(nic) < before + 0.5
        lives(neighbour)
        resource.prlimit(nic.process.pid, resource.RLIMIT_NOFILE, limits)
        for caller in callers:
            caller.close()
        deadline = time.monotonic() + TIMEOUT
        while True:
            with contextlib.suppress(Hangup, ConnectionError), RawClient(nic.path("pf0")) as client:
                client.enable()
                break
            assert time.monotonic() < deadline, "it listens no more"
            time.sleep(0.1)
        status, _, said = nic.stop()
        assert status == 0
        assert len(said.splitlines()) < 30, said[:2000]


def test_calling_again_and_again_fills_no_log() -> None:
    with Served("--vfs", "1") as nic, RawClient(nic.path("pf1")) as neighbour:
        neighbour.enable()
        for _ in range(300):
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(str(nic.path("pf0")))
                caller.sendall(bytes(16))
        lives(neighbour)
        status, _, said = nic.stop()
        assert status == 0
        assert len(said.splitlines()) < 40, said[:2000]


def test_sigterm_ends_it_within_a_second_while_clients_flood(nic: Served) -> None:
    message = MessageHeader.of_command(1, Command.REGION_WRITE, 20, True).pack()
    message += RegionAccess(pci.COMMAND, 7, 4).pack() + bytes(4)
    with RawClient(nic.path("pf0")) as client:
        client.enable()

        def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client.socket.sendall(message * 64)

        flooding = threading.Thread(target=flood)
        flooding.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert nic.stop()[0] == 0
        assert time.monotonic() < began + 5  # 1 s on a machine that has time for it
        flooding.join()
