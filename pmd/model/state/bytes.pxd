# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees bytes.h: loads, stores and copies."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/bytes.h" nogil:
    void mdl_copy(uint8_t *to, const uint8_t *source, uint32_t n)
    uint16_t mdl_load16(const void *p)
    uint32_t mdl_load32(const void *p)
    uint64_t mdl_load64(const void *p)
    void mdl_store16(void *p, uint16_t v)
    void mdl_store32(void *p, uint32_t v)
    uint16_t mdl_be16(const void *p)
    uint32_t mdl_be32(const void *p)
    uint16_t mdl_swap16 "__builtin_bswap16" (uint16_t v)
    uint32_t mdl_swap32 "__builtin_bswap32" (uint32_t v)
    void mdl_publish64(void *p, uint64_t v)
    void mdl_publish32(void *p, uint32_t v)
    uint32_t mdl_ctz64(uint64_t v)
