# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees stamps.h: the clock of a port."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/stamps.h" nogil:
    struct mdl_stamps:
        const uint64_t *virtual_ns
        uint64_t at_ns, value, rest, since
        int64_t ppb
        uint32_t incvalue, incperiod, slow, latched
        uint8_t rx_on, tx_on, rx_type, control, message, told
        uint16_t udp_port

    uint64_t mdl_systim(const mdl_stamps *s, uint64_t ns)
    void mdl_settle_systim(mdl_stamps *s, uint64_t now)
    void mdl_count_stampers(int *stampers, int by)
