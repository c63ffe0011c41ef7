/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The driver's mistakes that the data path reports. violation.py has a text for each code, in this order.
 */
#ifndef DATAPLANE_MODEL_VIOLATION_H
#define DATAPLANE_MODEL_VIOLATION_H

#include <stdint.h>

enum mdl_violation_code {
    MDL_V_TX_TAIL, MDL_V_RX_TAIL, MDL_V_TX_EMPTY, MDL_V_TX_NO_EOP, MDL_V_TX_LONG, MDL_V_TX_SHORT,
    MDL_V_TX_SEGMENTS, MDL_V_TX_PAYLEN, MDL_V_TX_DTYP, MDL_V_TX_CONTEXT, MDL_V_TX_QUEUE, MDL_V_TX_BUFFER,
    MDL_V_TX_OFFLOAD, MDL_V_TX_MSS, MDL_V_RX_HEADER, MDL_V_RX_ODD, MDL_V_RX_SPLIT, MDL_V_RX_SMALL_RING,
    MDL_V_RX_BUFFER_SIZE, MDL_V_RX_CRC, MDL_V_TX_OVER_MAXFRS,
    MDL_V_TX_SECURITY, MDL_V_TX_FCOE, MDL_V_STAMP_STOPPED, MDL_V_RX_RSC_TIMER, MDL_V_TX_STAMP,
};

struct mdl_violation {
    uint8_t code, pad;
    uint16_t queue;
    uint32_t index;
    uint64_t value;
};

#define MDL_VIOLATIONS 64

#endif
