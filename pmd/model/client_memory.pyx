# SPDX-License-Identifier: BSD-3-Clause
"""Memory of another process, mapped so that the device can reach it, and so that its owner cannot hurt us with it.

Whoever passes on a file may cut it short later; an access behind its end is a SIGBUS then. The signal's handler puts empty
memory in the place of the whole mapping, the access goes on there, and `lost` tells of it.
"""

import os

from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <errno.h>
    #include <signal.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/stat.h>
    #include <sys/vfs.h>

    #define DP_MAPPINGS 65536
    #define DP_TMPFS 0x01021994
    #define DP_HUGETLBFS 0x958458f6

    /* Written by whoever maps, one at a time (dp_mapping_lock); read by the handler, in whatever thread touched memory. */
    struct dp_mapping { uintptr_t start; size_t size; uint32_t lost; };
    static struct dp_mapping dp_mappings[DP_MAPPINGS];
    static uint32_t dp_mappings_end, dp_mapping_lock;
    static struct sigaction dp_before;
    static int dp_guarded;

    static void dp_on_sigbus(int signal, siginfo_t *info, void *context)
    {
        uintptr_t at = (uintptr_t)info->si_addr;
        uint32_t n, end = __atomic_load_n(&dp_mappings_end, __ATOMIC_ACQUIRE);
        for (n = 0; n < end; n++) {
            uintptr_t start = __atomic_load_n(&dp_mappings[n].start, __ATOMIC_ACQUIRE);
            if (!start || at < start || at - start >= dp_mappings[n].size)
                continue;
            int saved = errno;
            void *put = mmap((void *)start, dp_mappings[n].size, PROT_READ | PROT_WRITE,
                             MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            errno = saved;
            if (put == MAP_FAILED)
                break;
            __atomic_store_n(&dp_mappings[n].lost, 1, __ATOMIC_RELEASE);
            return;
        }
        /* Not ours: as it would have been without us. */
        if (dp_before.sa_flags & SA_SIGINFO && dp_before.sa_sigaction) {
            dp_before.sa_sigaction(signal, info, context);
        } else if (dp_before.sa_handler != SIG_DFL && dp_before.sa_handler != SIG_IGN) {
            dp_before.sa_handler(signal);
        } else {
            sigaction(SIGBUS, &dp_before, NULL);
            raise(SIGBUS);
        }
    }

    static int dp_guard(void)
    {
        struct sigaction action;
        if (dp_guarded)
            return 0;
        memset(&action, 0, sizeof(action));
        action.sa_sigaction = dp_on_sigbus;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        sigemptyset(&action.sa_mask);
        if (sigaction(SIGBUS, &action, &dp_before))
            return -errno;
        dp_guarded = 1;
        return 0;
    }

    /* Whether a file is memory: its pages come from nowhere, so that no access waits for a disk or another process. */
    static int dp_is_memory(int fd)
    {
        struct statfs s;
        return !fstatfs(fd, &s) && ((uint32_t)s.f_type == DP_TMPFS || (uint32_t)s.f_type == DP_HUGETLBFS);
    }

    static int64_t dp_slot(void)
    {
        uint32_t n;
        for (n = 0; n < dp_mappings_end; n++)
            if (!dp_mappings[n].start)
                return n;
        return n < DP_MAPPINGS ? (int64_t)n : -ENOSPC;
    }

    /* The slot's number, or -errno. */
    static int64_t dp_map(int fd, uint64_t offset, uint64_t size, int writable)
    {
        int64_t slot;
        int failed = dp_guard();
        void *at;
        if (failed)
            return failed;
        while (__atomic_exchange_n(&dp_mapping_lock, 1, __ATOMIC_ACQUIRE))
            ;
        slot = dp_slot();
        if (slot >= 0) {
            at = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)offset);
            if (at == MAP_FAILED) {
                slot = -errno;
            } else {
                madvise(at, size, MADV_DONTFORK);
                madvise(at, size, MADV_DONTDUMP);
                dp_mappings[slot].size = size;
                dp_mappings[slot].lost = 0;
                __atomic_store_n(&dp_mappings[slot].start, (uintptr_t)at, __ATOMIC_RELEASE);
                if ((uint32_t)slot >= dp_mappings_end)
                    __atomic_store_n(&dp_mappings_end, (uint32_t)slot + 1, __ATOMIC_RELEASE);
            }
        }
        __atomic_store_n(&dp_mapping_lock, 0, __ATOMIC_RELEASE);
        return slot;
    }

    static void dp_unmap(int64_t slot)
    {
        while (__atomic_exchange_n(&dp_mapping_lock, 1, __ATOMIC_ACQUIRE))
            ;
        munmap((void *)dp_mappings[slot].start, dp_mappings[slot].size);
        __atomic_store_n(&dp_mappings[slot].start, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&dp_mapping_lock, 0, __ATOMIC_RELEASE);
    }

    static uintptr_t dp_start(int64_t slot) { return dp_mappings[slot].start; }
    static uint32_t dp_lost(int64_t slot) { return __atomic_load_n(&dp_mappings[slot].lost, __ATOMIC_ACQUIRE); }
    """
    int is_memory "dp_is_memory" (int fd) nogil
    long long map_file "dp_map" (int fd, uint64_t offset, uint64_t size, int writable) nogil
    void unmap_slot "dp_unmap" (long long slot) nogil
    size_t start_of "dp_start" (long long slot) nogil
    uint32_t lost_slot "dp_lost" (long long slot) nogil


cdef class ClientMemory:
    """`size` bytes at `offset` of the file behind `fd`, which may be closed afterwards. The mapping lasts until `close`.

    fd: a memfd, or a file of tmpfs or hugetlbfs: of others an access could wait for ever. Raises OSError with what is wrong.
    """

    cdef long long _slot
    cdef readonly uint64_t size
    cdef readonly size_t address

    def __cinit__(self, int fd, uint64_t offset, uint64_t size, bint writable):
        self._slot = -1
        if not is_memory(fd):
            raise OSError(22, "memory for DMA must be a memfd, or a file in tmpfs or hugetlbfs")  # EINVAL
        have = os.fstat(fd).st_size
        if not size or offset + size < offset or offset + size > have:
            raise OSError(22, f"{size:#x} bytes at {offset:#x} of a file of {have:#x}")
        cdef long long slot = map_file(fd, offset, size, writable)
        if slot < 0:
            raise OSError(-slot, os.strerror(-slot))
        self._slot, self.size, self.address = slot, size, start_of(slot)

    @property
    def lost(self):
        """Whether an access found the file cut short: what is mapped since then is empty memory that nobody else sees."""
        return self._slot >= 0 and lost_slot(self._slot) != 0

    def close(self):
        """Unmap. No device may reach it any more."""
        if self._slot >= 0:
            unmap_slot(self._slot)
            self._slot, self.address = -1, 0

    def __dealloc__(self):
        if self._slot >= 0:
            unmap_slot(self._slot)
