/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Preloaded into a program with a userspace driver (DPDK, ...): its PCI functions are those of a served card.
 *
 * The BARs that the driver maps get no access rights. Each access faults, is decoded and asked of the card's process over
 * the slot's socket, with all side effects. So do reads and writes of configuration space, and the card's process is told
 * which hugepages the driver maps, with their physical addresses, as an IOMMU's driver would be.
 *
 * DATAPLANE_SLOTS names the folder that pmd/foreign/slot.py fills: devices/ADDRESS/..., class/uio/uioN, dev/uioN.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <ucontext.h>
#include <unistd.h>

enum { SLOTS = 64, FILES = 7 * SLOTS, PAGES = 8192, BARS = 6, CONFIG = BARS, TAILS = 64 };

/* ---- what is said over a slot's socket: a request, a reply of 8 bytes; service.py is the other end ---- */

enum op { READ, WRITE, CONFIG_READ, CONFIG_WRITE, MAP, UNMAP, TAIL };

struct request {
    uint32_t op, bar;
    uint64_t offset; /* in the BAR or in configuration space; MAP: in the file that goes with it */
    uint64_t value;  /* MAP and UNMAP: the physical address */
    uint64_t address;
    uint32_t size;
    uint32_t pid; /* of this process: inside it, memory is where it is */
};

struct slot {
    char *folder;
    int socket;
    uint8_t *at[BARS];
    size_t size[BARS];
    uint8_t *registers; /* the register file, which tails are stored to */
    struct { uint32_t offset; uint32_t *at; } tails[TAILS]; /* NULL: not asked for yet */
};

static struct slot slots[SLOTS];
static int slot_count;

/* A file of a slot: the BAR it stands for, or CONFIG. */
static struct { dev_t dev; ino_t ino; int slot, what; } files[FILES];
static int file_count;

/* Hugepages that the driver has mapped. */
static struct { uint8_t *at; size_t size; uint64_t physical, offset; int fd; } pages[PAGES];
static int page_count;

static const char *root;
static struct sigaction before; /* of SIGSEGV */
static int catching;

static void *(*real_mmap)(void *, size_t, int, int, int, off64_t);
static int (*real_munmap)(void *, size_t);
static int (*real_open)(const char *, int, ...);
static ssize_t (*real_pread)(int, void *, size_t, off64_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);

/* One for all: a fault, a mapping and a slot's opening are rare, and none of them happens inside another. */
static int lock_word;
static void lock(void) { while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE)) sched_yield(); }
static void unlock(void) { __atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE); }

__attribute__((noreturn)) static void give_up(const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (write(2, "dataplane: ", 11) < 0 || write(2, text, (size_t)n) < 0 || write(2, "\n", 1) < 0)
        _exit(71);
    _exit(70);
}

static void find_real(void)
{
    if (!root)
        root = getenv("DATAPLANE_SLOTS"); /* a program may name its own slots when it has made them */
    if (real_mmap)
        return;
    *(void **)&real_munmap = dlsym(RTLD_NEXT, "munmap");
    *(void **)&real_open = dlsym(RTLD_NEXT, "open64");
    *(void **)&real_pread = dlsym(RTLD_NEXT, "pread64");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **)&real_mmap = dlsym(RTLD_NEXT, "mmap64");
}

/* ---- the socket ---- */

