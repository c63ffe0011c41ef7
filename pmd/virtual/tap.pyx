# SPDX-License-Identifier: BSD-3-Clause
"""tap: a network interface of the kernel whose other end is this port: ``tap:NAME``.

The interface is made if it does not exist, and is then deleted when the port is closed; one that existed stays. queues: the
number of its queues (1). The port receives complete frames: it announces no offloads, so the kernel segments to the MTU,
finishes checksums and inserts VLAN tags. ``mac`` and ``mtu`` are the interface's.
"""

import errno as codes
import fcntl
import os
import struct

from libc.errno cimport EAGAIN, EBADFD, EINTR, EIO, ENOBUFS, ENOMEM, errno
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc
from posix.unistd cimport write

from dataplane.clock cimport wall_ns
from dataplane.limits cimport ETHERNET_HEADER_BYTES, HEADER_AND_FCS_BYTES, VLAN_TAG_BYTES
from dataplane.machine cimport unlikely
from dataplane.mbuf cimport MBUF_HEADROOM, copy_out, data
from dataplane.mempool cimport free_bulk, free_packets
from dataplane.pmd.virtual.queue cimport VirtualRx, VirtualTx, arrived, arrived_at, mbuf, take, uint16_t, uint32_t, uint64_t

from dataplane.errors import ConfigError, PortError, PortGone
from dataplane.port import PortInfo
from dataplane.pmd.virtual.netdevice import NetDevice, check_name
from dataplane.pmd.virtual.port import VirtualPort


cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t readv(int fd, const iovec *iov, int n)
    ssize_t writev(int fd, const iovec *iov, int n)

cdef enum:
    LONGEST = 65535 + ETHERNET_HEADER_BYTES + VLAN_TAG_BYTES + 1  # the largest MTU; one more shows that a frame is longer
    SEGMENTS = 64

TUNSETIFF, TUNSETQUEUE = 0x400454CA, 0x400454D9
IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE, IFF_TUN_EXCL = 0x2, 0x1000, 0x100, 0x8000
IFF_ATTACH_QUEUE, IFF_DETACH_QUEUE = 0x200, 0x400


cdef class TapRx(VirtualRx):
    cdef int fd
    cdef uint8_t *rest  # what of a frame does not fit the first segment

    def __cinit__(self):
        self.fd = -1
        self.rest = <uint8_t *> malloc(LONGEST)
        if self.rest == NULL:
            raise MemoryError("no memory for a tap's frames")

    def __dealloc__(self):
        free(self.rest)

    cdef uint16_t rx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef iovec parts[2]
        cdef uint64_t now = 0, total = 0
        cdef uint32_t room
        cdef uint16_t got = 0, have
        cdef ssize_t length
        if unlikely(self.fault or self.pool == NULL):
            return 0
        room = self.pool.data_room
        have = take(self, pkts, n)
        parts[1].iov_base = self.rest
        parts[1].iov_len = LONGEST
        while got < have:
            parts[0].iov_base = data_start(pkts[got])
            parts[0].iov_len = room
            length = readv(self.fd, parts, 2)
            if length <= 0:
                if length < 0 and errno == EINTR:
                    continue
                if length == 0 or errno != EAGAIN:
                    self.fault = errno if length < 0 else EIO
                break
            if now == 0:
                now = wall_ns()
            arrived_at(pkts[got], <uint32_t> length, now)
            if unlikely(<uint32_t> length > room) and self._chain(pkts[got], <uint32_t> length, room):
                self.missed += 1
                free_packets(&pkts[got], 1)
                have -= 1
                pkts[got] = pkts[have]
                continue
            total += length
            got += 1
        if got < have:
            free_bulk(self.pool, pkts + got, have - got)
        self.packets += got
        self.bytes += total
        return got

    cdef int _chain(self, mbuf *first, uint32_t length, uint32_t room) noexcept nogil:
        """The rest of a frame whose beginning fills the first segment."""
        cdef mbuf *second
        first.data_len = <uint16_t> room
        if take(self, &second, 1) == 0:
            return -1
        arrived(second, length - room)
        first.next = second
        if self.fill_chain(second, self.rest, length - room):
            return -1
        first.nb_segs += second.nb_segs
        second.nb_segs = 1
        return 0

    cpdef object fault_error(self):
        """The error of the interface, from errno `fault`."""
        return gone(self.port, self.fault)


cdef inline void *data_start(mbuf *m) noexcept nogil:
    """Where Rx puts a frame: behind the whole headroom, whatever data_off the last owner left."""
    return <uint8_t *> m.buf_addr + MBUF_HEADROOM


