# SPDX-License-Identifier: BSD-3-Clause
"""A wire whose other end is a tap device: the kernel's network stack at the far side of the cable."""

import contextlib
import errno as codes
import fcntl
import os
import socket
import struct

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport read, write

from dataplane.clock cimport tsc_hz
from dataplane.limits cimport FRAME_MIN_WITHOUT_FCS_BYTES
from dataplane.machine cimport tsc, unlikely

from dataplane.errors import ConfigError, PortError

from dataplane.pmd.datasheet.limits cimport FRAME_MAX_WITHOUT_FCS_BYTES
from dataplane.pmd.model.datapath.engine cimport Engine, Wire
from dataplane.pmd.model.state.bytes cimport mdl_copy
from dataplane.pmd.model.state.fifo cimport (
    BAD_CRC,
    mdl_commit,
    mdl_fifo,
    mdl_fifo_free,
    mdl_fifo_new,
    mdl_fifo_refresh,
    mdl_frame,
    mdl_label,
    mdl_lose,
    mdl_peek,
    mdl_pop,
    mdl_reserve,
)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events, revents

    enum:
        POLLOUT

    int poll(pollfd *fds, unsigned long n, int timeout)

cdef enum:
    TX_BUFFER = 160 << 10
    STEP_FRAMES = 64  # frames a step and direction
    EBADFD = 77

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFMTU = 0x8913, 0x8914, 0x8922
_IFF_UP = 1
_NAME_MAX = 15
_IDLE_US = 2  # how long an empty tap is left alone: a system call costs more than a burst
_LOOK_US = 1000  # how often the device is asked whether it is up