static uint64_t ask(struct slot *slot, struct request *request, int fd)
{
    uint64_t reply;
    request->pid = (uint32_t)getpid();
    union { char room[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {0};
    struct iovec piece = {request, sizeof *request};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t n;
    do n = sendmsg(slot->socket, &message, MSG_NOSIGNAL); while (n < 0 && errno == EINTR);
    if (n == sizeof *request)
        do n = recv(slot->socket, &reply, sizeof reply, 0); while (n < 0 && errno == EINTR);
    if (n != sizeof reply)
        give_up("%s: the card's process has gone", slot->folder);
    return reply;
}

static void tell_page(struct slot *slot, int page, enum op op)
{
    struct request request = {.op = op, .offset = pages[page].offset, .value = pages[page].physical,
                              .address = (uint64_t)pages[page].at, .size = (uint32_t)pages[page].size};
    ask(slot, &request, op == MAP ? pages[page].fd : -1);
}

static int connect_to(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (snprintf(name.sun_path, sizeof name.sun_path, "%s", path) >= (int)sizeof name.sun_path)
        give_up("%s: the path is too long for a socket", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name))
        give_up("%s: no card's process answers there (%s)", path, strerror(errno));
    return fd;
}

static struct slot *open_slot(char *folder)
{
    char path[512];
    for (int i = 0; i < slot_count; i++)
        if (!strcmp(slots[i].folder, folder))
            return &slots[i];
    if (slot_count == SLOTS)
        give_up("more than %d functions", SLOTS);
    struct slot *slot = &slots[slot_count];
    slot->folder = folder;
    snprintf(path, sizeof path, "%s/socket", folder);
    slot->socket = connect_to(path);
    slot_count++;
    for (int page = 0; page < page_count; page++)
        tell_page(slot, page, MAP);
    return slot;
}

/* ---- files ---- */

/* A file of a slot's folder has been opened: remember what it is. */
static void know_file(int fd, const char *path)
{
    char folder[512];
    struct stat status;
    if (fd < 0 || !root || strncmp(path, root, strlen(root)) || fstat(fd, &status))
        return;
    snprintf(folder, sizeof folder, "%s", path);
    char *name = strrchr(folder, '/');
    int what, used = 0;
    *name++ = 0;
    if (!strcmp(name, "config"))
        what = CONFIG;
    else if (sscanf(name, "resource%d%n", &what, &used) != 1 || name[used] || what >= BARS)
        return;
    char *real = realpath(folder, NULL); /* several ways lead to a slot; it is kept */
    if (!real)
        return;
    lock();
    int slot = (int)(open_slot(real) - slots);
    for (int i = 0; i <= file_count; i++)
        if (i == file_count || (files[i].dev == status.st_dev && files[i].ino == status.st_ino)) {
            files[i].dev = status.st_dev, files[i].ino = status.st_ino, files[i].slot = slot, files[i].what = what;
            file_count += i == file_count && file_count < FILES - 1;
            break;
        }
    unlock();
}

static int find_file(int fd)
{
    struct stat status;
    if (fd < 0 || !file_count || fstat(fd, &status))
        return -1;
    for (int i = 0; i < file_count; i++)
        if (files[i].dev == status.st_dev && files[i].ino == status.st_ino)
            return i;
    return -1;
}

/* /dev/uioN: what is read there is the number of interrupts, what is written turns them on and off. */
static int open_uio(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/dev/%s", root, name);
    return connect_to(path);
}

int open64(const char *path, int flags, ...)
{
    char instead[512];
    mode_t mode = 0;
    find_real();
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list args;
        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
    }
    if (root && !strncmp(path, "/dev/uio", 8))
        return open_uio(path + 5);
    if (root && !strncmp(path, "/sys/class/uio/", 15)) {
        snprintf(instead, sizeof instead, "%s%s", root, path + 4);
        path = instead;
    }
    int fd = real_open(path, flags, mode);
    int error = errno;
    know_file(fd, path);
    errno = error;
    return fd;
}

ssize_t pread64(int fd, void *to, size_t n, off64_t offset)
{
    find_real();
    int file = find_file(fd);
    if (file < 0 || files[file].what != CONFIG)
        return real_pread(fd, to, n, offset);
    lock();
    for (size_t done = 0; done < n; done += 4) {
        struct request request = {.op = CONFIG_READ, .offset = (uint64_t)offset + done,
                                  .size = (uint32_t)(n - done < 4 ? n - done : 4)};
        uint64_t word = ask(&slots[files[file].slot], &request, -1);
        memcpy((char *)to + done, &word, request.size);
    }
    unlock();
    return (ssize_t)n;
}

ssize_t pwrite64(int fd, const void *from, size_t n, off64_t offset)
{
    find_real();
    int file = find_file(fd);
    if (file < 0 || files[file].what != CONFIG)
        return real_pwrite(fd, from, n, offset);
    lock();
    for (size_t done = 0; done < n; done += 4) {
        struct request request = {.op = CONFIG_WRITE, .offset = (uint64_t)offset + done,
                                  .size = (uint32_t)(n - done < 4 ? n - done : 4)};
        memcpy(&request.value, (const char *)from + done, request.size);
        ask(&slots[files[file].slot], &request, -1);
    }
    unlock();
    return (ssize_t)n;
}

/* ---- memory ---- */

static uint64_t physical(const volatile uint8_t *at)
{
    uint64_t entry = 0;
    (void)*at; /* it is there from now on */
    int fd = real_open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || real_pread(fd, &entry, sizeof entry, (off64_t)((uintptr_t)at / 4096 * 8)) != sizeof entry)
        entry = 0;
    close(fd);
    if (!(entry & ((1ull << 55) - 1)))
        give_up("the kernel hides physical addresses: run as root (CAP_SYS_ADMIN)");
    return (entry & ((1ull << 55) - 1)) * 4096;
}

