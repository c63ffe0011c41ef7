# SPDX-License-Identifier: BSD-3-Clause
"""How a vector's message goes out."""

cdef extern from *:
    """
    #include <poll.h>
    #include <stdint.h>
    #include <unistd.h>
    /* A full eventfd (2**64 - 2 unread signals) is as good as signalled, and a write to it would wait for its reader. */
    static void mdl_signal(int fd)
    {
        struct pollfd room = {fd, POLLOUT, 0};
        uint64_t one = 1;
        ssize_t done;
        if (fd >= 0 && poll(&room, 1, 0) == 1 && room.revents == POLLOUT) {
            done = write(fd, &one, sizeof one);
            (void)done;
        }
    }
    """
    void send_signal "mdl_signal" (int fd) noexcept nogil
