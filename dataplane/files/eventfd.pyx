# SPDX-License-Identifier: BSD-3-Clause
"""Signal an eventfd that belongs to another process, without ever waiting for that process.

A write to an eventfd whose counter is full waits for a reader. A look before the write does not help, since the owner may
fill the counter in between; nor does O_NONBLOCK, which all holders of an eventfd share and any of them may clear. But the
kernel itself signals eventfds without waiting: the end of an asynchronous read (io_submit(2), IOCB_FLAG_RESFD) does. So each
signal is a read of 0 bytes of an empty file, done when io_submit returns. A counter that is full stays full.
"""

import os

cdef extern from *:
    """
    #include <errno.h>
    #include <linux/aio_abi.h>
    #include <poll.h>
    #include <pthread.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    #define DP_EVENTS 256 /* room for completions of reads that are not fetched yet */
    #define DP_FETCH 64 /* signals after which they are fetched */

    static aio_context_t dp_aio;
    static int dp_empty = -1;
    static pid_t dp_aio_process; /* a child of fork() has no context: it makes its own */
    static uint32_t dp_signals;
    static int dp_no_aio;
    static pthread_mutex_t dp_aio_lock = PTHREAD_MUTEX_INITIALIZER;

    /* Make the context, once in each process. Whether there is one. */
    static int dp_aio_ready(void)
    {
        pid_t process = getpid();
        if (__atomic_load_n(&dp_aio_process, __ATOMIC_ACQUIRE) == process)
            return !dp_no_aio;
        pthread_mutex_lock(&dp_aio_lock);
        if (dp_aio_process != process) {
            if (dp_empty < 0)
                dp_empty = memfd_create("dataplane-empty", MFD_CLOEXEC);
            dp_aio = 0;
            dp_no_aio = dp_empty < 0 || syscall(SYS_io_setup, DP_EVENTS, &dp_aio) != 0;
            __atomic_store_n(&dp_aio_process, process, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&dp_aio_lock);
        return !dp_no_aio;
    }

    static void dp_fetch(void)
    {
        struct io_event events[DP_EVENTS];
        struct timespec now = {0, 0};
        syscall(SYS_io_getevents, dp_aio, 0, DP_EVENTS, events, &now);
    }

    /* Where the kernel has no asynchronous reads: a full counter is as good as signalled. */
    static void dp_write_one(int fd)
    {
        struct pollfd room = {fd, POLLOUT, 0};
        uint64_t one = 1;
        ssize_t done;
        if (poll(&room, 1, 0) == 1 && room.revents == POLLOUT) {
            done = write(fd, &one, sizeof one);
            (void)done;
        }
    }

    static void dp_signal(int fd)
    {
        struct iocb read, *list = &read;
        int tries;
        if (fd < 0)
            return;
        if (!dp_aio_ready()) {
            dp_write_one(fd);
            return;
        }
        memset(&read, 0, sizeof read);
        read.aio_lio_opcode = IOCB_CMD_PREAD;
        read.aio_fildes = (uint32_t)dp_empty;
        read.aio_flags = IOCB_FLAG_RESFD;
        read.aio_resfd = (uint32_t)fd;
        for (tries = 0; tries < 4; tries++) {
            if (syscall(SYS_io_submit, dp_aio, 1, &list) == 1) {
                if (__atomic_add_fetch(&dp_signals, 1, __ATOMIC_RELAXED) % DP_FETCH == 0)
                    dp_fetch();
                return;
            }
            if (errno != EAGAIN)
                return; /* no eventfd */
            dp_fetch();
        }
    }
    """
    void dp_signal(int fd) noexcept nogil
    bint dp_aio_ready() noexcept nogil


cdef void send_signal(int fd) noexcept nogil:
    dp_signal(fd)


def signal_eventfd(int fd):
    """Add 1 to the counter of the eventfd `fd`. Never waits; a descriptor that is no eventfd is left alone."""
    with nogil:
        dp_signal(fd)


def never_waits():
    """Whether the kernel has what `signal_eventfd` needs; without it the owner of a full eventfd can stop a signal's sender."""
    return bool(dp_aio_ready())


def is_eventfd(int fd):
    """Whether the descriptor is an eventfd. Asks no file system."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[eventfd]"
    except OSError:
        return False
