# SPDX-License-Identifier: BSD-3-Clause
"""To which queues a frame goes (datasheet 7.1.2)."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from pmd.model.model cimport mdl_port, mdl_steer
from pmd.model.packet cimport Parsed

cdef enum:
    MAX_TARGETS = 64  # a copy a pool


# MRQC, RETA, the key, 5-tuple, EtherType and SYN filters, decoded from the register file.
cdef void decode_steer(mdl_steer *s, uint32_t *regs) noexcept nogil

# Writes the Rx queues that get a copy to `targets` and returns how many; 0: nobody wants it. `pools`: who gets one, where
# there are pools. Sets *info (RSS type, EtherType filter) and *hash as the descriptor shall have them.
cdef uint32_t choose(
    mdl_port *port, const uint8_t *data, const Parsed *p, uint64_t pools,
    uint8_t *targets, uint32_t *info, uint32_t *hash,
) noexcept nogil
