/* SPDX-License-Identifier: BSD-3-Clause
 *
 * libc's functions that take a path. One of a PCI device or of UIO leads to the slots' folder, where it looks the same.
 * On x86-64 every file offset has 64 bits, so a name and its *64 twin are one function.
 */
#include "trap.h"

#include <dirent.h>
#include <ftw.h>
#include <glob.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum { UIO_MAJOR = 240 };

/* Paths of the machine that are hidden. A number follows the last one directly. */
static const char *const SHOWN[] = {"/sys/bus/pci", "/sys/class/uio", "/sys/devices/pci0000:00", "/dev/uio"};
static const int SHOWN_COUNT = sizeof SHOWN / sizeof *SHOWN;

/* The rest of `path` behind `prefix`, where `//` and `/./` are a `/`; NULL: it does not begin with `prefix`. */
static const char *after(const char *path, const char *prefix)
{
    for (; *prefix; prefix++, path++) {
        if (*path != *prefix)
            return NULL;
        if (*path == '/')
            while (path[1] == '/' || (path[1] == '.' && path[2] == '/'))
                path += 1 + (path[1] == '.');
    }
    return path;
}

int in_root(const char *path)
{
    const char *root = slots_root(), *rest = root && path ? after(path, root) : NULL;
    return rest && (!*rest || *rest == '/');
}

const char *here(const char *path, char room[PATH_MAX])
{
    const char *root = slots_root(), *rest;
    if (!root || !path || *path != '/')
        return path;
    if (in_root(path)) {
        find_slots();
        return path;
    }
    for (int i = 0; i < SHOWN_COUNT; i++) {
        rest = after(path, SHOWN[i]);
        if (!rest || (i < SHOWN_COUNT - 1 ? *rest && *rest != '/' : *rest < '0' || *rest > '9'))
            continue;
        find_slots();
        if (snprintf(room, PATH_MAX, "%s%s%s", root, SHOWN[i], rest) < PATH_MAX)
            return room;
    }
    return path;
}

/* The other way: the path that a program is shown. `text` is changed in place. */
static char *shown(char *text)
{
    if (text && in_root(text)) {
        size_t skipped = strlen(slots_root());
        memmove(text, text + skipped, strlen(text + skipped) + 1);
        if (!*text)
            strcpy(text, "/");
    }
    return text;
}

/* The number of /dev/uioN in the slots' folder; -1: it is none. */
static int uio_number(const char *path)
{
    int number, used = 0;
    const char *rest = in_root(path) ? after(path, slots_root()) : NULL;
    return rest && sscanf(rest, "/dev/uio%d%n", &number, &used) == 1 && !rest[used] ? number : -1;
}

/* /dev/uioN: what is read there is the number of interrupts, what is written turns them on and off. */
static int open_uio(const char *path, int number, int flags)
{
    char link[PATH_MAX], target[PATH_MAX];
    if (access(path, F_OK))
        return -1;
    int fd = connect_to(path);
    if (!(flags & O_CLOEXEC))
        fcntl(fd, F_SETFD, 0);
    if (flags & O_NONBLOCK)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    snprintf(link, sizeof link, "%s/sys/class/uio/uio%d/device", slots_root(), number);
    const char *name = realpath(link, target) ? strrchr(target, '/') + 1 : "";
    for (int i = 0; i < slot_count; i++)
        if (!strcmp(slots[i].address, name))
            add_file(fd, &slots[i], UIO);
    return fd;
}

int open_here(int folder, const char *path, int flags, mode_t mode)
{
    char room[PATH_MAX];
    path = here(path, room);
    int number = uio_number(path);
    if (number >= 0)
        return open_uio(path, number, flags);
    if (in_root(path) && (flags & O_ACCMODE) != O_RDONLY) /* sysfs neither makes nor cuts files */
        flags &= ~(O_CREAT | O_EXCL | O_TRUNC);
    return REAL(openat)(folder, path, flags, mode);
}

#define MODE_OF(flags, last)                                       \
    __extension__({                                                \
        mode_t mode_ = 0;                                          \
        if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
            va_list args_;                                         \
            va_start(args_, last);                                 \
            mode_ = va_arg(args_, mode_t);                         \
            va_end(args_);                                         \
        }                                                          \
        mode_;                                                     \
    })

#define OPEN(name) \
    EXPORT int name(const char *path, int flags, ...) { return open_here(AT_FDCWD, path, flags, MODE_OF(flags, flags)); }
