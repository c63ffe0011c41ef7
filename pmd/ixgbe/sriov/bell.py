# SPDX-License-Identifier: BSD-3-Clause
"""What wakes the PF's service of VFs: the mailbox interrupt as an eventfd, or a timer on a bus without interrupts."""

from __future__ import annotations

import logging
import os
import select
import threading
from contextlib import suppress

from dataplane.errors import DataplaneError
from dataplane.pmd.datasheet import EICR, EIMC, EIMS, GPIE, IVAR_MISC, PFMBIMR
from dataplane.pmd.function import Bar, Function

__all__ = ["Bell"]

log = logging.getLogger("dataplane")

VECTOR = 0
MISSES = 3  # messages that came without their interrupt, until no interrupt is believed in
LATE = 5e-3  # seconds that an interrupt may come after its message


class Bell:
    """`wait` returns when a VF has spoken, was reset, or the link has changed; at the latest after its time.

    function: whose MSI-X vector 0 is joined to an eventfd. `rings` is False where that is impossible, or interrupts do not
    arrive: then a caller polls. One thread waits; `wake` may be called from any.
    """

    _fd = -1

    def __init__(self, function: Function, bar: Bar) -> None:
        self.function, self.bar = function, bar
        self.rings = False  # whether interrupts arrive
        self._misses = 0
        self._lock = threading.Lock()  # `wake` must not write to a descriptor that was closed and reused
        self._poll = select.poll()

    def arm(self) -> None:
        """8.2.3.5, 8.2.3.27: after the PF's reset: causes of mailbox and link go to vector 0, and nothing else does."""
        self.disarm()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._fd, select.POLLIN)
        self.rings, self._misses = False, 0
        if not self.function.vectors:
            return
        bar = self.bar
        try:
            self.function.interrupt(VECTOR, self._fd)
        except DataplaneError as error:
            log.info("%s: its VFs are polled, it has no interrupts: %s", bar.name, error)
            return
        bar.set(GPIE.MSIX)
        bar.update(IVAR_MISC, OTHER=VECTOR, OTHER_VALID=1)
        for register in PFMBIMR:
            bar.write(register, 0xFFFF_FFFF)
        bar.read(EICR)  # what was before
        bar.write(EIMS, EIMS.pack(MAILBOX=1, LSC=1))
        self.rings = True

    def disarm(self) -> None:
        """Switch the interrupts off. No thread waits any more; a device that is gone raises none."""
        if self._fd < 0:
            return
        if self.rings:
            with suppress(DataplaneError):
                self.bar.write(EIMC, EIMC.pack(MAILBOX=1, LSC=1))
                self.function.interrupt(VECTOR, None)
        self.rings = False
        self._poll.unregister(self._fd)
        with self._lock:
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        if self._fd >= 0:  # it was never disarmed: its port could not be stopped in order
            os.close(self._fd)

    def wait(self, seconds: float) -> bool:
        """At most so long. True if it was rung, by an interrupt or by `wake`."""
        # poll counts in ms, and 0 would not let other threads run.
        if not self._poll.poll(max(round(seconds * 1e3), 1)):
            return False
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)
        return True

    def wake(self) -> None:
        """`wait` returns now."""
        with self._lock, suppress(BlockingIOError):
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def causes(self) -> int:
        """8.2.3.5.1: what has happened; a read clears it, so that the next one makes an interrupt again."""
        return self.bar.read(EICR)

    def missed(self) -> None:
        """A message was there and had not rung. If that happens again and again, interrupts are not delivered here."""
        if self._poll.poll(LATE * 1e3):
            return  # it was on its way
        self._misses += 1
        if self._misses == MISSES:
            log.warning("%s: interrupts of its VFs' messages do not arrive: they are polled", self.bar.name)
            self.rings = False
