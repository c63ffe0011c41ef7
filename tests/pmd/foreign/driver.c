/* SPDX-License-Identifier: BSD-3-Clause
 *
 * As little of a userspace driver as there can be: finds the device at ADDRESS as DPDK does, and obeys lines of commands.
 *   r BAR OFFSET   w BAR OFFSET VALUE   c OFFSET SIZE   k OFFSET SIZE VALUE   m 0|1   i   a OFFSET   p
 * read, write a register; read, write configuration space; interrupts on or off, wait for one; every way to address; a page.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile uint8_t *bars[6];

static volatile uint8_t *map(const char *folder, int bar)
{
    char path[512];
    unsigned long start, end = 0, flags;
    snprintf(path, sizeof path, "%s/resource", folder);
    FILE *list = fopen(path, "r");
    for (int n = 0; list && n <= bar; n++)
        if (fscanf(list, "%lx %lx %lx", &start, &end, &flags) != 3)
            exit(2);
    fclose(list);
    snprintf(path, sizeof path, "%s/resource%d", folder, bar);
    int fd = open64(path, O_RDWR);
    void *at = mmap64(NULL, end - start + 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || at == MAP_FAILED)
        exit(3);
    close(fd);
    return at;
}

/* One register by every form of address that compilers use: returns how many of them read the same. */
static int addressed(volatile uint8_t *bar, uint64_t offset)
{
    uint32_t want = *(volatile uint32_t *)(bar + offset), got[8];
    uint64_t vector[2];
    __asm__ volatile("movl (%1), %0" : "=r"(got[0]) : "r"(bar + offset));
    __asm__ volatile("movl 0x40(%1), %0" : "=r"(got[1]) : "r"(bar + offset - 0x40));
    __asm__ volatile("movl 0x12340(%1), %0" : "=r"(got[2]) : "r"(bar + offset - 0x12340));
    __asm__ volatile("movl (%1,%2,4), %0" : "=r"(got[3]) : "r"(bar), "r"(offset / 4));
    __asm__ volatile("movq %1, %%r12; movl 8(%%r12), %%r13d; movl %%r13d, %0"
                     : "=r"(got[4]) : "r"(bar + offset - 8) : "r12", "r13");
    __asm__ volatile("movq %1, %%r13; movl (%%r13), %0" : "=r"(got[5]) : "r"(bar + offset) : "r13");
    __asm__ volatile("pcmpeqd %%xmm9, %%xmm9; movd (%1), %%xmm9; movdqu %%xmm9, %0"
                     : "=m"(vector) : "r"(bar + offset) : "xmm9");
    got[6] = (uint32_t)vector[0], got[7] = (uint32_t)vector[0] + (vector[0] >> 32 || vector[1]);
    int same = 0;
    for (int n = 0; n < 8; n++)
        same += got[n] == want;
    __asm__ volatile("movl $0x1234, (%0)" : : "r"(bar + offset) : "memory");
    __asm__ volatile("movl $0x5678, 0x10(%0,%1)" : : "r"(bar), "r"(offset - 0x10) : "memory");
    same += *(volatile uint32_t *)(bar + offset) == 0x5678;
    __asm__ volatile("movd %1, %%xmm10; movd %%xmm10, (%0)" : : "r"(bar + offset), "r"(0x9abc) : "memory", "xmm10");
    same += *(volatile uint32_t *)(bar + offset) == 0x9abc;
    *(volatile uint32_t *)(bar + offset) = want;
    return same;
}

/* A hugepage with a word in it; prints where it is. */
static void page(void)
{
    int fd = memfd_create("driver", MFD_HUGETLB | 21u << 26 /* 2 MiB */);
    if (ftruncate(fd, 2 << 20)) {
        puts("none");
        return;
    }
    uint32_t *at = mmap64(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (at == MAP_FAILED) {
        puts("none");
        return;
    }
    *at = 0xCAFEF00D;
    puts("mapped");
    fflush(stdout);
    char line[16];
    if (!fgets(line, sizeof line, stdin))
        exit(4);
    munmap(at, 2 << 20);
    puts("unmapped");
}

int main(int argc, char **argv)
{
    char folder[512], line[128];
    unsigned bar, size;
    uint64_t offset, value;
    if (argc != 2)
        return 1;
    snprintf(folder, sizeof folder, "%s/%s", getenv("SYSFS_PCI_DEVICES"), argv[1]);
    int uio = open64("/dev/uio0", O_RDWR), config = open64("/sys/class/uio/uio0/device/config", O_RDWR);
    bars[0] = map(folder, 0);
    bars[4] = map(folder, 4);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "r %u %lx", &bar, &offset) == 2)
            printf("%x\n", *(volatile uint32_t *)(bars[bar] + offset));
        else if (sscanf(line, "w %u %lx %lx", &bar, &offset, &value) == 3) {
            *(volatile uint32_t *)(bars[bar] + offset) = (uint32_t)value;
            puts("ok");
        } else if (sscanf(line, "c %lx %u", &offset, &size) == 2) {
            value = 0;
            ssize_t n = pread64(config, &value, size, (off64_t)offset);
            printf("%zd %lx\n", n, value);
        } else if (sscanf(line, "k %lx %u %lx", &offset, &size, &value) == 3)
            printf("%zd\n", pwrite64(config, &value, size, (off64_t)offset));
        else if (sscanf(line, "m %u", &size) == 1)
            printf("%zd\n", write(uio, &size, 4));
        else if (sscanf(line, "a %lx", &offset) == 1)
            printf("%d\n", addressed(bars[0], offset));
        else if (*line == 'p')
            page();
        else if (*line == 'i') {
            struct pollfd ready = {uio, POLLIN, 0};
            uint32_t count = 0;
            if (poll(&ready, 1, 2000) == 1 && read(uio, &count, 4) != 4)
                return 5;
            printf("%u\n", count);
        }
        fflush(stdout);
    }
    return 0;
}
