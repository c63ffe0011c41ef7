/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The ways in which drivers find a device, look at it and enable DMA. Each prints a line, "ok NAME" or what was wrong; with
 * an argument only that way is gone. The device is an 82599 at ADDRESS, bound to igb_uio.
 *   ways ADDRESS [NAME]
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define IDS 0x10FB8086u
enum { COMMAND = 4, MASTER = 4, MEMORY = 2, STATUS = 8, BAR0 = 0x80000 };

static const char *address;
static const char *problem;

#define CHECK(it) do { if (!(it)) { problem = #it; return; } } while (0)

static const char *at(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "/sys/bus/pci/devices/%s/%s", address, name);
    return path;
}

/* ---- configuration space ---- */

static void config_by_lseek(void)
{
    int fd = open(at("config"), O_RDWR);
    uint16_t command = 0;
    uint32_t ids = 0;
    CHECK(fd >= 0 && read(fd, &ids, 4) == 4 && ids == IDS);
    CHECK(lseek(fd, COMMAND, SEEK_SET) == COMMAND && read(fd, &command, 2) == 2);
    CHECK(!(command & MASTER) && command & MEMORY && lseek(fd, 0, SEEK_CUR) == COMMAND + 2);
    command |= MASTER;
    CHECK(lseek(fd, COMMAND, SEEK_SET) == COMMAND && write(fd, &command, 2) == 2);
    CHECK(lseek(fd, COMMAND, SEEK_SET) == COMMAND && read(fd, &command, 2) == 2 && command & MASTER);
    command &= (uint16_t)~MASTER;
    CHECK(pwrite(fd, &command, 2, COMMAND) == 2);
    close(fd);
}

static void config_by_pread(void)
{
    int fd = open(at("config"), O_RDONLY);
    uint32_t ids = 0;
    uint8_t byte = 0, whole[4097];
    CHECK(pread(fd, &ids, 4, 0) == 4 && ids == IDS && pread(fd, &byte, 1, 0xB) == 1 && byte == 2);
    CHECK(pread(fd, whole, sizeof whole, 0) == 4096 && whole[0] == 0x86 && whole[0xFF] == 0 && whole[0x100] == 1);
    CHECK(pread(fd, &ids, 4, 4096) == 0 && pread(fd, whole, 8, 4092) == 4 && lseek(fd, 0, SEEK_END) == 4096);
    CHECK(read(fd, whole, 4) == 0);
    CHECK(write(fd, &ids, 4) == -1 && errno == EBADF);
    close(fd);
}

static void config_by_pieces(void)
{
    int fd = open(at("config"), O_RDONLY);
    uint16_t vendor = 0, device = 0;
    struct iovec pieces[] = {{&vendor, 2}, {&device, 2}};
    CHECK(readv(fd, pieces, 2) == 4 && vendor == 0x8086 && device == 0x10FB);
    vendor = device = 0;
    CHECK(preadv(fd, pieces, 2, 0) == 4 && vendor == 0x8086 && device == 0x10FB);
    close(fd);
}

static void config_by_streams(void)
{
    uint32_t ids = 0, latency = 0;
    FILE *file = fopen(at("config"), "r+");
    CHECK(file && fread(&ids, 4, 1, file) == 1 && ids == IDS && fileno(file) >= 0);
    CHECK(!fseek(file, 0xC, SEEK_SET) && fputc(0x20, file) == 0x20 && !fflush(file));
    CHECK(!fseek(file, 0xC, SEEK_SET) && (latency = (uint32_t)fgetc(file)) == 0x20);
    CHECK(!fclose(file));
    file = fdopen(open(at("config"), O_RDONLY), "r");
    CHECK(file && fread(&ids, 4, 1, file) == 1 && ids == IDS && !fclose(file));
}

static void config_through_a_copied_descriptor(void)
{
    int fd = dup(open(at("config"), O_RDONLY));
    uint32_t ids = 0;
    CHECK(pread(fd, &ids, 4, 0) == 4 && ids == IDS && !close(fd));
}

/* ---- finding the device ---- */

static int wanted(const struct dirent *each) { return *each->d_name != '.'; }

