# SPDX-License-Identifier: BSD-3-Clause
"""A BAR of a real card in memory: each register is read or written by one access of its width, in the program's order."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.types cimport off_t

import errno
import os
import stat

from dataplane.errors import DeviceError, DeviceGone

cdef extern from "errno.h" nogil:
    int read_errno "errno"


cdef class Window:
    """`size` bytes of `fd` from `offset` on, mapped. `name` is what messages call it. Raises DeviceError."""

    cdef readonly str name
    cdef readonly size_t size
    cdef uintptr_t _base

    def __cinit__(self, int fd, offset, size_t size, str name):
        cdef void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, <off_t> offset)
        if at == MAP_FAILED:
            code = read_errno
            raise DeviceError(
                f"{name}: {size} bytes of registers cannot be mapped ({errno.errorcode.get(code, code)}: {os.strerror(code)})"
            )
        self.name, self.size, self._base = name, size, <uintptr_t> at
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and offset + size > status.st_size:
            # A read behind its end would be a SIGBUS.
            raise DeviceError(f"{name}: no {size} bytes of registers at {offset} of a file of {status.st_size}")

    cdef uintptr_t _at(self, offset, size_t width=4) except 0:
        if self._base == 0:
            raise DeviceGone(f"{self.name} is closed: open it again")
        if not 0 <= offset <= <object> self.size - <object> width or offset & (width - 1):
            raise DeviceError(
                f"{self.name}: no register of {width * 8} bits at {offset:#x}: expected a multiple of {width} below {self.size:#x}"
            )
        return self._base + <uintptr_t> offset

    def read32(self, offset):
        """The register at a byte offset."""
        cdef volatile uint32_t *register = <volatile uint32_t *> self._at(offset)
        return register[0]

    def write32(self, offset, uint32_t value):
        """Write the register at a byte offset."""
        cdef volatile uint32_t *register = <volatile uint32_t *> self._at(offset)
        register[0] = value

    def read8(self, offset):
        """The 8-bit register at a byte offset."""
        cdef volatile uint8_t *register = <volatile uint8_t *> self._at(offset, 1)
        return register[0]

    def write8(self, offset, uint8_t value):
        """Write the 8-bit register at a byte offset."""
        cdef volatile uint8_t *register = <volatile uint8_t *> self._at(offset, 1)
        register[0] = value

    def read16(self, offset):
        """The 16-bit register at a byte offset."""
        cdef volatile uint16_t *register = <volatile uint16_t *> self._at(offset, 2)
        return register[0]

    def write16(self, offset, uint16_t value):
        """Write the 16-bit register at a byte offset."""
        cdef volatile uint16_t *register = <volatile uint16_t *> self._at(offset, 2)
        register[0] = value

    def read64(self, offset):
        """The 64-bit register at a byte offset."""
        cdef volatile uint64_t *register = <volatile uint64_t *> self._at(offset, 8)
        return register[0]

    def write64(self, offset, uint64_t value):
        """Write the 64-bit register at a byte offset."""
        cdef volatile uint64_t *register = <volatile uint64_t *> self._at(offset, 8)
        register[0] = value

    def address(self, offset):
        """Where the register is in this process's memory."""
        return self._at(offset)

    def close(self):
        """Unmap. No caller may use an address of it any more."""
        if self._base:
            munmap(<void *> self._base, self.size)
            self._base = 0

    def __dealloc__(self):
        self.close()
