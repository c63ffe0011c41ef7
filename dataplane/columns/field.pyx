# SPDX-License-Identifier: BSD-3-Clause
"""Header fields: their places in a frame, and the loops that gather and scatter them for a burst.

Only a packet's first segment is used: a field that is not wholly in it reads as 0 and is not written.
"""

import numpy as np

from libc.string cimport memcpy, memset

from libc.stdint cimport uint16_t

from dataplane.machine cimport likely
from dataplane.mbuf cimport data

from dataplane.errors import ConfigError


cdef extern from *:
    """
    #include "dataplane.h"
    #include "addresses.h"

    #define DP_GET(bits) uint##bits##_t v; memcpy(&v, p, bits / 8); return __builtin_bswap##bits(v)
    static inline uint64_t dp_be16(const uint8_t *p) { DP_GET(16); }
    static inline uint64_t dp_be32(const uint8_t *p) { DP_GET(32); }
    static inline uint64_t dp_be64(const uint8_t *p) { DP_GET(64); }
    #define DP_PUT(bits) uint##bits##_t w = __builtin_bswap##bits((uint##bits##_t)v); memcpy(p, &w, bits / 8)
    static inline void dp_put16(uint8_t *p, uint64_t v) { DP_PUT(16); }
    static inline void dp_put32(uint8_t *p, uint64_t v) { DP_PUT(32); }
    static inline void dp_put64(uint8_t *p, uint64_t v) { DP_PUT(64); }
    """
    uint64_t dp_be16(const uint8_t *p) nogil
    uint64_t dp_be32(const uint8_t *p) nogil
    uint64_t dp_be64(const uint8_t *p) nogil
    void dp_put16(uint8_t *p, uint64_t v) nogil
    void dp_put32(uint8_t *p, uint64_t v) nogil
    void dp_put64(uint8_t *p, uint64_t v) nogil
    uint32_t dp_look(mbuf **pkts, int n, uint8_t **start) nogil
    void dp_gather48(uint8_t **start, int n, int offset, uint64_t *to) nogil
    void dp_scatter48(uint8_t **start, int n, int offset, const uint64_t *values) nogil
    enum:
        DP_LOOK_FURTHEST
    ctypedef struct addresses_t "struct dp_addresses":
        uint32_t (*look)(mbuf **pkts, int n, uint8_t **start, int offset, uint64_t *first, uint64_t *second) noexcept nogil
        void (*gather)(uint8_t **start, int n, int offset, uint64_t *first, uint64_t *second) noexcept nogil
        void (*scatter)(uint8_t **start, int n, int offset, const uint64_t *first, const uint64_t *second) noexcept nogil
    const addresses_t dp_addresses_plain
    const addresses_t *DP_ADDRESSES_BEST

cdef const addresses_t *addresses = DP_ADDRESSES_BEST

cdef object _u8 = np.dtype(np.uint8)
cdef tuple _DTYPES = tuple(np.dtype(t) for t in ("u1", "u1", "u2", "u4", "u4", "u8", "u8", "u8", "u8"))


cdef inline uint64_t _load(const uint8_t *p, int width) noexcept nogil:
    cdef uint64_t v = 0
    cdef int i
    if width == 1:
        return p[0]
    if width == 2:
        return dp_be16(p)
    if width == 4:
        return dp_be32(p)
    if width == 6:
        return dp_be16(p) << 32 | dp_be32(p + 2)
    if width == 8:
        return dp_be64(p)
    for i in range(width):
        v = v << 8 | p[i]
    return v


cdef inline void _store(uint8_t *p, int width, uint64_t v) noexcept nogil:
    cdef int i
    if width == 1:
        p[0] = <uint8_t> v
    elif width == 2:
        dp_put16(p, v)
    elif width == 4:
        dp_put32(p, v)
    elif width == 6:
        dp_put16(p, v >> 32)
        dp_put32(p + 2, v)
    elif width == 8:
        dp_put64(p, v)
    else:
        for i in range(width):
            p[i] = <uint8_t> (v >> 8 * (width - 1 - i))