static void listings(void)
{
    struct dirent **list, *each;
    struct stat status;
    char name[300], link[512];
    glob_t found = {0};
    int devices = 0, n;
    DIR *listing = opendir("/sys/bus/pci/devices");
    while (listing && (each = readdir(listing)))
        devices += wanted(each);
    CHECK(listing && devices == 2 && !closedir(listing));
    CHECK((n = scandir("/sys/bus/pci/devices", &list, wanted, alphasort)) == 2 && !strcmp(list[0]->d_name, address));
    CHECK(!glob("/sys/bus/pci/devices/*/vendor", 0, NULL, &found) && found.gl_pathc == 2);
    CHECK(!strcmp(found.gl_pathv[0], at("vendor")));
    CHECK((listing = opendir(at("uio"))) && !closedir(listing));
    CHECK(!lstat(at(""), &status) && !stat(at("config"), &status) && status.st_size == 4096);
    CHECK(!stat(at("resource0"), &status) && status.st_size == BAR0 && S_ISREG(status.st_mode));
    CHECK(stat(at("resource1"), &status) == -1 && errno == ENOENT);
    CHECK(!access(at("uio/uio0"), F_OK) && access(at("iommu_group"), F_OK) == -1);
    CHECK((n = (int)readlink(at("driver"), link, sizeof link - 1)) > 0);
    link[n] = 0;
    CHECK(!strcmp(link, "../../../bus/pci/drivers/igb_uio"));
    snprintf(name, sizeof name, "/sys/devices/pci0000:00/%s", address);
    CHECK(realpath(at("."), link) && !strcmp(link, name));
    CHECK(!stat("/sys//bus/./pci/devices", &status) && S_ISDIR(status.st_mode));
    CHECK(!stat("/dev/uio0", &status) && S_ISCHR(status.st_mode) && minor(status.st_rdev) == 0);
    CHECK(stat("/dev/uio99", &status) == -1 && !stat("/dev/null", &status));
}

static int number_in(const char *path, const char *format, unsigned long *number)
{
    FILE *file = fopen(path, "r");
    int found = file && fscanf(file, format, number) == 1;
    if (file)
        fclose(file);
    return found;
}

static void attributes(void)
{
    unsigned long number, start, end, flags;
    CHECK(number_in(at("vendor"), "0x%lx", &number) && number == 0x8086);
    CHECK(number_in(at("device"), "0x%lx", &number) && number == 0x10FB);
    CHECK(number_in(at("class"), "0x%lx", &number) && number == 0x20000);
    CHECK(number_in(at("numa_node"), "%ld", &number) && number == (unsigned long)-1);
    FILE *file = fopen(at("resource"), "r");
    CHECK(file && fscanf(file, "%lx %lx %lx", &start, &end, &flags) == 3 && end - start + 1 == BAR0 && flags & 0x200);
    fclose(file);
    CHECK(number_in("/sys/class/uio/uio0/maps/map0/size", "0x%lx", &number) && number == BAR0);
    CHECK(number_in("/sys/class/uio/uio0/maps/map0/addr", "0x%lx", &number) && number == start);
    CHECK(number_in("/sys/class/uio/uio0/device/vendor", "0x%lx", &number) && number == 0x8086);
    int fd = open(at("config"), O_RDONLY);
    uint32_t bar;
    CHECK(pread(fd, &bar, 4, 0x10) == 4 && (bar & ~0xFu) == start && !close(fd));
}

static void relative_paths(void)
{
    char before[512], now[512];
    uint32_t ids = 0;
    CHECK(getcwd(before, sizeof before));
    int folder = open(at(""), O_RDONLY | O_DIRECTORY), fd = openat(folder, "config", O_RDONLY);
    CHECK(fd >= 0 && read(fd, &ids, 4) == 4 && ids == IDS && !close(fd) && !close(folder));
    CHECK(!chdir(at("")) && getcwd(now, sizeof now) && !strncmp(now, "/sys/devices/", 13));
    fd = open("config", O_RDONLY);
    CHECK(fd >= 0 && read(fd, &ids, 4) == 4 && ids == IDS && !close(fd) && !chdir(before));
}

/* ---- writes to the kernel's files ---- */

static void unbind_and_bind(void)
{
    struct stat status;
    int fd = open(at("driver/unbind"), O_WRONLY);
    CHECK(fd >= 0 && write(fd, address, strlen(address)) == (ssize_t)strlen(address) && !close(fd));
    CHECK(lstat(at("driver"), &status) == -1 && stat(at("uio/uio0"), &status) == -1);
    CHECK(open(at("driver/unbind"), O_WRONLY) == -1 && errno == ENOENT);
    FILE *file = fopen("/sys/bus/pci/drivers/igb_uio/bind", "w");
    CHECK(file && fprintf(file, "%s\n", address) > 0 && !fclose(file));
    CHECK(!lstat(at("driver"), &status) && !stat(at("uio/uio0"), &status));
    fd = open("/sys/bus/pci/drivers/igb_uio/unbind", O_WRONLY);
    CHECK(write(fd, "0000:99:00.0", 12) == -1 && errno == ENODEV && !close(fd));
    fd = open(at("vendor"), O_WRONLY | O_TRUNC);
    CHECK(write(fd, "0x1234", 6) == -1 && errno == EIO && !close(fd));
    unsigned long vendor = 0;
    CHECK(number_in(at("vendor"), "0x%lx", &vendor) && vendor == 0x8086);
}