cdef class TapTx(VirtualTx):
    cdef int fd
    cdef uint8_t *whole  # a packet of very many segments

    def __cinit__(self):
        self.fd = -1
        self.whole = <uint8_t *> malloc(LONGEST)
        if self.whole == NULL:
            raise MemoryError("no memory for a tap's frames")

    def __dealloc__(self):
        free(self.whole)

    cdef uint16_t tx_burst(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint16_t i = 0
        cdef uint64_t total = 0, failed = 0, down = 0
        cdef ssize_t wrote
        if unlikely(self.fault or self.fd < 0):
            return 0
        while i < n:
            wrote = self._write(pkts[i])
            if unlikely(wrote < 0):
                if errno == EINTR:
                    continue
                if errno in (EAGAIN, ENOBUFS, ENOMEM):
                    break
                if errno == EBADFD:
                    self.fault = EBADFD
                    break
                if errno == EIO:
                    down += 1  # the interface is down
                else:
                    failed += 1  # no frame at all (EINVAL)
            else:
                total += pkts[i].pkt_len
            i += 1
        free_packets(pkts, i)
        self.packets += i - failed - down
        self.bytes += total
        self.errors += failed
        self.link_down += down
        return i

    cdef ssize_t _write(self, mbuf *m) noexcept nogil:
        cdef iovec parts[SEGMENTS]
        cdef mbuf *segment = m
        cdef int k = 0
        if m.next == NULL:
            return write(self.fd, data(m), m.data_len)
        if m.nb_segs > SEGMENTS:
            return write(self.fd, self.whole, copy_out(m, 0, self.whole, LONGEST))
        while segment != NULL:
            parts[k].iov_base = data(segment)
            parts[k].iov_len = segment.data_len
            segment = segment.next
            k += 1
        return writev(self.fd, parts, k)

    cpdef object fault_error(self):
        """The error of the interface, from errno `fault`."""
        return gone(self.port, self.fault)


def gone(port, code):
    """The error for a queue of `port` that failed with errno `code`."""
    if code == EBADFD:
        return PortGone(f"{port.name}: interface {port.interface} was deleted: probe it again to make a new one")
    return PortError(f"{port.name}: {os.strerror(code)}: look at 'ip link show {port.interface}' and at dmesg")


class TapPort(VirtualPort):
    """One end of a tap; the kernel has the other. interface: the name it got."""

    def __init__(self, name, interface, queues=1):
        super().__init__(name)
        if not 1 <= queues <= 256:
            raise ConfigError(f"{name}: queues={queues}: must be 1 to 256")
        check_name(name, interface)
        self.info = PortInfo("tap", max_rx_queues=queues, max_tx_queues=queues, max_frame=65521 + HEADER_AND_FCS_BYTES)
        self._fds = []
        self._device = None
        try:
            for _ in range(queues):
                interface = self._open(interface, queues > 1)
            self.interface = interface
            self._device = NetDevice(name, interface)
            self._mtu = self._device.mtu
        except BaseException:
            self._close()
            raise

    def _open(self, interface, several):
        """One more queue of the interface; returns its name, which the kernel chooses for "NAME%d"."""
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            advice = "run 'modprobe tun', or give the container that device"
            if error.errno == codes.EACCES:
                advice = "run as root"
            raise PortError(f"{self.name}: cannot open /dev/net/tun: {error.strerror}: {advice}") from None
        self._fds.append(fd)
        flags = IFF_TAP | IFF_NO_PI | (IFF_MULTI_QUEUE if several else 0)
        try:
            answer = fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", interface.encode(), flags))
        except OSError as error:
            advice = {
                codes.EPERM: "run as root or with CAP_NET_ADMIN, or let an administrator make it for you: "
                f"'ip tuntap add {interface} mode tap user {os.geteuid()}'",
                codes.EBUSY: "another process has it: choose another name",
                codes.EINVAL: "there is an interface of that name which is no tap, or has other queues: choose another",
            }.get(error.errno, "see 'dmesg' for the kernel's reason")
            raise PortError(f"{self.name}: cannot make tap {interface}: {error.strerror}: {advice}") from None
        return answer[:16].rstrip(b"\0").decode()

    def _make_rx(self, index):
        return TapRx(self, index)

    def _make_tx(self, index):
        return TapTx(self, index)

    def _start(self):
        if not self._device.exists():
            raise gone(self, EBADFD)
        super()._start()
        self._device.up()
        polled = max(self.rx_queues, 1)
        for index, fd in enumerate(self._fds):
            if len(self._fds) > 1:  # the kernel must not spread frames over queues that are not polled
                self._attach(fd, index < polled)
            if index < polled:
                self._forget(fd)
        cdef TapRx rx
        cdef TapTx tx
        for rx in self._rx.values():
            rx.fd = self._fds[rx.index]
        for tx in self._tx.values():
            tx.fd = self._fds[min(tx.index, polled - 1)]

    def _stop(self):
        # The kernel gives the numbers of closed descriptors to other files: keep none.
        cdef TapTx tx
        for rx in self._rx.values():
            rx.attach(None)
        for tx in self._tx.values():
            tx.fd = -1

    def _attach(self, fd, on):
        request = struct.pack("16sH22x", b"", IFF_ATTACH_QUEUE if on else IFF_DETACH_QUEUE)
        try:
            fcntl.ioctl(fd, TUNSETQUEUE, request)
        except OSError as error:
            if error.errno != codes.EINVAL:  # it is (EINVAL) as it should be already
                raise PortError(f"{self.name}: cannot switch a queue: {error.strerror}: probe the port again") from None

    def _forget(self, fd):
        """Frames from before the start: a stopped NIC would not have kept them."""
        for _ in range(100_000):
            try:
                os.read(fd, LONGEST)
            except BlockingIOError:
                return
            except OSError as error:
                raise gone(self, error.errno) from None

    def _close(self):
        for fd in self._fds:
            os.close(fd)
        self._fds = []
        if self._device is not None:
            self._device.close()

    @property
    def mac(self):
        """The interface's address."""
        return self._device.mac

    @mac.setter
    def mac(self, value):
        self._device.mac = value

    def _set_mtu(self, value):
        super()._set_mtu(value)
        self._device.mtu = value

    @property
    def link(self):
        """State of the interface."""
        return self._device.link


def open_port(spec):
    """``tap:NAME``, ``tap:NAME,queues=4``."""
    if not spec.target:
        raise ConfigError(f"{spec.text}: a tap has a name: write tap:NAME, or tap:NAME%d for a free number")
    queues = spec.integer("queues", 1)
    spec.done()
    return TapPort(spec.text, spec.target, queues)
