# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a card's registers."""

from libc.stdint cimport uint32_t

cdef enum:
    KNOWN = 1
    READS = 2  # a RegisterBlock has a method for reads
    WRITES = 4
    NATIVE = 8  # an interrupt register: compiled side effects
    TAIL = 16


# What an access does to the bits of one register: `access.AccessRule` in C.
cdef struct access_masks_t:
    uint32_t canonical  # number of the dword
    uint32_t write
    uint32_t set
    uint32_t clear
    uint32_t pulse
    uint32_t read_clears
    uint32_t read_sets
    uint32_t readable
    uint32_t flags  # 0: no register has this address


cdef class RuleTable:
    cdef access_masks_t *at  # REGISTER_WORDS rules, by dword
