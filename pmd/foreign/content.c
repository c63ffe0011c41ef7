/* SPDX-License-Identifier: BSD-3-Clause
 *
 * libc's functions that read and write what is open. Configuration space, the ports of an I/O BAR and what a driver tells
 * the kernel through sysfs are asked of the card; every other descriptor is the kernel's.
 */
#include "trap.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

enum { CONFIG_SIZE = 4096, IO_SIZE = 32 };

/* ---- one access ---- */

static ssize_t fail(int error)
{
    errno = error;
    return -1;
}

/* A piece of up to a dword, as Linux makes them: no piece crosses a dword. */
static uint64_t ask_piece(struct slot *slot, uint32_t op, uint32_t bar, uint64_t offset, size_t left, void *bytes, uint32_t *size)
{
    struct request request = {.op = op, .bar = bar, .offset = offset};
    *size = request.size = (uint32_t)(left < 4 - (offset & 3) ? left : 4 - (offset & 3));
    if (op == WRITE || op == CONFIG_WRITE)
        memcpy(&request.value, bytes, *size);
    return ask(slot, &request, -1);
}

/* How much of `n` bytes at an offset there is; -1: such an access fails. */
static ssize_t clamp(const struct file *file, size_t n, off_t offset)
{
    if (offset < 0)
        return fail(EINVAL);
    if (file->what == CONFIG)
        return offset >= CONFIG_SIZE ? 0 : (ssize_t)(n < (size_t)(CONFIG_SIZE - offset) ? n : (size_t)(CONFIG_SIZE - offset));
    if (file->what != 2) /* only a BAR of ports can be read; one of memory is mapped */
        return fail(EIO);
    if ((n != 1 && n != 2 && n != 4) || offset + (off_t)n > IO_SIZE)
        return fail(EINVAL);
    return (ssize_t)n;
}

static ssize_t exchange(const struct file *file, char *bytes, size_t n, off_t offset, int write)
{
    ssize_t size = clamp(file, n, offset);
    int config = file->what == CONFIG;
    uint32_t piece, op = config ? (write ? CONFIG_WRITE : CONFIG_READ) : (write ? WRITE : READ);
    sigset_t before = lock();
    for (ssize_t done = 0; done < size; done += piece) {
        uint64_t value = ask_piece(file->slot, op, (uint32_t)file->what, (uint64_t)(offset + done), (size_t)(size - done),
                                   bytes + done, &piece);
        if (!write)
            memcpy(bytes + done, &value, piece);
    }
    unlock(before);
    return size;
}

/* Carry out a write to an attribute of sysfs. */
static ssize_t store(const struct file *file, const char *text, size_t n)
{
    struct request request = {.op = file->what == RESET ? RESET_NOW : SET_DRIVER, .value = file->what == BIND};
    struct slot *slot = file->what == RESET ? file->slot : NULL;
    char name[ADDRESS];
    if (file->what == ACCEPTS)
        return (ssize_t)n;
    if (file->what == UNBIND || file->what == BIND) {
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), text);
        name[strcspn(name, " \n")] = 0;
        for (int i = 0; i < slot_count; i++)
            if (!strcmp(slots[i].address, name))
                slot = &slots[i];
    } else if (file->what != RESET)
        return fail(EIO);
    if (!slot)
        return fail(ENODEV);
    sigset_t before = lock();
    ask(slot, &request, -1);
    unlock(before);
    return (ssize_t)n;
}

/* The file, if reading (writing) it is not the kernel's affair. */
static const struct file *ours(int fd, int write)
{
    const struct file *file = find_file(fd);
    return file && file->what != UIO && (write || file->what <= CONFIG) ? file : NULL;
}

static ssize_t transfer(const struct file *file, const void *bytes, size_t n, off_t offset, int write)
{
    if (file->what > CONFIG)
        return store(file, bytes, n);
    return exchange(file, (char *)(uintptr_t)bytes, n, offset, write);
}

/* At the descriptor's own offset, which moves on. */
static ssize_t transfer_next(const struct file *file, int fd, const void *bytes, size_t n, int write)
{
    off_t offset = lseek(fd, 0, SEEK_CUR);
    int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
    if (mode == (write ? O_RDONLY : O_WRONLY))
        return fail(EBADF);
    ssize_t done = transfer(file, bytes, n, offset, write);
    if (done > 0)
        lseek(fd, offset + done, SEEK_SET);
    return done;
}

