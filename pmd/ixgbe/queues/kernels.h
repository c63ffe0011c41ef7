/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Which kernels there are, the narrowest first, and which of them this CPU can run.
 */
#ifndef IXGBE_KERNELS_H
#define IXGBE_KERNELS_H

#include "scalar.h"
#if defined(__x86_64__)
#include "avx512.h" /* and with it the narrower ones */
#endif

static const struct ixgbe_kernels ixgbe_kernels[] = {
    {"scalar", ixgbe_scalar_take, ixgbe_scalar_arm, ixgbe_scalar_put},
#if defined(__x86_64__)
    {"sse4.2", ixgbe_sse42_take, ixgbe_sse42_arm, ixgbe_sse42_put},
    {"avx2", ixgbe_avx2_take, ixgbe_sse42_arm, ixgbe_avx2_put},
    {"avx512", ixgbe_avx512_take, ixgbe_sse42_arm, ixgbe_avx512_put},
#endif
};

/* For a queue whose packets the NIC merges: descriptors are not written back in order, and no kernel may look further than one. */
static uint32_t ixgbe_take_none(const union hw_rx_desc *ring, struct dp_mbuf **sw, struct dp_mbuf **pkts, uint32_t n,
                                const struct ixgbe_rx_meta *meta)
{
    (void)ring, (void)sw, (void)pkts, (void)n, (void)meta;
    return 0;
}

static const struct ixgbe_kernels ixgbe_one_by_one = {"one by one", ixgbe_take_none, ixgbe_scalar_arm, ixgbe_scalar_put};

#define IXGBE_KERNELS (sizeof(ixgbe_kernels) / sizeof(ixgbe_kernels[0]))

static inline int ixgbe_runs_here(unsigned width)
{
#if defined(__x86_64__)
    switch (width) {
    case 1: return __builtin_cpu_supports("sse4.2");
    case 2: return __builtin_cpu_supports("avx2");
    case 3: return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    }
#endif
    return width == 0;
}

/* Whether it pays: the first generations with vectors of 64 bytes (those without VBMI2) clock lower while they use them. */
static inline int ixgbe_pays_here(unsigned width)
{
#if defined(__x86_64__)
    if (width == 3 && !__builtin_cpu_supports("avx512vbmi2"))
        return 0;
#endif
    return ixgbe_runs_here(width);
}

#endif
