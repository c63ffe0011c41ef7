# SPDX-License-Identifier: BSD-3-Clause
"""What the chip can send."""

from libc.stdint cimport uint32_t

from dataplane.mbuf cimport mbuf


# Put zeros behind a frame that is too short for the chip. False if that is impossible.
cdef bint pad(mbuf *m) noexcept nogil
# Whether a context descriptor can say what is asked, and what comes of it is not too long.
cdef bint fits(mbuf *m, uint32_t frame_max) noexcept nogil
# Bytes of the headers that a checksum is to be put into, at least.
cdef uint32_t headers_of(mbuf *m) noexcept nogil
