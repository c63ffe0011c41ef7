# SPDX-License-Identifier: BSD-3-Clause
"""What the halves of a card share: the register memory of a port, the card's lock, its clock."""

import ctypes
import mmap
import os

from posix.unistd cimport close

from dataplane.clock cimport mono_ns
from dataplane.machine cimport load_acquire, pause

cdef extern from *:
    """
    #include <pthread.h>
    #include <sched.h>
    #include <stdint.h>
    static int dp_try_lock(uint32_t *lock) { return !__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE); }
    static void dp_count(uint32_t *n, int by) { __atomic_add_fetch(n, by, __ATOMIC_ACQ_REL); }
    """
    int try_lock "dp_try_lock" (uint32_t *lock) noexcept nogil
    void count "dp_count" (uint32_t *n, int by) noexcept nogil
    void give_core "sched_yield" () noexcept nogil
    uint64_t this_thread "pthread_self" () noexcept nogil

from dataplane.machine cimport unlock

from dataplane.errors import ConfigError


cdef class RegisterFile:
    """128 KiB of shared memory, one dword a register. `fd` is a memfd that another process may map."""

    def __cinit__(self):
        self.fd = os.memfd_create("dataplane-82599", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, REGISTER_BYTES)
        self._map = mmap.mmap(self.fd, REGISTER_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self._anchor = ctypes.c_char.from_buffer(self._map)
        cdef size_t address = ctypes.addressof(self._anchor)
        self.at = <volatile uint32_t *> address

    @property
    def address(self):
        """Where the register at offset 0 is in this process."""
        return <size_t> self.at

    @property
    def size(self):
        return REGISTER_BYTES

    def peek(self, unsigned int offset):
        """The dword at a byte offset as it is stored: no access rule, no side effect, no lock."""
        if offset >= REGISTER_BYTES or offset & 3:
            raise IndexError(f"no register at {offset:#x}: registers are dwords below {REGISTER_BYTES:#x}")
        return self.at[offset >> 2]

    def poke(self, unsigned int offset, unsigned int value):
        """Store a dword: no access rule, no side effect, no lock."""
        if offset >= REGISTER_BYTES or offset & 3:
            raise IndexError(f"no register at {offset:#x}: registers are dwords below {REGISTER_BYTES:#x}")
        self.at[offset >> 2] = value

    def __dealloc__(self):
        # The mapping goes with its last user; only the descriptor is ours alone.
        if self.fd > 2:
            close(self.fd)


cdef class CardLock:
    """A spin lock for a card. Waiting gives the core away soon: on a small machine the owner may need it.

    Its owner may take it again: the garbage collector can run anything in the middle of a register's side effect,
    the end of an arena that the device has mapped included.
    """

    cdef void take(self) noexcept nogil:
        cdef int spins = 0
        if self.owner == this_thread():
            self.depth += 1
            return
        if not try_lock(&self.word):
            count(&self.waiters, 1)
            while not try_lock(&self.word):
                spins += 1
                if spins % 64:
                    pause()
                else:
                    give_core()
            count(&self.waiters, -1)
        self.owner = this_thread()

    cdef void take_gil(self) noexcept:
        # The owner may be a thread that needs the GIL to get on: never wait while holding it.
        if self.owner != this_thread() and try_lock(&self.word):
            self.owner = this_thread()
            return
        with nogil:
            self.take()

    cdef void give(self) noexcept nogil:
        if self.depth:
            self.depth -= 1
            return
        self.owner = 0
        unlock(&self.word)

    cdef bint is_mine(self) noexcept nogil:
        return self.owner == this_thread()

    cdef bint wanted(self) noexcept nogil:
        return load_acquire(&self.waiters) != 0

    cdef void let_in(self) noexcept nogil:
        cdef int spins = 0
        self.give()
        while load_acquire(&self.waiters) and spins < 10000:
            spins += 1
            if spins % 64:
                pause()
            else:
                give_core()
        self.take()

    def __enter__(self):
        self.take_gil()
        return self

    def __exit__(self, *exc):
        if not self.is_mine():
            raise ConfigError("this thread does not hold the card's lock: use `with lock:`")
        self.give()

    @property
    def locked(self):
        """Whether a thread holds it now."""
        return self.word != 0


cdef class Clock:
    """ns as the card sees them: real time, or virtual time that only `advance_ns` and the card's own steps move."""

    def __cinit__(self, bint virtual=False):
        self.virtual = virtual
        self.ns = 1_000_000_000  # not 0: "never happened" must not be "just now"

    cdef uint64_t now(self) noexcept nogil:
        return self.ns if self.virtual else mono_ns()

    cdef void advance(self, uint64_t ns) noexcept nogil:
        if self.virtual:
            self.ns += ns

    @property
    def now_ns(self):
        """The time in ns; only differences mean something."""
        return self.now()

    def advance_ns(self, uint64_t ns):
        """Let `ns` nanoseconds of virtual time pass. Nothing happens to a real clock."""
        self.advance(ns)


cdef class DataPath:
    """The data path of a port as its controller knows it. This one moves nothing: a port without an engine."""

    def __cinit__(self, *args, **kwargs):
        self.lit = self.link = True

    cdef void adopt(self) noexcept:
        pass

    cdef void written(self, uint32_t offset, uint32_t value) noexcept nogil:
        pass

    cdef void reset(self) noexcept nogil:
        pass

    cdef uint32_t step(self, uint32_t budget) noexcept nogil:
        return 0

    cdef volatile uint32_t *tail_at(self, uint32_t word) noexcept nogil:
        return NULL

    cdef bint wire_up(self) noexcept nogil:
        return self.lit  # as if a loopback plug were in

    def take_violations(self, vf=None):
        """(register, value, section, what was wrong) for each forbidden thing seen since the last call.

        vf: on the queues of that VF, or of the PF (-1); None: on all queues.
        """
        return []
