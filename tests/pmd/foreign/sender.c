/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A whole driver in a page: takes a hugepage from the source in its arguments, asks the kernel for its physical address, enables DMA
 * through configuration space, and sends FRAMES frames of 60 bytes whose 15th byte counts. Sections: datasheet 4.6.8, 7.2.3.2.1.
 *   sender ADDRESS anonymous|private|memfd|segment|FILE
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

enum { FRAMES = 32, RING = 64, PAGE = 2 << 20, FRAME = 60 };
enum { LINKS = 0x042A4, TDBAL = 0x06000, TDBAH = 0x06004, TDLEN = 0x06008, TDH = 0x06010, TDT = 0x06018, TXDCTL = 0x06028,
       DMATXCTL = 0x04A80 };

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint8_t *hugepage(const char *source)
{
    int both = PROT_READ | PROT_WRITE, fd = -1;
    uint8_t *at;
    if (!strcmp(source, "anonymous"))
        at = mmap(NULL, PAGE, both, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);
    else if (!strcmp(source, "private"))
        at = mmap(NULL, PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    else if (!strcmp(source, "segment")) {
        int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | SHM_HUGETLB | 0600);
        at = id < 0 ? MAP_FAILED : shmat(id, NULL, 0);
        shmctl(id, IPC_RMID, NULL);
    } else {
        fd = !strcmp(source, "memfd") ? memfd_create("sender", MFD_HUGETLB) : open(source, O_CREAT | O_RDWR, 0600);
        if (fd < 0 || ftruncate(fd, PAGE))
            fail(source);
        at = mmap(NULL, PAGE, both, MAP_SHARED, fd, 0);
        close(fd);
        unlink(source);
    }
    if (at == MAP_FAILED)
        fail(source);
    return at;
}

static uint64_t physical(const void *at)
{
    uint64_t entry = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    if (lseek(fd, (off_t)((uintptr_t)at / 4096 * 8), SEEK_SET) < 0 || read(fd, &entry, 8) != 8 || !(entry << 9))
        fail("pagemap");
    close(fd);
    return (entry & ((1ull << 55) - 1)) * 4096 + (uintptr_t)at % 4096;
}

static sigjmp_buf out_of_it;
static volatile uintptr_t nowhere = 8;
static void on_segv(int number) { (void)number, siglongjmp(out_of_it, 1); }

int main(int argc, char **argv)
{
    char path[256];
    uint16_t command;
    sigset_t all;
    if (argc != 3)
        return 2;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/config", argv[1]);
    int fd = open(path, O_RDWR);
    if (lseek(fd, 4, SEEK_SET) != 4 || read(fd, &command, 2) != 2)
        fail(path);
    command |= 4;
    if (lseek(fd, 4, SEEK_SET) != 4 || write(fd, &command, 2) != 2 || close(fd))
        fail(path);
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource0", argv[1]);
    uint8_t *bar = mmap(NULL, 0x20000, PROT_READ | PROT_WRITE, MAP_SHARED, open(path, O_RDWR), 0);
    if (bar == MAP_FAILED)
        fail(path);
#define REG(offset) (*(volatile uint32_t *)(bar + (offset)))
    sigfillset(&all); /* a program may block what it likes, and catch its own faults */
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGSEGV, on_segv);

    uint8_t *page = hugepage(argv[2]);
    uint64_t at = physical(page), *ring = (uint64_t *)page;
    for (int tries = 0; !(REG(LINKS) & 1u << 30); tries++)
        if (usleep(10000), tries == 1000)
            return fputs("no link\n", stderr), 1;
    REG(TDBAL) = (uint32_t)at, REG(TDBAH) = (uint32_t)(at >> 32), REG(TDLEN) = RING * 16;
    REG(TDH) = 0, REG(TDT) = 0;
    REG(DMATXCTL) |= 1;
    REG(TXDCTL) |= 1u << 25;
    while (!(REG(TXDCTL) & 1u << 25))
        ;
    for (unsigned i = 0; i < FRAMES; i++) {
        uint8_t *frame = page + 4096 + i * 64;
        memcpy(frame, "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\7\x88\xb5", 14);
        frame[14] = (uint8_t)i;
        ring[2 * i] = at + 4096 + i * 64;
        ring[2 * i + 1] = FRAME | 1u << 24 | 1u << 25; /* legacy descriptor: EOP, IFCS */
    }
    REG(TDT) = FRAMES;
    for (int tries = 0; REG(TDH) != FRAMES; tries++)
        if (usleep(1000), tries == 10000)
            return fputs("the frames were not fetched\n", stderr), 1;
    if (!sigsetjmp(out_of_it, 1)) {
        *(volatile int *)nowhere = 1; /* not a BAR */
        return fputs("no fault\n", stderr), 1;
    }
    puts("sent");
    fflush(stdout);
    getchar(); /* the page stays until the test has looked */
    return 0;
}
