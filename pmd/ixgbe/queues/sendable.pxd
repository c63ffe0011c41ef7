# SPDX-License-Identifier: BSD-3-Clause
"""Checks whether the chip can send a packet."""

from libc.stdint cimport uint32_t

from dataplane.mbuf cimport mbuf


# Append zeros to a frame that is too short for the chip. False if that is impossible.
cdef bint pad(mbuf *m) noexcept nogil
# Whether a context descriptor can describe the offloads, and the frames are not too long.
cdef bint fits(mbuf *m, uint32_t frame_max) noexcept nogil
# The fewest bytes of the headers whose checksums are computed.
cdef uint32_t headers_of(mbuf *m) noexcept nogil
