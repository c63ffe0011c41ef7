/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The mappings of a program. A BAR gets no access rights, so that each access faults. The card gets the physical address
 * of each hugepage: the device reaches hugepages and nothing else.
 */
#include "trap.h"

#include <linux/magic.h>
#include <sys/shm.h>
#include <sys/vfs.h>

enum { PAGES = 8192, MAPPINGS = 4 * SLOTS, SMALL_PAGE = 4096, POPULATE_WRITE = 23 /* MADV_POPULATE_WRITE, Linux 5.14 */ };

static struct mapping mappings[MAPPINGS];
static int mapping_count;

/* A file with hugepages; it stays open while one of them is mapped. */
struct source { int fd, pages; };
static struct source sources[PAGES];

/* Hugepages that the program has mapped. */
static struct page { uint8_t *at; size_t size; uint64_t physical, offset; struct source *source; } pages[PAGES];
static int page_count;

/* Without libc's function: allocators map memory before symbols can be looked up. */
static void *map_memory(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

static int covers(const uint8_t *at, size_t n, const uint8_t *start, size_t size)
{
    return start < at + n && at < start + size;
}

/* ---- hugepages ---- */

static void tell_page(struct slot *slot, const struct page *page, uint32_t op)
{
    struct request request = {.op = op, .offset = page->offset, .value = page->physical, .address = (uint64_t)page->at,
                              .size = (uint32_t)page->size};
    ask(slot, &request, op == MAP ? page->source->fd : -1);
}

void tell_pages(struct slot *slot)
{
    for (int i = 0; i < page_count; i++)
        tell_page(slot, &pages[i], MAP);
}

/* 0: the kernel does not say. */
static uint64_t physical(const uint8_t *at)
{
    static int warned;
    static const char hidden[] = "dataplane: the kernel hides physical addresses: run as root (CAP_SYS_ADMIN), else the card "
                                 "does not reach this program's hugepages\n";
    uint64_t entry = 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || syscall(SYS_pread64, fd, &entry, sizeof entry, (uintptr_t)at / SMALL_PAGE * sizeof entry) != sizeof entry)
        entry = 0;
    syscall(SYS_close, fd);
    entry &= (1ull << 55) - 1;
    if (!entry && !warned++)
        syscall(SYS_write, 2, hidden, sizeof hidden - 1);
    return entry * SMALL_PAGE;
}

/* Whether there is memory behind a page now. */
static int populate(uint8_t *at, size_t n)
{
    if (!madvise(at, n, POPULATE_WRITE))
        return 1;
    if (errno != EINVAL) /* no hugepage is free: the program finds out as it would without us */
        return 0;
    (void)*(volatile uint8_t *)at;
    return 1;
}

/* Something else comes in the place of `n` bytes, or nothing. */
static void forget(const uint8_t *at, size_t n)
{
    int found = 0;
    for (int i = 0; i < page_count; i++)
        found |= covers(at, n, pages[i].at, pages[i].size);
    for (int i = 0; i < mapping_count; i++)
        found |= covers(at, n, mappings[i].at, mappings[i].size);
    if (!found)
        return; /* before the lock: the card may be in this process, and its thread unmaps memory while it is asked */
    sigset_t before = lock();
    for (int i = 0; i < page_count; i++)
        if (covers(at, n, pages[i].at, pages[i].size)) {
            for (int s = 0; s < slot_count; s++)
                if (slots[s].entered)
                    tell_page(&slots[s], &pages[i], UNMAP);
            if (!--pages[i].source->pages)
                syscall(SYS_close, pages[i].source->fd);
            pages[i--] = pages[--page_count];
        }
    for (int i = 0; i < mapping_count; i++) {
        struct mapping old = mappings[i];
        if (!covers(at, n, old.at, old.size))
            continue;
        mappings[i--] = mappings[--mapping_count]; /* the parts left in front and behind are mappings, too */
        if (at > old.at)
            mappings[mapping_count++] = (struct mapping){old.at, (size_t)(at - old.at), old.slot, old.bar, old.offset, old.prot};
        if (old.at + old.size > at + n) {
            uint64_t gone = (uint64_t)(at + n - old.at);
            if (mapping_count == MAPPINGS)
                give_up("more than %d mappings of BARs", MAPPINGS);
            mappings[mapping_count++] = (struct mapping){old.at + gone, old.size - gone, old.slot, old.bar, old.offset + gone,
                                                         old.prot};
        }
    }
    unlock(before);
}

