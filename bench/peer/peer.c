/* SPDX-License-Identifier: BSD-3-Clause
 *
 * DPDK measured as ours is: the loops of solo.pyx and micro.pyx on its own driver, mempool and ring.
 * Linked with the machine's libdpdk by bench/peer/child.py, which calls it. Cycles are of the time-stamp counter.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

enum { MOST = 256, MBUFS = 8191, CACHE = 256, LINK_TRIES = 100 };

typedef uint32_t step_fn(void *device, uint32_t budget);

static struct rte_mempool *pool;
static char problem[256];

const char *peer_problem(void) { return problem; }

#define FAIL(...) return (snprintf(problem, sizeof problem, __VA_ARGS__), -1)

int peer_init(int argc, char **argv)
{
    if (rte_eal_init(argc, argv) < 0)
        FAIL("rte_eal_init: %s", rte_strerror(rte_errno));
    pool = rte_pktmbuf_pool_create("peer", MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    if (!pool)
        FAIL("rte_pktmbuf_pool_create: %s", rte_strerror(rte_errno));
    return 0;
}

/* One queue each way. full: Rx checksums and VLAN stripping, Tx checksums, VLAN insertion and packets of several mbufs. */
int peer_open(uint16_t port, uint16_t descriptors, int full)
{
    struct rte_eth_conf conf = {0};
    struct rte_eth_link link;
    int error;
    if (full) {
        conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
        conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
                               RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    }
    if ((error = rte_eth_dev_configure(port, 1, 1, &conf)) ||
        (error = rte_eth_rx_queue_setup(port, 0, descriptors, SOCKET_ID_ANY, NULL, pool)) ||
        (error = rte_eth_tx_queue_setup(port, 0, descriptors, SOCKET_ID_ANY, NULL)) ||
        (error = rte_eth_promiscuous_enable(port)) || (error = rte_eth_dev_start(port)))
        FAIL("port %u: %s", port, rte_strerror(-error));
    for (int i = 0; i < LINK_TRIES; i++) {
        if (!rte_eth_link_get_nowait(port, &link) && link.link_status)
            return 0;
        usleep(20000);
    }
    FAIL("port %u has no link", port);
}

int peer_close(uint16_t port)
{
    int error = rte_eth_dev_stop(port);
    if (error)
        FAIL("port %u: %s", port, rte_strerror(-error));
    return 0;
}

/* Send n copies of a frame. */
int peer_fill(uint16_t port, uint16_t n, const void *frame, uint16_t size)
{
    struct rte_mbuf *pkts[MOST];
    if (n > MOST || rte_pktmbuf_alloc_bulk(pool, pkts, n))
        FAIL("no %u mbufs", n);
    for (uint16_t i = 0; i < n; i++)
        memcpy(rte_pktmbuf_append(pkts[i], size), frame, size);
    if (rte_eth_tx_burst(port, 0, pkts, n) != n)
        FAIL("the queue does not take %u packets", n);
    return 0;
}

/* What an app does between: the frame as it was before the chip filled in checksums, and the wish that it does so again.
 * head: how many bytes go to an mbuf of their own; 0: one mbuf. */
static int mark(struct rte_mbuf **pkts, uint16_t n, const uint8_t *frame, uint16_t size, uint16_t head)
{
    struct rte_mbuf *heads[MOST];
    if (head && rte_pktmbuf_alloc_bulk(pool, heads, n))
        FAIL("no %u mbufs", n);
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = pkts[i];
        memcpy(rte_pktmbuf_mtod(m, void *), frame, size);
        if (head) {
            m = heads[i];
            memcpy(rte_pktmbuf_append(m, head), frame, head);
            rte_pktmbuf_adj(pkts[i], head);
            rte_pktmbuf_chain(m, pkts[i]);
            pkts[i] = m;
        }
        m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_VLAN;
        m->l2_len = 14;
        m->l3_len = 20;
        m->vlan_tci = 5;
    }
    return 0;
}

/* Up to n packets: the vector driver gives 32 a call, whatever it is asked for. */
static inline uint16_t receive(uint16_t port, struct rte_mbuf **pkts, uint16_t n)
{
    uint16_t got = rte_eth_rx_burst(port, 0, pkts, n);
    while (got && got < n) {
        uint16_t more = rte_eth_rx_burst(port, 0, pkts + got, n - got);
        if (!more)
            break;
        got += more;
    }
    return got;
}

