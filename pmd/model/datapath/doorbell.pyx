# SPDX-License-Identifier: BSD-3-Clause
"""Tails of one function's queues in memory that another process may map, without the registers that lie between them.

On the chip a queue's tail is 0x18 bytes into its block of 64, behind the base and the length: no page holds tails alone. So
there are pages of their own, laid out as the BAR's, in which only the tails mean something. Whoever maps them can move the
tails of that function, and nothing else.

A tail that moves in memory wakes nobody. So a client that says it will (`wakes`) gets one page more, with a word that is 1
while the card rests, and an eventfd. After each tail that it writes it loads the word, and signals the eventfd if that is
not 0. Only the server writes the word; a client that changes it, or signals for fun, changes how soon its own tails are seen.

The client needs no fence between its store and its load, which its CPU may execute the other way round. Say it loaded 0
although the card was about to set the word: then its store left for memory within the same microsecond (a CPU that is taken
from a thread, too, lets its stores out first). The card sets the word, sleeps 1.85 ms and looks at all tails again before it
rests for longer, so it sees that one.
"""

import ctypes
import fcntl
import mmap
import os

from posix.unistd cimport close

cdef enum:
    PF_BYTES = 0x20000
    VF_BYTES = 0x4000
    VF_QUEUES = 8
    STEP = 0x40 >> 2
    RDT = 0x01018 >> 2
    RDT_HIGH = 0x0D018 >> 2
    TDT = 0x06018 >> 2
    VFRDT = 0x01018 >> 2
    VFTDT = 0x02018 >> 2
    PAGE = 0x1000

PF_AREAS = ((0x01000, 0x1000), (0x06000, 0x2000), (0x0D000, 0x1000))
VF_AREAS = ((0x01000, 0x1000), (0x02000, 0x1000))
_F_ADD_SEALS, _SEAL, _SHRINK, _GROW = 1033, 0x1, 0x2, 0x4


cdef class Doorbells:
    """Of a PF, or of a VF. They count once they are given to an engine (`Engine.attach`).

    wakes: the client wakes a card that rests. Then there are `eventfd` for it, and the word at the start of the last area.
    """

    def __cinit__(self, bint virtual, bint wakes=False):
        cdef uint32_t layout = VF_BYTES if virtual else PF_BYTES
        self.fd = self.eventfd = -1
        self.virtual, self.areas, self.wakes = virtual, VF_AREAS if virtual else PF_AREAS, wakes
        self.size = layout
        if wakes:
            self.areas += ((layout, PAGE),)
            self.size += PAGE
            self.eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        size = self.size
        self.fd = os.memfd_create("dataplane-doorbells", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        # Whoever maps it must not be able to cut it short under the others.
        fcntl.fcntl(self.fd, _F_ADD_SEALS, _SEAL | _SHRINK | _GROW)
        self._map = mmap.mmap(self.fd, size, flags=mmap.MAP_SHARED)
        self._anchor = ctypes.c_char.from_buffer(self._map)
        cdef size_t address = ctypes.addressof(self._anchor)
        self.at = <volatile uint32_t *> address
        self.resting = self.at + (layout >> 2) if wakes else NULL

    cdef volatile uint32_t *rx_tail(self, uint32_t n) noexcept nogil:
        if self.virtual:
            return self.at + VFRDT + n * STEP if n < VF_QUEUES else NULL
        return self.at + (RDT + n * STEP if n < 64 else RDT_HIGH + (n - 64) * STEP)

    cdef volatile uint32_t *tx_tail(self, uint32_t n) noexcept nogil:
        if self.virtual:
            return self.at + VFTDT + n * STEP if n < VF_QUEUES else NULL
        return self.at + TDT + n * STEP

    def read(self, offset, count):
        """Bytes."""
        return self._map[offset : offset + count]

    def write(self, offset, data):
        """Write bytes, where the tails are and between them."""
        self._map[offset : offset + len(data)] = data

    def __dealloc__(self):
        if self.fd > 2:
            close(self.fd)
        if self.eventfd > 2:
            close(self.eventfd)