static struct source *source_of(int fd)
{
    struct source *source = sources;
    while (source->pages)
        source++;
    source->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (source->fd < 0)
        give_up("a hugepage's file cannot be kept open (%s): raise 'ulimit -n'", strerror(errno));
    return source;
}

/* Memory of a file has been mapped: if they are hugepages, the card is to reach them. */
static void know_pages(uint8_t *at, size_t n, int fd, uint64_t offset)
{
    struct statfs where;
    struct source *source = NULL;
    if (fstatfs(fd, &where) || where.f_type != HUGETLBFS_MAGIC)
        return;
    size_t size = (size_t)where.f_bsize;
    sigset_t before = lock();
    for (size_t done = 0; done < n; done += size) {
        struct page page = {at + done, size, 0, offset + done, NULL};
        if (!populate(page.at, size) || !(page.physical = physical(page.at)))
            continue;
        if (page_count == PAGES)
            give_up("more than %d hugepages: give the program less memory", PAGES);
        if (!source)
            source = source_of(fd);
        page.source = source;
        source->pages++;
        pages[page_count++] = page;
        for (int s = 0; s < slot_count; s++)
            if (slots[s].entered)
                tell_page(&slots[s], &page, MAP);
    }
    unlock(before);
}

/* Hugepages without a file: they get one, since another process is to map them. */
static int file_of_hugepages(size_t *n, int flags)
{
    unsigned log = (unsigned)flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
    int fd = (int)syscall(SYS_memfd_create, "hugepages", MFD_CLOEXEC | MFD_HUGETLB | log << MAP_HUGE_SHIFT);
    struct statfs where;
    if (fd < 0)
        return -1;
    if (!fstatfs(fd, &where) && where.f_bsize)
        *n = (*n + (size_t)where.f_bsize - 1) / (size_t)where.f_bsize * (size_t)where.f_bsize;
    if (ftruncate(fd, (off_t)*n)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- BARs ---- */

const struct mapping *find_mapping(const uint8_t *at)
{
    for (int i = 0; i < mapping_count; i++)
        if (at >= mappings[i].at && at < mappings[i].at + mappings[i].size)
            return &mappings[i];
    return NULL;
}

static size_t size_of_bar(const struct slot *slot, int bar)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s/sys/devices/pci0000:00/%s/resource%d", slots_root(), slot->address, bar);
    return syscall(SYS_newfstatat, AT_FDCWD, path, &status, 0) ? 0 : (size_t)status.st_size;
}

/* /dev/uioN has BARs of memory one after the other, each at a page of its own. Returns the BAR, or BARS. */
static int bar_of_uio(const struct slot *slot, off_t offset)
{
    int bar = 0;
    for (off_t number = offset / SMALL_PAGE; bar < BARS; bar++)
        if (size_of_bar(slot, bar) >= SMALL_PAGE && !number--)
            break;
    return bar;
}

static void *map_bar(struct slot *slot, int bar, void *at, size_t n, int prot, int flags, off_t offset)
{
    char path[sizeof slot->folder + 16];
    size_t size = size_of_bar(slot, bar), rounded = (n + SMALL_PAGE - 1) / SMALL_PAGE * SMALL_PAGE;
    if (!n || size < SMALL_PAGE || (size_t)offset + rounded > size) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    snprintf(path, sizeof path, "%s/registers", slot->folder);
    int fd = bar ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    struct stat whole; /* a VF's BAR is a window on the file */
    if (!bar && (fd < 0 || fstat(fd, &whole)))
        give_up("%s: the registers cannot be opened (%s)", slot->folder, strerror(errno));
    flags = MAP_SHARED | (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) | (bar ? MAP_ANONYMOUS : 0);
    at = map_memory(at, n, PROT_NONE, flags, fd, bar ? 0 : offset);
    if (at != MAP_FAILED) {
        sigset_t before = lock();
        if (mapping_count == MAPPINGS)
            give_up("more than %d mappings of BARs", MAPPINGS);
        if (!bar && !slot->registers)
            slot->registers = map_memory(NULL, (size_t)whole.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (slot->registers == MAP_FAILED)
            give_up("%s: the registers cannot be mapped (%s)", slot->folder, strerror(errno));
        mappings[mapping_count++] = (struct mapping){at, rounded, slot, (uint32_t)bar, (uint64_t)offset, prot};
        enter(slot);
        unlock(before);
        catch_faults();
    }
    if (fd >= 0)
        syscall(SYS_close, fd);
    return at;
}

/* With `on`, loads and stores of the page reach the register file itself, without a fault and without side effects: for
 * the pages of queues whose tails are all that is written for now. */
EXPORT void dataplane_direct(unsigned offset, int on);
EXPORT void dataplane_direct(unsigned offset, int on)
{
    for (int i = 0; i < mapping_count; i++)
        if (!mappings[i].bar && mprotect(mappings[i].at + (offset & ~4095u) - mappings[i].offset, SMALL_PAGE,
                                         on ? PROT_READ | PROT_WRITE : PROT_NONE))
            give_up("%s: cannot change the access to page %#x", mappings[i].slot->folder, offset);
}

/* ---- libc's names ---- */

static void *map(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    if (!slots_root())
        return map_memory(at, n, prot, flags, fd, offset);
    const struct file *file = flags & MAP_ANONYMOUS ? NULL : find_file(fd);
    if (flags & MAP_FIXED)
        forget(at, n);
    if (file && file->what < BARS)
        return map_bar(file->slot, file->what, at, n, prot, flags, offset);
    if (file && file->what == UIO)
        return map_bar(file->slot, bar_of_uio(file->slot, offset), at, n, prot, flags, 0);
    int made = -1;
    if (flags & MAP_ANONYMOUS && flags & MAP_HUGETLB && (made = file_of_hugepages(&n, flags)) >= 0) {
        flags = (flags & ~(MAP_ANONYMOUS | MAP_TYPE | MAP_HUGETLB | MAP_HUGE_MASK << MAP_HUGE_SHIFT)) | MAP_SHARED;
        fd = made, offset = 0;
    }
    at = map_memory(at, n, prot, flags, fd, offset);
    int error = errno;
    if (at != MAP_FAILED && fd >= 0 && (flags & MAP_TYPE) != MAP_PRIVATE && prot & PROT_WRITE)
        know_pages(at, n, fd, (uint64_t)offset);
    if (made >= 0)
        syscall(SYS_close, made);
    errno = error;
    return at;
}

EXPORT void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset) { return map(at, n, prot, flags, fd, offset); }
EXPORT void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset)
{ return map(at, n, prot, flags, fd, offset); }