/* n packets go round: the device brings them, rx_burst and tx_burst take them out and in. cycles: rx, tx, device, for all
 * packets together. frame: of this one, with offloads, of two mbufs if `head` is not 0; NULL: as it is. Returns how many packets. */
int64_t peer_forward(uint16_t port, step_fn *step, void *device, uint16_t n, uint32_t rounds, const uint8_t *frame,
                     uint16_t size, uint16_t head, uint64_t cycles[3])
{
    struct rte_mbuf *pkts[MOST];
    int64_t packets = 0;
    cycles[0] = cycles[1] = cycles[2] = 0;
    for (uint32_t round = 0; round < rounds; round++) {
        uint64_t start = rte_rdtsc();
        while (step(device, n))
            ;
        uint64_t end = rte_rdtsc();
        cycles[2] += end - start;
        start = rte_rdtsc();
        uint16_t got = receive(port, pkts, n);
        end = rte_rdtsc();
        cycles[0] += end - start;
        if (frame && mark(pkts, got, frame, size, head))
            return -1;
        start = rte_rdtsc();
        uint16_t took = rte_eth_tx_burst(port, 0, pkts, got);
        end = rte_rdtsc();
        cycles[1] += end - start;
        packets += took;
        if (took != got)
            FAIL("the queue took %u of %u packets", took, got);
    }
    return packets;
}

/* The payload that came round last, to be compared; they go on. */
int peer_look(uint16_t port, step_fn *step, void *device, uint16_t n, uint8_t *to, uint16_t *size)
{
    struct rte_mbuf *pkts[MOST];
    while (step(device, n))
        ;
    uint16_t got = receive(port, pkts, n);
    if (!got)
        FAIL("no packet came round");
    *size = rte_pktmbuf_data_len(pkts[0]);
    memcpy(to, rte_pktmbuf_mtod(pkts[0], void *), *size);
    for (uint16_t i = 1; i < got; i++)
        if (rte_pktmbuf_data_len(pkts[i]) != *size || memcmp(rte_pktmbuf_mtod(pkts[i], void *), to, *size))
            FAIL("packet %u of %u is not like the others", i, got);
    if (rte_eth_tx_burst(port, 0, pkts, got) != got)
        FAIL("the queue does not take %u packets", got);
    return got;
}

/* Take out what goes round. Returns how many packets it was. */
int peer_drain(uint16_t port, step_fn *step, void *device)
{
    struct rte_mbuf *pkts[MOST];
    int total = 0;
    uint16_t got;
    do {
        while (step(device, MOST))
            ;
        got = rte_eth_rx_burst(port, 0, pkts, MOST);
        rte_pktmbuf_free_bulk(pkts, got);
        total += got;
    } while (got);
    return total;
}

/* ---- memory ---- */

double peer_mempool(uint32_t n, uint32_t rounds)
{
    void *objs[MOST];
    uint64_t start = rte_rdtsc();
    for (uint32_t i = 0; i < rounds; i++)
        if (!rte_mempool_get_bulk(pool, objs, n))
            rte_mempool_put_bulk(pool, objs, n);
    return (double)(rte_rdtsc() - start) / ((double)n * rounds);
}

double peer_mbufs(uint32_t n, uint32_t rounds)
{
    struct rte_mbuf *pkts[MOST];
    uint64_t start = rte_rdtsc();
    for (uint32_t i = 0; i < rounds; i++)
        if (!rte_pktmbuf_alloc_bulk(pool, pkts, n))
            rte_pktmbuf_free_bulk(pkts, n);
    return (double)(rte_rdtsc() - start) / ((double)n * rounds);
}

double peer_ring(int single, uint32_t n, uint32_t rounds)
{
    static struct rte_ring *rings[2];
    void *objs[MOST] = {0};
    struct rte_ring *ring = rings[!!single];
    if (!ring)
        ring = rings[!!single] =
            rte_ring_create(single ? "spsc" : "mpmc", 1024, SOCKET_ID_ANY, single ? RING_F_SP_ENQ | RING_F_SC_DEQ : 0);
    if (!ring)
        FAIL("rte_ring_create: %s", rte_strerror(rte_errno));
    uint64_t start = rte_rdtsc();
    for (uint32_t i = 0; i < rounds; i++) {
        rte_ring_enqueue_burst(ring, objs, n, NULL);
        rte_ring_dequeue_burst(ring, objs, n, NULL);
    }
    return (double)(rte_rdtsc() - start) / ((double)n * rounds);
}