cdef void look_at(segments_t *s, mbuf **pkts, int n) noexcept nogil:
    s.n, s.pkts = n, pkts
    s.shortest = dp_look(pkts, n, s.start)


cdef inline void _put_item(void *to, int i, int width, uint64_t v) noexcept nogil:
    if width == 1:
        (<uint8_t *> to)[i] = <uint8_t> v
    elif width == 2:
        (<uint16_t *> to)[i] = <uint16_t> v
    elif width <= 4:
        (<uint32_t *> to)[i] = <uint32_t> v
    else:
        (<uint64_t *> to)[i] = v


cdef inline void _gather_as(const segments_t *s, Field f, int width, void *to) noexcept nogil:
    """The loops; the compiler makes them for each constant `width`."""
    cdef int offset = f.offset, shift = f.shift, n = s.n, i
    cdef uint64_t mask = f.mask, v
    if width == 6 and f.whole and <uint32_t> offset + 8 <= s.shortest:
        dp_gather48(<uint8_t **> s.start, n, offset, <uint64_t *> to)
    elif f.whole and <uint32_t> (offset + width) <= s.shortest:
        for i in range(n):
            _put_item(to, i, width, _load(s.start[i] + offset, width))
    else:
        for i in range(n):
            v = 0
            if likely(offset + width <= s.pkts[i].data_len):
                v = _load(s.start[i] + offset, width) >> shift & mask
            _put_item(to, i, width, v)


cdef void gather(const segments_t *s, Field f, void *to) noexcept nogil:
    cdef int i
    if f.width == 1:
        _gather_as(s, f, 1, to)
    elif f.width == 2:
        _gather_as(s, f, 2, to)
    elif f.width == 4:
        _gather_as(s, f, 4, to)
    elif f.width == 6:
        _gather_as(s, f, 6, to)
    elif f.width <= LARGEST:
        _gather_as(s, f, f.width, to)
    else:
        for i in range(s.n):
            if f.offset + f.width <= s.pkts[i].data_len:
                memcpy(<uint8_t *> to + i * f.width, s.start[i] + f.offset, f.width)
            else:
                memset(<uint8_t *> to + i * f.width, 0, f.width)


cdef inline void _scatter_as(const segments_t *s, int offset, int width, const uint64_t *values) noexcept nogil:
    cdef int i, n = s.n
    if width == 6 and <uint32_t> (offset + width) <= s.shortest:
        dp_scatter48(<uint8_t **> s.start, n, offset, values)
    elif <uint32_t> (offset + width) <= s.shortest:
        for i in range(n):
            _store(s.start[i] + offset, width, values[i])
    else:
        for i in range(n):
            if offset + width <= s.pkts[i].data_len:
                _store(s.start[i] + offset, width, values[i])


cdef void scatter(const segments_t *s, Field f, const uint64_t *values) noexcept nogil:
    cdef uint64_t rest
    cdef uint8_t *p
    cdef int i
    if not f.whole:
        rest = ~(f.mask << f.shift)
        for i in range(s.n):
            if f.offset + f.width <= s.pkts[i].data_len:
                p = s.start[i] + f.offset
                _store(p, f.width, _load(p, f.width) & rest | (values[i] & f.mask) << f.shift)
    elif f.width == 1:
        _scatter_as(s, f.offset, 1, values)
    elif f.width == 2:
        _scatter_as(s, f.offset, 2, values)
    elif f.width == 4:
        _scatter_as(s, f.offset, 4, values)
    elif f.width == 6:
        _scatter_as(s, f.offset, 6, values)
    else:
        _scatter_as(s, f.offset, f.width, values)


cdef bint look_at_two(segments_t *s, mbuf **pkts, int n, Field f, Field g, uint64_t *to_f, uint64_t *to_g) noexcept nogil:
    cdef int offset = min(f.offset, g.offset)
    if not _side_by_side(f, g) or offset > DP_LOOK_FURTHEST:
        look_at(s, pkts, n)
        return False
    s.n, s.pkts = n, pkts
    s.shortest = addresses.look(
        pkts, n, s.start, offset, to_f if f.offset < g.offset else to_g, to_g if f.offset < g.offset else to_f
    )
    return <uint32_t> offset + 16 <= s.shortest