static int overlaps(int page, const uint8_t *at, size_t n)
{
    return pages[page].at < at + n && at < pages[page].at + pages[page].size;
}

/* Something else comes in the place of `n` bytes, or nothing. */
static void forget_pages(const uint8_t *at, size_t n)
{
    int found = 0;
    for (int i = 0; i < page_count; i++)
        found |= overlaps(i, at, n);
    if (!found)
        return; /* before the lock: the card may be in this process, and its thread unmaps memory while it is asked */
    lock();
    for (int i = 0; i < page_count; i++)
        if (overlaps(i, at, n)) {
            for (int s = 0; s < slot_count; s++)
                tell_page(&slots[s], i, UNMAP);
            close(pages[i].fd);
            pages[i--] = pages[--page_count];
        }
    unlock();
}

static void know_pages(uint8_t *at, size_t n, int fd, uint64_t offset)
{
    struct stat status;
    struct statfs where;
    if (fstatfs(fd, &where) || where.f_type != HUGETLBFS_MAGIC || fstat(fd, &status))
        return;
    size_t page = (size_t)status.st_blksize;
    lock();
    for (size_t done = 0; done < n; done += page) {
        if (page_count == PAGES)
            give_up("more than %d hugepages: give the program less memory", PAGES);
        pages[page_count].at = at + done, pages[page_count].size = page, pages[page_count].offset = offset + done;
        pages[page_count].physical = physical(at + done), pages[page_count].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        for (int s = 0; s < slot_count; s++)
            tell_page(&slots[s], page_count, MAP);
        page_count++;
    }
    unlock();
}

static void on_fault(int number, siginfo_t *info, void *context);

static void *map_bar(int file, void *at, size_t n, int flags, int fd, off64_t offset)
{
    struct slot *slot = &slots[files[file].slot];
    int bar = files[file].what;
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    at = real_mmap(at, n, PROT_NONE, flags, fd, offset);
    if (at == MAP_FAILED)
        return at;
    slot->at[bar] = at, slot->size[bar] = n;
    struct stat whole; /* a VF's BAR is a window on the file */
    if (bar == 0 && (fstat(fd, &whole) || (slot->registers = real_mmap(NULL, (size_t)whole.st_size, PROT_READ | PROT_WRITE,
                                                                       MAP_SHARED, fd, 0)) == MAP_FAILED))
        give_up("%s: the registers cannot be mapped (%s)", slot->folder, strerror(errno));
    if (!catching++)
        sigaction(SIGSEGV, &action, &before);
    return at;
}

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset)
{
    find_real();
    if (!root)
        return real_mmap(at, n, prot, flags, fd, offset);
    int file = find_file(fd);
    if (file >= 0 && files[file].what != CONFIG)
        return map_bar(file, at, n, flags, fd, offset);
    if (flags & MAP_FIXED)
        forget_pages(at, n);
    at = real_mmap(at, n, prot, flags, fd, offset);
    if (at != MAP_FAILED && fd >= 0 && (flags & MAP_TYPE) != MAP_PRIVATE && prot & PROT_WRITE) {
        int error = errno;
        know_pages(at, n, fd, (uint64_t)offset);
        errno = error;
    }
    return at;
}

int munmap(void *at, size_t n)
{
    find_real();
    forget_pages(at, n);
    return real_munmap(at, n);
}

/* With `on`, loads and stores of the page reach the register file itself, without a fault and without side effects: for
 * the pages of queues whose tails are all that is written for now. */
void dataplane_direct(unsigned offset, int on)
{
    for (int s = 0; s < slot_count; s++)
        if (slots[s].at[0] && mprotect(slots[s].at[0] + (offset & ~4095u), 4096, on ? PROT_READ | PROT_WRITE : PROT_NONE))
            give_up("%s: cannot change the access to page %#x", slots[s].folder, offset);
}

/* ---- faults ---- */

struct access { int write, reg, length, immediate, vector; uint32_t value; };

/* The instructions that compilers make of 32-bit loads and stores of registers, from and to vector registers included
 * (where a word was computed in one). 0: none of these. */
