/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The slots of this program and the sockets to the card's process.
 */
#include "trap.h"

#include <dirent.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { FILES = 64 * SLOTS };

struct slot slots[SLOTS];
int slot_count;

static struct file files[FILES];
static int file_count;
static dev_t root_device;

static int lock_word;

sigset_t lock(void)
{
    sigset_t all, before;
    sigfillset(&all);
    REAL(pthread_sigmask)(SIG_BLOCK, &all, &before);
    while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE))
        sched_yield();
    return before;
}

void unlock(sigset_t before)
{
    __atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
    REAL(pthread_sigmask)(SIG_SETMASK, &before, NULL);
}

void give_up(const char *format, ...)
{
    static const char name[] = "dataplane: ";
    char text[512];
    va_list args;
    memcpy(text, name, sizeof name);
    va_start(args, format);
    int n = vsnprintf(text + sizeof name - 1, sizeof text - sizeof name, format, args); /* room for the newline */
    va_end(args);
    size_t said = strlen(text);
    if (n < 0 || said > sizeof text - 2)
        said = sizeof text - 2;
    text[said] = '\n';
    _exit(syscall(SYS_write, 2, text, said + 1) < 0 ? 71 : 70);
}

/* A program may name its own slots when it has made them, so the environment is read until it does. */
const char *slots_root(void)
{
    static const char *root;
    if (!root)
        root = getenv("DATAPLANE_SLOTS");
    return root;
}

/* ---- files ---- */

static void add(const struct stat *status, struct slot *slot, int what)
{
    int i = 0;
    while (i < file_count && (files[i].dev != status->st_dev || files[i].ino != status->st_ino))
        i++;
    if (i == FILES)
        give_up("more than %d files of PCI functions", FILES);
    files[i] = (struct file){status->st_dev, status->st_ino, slot, what};
    file_count += i == file_count;
}

void add_file(int fd, struct slot *slot, int what)
{
    struct stat status;
    if (!syscall(SYS_fstat, fd, &status))
        add(&status, slot, what);
}

/* A file of a slot, which may be open under any name and number. */
const struct file *find_file(int fd)
{
    struct stat status;
    if (fd < 0 || !file_count || syscall(SYS_fstat, fd, &status))
        return NULL;
    if (!S_ISSOCK(status.st_mode) && (!S_ISREG(status.st_mode) || status.st_dev != root_device))
        return NULL;
    for (int i = 0; i < file_count; i++)
        if (files[i].dev == status.st_dev && files[i].ino == status.st_ino)
            return &files[i];
    return NULL;
}

/* The effect of a write to a file. resourceN and config are read, too; all others have the text that Linux would give. */
static int what_is(const char *name)
{
    static const struct { const char *name; int what; } known[] = {
        {"config", CONFIG}, {"reset", RESET}, {"unbind", UNBIND}, {"bind", BIND}, {"new_id", ACCEPTS},
        {"remove_id", ACCEPTS}, {"driver_override", ACCEPTS}, {"enable", ACCEPTS}, {"rescan", ACCEPTS},
    };
    int bar, used = 0;
    if (sscanf(name, "resource%d%n", &bar, &used) == 1 && !name[used] && bar >= 0 && bar < BARS)
        return bar;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name))
            return known[i].what;
    return FIXED;
}

/* The files of a folder. slot: their owner; NULL: the text that is written names the slot. */
static void find_files(const char *folder, struct slot *slot)
{
    struct stat status;
    struct dirent *each;
    DIR *listing = REAL(opendir)(folder);
    while (listing && (each = readdir(listing)))
        if (!syscall(SYS_newfstatat, dirfd(listing), each->d_name, &status, AT_SYMLINK_NOFOLLOW) && S_ISREG(status.st_mode)) {
            root_device = status.st_dev;
            add(&status, slot, what_is(each->d_name));
        }
    if (listing)
        closedir(listing);
}

void find_slots(void)
{
    enum { NOT_YET, NOW, DONE };
    static int found;
    char path[PATH_MAX];
    struct dirent *each;
    int error = errno, expected = NOT_YET;
    if (!__atomic_compare_exchange_n(&found, &expected, NOW, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        while (__atomic_load_n(&found, __ATOMIC_ACQUIRE) != DONE) /* another thread is at it */
            sched_yield();
        return;
    }
    snprintf(path, sizeof path, "%s/card", slots_root());
    DIR *listing = REAL(opendir)(path);
    while (listing && (each = readdir(listing))) {
        if (*each->d_name == '.')
            continue;
        if (slot_count == SLOTS)
            give_up("more than %d functions", SLOTS);
        struct slot *slot = &slots[slot_count++];
        slot->socket = -1;
        snprintf(slot->address, sizeof slot->address, "%.15s", each->d_name);
        if (snprintf(slot->folder, sizeof slot->folder, "%s/card/%.15s", slots_root(), each->d_name) >= (int)sizeof slot->folder)
            give_up("%s: the path is too long for sockets in it", slots_root());
        snprintf(path, sizeof path, "%s/sys/devices/pci0000:00/%s", slots_root(), slot->address);
        find_files(path, slot);
    }
    if (listing)
        closedir(listing);
    snprintf(path, sizeof path, "%s/sys/bus/pci/drivers/igb_uio", slots_root());
    find_files(path, NULL);
    __atomic_store_n(&found, DONE, __ATOMIC_RELEASE);
    errno = error;
}

/* ---- sockets ---- */

int connect_to(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (snprintf(name.sun_path, sizeof name.sun_path, "%s", path) >= (int)sizeof name.sun_path)
        give_up("%s: the path is too long for a socket", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name))
        give_up("%s: no card's process answers there (%s)", path, strerror(errno));
    return fd;
}

/* Ask the card; fd: goes with it, -1 for none. The lock is held. */
uint64_t ask(struct slot *slot, struct request *request, int fd)
{
    uint64_t reply;
    char path[sizeof slot->folder + 8];
    if (slot->socket < 0) {
        snprintf(path, sizeof path, "%s/socket", slot->folder);
        slot->socket = connect_to(path);
    }
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

/* This process drives the card from now on. The lock is held. */
void enter(struct slot *slot)
{
    if (slot->entered)
        return;
    struct request request = {.op = ENTER};
    ask(slot, &request, -1);
    slot->entered = 1;
    tell_pages(slot);
}