cdef bint gather_two(const segments_t *s, Field f, Field g, uint64_t *to_f, uint64_t *to_g) noexcept nogil:
    if not _neighbours(s, f, g, 16):
        return False
    if f.offset < g.offset:
        addresses.gather(<uint8_t **> s.start, s.n, f.offset, to_f, to_g)
    else:
        addresses.gather(<uint8_t **> s.start, s.n, g.offset, to_g, to_f)
    return True


cdef bint scatter_two(const segments_t *s, Field f, Field g, const uint64_t *of_f, const uint64_t *of_g) noexcept nogil:
    if not _neighbours(s, f, g, 12):
        return False
    if f.offset < g.offset:
        addresses.scatter(<uint8_t **> s.start, s.n, f.offset, of_f, of_g)
    else:
        addresses.scatter(<uint8_t **> s.start, s.n, g.offset, of_g, of_f)
    return True


cdef inline bint _neighbours(const segments_t *s, Field f, Field g, uint32_t room) noexcept nogil:
    """Whether they are two addresses, one behind the other, and every packet has `room` bytes from there on."""
    return _side_by_side(f, g) and <uint32_t> min(f.offset, g.offset) + room <= s.shortest


cdef inline bint _side_by_side(Field f, Field g) noexcept nogil:
    return f.width == 6 and g.width == 6 and f.whole and g.whole and (f.offset + 6 == g.offset or g.offset + 6 == f.offset)


def use_simd(bint on):
    """For tests: whether two addresses are gathered and scattered by vector code, where the CPU has it."""
    global addresses
    addresses = DP_ADDRESSES_BEST if on else &dp_addresses_plain


cdef class Field:
    """The place of a header field in a frame. offset, width: bytes, big-endian; shift, bits: a part of those bytes.

    Its column is of the narrowest unsigned type that holds `width` bytes; wider than 8 bytes (IPv6 addresses) it
    is an array of shape (packets, width) of uint8. Raises ConfigError for a field that cannot be.
    """

    def __init__(self, str name not None, int offset, int width, *, int shift=0, bits=None):
        if self.name is not None:
            raise ConfigError(f"{self!r} is made already, and bursts rely on where it lies: make another Field")
        if offset < 0 or offset > 65535 or width < 1 or width > 64:
            raise ConfigError(f"{name}: offset {offset}, width {width}: must be 0 to 65535 and 1 to 64 bytes")
        if width > LARGEST and (shift or bits is not None):
            raise ConfigError(f"{name}: a field of {width} bytes is a row of bytes: it has no shift and no bits")
        size = 8 * width if bits is None else bits
        if shift < 0 or size < 1 or width <= LARGEST and shift + size > 8 * width:
            raise ConfigError(f"{name}: {size} bits above bit {shift} do not lie in {width} bytes")
        self.name = name
        self.offset = offset
        self.width = width
        self.shift = shift
        self.mask = (1 << min(size, 64)) - 1
        self.whole = size == 8 * width
        self.dtype = _u8 if width > LARGEST else _DTYPES[width]

    def at(self, int shift):
        """The same field `shift` bytes further on: ``ip4.ttl.at(4)`` behind a VLAN tag. Raises ConfigError."""
        if not -65536 < shift < 65536:
            raise ConfigError(f"{self.name}.at({shift}): expected fewer than 65536 bytes")
        cdef Field moved = Field(self.name, self.offset + shift, self.width)
        moved.shift, moved.mask, moved.whole = self.shift, self.mask, self.whole
        return moved

    def __repr__(self):
        return f"<Field {self.name}: {self.width} bytes at {self.offset}>"


cdef uint64_t number_of(mbuf *m, Field f) noexcept nogil:
    if f.offset + f.width > m.data_len:
        return 0
    return _load(data(m) + f.offset, f.width) >> f.shift & f.mask
