/* SPDX-License-Identifier: BSD-3-Clause
 *
 * DPDK's IEEE 1588 calls on its first port: the clock is read, set and adjusted; then each stamp of a received packet is
 * printed. One line each on standard output; a line that begins with "problem" ends it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

enum { PORT = 0, DESCRIPTORS = 128, BURST = 32, STAMPS = 5, LINK_TRIES = 250, LOOKS = 200000 };

static void problem(const char *what, int error)
{
    printf("problem %s: %s\n", what, strerror(-error));
    exit(1);
}

#define MUST(call)                \
    do {                          \
        int error_ = (call);      \
        if (error_)               \
            problem(#call, error_); \
    } while (0)

static int64_t ns_of(const struct timespec *t) { return t->tv_sec * INT64_C(1000000000) + t->tv_nsec; }

static int64_t now(void)
{
    struct timespec t;
    MUST(rte_eth_timesync_read_time(PORT, &t));
    return ns_of(&t);
}

static int64_t host(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return ns_of(&t);
}

static void start(struct rte_mempool *pool)
{
    struct rte_eth_conf conf = {0};
    struct rte_eth_link link;
    MUST(rte_eth_dev_configure(PORT, 1, 1, &conf));
    MUST(rte_eth_rx_queue_setup(PORT, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, pool));
    MUST(rte_eth_tx_queue_setup(PORT, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL));
    MUST(rte_eth_promiscuous_enable(PORT));
    MUST(rte_eth_dev_start(PORT));
    for (int i = 0; i < LINK_TRIES; i++) {
        if (!rte_eth_link_get_nowait(PORT, &link) && link.link_status)
            return;
        usleep(20000);
    }
    problem("link", -ENODEV);
}

static void try_clock(void)
{
    struct timespec wanted = {.tv_sec = 5};
    int64_t before, after, begun;
    before = now(), begun = host();
    usleep(50000);
    after = now();
    printf("passed %" PRId64 " %" PRId64 "\n", after - before, host() - begun);
    MUST(rte_eth_timesync_write_time(PORT, &wanted));
    printf("set %" PRId64 "\n", now());
    before = now();
    MUST(rte_eth_timesync_adjust_time(PORT, INT64_C(-2000000000)));
    printf("adjusted %" PRId64 "\n", now() - before);
}

static void receive(void)
{
    struct rte_mbuf *pkts[BURST];
    struct timespec stamp;
    int found = 0;
    for (long look = 0; look < LOOKS && found < STAMPS; look++) {
        uint16_t n = rte_eth_rx_burst(PORT, 0, pkts, BURST);
        rte_pktmbuf_free_bulk(pkts, n);
        if (!rte_eth_timesync_read_rx_timestamp(PORT, &stamp, 0)) {
            printf("stamp %" PRId64 "\n", ns_of(&stamp));
            fflush(stdout);
            found++;
        }
        usleep(100);
    }
}

int main(int argc, char **argv)
{
    struct rte_mempool *pool;
    struct timespec stamp;
    if (rte_eal_init(argc, argv) < 0)
        problem("rte_eal_init", -EINVAL);
    pool = rte_pktmbuf_pool_create("timesync", 1023, 32, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    if (!pool)
        problem("rte_pktmbuf_pool_create", -ENOMEM);
    start(pool);
    MUST(rte_eth_timesync_enable(PORT));
    try_clock();
    printf("ready %d %d\n", rte_eth_timesync_read_rx_timestamp(PORT, &stamp, 0), rte_eth_timesync_read_tx_timestamp(PORT, &stamp));
    fflush(stdout);
    receive();
    MUST(rte_eth_timesync_disable(PORT));
    MUST(rte_eth_dev_stop(PORT));
    printf("done\n");
    return 0;
}