EXPORT int munmap(void *at, size_t n)
{
    forget(at, n);
    return (int)syscall(SYS_munmap, at, n);
}

/* A segment of hugepages has no descriptor, but the kernel gives one for what is mapped somewhere. */
EXPORT void *shmat(int id, const void *where, int flags)
{
    char path[64];
    struct shmid_ds segment;
    uint8_t *at = REAL(shmat)(id, where, flags);
    if (at == (void *)-1 || !slots_root() || flags & SHM_RDONLY || shmctl(id, IPC_STAT, &segment))
        return at;
    for (int log = 21; log <= 30; log += 9) { /* pages of 2 MiB, of 1 GiB */
        size_t page = (size_t)1 << log, n = (segment.shm_segsz + page - 1) / page * page;
        snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)at, (unsigned long)at + n);
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            continue;
        know_pages(at, n, fd, 0);
        syscall(SYS_close, fd);
        break;
    }
    return at;
}

EXPORT int shmdt(const void *at)
{
    for (int i = 0; i < page_count; i++) /* one segment is one source */
        if (pages[i].at == at) {
            struct source *source = pages[i].source;
            for (int j = 0; j < page_count; j++)
                if (pages[j].source == source) {
                    forget(pages[j].at, pages[j].size);
                    j = -1;
                }
            break;
        }
    return REAL(shmdt)(at);
}