#define OPENAT(name) \
    EXPORT int name(int folder, const char *path, int flags, ...) { return open_here(folder, path, flags, MODE_OF(flags, flags)); }
#define OPEN_2(name) \
    EXPORT int name(const char *path, int flags); \
    EXPORT int name(const char *path, int flags) { return open_here(AT_FDCWD, path, flags, 0); }
#define OPENAT_2(name) \
    EXPORT int name(int folder, const char *path, int flags); \
    EXPORT int name(int folder, const char *path, int flags) { return open_here(folder, path, flags, 0); }
#define CREAT(name) \
    EXPORT int name(const char *path, mode_t mode) { return open_here(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int __open(const char *, int, ...);
int __open64(const char *, int, ...);

OPEN(open)
OPEN(open64)
OPEN(__open)
OPEN(__open64)
OPENAT(openat)
OPENAT(openat64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)
CREAT(creat)
CREAT(creat64)

/* ---- what a file is ---- */

static int stat_here(int folder, const char *path, void *to, int flags)
{
    char room[PATH_MAX];
    path = here(path, room);
    int failed = (int)syscall(SYS_newfstatat, folder, path, to, flags), number = failed ? -1 : uio_number(path);
    if (number >= 0) { /* a device, not the socket that is in its place */
        struct stat *status = to;
        status->st_mode = (status->st_mode & ~(mode_t)S_IFMT) | S_IFCHR;
        status->st_rdev = makedev(UIO_MAJOR, (unsigned)number);
    }
    return failed;
}

#define STAT(name, type, flags) \
    EXPORT int name(const char *path, type *to) { return stat_here(AT_FDCWD, path, to, flags); }
#define FSTATAT(name, type) \
    EXPORT int name(int folder, const char *path, type *to, int flags) { return stat_here(folder, path, to, flags); }
#define XSTAT(name, type, flags) /* until glibc 2.33 */ \
    EXPORT int name(int version, const char *path, type *to); \
    EXPORT int name(int version, const char *path, type *to) { return (void)version, stat_here(AT_FDCWD, path, to, flags); }
#define FXSTATAT(name, type) \
    EXPORT int name(int version, int folder, const char *path, type *to, int flags); \
    EXPORT int name(int version, int folder, const char *path, type *to, int flags) \
    { return (void)version, stat_here(folder, path, to, flags); }

STAT(stat, struct stat, 0)
STAT(stat64, struct stat64, 0)
STAT(lstat, struct stat, AT_SYMLINK_NOFOLLOW)
STAT(lstat64, struct stat64, AT_SYMLINK_NOFOLLOW)
FSTATAT(fstatat, struct stat)
FSTATAT(fstatat64, struct stat64)
XSTAT(__xstat, struct stat, 0)
XSTAT(__xstat64, struct stat64, 0)
XSTAT(__lxstat, struct stat, AT_SYMLINK_NOFOLLOW)
XSTAT(__lxstat64, struct stat64, AT_SYMLINK_NOFOLLOW)
FXSTATAT(__fxstatat, struct stat)
FXSTATAT(__fxstatat64, struct stat64)

/* A function that does to the path what libc's does. */
#define HERE(type, name, parameters, arguments)   \
    EXPORT type name parameters                   \
    {                                             \
        char room[PATH_MAX];                      \
        return REAL(name) arguments;              \
    }

HERE(int, statx, (int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict to),
     (folder, here(path, room), flags, mask, to))
HERE(int, access, (const char *path, int mode), (here(path, room), mode))
HERE(int, eaccess, (const char *path, int mode), (here(path, room), mode))
HERE(int, euidaccess, (const char *path, int mode), (here(path, room), mode))
HERE(int, faccessat, (int folder, const char *path, int mode, int flags), (folder, here(path, room), mode, flags))
HERE(int, chdir, (const char *path), (here(path, room)))
HERE(DIR *, opendir, (const char *path), (here(path, room)))
HERE(int, scandir, (const char *restrict path, struct dirent ***restrict list, int (*want)(const struct dirent *),
                    int (*order)(const struct dirent **, const struct dirent **)), (here(path, room), list, want, order))
HERE(int, scandir64, (const char *restrict path, struct dirent64 ***restrict list, int (*want)(const struct dirent64 *),
                      int (*order)(const struct dirent64 **, const struct dirent64 **)), (here(path, room), list, want, order))
HERE(int, scandirat, (int folder, const char *restrict path, struct dirent ***restrict list, int (*want)(const struct dirent *),
                      int (*order)(const struct dirent **, const struct dirent **)),
     (folder, here(path, room), list, want, order))
HERE(int, ftw, (const char *path, __ftw_func_t each, int fds), (here(path, room), each, fds))
HERE(int, ftw64, (const char *path, __ftw64_func_t each, int fds), (here(path, room), each, fds))
HERE(int, nftw, (const char *path, __nftw_func_t each, int fds, int flags), (here(path, room), each, fds, flags))
HERE(int, nftw64, (const char *path, __nftw64_func_t each, int fds, int flags), (here(path, room), each, fds, flags))

HERE(int, statfs, (const char *path, struct statfs *to), (here(path, room), to))
HERE(int, statfs64, (const char *path, struct statfs64 *to), (here(path, room), to))
HERE(ssize_t, getxattr, (const char *path, const char *name, void *to, size_t n), (here(path, room), name, to, n))
HERE(ssize_t, lgetxattr, (const char *path, const char *name, void *to, size_t n), (here(path, room), name, to, n))
HERE(ssize_t, listxattr, (const char *path, char *to, size_t n), (here(path, room), to, n))
HERE(ssize_t, llistxattr, (const char *path, char *to, size_t n), (here(path, room), to, n))

/* ---- paths that libc answers with ---- */

static ssize_t readlink_here(int folder, const char *path, char *to, size_t n)
{
    char room[PATH_MAX], link[PATH_MAX + 1];
    if (!slots_root())
        return REAL(readlinkat)(folder, path, to, n);
    ssize_t got = REAL(readlinkat)(folder, here(path, room), link, PATH_MAX);
    if (got < 0)
        return got;
    link[got] = 0;
    size_t size = strlen(shown(link));
    memcpy(to, link, size < n ? size : n);
    return (ssize_t)(size < n ? size : n);
}

ssize_t __readlink_chk(const char *, char *, size_t, size_t);
ssize_t __readlinkat_chk(int, const char *, char *, size_t, size_t);
char *__realpath_chk(const char *, char *, size_t);
char *__getcwd_chk(char *, size_t, size_t);

EXPORT ssize_t readlink(const char *restrict path, char *restrict to, size_t n) { return readlink_here(AT_FDCWD, path, to, n); }
EXPORT ssize_t readlinkat(int folder, const char *restrict path, char *restrict to, size_t n)
{ return readlink_here(folder, path, to, n); }
EXPORT ssize_t __readlink_chk(const char *path, char *to, size_t n, size_t room)
{ return readlink_here(AT_FDCWD, path, to, n < room ? n : room); }
EXPORT ssize_t __readlinkat_chk(int folder, const char *path, char *to, size_t n, size_t room)
{ return readlink_here(folder, path, to, n < room ? n : room); }

EXPORT char *realpath(const char *restrict path, char *restrict to)
{
    char room[PATH_MAX];
    return shown(REAL(realpath)(here(path, room), to));
}

EXPORT char *__realpath_chk(const char *path, char *to, size_t n)
{
    (void)n;
    return realpath(path, to);
}

EXPORT char *canonicalize_file_name(const char *path) { return realpath(path, NULL); }

EXPORT char *getcwd(char *to, size_t n) { return shown(REAL(getcwd)(to, n)); }
EXPORT char *__getcwd_chk(char *to, size_t n, size_t room) { return getcwd(to, n < room ? n : room); }
EXPORT char *get_current_dir_name(void) { return shown(REAL(get_current_dir_name)()); }

/* A pattern is looked up through the functions above, so what it finds has the names that the program is shown. */
#define GLOB(name, type, entry_stat)                                                                             \
    EXPORT int name(const char *restrict pattern, int flags, int (*failed)(const char *, int), type *restrict found) \
    {                                                                                                            \
        if (slots_root() && !(flags & GLOB_ALTDIRFUNC)) {                                                        \
            flags |= GLOB_ALTDIRFUNC;                                                                            \
            found->gl_opendir = (void *(*)(const char *))opendir;                                                \
            found->gl_readdir = (__typeof__(found->gl_readdir))(void *)readdir;                                  \
            found->gl_closedir = (void (*)(void *))(void *)closedir;                                             \
            found->gl_stat = (__typeof__(found->gl_stat))(void *)stat;                                           \
            found->gl_lstat = (__typeof__(found->gl_lstat))(void *)lstat;                                        \
        }                                                                                                        \
        return REAL(name)(pattern, flags, failed, found);                                                        \
    }

GLOB(glob, glob_t, stat)
GLOB(glob64, glob64_t, stat64)
