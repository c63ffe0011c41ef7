# SPDX-License-Identifier: BSD-3-Clause
"""Memory of another process, mapped so that its owner cannot hurt us with it.

The owner of a file may cut it short at any time; an access behind its end is a SIGBUS then. The handler here replaces the
whole mapping by empty memory of our own, the access goes on there, and `lost` says so. A mapping consists of whole pages of
its own file, 2 MiB or 1 GiB on hugetlbfs: the kernel can neither unmap nor replace a part of one.
"""

import fcntl
import os

from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/vfs.h>
    #include <unistd.h>

    #define DP_MAPPINGS 65536
    #define DP_HUGETLBFS 0x958458f6

    /* Slots are given out under dp_slots_lock; the handler reads them in whatever thread touched memory. A slot whose start
     * is 0 is not looked at. */
    struct dp_mapping { uintptr_t start; size_t size; uint32_t lost, next; };
    static struct dp_mapping dp_mappings[DP_MAPPINGS];
    static uint32_t dp_mappings_end, dp_free; /* dp_free: the first free slot plus 1, 0 for none */
    static uint32_t dp_losses;
    static pthread_mutex_t dp_slots_lock = PTHREAD_MUTEX_INITIALIZER;
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
            __atomic_add_fetch(&dp_losses, 1, __ATOMIC_RELEASE);
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

    /* Install the handler, once. 0 or -errno. */
    static int dp_guard(void)
    {
        struct sigaction action;
        int failed = 0;
        pthread_mutex_lock(&dp_slots_lock);
        if (!dp_guarded) {
            memset(&action, 0, sizeof(action));
            action.sa_sigaction = dp_on_sigbus;
            action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
            sigemptyset(&action.sa_mask);
            failed = sigaction(SIGBUS, &action, &dp_before) ? -errno : 0;
            dp_guarded = !failed;
        }
        pthread_mutex_unlock(&dp_slots_lock);
        return failed;
    }

    /* The page size of a file that is memory. */
    static uint64_t dp_page_of(int fd)
    {
        struct statfs s;
        if (!fstatfs(fd, &s) && (uint32_t)s.f_type == DP_HUGETLBFS)
            return (uint64_t)s.f_bsize;
        return (uint64_t)sysconf(_SC_PAGESIZE);
    }

    static int64_t dp_take_slot(void)
    {
        int64_t slot = -ENOSPC;
        pthread_mutex_lock(&dp_slots_lock);
        if (dp_free) {
            slot = dp_free - 1;
            dp_free = dp_mappings[slot].next;
        } else if (dp_mappings_end < DP_MAPPINGS) {
            slot = dp_mappings_end;
            __atomic_store_n(&dp_mappings_end, dp_mappings_end + 1, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&dp_slots_lock);
        return slot;
    }

    static void dp_give_slot(int64_t slot)
    {
        pthread_mutex_lock(&dp_slots_lock);
        dp_mappings[slot].next = dp_free;
        dp_free = (uint32_t)slot + 1;
        pthread_mutex_unlock(&dp_slots_lock);
    }

    /* The slot's number, or -errno. offset and size are whole pages. */
    static int64_t dp_map(int fd, uint64_t offset, uint64_t size, int writable)
    {
        int failed = dp_guard();
        int64_t slot = failed ? failed : dp_take_slot();
        void *at;
        if (slot < 0)
            return slot;
        at = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, (off_t)offset);
        if (at == MAP_FAILED) {
            failed = -errno;
            dp_give_slot(slot);
            return failed;
        }
        madvise(at, size, MADV_DONTFORK);
        madvise(at, size, MADV_DONTDUMP);
        dp_mappings[slot].size = size;
        dp_mappings[slot].lost = 0;
        __atomic_store_n(&dp_mappings[slot].start, (uintptr_t)at, __ATOMIC_RELEASE);
        return slot;
    }

    /* 0, or -errno: then it is mapped and guarded as before. */
    static int dp_unmap(int64_t slot)
    {
        uintptr_t start = dp_mappings[slot].start;
        __atomic_store_n(&dp_mappings[slot].start, 0, __ATOMIC_RELEASE);
        if (munmap((void *)start, dp_mappings[slot].size)) {
            int failed = -errno;
            __atomic_store_n(&dp_mappings[slot].start, start, __ATOMIC_RELEASE);
            return failed;
        }
        dp_give_slot(slot);
        return 0;
    }

    static uintptr_t dp_start(int64_t slot) { return dp_mappings[slot].start; }
    static uint32_t dp_lost(int64_t slot) { return __atomic_load_n(&dp_mappings[slot].lost, __ATOMIC_ACQUIRE); }
    static uint32_t dp_lost_all(void) { return __atomic_load_n(&dp_losses, __ATOMIC_ACQUIRE); }
    """
    uint64_t page_of "dp_page_of" (int fd) nogil
    long long map_file "dp_map" (int fd, uint64_t offset, uint64_t size, int writable) nogil
    int unmap_slot "dp_unmap" (long long slot) nogil
    size_t start_of "dp_start" (long long slot) nogil
    uint32_t lost_slot "dp_lost" (long long slot) nogil
    uint32_t lost_all "dp_lost_all" () nogil

_F_GET_SEALS, _SEAL_GROW = 1034, 0x4
QUICK = 1 << 30  # bytes of a file whose pages are given back in little time

cdef enum:
    SMALLEST_PAGE = 4096


def seals_of(int fd):
    """The seals of a file that is memory (tmpfs or hugetlbfs), -1 for any other. Asks no file system, which could wait."""
    try:
        return fcntl.fcntl(fd, _F_GET_SEALS)
    except OSError:
        return -1


def losses():
    """How many mappings of this process have been lost so far: while it stays the same, no `PeerMemory.lost` changes."""
    return lost_all()


cdef class PeerMemory:
    """`size` bytes at `offset` of the file behind `fd`, which may be closed afterwards. The mapping lasts until `close`.

    fd: a memfd, or a file of tmpfs or hugetlbfs: of others an access could wait without an end. writable: whether we may
    write, too. address: of the first of those bytes. mapped: bytes of whole pages, at least `size`. quick: whether unmapping
    takes little time even if the file goes with it. Raises OSError with what is wrong.
    """

    def __cinit__(self, int fd, uint64_t offset, uint64_t size, bint writable):
        self._slot = -1
        seals = seals_of(fd)
        if seals < 0:
            raise OSError(22, "memory for DMA must be a memfd, or a file in tmpfs or hugetlbfs")  # EINVAL
        cdef uint64_t have = os.fstat(fd).st_size, page = page_of(fd)
        if not size or offset + size < offset or offset + size > have:
            raise OSError(22, f"{size:#x} bytes at {offset:#x} of a file of {have:#x}")
        if offset % SMALLEST_PAGE:
            raise OSError(22, f"offset {offset:#x}: no page begins there")
        cdef uint64_t first = offset // page * page
        self.mapped = (offset + size - first + page - 1) // page * page
        cdef long long slot = map_file(fd, first, self.mapped, writable)
        if slot < 0:
            raise OSError(-slot, os.strerror(-slot))
        self._slot, self.size, self.address = slot, size, start_of(slot) + (offset - first)
        self._writable = writable
        self.quick = seals & _SEAL_GROW and have <= QUICK

    cdef bint covers(self, size_t at, uint64_t n, bint write) noexcept:
        if self._slot < 0 or not self.address or at < self.address or (write and not self._writable):
            return False
        return at - self.address <= self.size and n <= self.size - (at - self.address)

    @property
    def lost(self):
        """Whether an access found the file cut short. If so, the mapping is zeroed memory of this process alone."""
        return self._slot >= 0 and lost_slot(self._slot) != 0

    def close(self):
        """Unmap; nothing may access it any more. Raises OSError if the kernel refuses: it is still mapped then."""
        cdef int failed
        cdef long long slot = self._slot
        if slot >= 0:
            with nogil:
                failed = unmap_slot(slot)
            if failed:
                raise OSError(-failed, os.strerror(-failed))
            self._slot, self.address = -1, 0

    def __dealloc__(self):
        if self._slot >= 0 and self.address:  # without an address nothing was mapped, and 0 is a slot too
            unmap_slot(self._slot)