static ssize_t transfer_pieces(const struct file *file, int fd, const struct iovec *pieces, int count, off_t offset, int write)
{
    ssize_t done = 0;
    for (int i = 0; i < count; i++) {
        ssize_t n = offset < 0 ? transfer_next(file, fd, pieces[i].iov_base, pieces[i].iov_len, write)
                               : transfer(file, pieces[i].iov_base, pieces[i].iov_len, offset + done, write);
        if (n < 0)
            return done ? done : n;
        done += n;
        if ((size_t)n < pieces[i].iov_len)
            break;
    }
    return done;
}

/* ---- libc's names ---- */

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __pread_chk(int, void *, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void *, size_t, off_t, size_t);
ssize_t __read(int, void *, size_t);
ssize_t __write(int, const void *, size_t);

/* parameters; what is done to a file of ours; what libc's function `real` gets */
#define CONTENT(name, parameters, write, done, real, arguments) \
    EXPORT ssize_t name parameters                              \
    {                                                           \
        const struct file *file = ours(fd, write);              \
        return file ? done : REAL(real) arguments;              \
    }

CONTENT(read, (int fd, void *to, size_t n), 0, transfer_next(file, fd, to, n, 0), read, (fd, to, n))
CONTENT(__read, (int fd, void *to, size_t n), 0, transfer_next(file, fd, to, n, 0), read, (fd, to, n))
CONTENT(__read_chk, (int fd, void *to, size_t n, size_t room), 0, transfer_next(file, fd, to, n, 0), __read_chk, (fd, to, n, room))
CONTENT(pread, (int fd, void *to, size_t n, off_t at), 0, transfer(file, to, n, at, 0), pread, (fd, to, n, at))
CONTENT(pread64, (int fd, void *to, size_t n, off64_t at), 0, transfer(file, to, n, at, 0), pread, (fd, to, n, at))
CONTENT(__pread_chk, (int fd, void *to, size_t n, off_t at, size_t room), 0, transfer(file, to, n, at, 0), __pread_chk,
        (fd, to, n, at, room))
CONTENT(__pread64_chk, (int fd, void *to, size_t n, off_t at, size_t room), 0, transfer(file, to, n, at, 0), __pread_chk,
        (fd, to, n, at, room))
CONTENT(write, (int fd, const void *from, size_t n), 1, transfer_next(file, fd, from, n, 1), write, (fd, from, n))
CONTENT(__write, (int fd, const void *from, size_t n), 1, transfer_next(file, fd, from, n, 1), write, (fd, from, n))
CONTENT(pwrite, (int fd, const void *from, size_t n, off_t at), 1, transfer(file, from, n, at, 1), pwrite, (fd, from, n, at))
CONTENT(pwrite64, (int fd, const void *from, size_t n, off64_t at), 1, transfer(file, from, n, at, 1), pwrite, (fd, from, n, at))
CONTENT(readv, (int fd, const struct iovec *pieces, int count), 0, transfer_pieces(file, fd, pieces, count, -1, 0), readv,
        (fd, pieces, count))
CONTENT(writev, (int fd, const struct iovec *pieces, int count), 1, transfer_pieces(file, fd, pieces, count, -1, 1), writev,
        (fd, pieces, count))
CONTENT(preadv, (int fd, const struct iovec *pieces, int count, off_t at), 0, transfer_pieces(file, fd, pieces, count, at, 0),
        preadv, (fd, pieces, count, at))
CONTENT(preadv64, (int fd, const struct iovec *pieces, int count, off64_t at), 0,
        transfer_pieces(file, fd, pieces, count, at, 0), preadv, (fd, pieces, count, at))
CONTENT(pwritev, (int fd, const struct iovec *pieces, int count, off_t at), 1, transfer_pieces(file, fd, pieces, count, at, 1),
        pwritev, (fd, pieces, count, at))
CONTENT(pwritev64, (int fd, const struct iovec *pieces, int count, off64_t at), 1,
        transfer_pieces(file, fd, pieces, count, at, 1), pwritev, (fd, pieces, count, at))

/* The kernel would copy what is in the file; programs that may not do so read and write. */
#define COPY(name, parameters, in, arguments) \
    EXPORT ssize_t name parameters { return ours(in, 0) ? fail(EINVAL) : REAL(name) arguments; }

