# SPDX-License-Identifier: BSD-3-Clause
"""How Cython sees violation.h: codes of a driver's mistakes."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "state/violation.h" nogil:
    enum:
        VIOLATIONS "MDL_VIOLATIONS"
        V_TX_TAIL "MDL_V_TX_TAIL"
        V_RX_TAIL "MDL_V_RX_TAIL"
        V_TX_EMPTY "MDL_V_TX_EMPTY"
        V_TX_NO_EOP "MDL_V_TX_NO_EOP"
        V_TX_LONG "MDL_V_TX_LONG"
        V_TX_SHORT "MDL_V_TX_SHORT"
        V_TX_SEGMENTS "MDL_V_TX_SEGMENTS"
        V_TX_PAYLEN "MDL_V_TX_PAYLEN"
        V_TX_DTYP "MDL_V_TX_DTYP"
        V_TX_CONTEXT "MDL_V_TX_CONTEXT"
        V_TX_QUEUE "MDL_V_TX_QUEUE"
        V_TX_BUFFER "MDL_V_TX_BUFFER"
        V_TX_OFFLOAD "MDL_V_TX_OFFLOAD"
        V_TX_MSS "MDL_V_TX_MSS"
        V_TX_OVER_MAXFRS "MDL_V_TX_OVER_MAXFRS"
        V_TX_SECURITY "MDL_V_TX_SECURITY"
        V_TX_FCOE "MDL_V_TX_FCOE"
        V_STAMP_STOPPED "MDL_V_STAMP_STOPPED"
        V_RX_RSC_TIMER "MDL_V_RX_RSC_TIMER"
        V_TX_STAMP "MDL_V_TX_STAMP"
        V_RX_HEADER "MDL_V_RX_HEADER"
        V_RX_ODD "MDL_V_RX_ODD"
        V_RX_SPLIT "MDL_V_RX_SPLIT"
        V_RX_SMALL_RING "MDL_V_RX_SMALL_RING"
        V_RX_BUFFER_SIZE "MDL_V_RX_BUFFER_SIZE"
        V_RX_CRC "MDL_V_RX_CRC"

    struct mdl_violation:
        uint8_t code
        uint16_t queue
        uint32_t index
        uint64_t value