cdef class TapWire(Wire):
    """Joins `port` to the tap device `name`, which is made if it is not there and goes with the wire if it was not.

    up: bring the device up. mtu: set it, None leaves it. netem: what happens to frames on their way, None: nothing. elastic:
    while the port's packet buffer is full the kernel's queue has to wait, and drops what it has no room for; without it the
    frames are lost in front of the buffer and counted there (RXMPC). While the device is down the port has no link: it is
    asked every millisecond. Needs CAP_NET_ADMIN. The kernel's frames are padded to 60 bytes, as a sender would, and those
    with a wrong FCS do not reach it, as behind a card. Raises ConfigError for a name that cannot be, PortError for what the
    kernel refuses.
    """

    cdef readonly Engine port
    cdef readonly str name
    cdef readonly uint64_t to_kernel, from_kernel
    cdef readonly uint64_t refused  # frames that the kernel did not take: the device is down
    cdef readonly uint64_t crc_errors  # frames with a wrong FCS, which the kernel does not see
    cdef readonly bint gone  # the device was removed under us
    cdef readonly bint up  # the device is up
    cdef int _fd
    cdef uint64_t _poll_at, _idle_cycles, _look_at, _look_cycles
    cdef mdl_fifo *_out  # what the kernel is given
    cdef mdl_fifo *_in  # what it has sent: the packet buffer, or what is under way to it
    cdef uint8_t[15868] _stray  # a frame without a place

    def __cinit__(self, Engine port not None, str name not None, netem=None, *, bint up=True, mtu=None, bint elastic=True):
        self._fd = -1
        if port.wire is not None:
            raise ConfigError(f"{port.name} has a wire already: unplug it first")
        if not 1 <= len(name.encode()) <= _NAME_MAX or "/" in name or name != name.strip():
            raise ConfigError(f"{name!r} is no name for a network device: 1 to {_NAME_MAX} bytes without '/' and blanks")
        self._set(elastic, netem)
        self.port, self.name, self.live = port, name, True
        self._out = mdl_fifo_new(TX_BUFFER)
        if self._out == NULL:
            raise MemoryError("no memory for a wire")
        self._fd = _open(name)
        if mtu is not None or up:
            _configure(name, up, mtu)
        self._idle_cycles = <uint64_t> (tsc_hz() * _IDLE_US / 1e6)
        self._look_cycles = <uint64_t> (tsc_hz() * _LOOK_US / 1e6)
        self._look()
        self._in = port.port.rx_fifo if self.inward is None else self.inward.entry
        port.plug(self, self._out if self.outward is None else self.outward.entry, True, True, &self.up)

    def __dealloc__(self):
        if self._fd >= 0 and self._out != NULL:  # without one nothing was opened, and 0 is a descriptor too
            os.close(self._fd)
        mdl_fifo_free(self._out)

    def leads_to(self, Engine engine not None):
        return f"tap {self.name}"

    cdef uint32_t step(self, Engine engine) noexcept nogil:
        cdef uint32_t done = 0
        if self.gone:
            return 0
        if tsc() >= self._look_at:
            self._look()
        if engine.stopped:
            return 0  # what the kernel sends meanwhile waits in its own queue
        if self.outward is not None:
            done += self.outward.carry(self._out, engine.port.now_ns, True)
        done += self._send()
        done += self._receive()
        if self.inward is not None:
            done += self.inward.carry(engine.port.rx_fifo, engine.port.now_ns, self.elastic)
        return done

    cdef void _look(self) noexcept nogil:
        """Whether the device is up. The kernel says that it takes frames only then (since Linux 5.2), wherever it has been moved
        to: a name would have to be looked up in its network namespace."""
        cdef pollfd state
        state.fd, state.events, state.revents = self._fd, POLLOUT, 0
        self._look_at = tsc() + self._look_cycles
        if poll(&state, 1, 0) >= 0:
            self.up = state.revents & POLLOUT != 0

    cdef uint32_t _send(self) noexcept nogil:
        """To the kernel. While it takes no more, frames wait, and then the port does."""
        cdef mdl_frame *frame = mdl_peek(self._out)
        cdef uint32_t done = 0
        while frame != NULL and done < STEP_FRAMES:
            if unlikely(frame.flags & BAD_CRC):
                self.crc_errors += 1
            elif write(self._fd, frame.data, frame.len) >= 0:
                self.to_kernel += 1
            elif errno == EAGAIN or errno == EINTR:
                break
            else:
                self._lost_device(errno)
                self.refused += 1
            mdl_pop(self._out, frame)
            done += 1
            frame = mdl_peek(self._out)
        return done

    cdef uint32_t _receive(self) noexcept nogil:
        cdef mdl_fifo *fifo = self._in
        cdef mdl_frame *frame
        cdef uint8_t *data
        cdef uint32_t done = 0, size
        cdef ssize_t n
        if tsc() < self._poll_at:
            return 0
        mdl_fifo_refresh(fifo)
        while done < STEP_FRAMES:
            frame = mdl_reserve(fifo, FRAME_MAX_WITHOUT_FCS_BYTES)
            if frame == NULL and (self.elastic or self.inward is not None):
                break  # no room: the kernel's queue takes the rest, and drops there
            data = frame.data if frame != NULL else self._stray
            n = read(self._fd, data, FRAME_MAX_WITHOUT_FCS_BYTES)
            if n < 0:
                if errno == EAGAIN:
                    self._poll_at = tsc() + self._idle_cycles
                elif errno != EINTR:
                    self._lost_device(errno)
                break
            size = <uint32_t> n
            if size < FRAME_MIN_WITHOUT_FCS_BYTES:
                memset(data + size, 0, FRAME_MIN_WITHOUT_FCS_BYTES - size)
                size = FRAME_MIN_WITHOUT_FCS_BYTES
            if frame == NULL:  # the longest frame finds no place; this one may
                frame = mdl_reserve(fifo, size)
                if frame != NULL:
                    mdl_copy(frame.data, data, size)
            if frame != NULL:
                mdl_label(frame, size, 0, 0, self.port.port.now_ns)
                mdl_commit(fifo, size)
            else:
                mdl_lose(fifo, data, size, 0)
            self.from_kernel += 1
            done += 1
        return done

    cdef void _lost_device(self, int why) noexcept nogil:
        if why == EBADFD:
            # Removed: for the port that is a cable pulled out.
            self.gone = True
            self.port.port.wired = 0

    def close(self):
        """Unplug. A device that was made for this wire goes away. The caller holds the card's lock."""
        self.port.unplug()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _open(name):
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PortError(f"tap {name}: /dev/net/tun: {error.strerror}: load the tun module, or run as root") from None
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    except OSError as error:
        os.close(fd)
        hint = {
            codes.EPERM: "run as root, or with CAP_NET_ADMIN",
            codes.EBUSY: "another program holds it: choose another name",
            codes.EINVAL: "there is a device of that name which is no tap: choose another name",
        }
        step = hint.get(error.errno, "choose another name")
        raise PortError(f"tap {name}: {error.strerror}: {step}") from None
    return fd


def _configure(name, up, mtu):
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as control:
        try:
            if mtu is not None:
                fcntl.ioctl(control, _SIOCSIFMTU, struct.pack("16si20x", name.encode(), mtu))
            if up:
                flags = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0)), 16)
                fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags[0] | _IFF_UP))
        except OSError as error:
            what = f"an MTU of {mtu}" if mtu is not None else "bringing it up"
            raise PortError(f"tap {name}: {what}: {error.strerror}: see what 'ip link show {name}' says") from None
