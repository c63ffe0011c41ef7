# SPDX-License-Identifier: BSD-3-Clause
"""The mbuf: what is too long to inline."""

from libc.string cimport memcpy


cdef uint32_t copy_out(const mbuf *m, uint32_t offset, void *to, uint32_t length) noexcept nogil:
    cdef uint8_t *out = <uint8_t *> to
    cdef uint32_t done = 0, here
    while m != NULL and done < length:
        if offset >= m.data_len:
            offset -= m.data_len
        else:
            here = min(<uint32_t> m.data_len - offset, length - done)
            memcpy(out + done, data(m) + offset, here)
            done += here
            offset = 0
        m = m.next
    return done