static int decode(const uint8_t *code, struct access *access)
{
    const uint8_t *p = code;
    uint8_t rex = 0;
    memset(access, 0, sizeof *access);
    int prefixed = *p == 0x66;
    p += prefixed;
    if ((*p & 0xF0) == 0x40)
        rex = *p++;
    if (rex & 8)
        return 0; /* 64 bits */
    if (prefixed) { /* MOVD */
        if (p[0] != 0x0F || (p[1] != 0x6E && p[1] != 0x7E))
            return 0;
        access->write = p[1] == 0x7E, access->vector = 1, p += 2;
    } else if (p[0] == 0x0F && p[1] == 0x38 && p[2] == 0xF9) /* MOVDIRI */
        access->write = 1, p += 3;
    else if (*p == 0x89 || *p == 0x8B)
        access->write = *p++ == 0x89;
    else if (*p == 0xC7)
        access->write = access->immediate = 1, p++;
    else
        return 0;
    uint8_t modrm = *p++, mod = modrm >> 6, rm = modrm & 7;
    if (mod == 3)
        return 0;
    access->reg = (modrm >> 3 & 7) | (rex & 4) << 1;
    if (rm == 4) {
        uint8_t sib = *p++;
        if (mod == 0 && (sib & 7) == 5)
            p += 4;
    } else if (mod == 0 && rm == 5)
        p += 4;
    p += mod == 1 ? 1 : mod == 2 ? 4 : 0;
    if (access->immediate) {
        memcpy(&access->value, p, 4);
        p += 4;
    }
    access->length = (int)(p - code);
    return 1;
}

/* The tail of a queue has no side effect: the card looks at it when it next runs. A store does, then, and saves two switches
 * between processes for each doorbell. NULL: it is no tail. */
static uint32_t *tail_at(struct slot *slot, uint32_t offset)
{
    if (!slot->registers || (offset & 0x3F) != 0x18)
        return NULL;
    for (int i = 0; i < TAILS; i++) {
        if (!slot->tails[i].at) {
            struct request request = {.op = TAIL, .offset = offset};
            uint64_t found = ask(slot, &request, -1); /* its offset in the register file plus one */
            if (!found)
                return NULL;
            slot->tails[i].at = (uint32_t *)(slot->registers + found - 1);
            slot->tails[i].offset = offset;
        }
        if (slot->tails[i].offset == offset)
            return slot->tails[i].at;
    }
    return NULL;
}

static const int GREGS[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static uint32_t stored(const struct access *access, const ucontext_t *context)
{
    if (access->immediate)
        return access->value;
    if (access->vector)
        return context->uc_mcontext.fpregs->_xmm[access->reg].element[0];
    return (uint32_t)context->uc_mcontext.gregs[GREGS[access->reg]];
}

static void loaded(const struct access *access, ucontext_t *context, uint32_t value)
{
    if (access->vector) {
        memset(&context->uc_mcontext.fpregs->_xmm[access->reg], 0, 16);
        context->uc_mcontext.fpregs->_xmm[access->reg].element[0] = value;
    } else
        context->uc_mcontext.gregs[GREGS[access->reg]] = (greg_t)value;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int error = errno;
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *at = info->si_addr, *code = (const uint8_t *)regs[REG_RIP];
    struct access access;
    (void)number;
    for (int s = 0; s < slot_count; s++)
        for (uint32_t bar = 0; bar < BARS; bar++) {
            struct slot *slot = &slots[s];
            if (!slot->at[bar] || at < slot->at[bar] || at >= slot->at[bar] + slot->size[bar])
                continue;
            struct request request = {.bar = bar, .offset = (uint64_t)(at - slot->at[bar])};
            if (!decode(code, &access))
                give_up("%s: cannot decode the access to BAR%u at %#lx: %02x %02x %02x %02x %02x %02x", slot->folder, bar,
                        request.offset, code[0], code[1], code[2], code[3], code[4], code[5]);
            request.op = access.write ? WRITE : READ;
            request.value = stored(&access, context);
            lock();
            uint64_t value = 0;
            uint32_t *tail = bar == 0 && access.write ? tail_at(slot, (uint32_t)request.offset) : NULL;
            if (tail)
                __atomic_store_n(tail, (uint32_t)request.value, __ATOMIC_RELEASE);
            else {
                if (access.write)
                    memset(slot->tails, 0, sizeof slot->tails); /* queues may be set up anew: a VF's are not always the same */
                value = ask(slot, &request, -1);
            }
            unlock();
            if (!access.write)
                loaded(&access, context, (uint32_t)value);
            regs[REG_RIP] += access.length;
            errno = error;
            return;
        }
    sigaction(SIGSEGV, &before, NULL); /* not ours: it happens again, as if we were not here */
}
