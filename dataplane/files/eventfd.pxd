# SPDX-License-Identifier: BSD-3-Clause
"""Signal an eventfd that belongs to another process."""


# Add 1 to the eventfd's counter; -1: do nothing. Never waits, even if its owner has filled the counter.
cdef void send_signal(int fd) noexcept nogil
