# SPDX-License-Identifier: BSD-3-Clause
"""A wire whose other end is a tap device: the kernel's network stack at the far side of the cable."""

import contextlib
import errno as codes
import fcntl
import os
import socket
import struct

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset
from posix.unistd cimport read, write

from dataplane.clock cimport tsc_hz
from dataplane.machine cimport tsc

from dataplane.errors import ConfigError, PortError

from dataplane.pmd.model.engine cimport Engine, Wire
from dataplane.pmd.model.model cimport (
    mdl_commit,
    mdl_fifo,
    mdl_fifo_free,
    mdl_fifo_new,
    mdl_fifo_refresh,
    mdl_frame,
    mdl_label,
    mdl_peek,
    mdl_pop,
    mdl_reserve,
)

cdef enum:
    TX_BUFFER = 160 << 10
    PUMP = 64  # frames a step and direction
    FRAME_MIN = 60
    FRAME_MAX = 15868
    EBADFD = 77

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFMTU = 0x8913, 0x8914, 0x8922
_IFF_UP = 1
_NAME_MAX = 15
_IDLE_US = 2  # how long an empty tap is left alone: a system call costs more than a burst


cdef class TapWire(Wire):
    """Joins `port` to the tap device `name`, which is made if it is not there and goes with the wire if it was not.

    up: bring the device up. mtu: set it, None leaves it. Needs CAP_NET_ADMIN. The kernel's frames are padded to 60 bytes,
    as a sender would. Raises ConfigError for a name that cannot be, PortError for what the kernel refuses.
    """

    cdef readonly Engine port
    cdef readonly str name
    cdef readonly uint64_t to_kernel, from_kernel
    cdef readonly uint64_t refused  # frames that the kernel did not take: the device is down
    cdef readonly bint gone  # the device was removed under us
    cdef int _fd
    cdef uint64_t _poll_at, _idle_cycles
    cdef mdl_fifo *_out

    def __cinit__(self, Engine port not None, str name not None, *, bint up=True, mtu=None):
        self._fd = -1
        if port.wire is not None:
            raise ConfigError(f"{port.name} has a wire already: unplug it first")
        if not 1 <= len(name.encode()) <= _NAME_MAX or "/" in name or name != name.strip():
            raise ConfigError(f"{name!r} is no name for a network device: 1 to {_NAME_MAX} bytes without '/' and blanks")
        self.port, self.name = port, name
        self._out = mdl_fifo_new(TX_BUFFER)
        if self._out == NULL:
            raise MemoryError("no memory for a wire")
        self._fd = _open(name)
        if mtu is not None or up:
            _configure(name, up, mtu)
        self._idle_cycles = <uint64_t> (tsc_hz() * _IDLE_US / 1e6)
        port.plug(self, self._out, True, True, NULL)

    def __dealloc__(self):
        if self._fd >= 0 and self._out != NULL:  # without one nothing was opened, and 0 is a descriptor too
            os.close(self._fd)
        mdl_fifo_free(self._out)

    cdef uint32_t pump(self, Engine engine) noexcept nogil:
        if self.gone:
            return 0
        return self._send() + self._receive()

    cdef uint32_t _send(self) noexcept nogil:
        """To the kernel. While it takes no more, frames wait, and then the port does."""
        cdef mdl_frame *frame = mdl_peek(self._out)
        cdef uint32_t done = 0
        while frame != NULL and done < PUMP:
            if write(self._fd, frame.data, frame.len) >= 0:
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
        cdef mdl_fifo *fifo = self.port.port.rx_fifo
        cdef mdl_frame *frame
        cdef uint32_t done = 0, size
        cdef ssize_t n
        if tsc() < self._poll_at:
            return 0
        mdl_fifo_refresh(fifo)
        while done < PUMP:
            frame = mdl_reserve(fifo, FRAME_MAX)
            if frame == NULL:
                break  # the packet buffer is full: the kernel's queue takes the rest, and drops there
            n = read(self._fd, frame.data, FRAME_MAX)
            if n < 0:
                if errno == EAGAIN:
                    self._poll_at = tsc() + self._idle_cycles
                elif errno != EINTR:
                    self._lost_device(errno)
                break
            size = <uint32_t> n
            if size < FRAME_MIN:
                memset(frame.data + size, 0, FRAME_MIN - size)
                size = FRAME_MIN
            mdl_label(frame, size, 0, 0, self.port.port.now_ns)
            mdl_commit(fifo, size)
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
