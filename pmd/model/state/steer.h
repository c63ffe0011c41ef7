/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How the chip selects a queue (datasheet 7.1.2): EtherType, SYN and 5-tuple filters and RSS, decoded from the registers.
 */
#ifndef DATAPLANE_MODEL_STEER_H
#define DATAPLANE_MODEL_STEER_H

#include <stdint.h>

#define MDL_TUPLES 128

struct mdl_tuple { /* one enabled 5-tuple filter; they are sorted by falling priority */
    uint32_t src, dst;
    uint32_t src_mask, dst_mask; /* all ones: compared, 0: ignored */
    uint32_t ports, ports_mask;  /* in the byte order of the packet */
    uint8_t protocol, any_protocol, queue, pool, any_pool, pad[3];
};

struct mdl_steer {
    uint8_t any_etqf, syn, syn_first, mrqe;
    uint8_t syn_queue, hash_in_descriptor, ip_payload_sum, rss;
    uint8_t simple, keyed; /* simple: every frame goes to queue 0, and no descriptor has a hash */
    uint8_t directs, stamps, pad[4]; /* the flow director has memory and is on; TSYNCRXCTL.ENABLE */
    uint32_t fields; /* MRQC[31:16] */
    uint32_t tuples;
    uint8_t key[40]; /* the key that the tables below were made from */
    uint8_t reta[128];
    uint32_t etqf[8], etqs[8];
    struct mdl_tuple tuple[MDL_TUPLES];
    uint32_t toeplitz[36][256]; /* [byte of the input][value] */
};

#endif
