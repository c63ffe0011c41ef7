# SPDX-License-Identifier: BSD-3-Clause
"""Tails of one function's queues in memory that another process may map, without the registers between them.

In BAR0 a queue's tail is 0x18 bytes into a block of 64, after the base and the length, so no page has only tails. Therefore
the tails have pages of their own, with the layout of the BAR, in which only the tails have a meaning. A process that maps
them can write the tails of that function and no other register.

A store to a tail does not wake the card. A client that offers to (`wakes`) gets one more page, with a word that is 1 while
the card rests, and an eventfd. After each tail that it writes, it loads the word and signals the eventfd if the word is not
0. Only the server writes the word. A client that changes it, or signals without need, only changes the delay of its own tails.

The client needs no fence between its store and its load, although its CPU may reorder them. Suppose it loaded 0 just before
the card set the word: its store then became visible within the same microsecond (a CPU drains its stores also when it
switches threads). The card sets the word, sleeps 1.85 ms, and reads all tails again before it rests for longer.
"""

import ctypes
import fcntl
import mmap
import os

from posix.unistd cimport close

from dataplane.pmd.datasheet.word cimport *

from dataplane.pmd.datasheet import RDT, TDT
from dataplane.pmd.datasheet.vf import VFRDT, VFTDT

cdef enum:
    PF_BYTES = 0x20000
    VF_BYTES = 0x4000
    VF_QUEUES = 8
    STEP = 0x40 >> 2  # dwords from one queue to the next
    PAGE = 0x1000


def _pages(*tails):
    """(offset, size) of the pages that hold the registers of these lines; neighbours are one area."""
    pages = {register.offset // PAGE * PAGE for line in tails for register in line}
    starts = sorted(page for page in pages if page - PAGE not in pages)
    ends = sorted(page + PAGE for page in pages if page + PAGE not in pages)
    return tuple((start, end - start) for start, end in zip(starts, ends, strict=True))


PF_AREAS = _pages(RDT, TDT)
VF_AREAS = _pages(VFRDT, VFTDT)
_F_ADD_SEALS, _SEAL, _SHRINK, _GROW = 1033, 0x1, 0x2, 0x4


cdef class Doorbells:
    """The tails of a PF or of a VF (`virtual`). They are used once an engine has them (`Engine.attach`).

    wakes: the client wakes a card that rests: it gets `eventfd`, and the word at the start of the last area.
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
        # A process that maps it must not be able to shrink it.
        fcntl.fcntl(self.fd, _F_ADD_SEALS, _SEAL | _SHRINK | _GROW)
        self._map = mmap.mmap(self.fd, size, flags=mmap.MAP_SHARED)
        self._anchor = ctypes.c_char.from_buffer(self._map)
        cdef size_t address = ctypes.addressof(self._anchor)
        self.at = <volatile uint32_t *> address
        self.resting = self.at + (layout >> 2) if wakes else NULL

    cdef volatile uint32_t *rx_tail(self, uint32_t n) noexcept nogil:
        if self.virtual:
            return self.at + W_VFRDT + n * STEP if n < VF_QUEUES else NULL
        return self.at + W_RDT + (W_RXQ + n * STEP if n < 64 else W_RXQ_HIGH + (n - 64) * STEP)

    cdef volatile uint32_t *tx_tail(self, uint32_t n) noexcept nogil:
        if self.virtual:
            return self.at + W_VFTDT + n * STEP if n < VF_QUEUES else NULL
        return self.at + W_TXQ + W_TDT + n * STEP

    def read(self, offset, count):
        """`count` bytes at an offset."""
        return self._map[offset : offset + count]

    def write(self, offset, data):
        """Store bytes, in tails and between them."""
        self._map[offset : offset + len(data)] = data

    def __dealloc__(self):
        if self.fd > 2:
            close(self.fd)
        if self.eventfd > 2:
            close(self.eventfd)