static void reset(void)
{
    uint32_t bar = 0, set = 0x20, now = 0;
    int config = open(at("config"), O_RDWR), fd = open(at("reset"), O_WRONLY);
    CHECK(pread(config, &bar, 4, 0x10) == 4 && pwrite(config, &set, 1, 0xC) == 1);
    CHECK(write(fd, "1\n", 2) == 2 && pread(config, &now, 4, 0x10) == 4 && now == bar);
    CHECK(pread(config, &now, 1, 0xC) == 1 && (now & 0xFF) == 0x10);
    close(config), close(fd);
}

/* ---- registers ---- */

static int is_bar(const volatile uint8_t *bar)
{
    return bar != MAP_FAILED && *(const volatile uint32_t *)(bar + STATUS) != 0xFFFFFFFF &&
           (*(const volatile uint32_t *)(bar + 0x15F14) & 7) == 0;
}

static void maps(void)
{
    int fd = open(at("resource0"), O_RDWR), uio = open("/dev/uio0", O_RDWR);
    uint8_t *whole = mmap(NULL, BAR0, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), byte;
    CHECK(is_bar(whole));
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x5000); /* with MTA at 0x5200 */
    CHECK(page != MAP_FAILED);
    *(volatile uint32_t *)(page + 0x200) = 0x12345678;
    CHECK(*(volatile uint32_t *)(whole + 0x5200) == 0x12345678);
    CHECK(mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, BAR0 - 4096) == MAP_FAILED && errno == EINVAL);
    CHECK(pread(fd, &byte, 1, 0) == -1 && errno == EIO);
    CHECK(!munmap(whole, 0x5000) && *(volatile uint32_t *)(whole + 0x5200) == 0x12345678);
    CHECK(!munmap(whole + 0x6000, BAR0 - 0x6000) && *(volatile uint32_t *)(whole + 0x5200) == 0x12345678);
    uint8_t *by_uio = mmap(NULL, BAR0, PROT_READ | PROT_WRITE, MAP_SHARED, uio, 0);
    CHECK(is_bar(by_uio) && *(volatile uint32_t *)(by_uio + 0x5200) == 0x12345678);
    uint8_t *table = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, uio, 4096);
    CHECK(table != MAP_FAILED && (*(volatile uint32_t *)(table + 12) & ~1u) == 0);
    uint64_t both = *(volatile uint64_t *)(page + 0x200);
    CHECK((uint32_t)both == 0x12345678);
    *(volatile uint64_t *)(page + 0x200) = 0xAABBCCDD00112233;
    CHECK(*(volatile uint32_t *)(page + 0x204) == 0xAABBCCDD && *(volatile uint16_t *)(page + 0x202) == 0x11);
    *(volatile uint8_t *)(page + 0x200) = 0xFF; /* a card takes whole registers only */
    CHECK(*(volatile uint32_t *)(page + 0x200) == 0x00112233);
    close(fd), close(uio);
}

static void ports(void)
{
    int fd = open(at("resource2"), O_RDWR);
    uint32_t offset = STATUS, status = 0xFFFFFFFF;
    CHECK(fd >= 0 && pwrite(fd, &offset, 4, 0) == 4 && pread(fd, &status, 4, 4) == 4 && status != 0xFFFFFFFF);
    CHECK(pread(fd, &status, 4, 30) == -1 && errno == EINVAL && !close(fd));
}

static const struct { const char *name; void (*go)(void); } WAYS[] = {
    {"config_by_lseek", config_by_lseek}, {"config_by_pread", config_by_pread}, {"config_by_pieces", config_by_pieces},
    {"config_by_streams", config_by_streams}, {"config_through_a_copied_descriptor", config_through_a_copied_descriptor},
    {"listings", listings}, {"attributes", attributes}, {"relative_paths", relative_paths},
    {"unbind_and_bind", unbind_and_bind}, {"reset", reset}, {"maps", maps}, {"ports", ports},
};

int main(int argc, char **argv)
{
    if (argc < 2)
        return 1;
    address = argv[1];
    for (size_t i = 0; i < sizeof WAYS / sizeof *WAYS; i++) {
        if (argc > 2 && strcmp(argv[2], WAYS[i].name))
            continue;
        problem = NULL, errno = 0;
        WAYS[i].go();
        if (problem)
            printf("%s: not so: %s (%s)\n", WAYS[i].name, problem, strerror(errno));
        else
            printf("ok %s\n", WAYS[i].name);
        fflush(stdout);
    }
    return 0;
}