COPY(sendfile, (int out, int in, off_t *at, size_t n), in, (out, in, at, n))
COPY(sendfile64, (int out, int in, off64_t *at, size_t n), in, (out, in, at, n))
COPY(copy_file_range, (int in, off64_t *in_at, int out, off64_t *out_at, size_t n, unsigned flags), in,
     (in, in_at, out, out_at, n, flags))

/* ---- streams: libc reads and writes them without the names above ---- */

struct stream { FILE *file; int fd; struct stream *next; };

static struct stream *streams;

static ssize_t stream_read(void *cookie, char *to, size_t n) { return read(((struct stream *)cookie)->fd, to, n); }

static ssize_t stream_write(void *cookie, const char *from, size_t n)
{
    ssize_t done = write(((struct stream *)cookie)->fd, from, n);
    return done < 0 ? 0 : done;
}

static int stream_seek(void *cookie, off64_t *offset, int whence)
{
    *offset = lseek(((struct stream *)cookie)->fd, *offset, whence);
    return *offset < 0 ? -1 : 0;
}

static int stream_close(void *cookie)
{
    struct stream *stream = cookie, **at = &streams;
    sigset_t before = lock();
    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    unlock(before);
    int failed = close(stream->fd);
    free(stream);
    return failed;
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
    const struct file *file = find_file(fd);
    struct stream *stream = file && file->what != UIO && file->what != FIXED ? malloc(sizeof *stream) : NULL;
    if (!stream)
        return REAL(fdopen)(fd, mode);
    cookie_io_functions_t functions = {stream_read, stream_write, stream_seek, stream_close};
    stream->fd = fd;
    stream->file = fopencookie(stream, mode, functions);
    if (!stream->file)
        return free(stream), NULL;
    sigset_t before = lock();
    stream->next = streams;
    streams = stream;
    unlock(before);
    return stream->file;
}

/* A stream of one of the slots' files; others are libc's. */
static FILE *open_stream(const char *path, const char *mode)
{
    int flags = *mode == 'r' ? O_RDONLY : *mode == 'a' ? O_WRONLY | O_APPEND : O_WRONLY;
    if (strchr(mode, '+'))
        flags = (flags & ~O_ACCMODE) | O_RDWR;
    int fd = open_here(AT_FDCWD, path, flags | (strchr(mode, 'e') ? O_CLOEXEC : 0), 0);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, mode);
    if (fd >= 0 && !stream)
        close(fd);
    return stream;
}

#define FOPEN(name)                                                                \
    EXPORT FILE *name(const char *restrict path, const char *restrict mode)        \
    {                                                                              \
        char room[PATH_MAX];                                                       \
        const char *at = here(path, room);                                         \
        return in_root(at) ? open_stream(at, mode) : REAL(name)(path, mode);       \
    }

FOPEN(fopen)
FOPEN(fopen64)

/* A stream keeps its identity here, so it gets what configuration space holds now. */
#define FREOPEN(name)                                                                               \
    EXPORT FILE *name(const char *restrict path, const char *restrict mode, FILE *restrict stream)  \
    {                                                                                               \
        char room[PATH_MAX], config[CONFIG_SIZE];                                                   \
        const char *at = here(path, room);                                                          \
        int fd = path && in_root(at) ? open_here(AT_FDCWD, at, O_RDWR | O_CLOEXEC, 0) : -1;         \
        const struct file *file = find_file(fd);                                                    \
        if (file && file->what == CONFIG) {                                                         \
            exchange(file, config, sizeof config, 0, 0);                                            \
            if (REAL(pwrite)(fd, config, sizeof config, 0) != sizeof config)                        \
                at = "";                                                                            \
        }                                                                                           \
        if (fd >= 0)                                                                                \
            close(fd);                                                                              \
        return REAL(name)(at, mode, stream);                                                        \
    }

FREOPEN(freopen)
FREOPEN(freopen64)

#define FILENO(name)                                        \
    EXPORT int name(FILE *file)                             \
    {                                                       \
        for (struct stream *each = streams; each; each = each->next) \
            if (each->file == file)                         \
                return each->fd;                            \
        return REAL(name)(file);                            \
    }

FILENO(fileno)
FILENO(fileno_unlocked)
