# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a card's registers, copied from the datasheet's tables."""

from libc.stdlib cimport calloc, free

from dataplane.pmd.model.registers import access
from dataplane.pmd.model.shared cimport REGISTER_WORDS


cdef class RuleTable:
    """The effect of an access to each dword of BAR0. The ports of a card share one.

    Most of its 0x8000 rules are empty, and pages of empty rules take no memory.
    """

    def __cinit__(self):
        cdef access_masks_t *rule
        self.at = <access_masks_t *> calloc(REGISTER_WORDS, sizeof(access_masks_t))
        if self.at == NULL:
            raise MemoryError("no memory for the rules of a card's registers")
        for line in access.rules():
            rule = &self.at[<uint32_t> line.offset >> 2]
            rule.canonical = <uint32_t> line.canonical >> 2
            rule.write, rule.set, rule.clear, rule.pulse = line.write, line.set, line.clear, line.pulse
            rule.read_clears, rule.read_sets, rule.readable = line.read_clears, line.read_sets, line.readable
            rule.flags = KNOWN
            if line.name in access.NATIVE:
                rule.flags |= NATIVE
            if line.name in ("RDT", "TDT"):
                rule.flags |= TAIL

    def __dealloc__(self):
        free(self.at)
