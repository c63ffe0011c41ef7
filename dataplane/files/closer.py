# SPDX-License-Identifier: BSD-3-Clause
"""Release what another process has sent, in a thread, because that may take long.

`close` of a descriptor can wait: for a file system that the sender runs itself (FUSE), for the peer of a TCP socket that
lingers. Unmapping can take seconds when the last reference to gigabytes goes with it. Each peer has a thread of its own for
this, so no other peer waits. Resources that are not released yet still count against the peer's quota.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from dataplane.memory.quota import Quota

__all__ = ["Closer"]

log = logging.getLogger("dataplane")


class Closer:
    """One peer's. name: what the thread is called. The thread runs while there is something to do."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], object]] = deque()
        self._running = False
        self._left = 0  # not done yet, the one that is under way included

    @property
    def left(self) -> int:
        """How many calls have not been done yet."""
        return self._left

    def do(self, work: Callable[[], object]) -> None:
        """Call `work` soon, in another thread, after earlier calls have run. Errors that it raises are logged."""
        with self._lock:
            self._queue.append(work)
            self._left += 1
            if self._running:
                return
            self._running = True
        try:
            threading.Thread(target=self._run, name=f"{self.name}-closer", daemon=True).start()
        except RuntimeError:  # no thread can be made now: the next call tries again
            with self._lock:
                self._running = False

    def close_all(self, descriptors: Sequence[int], quota: Quota | None = None) -> None:
        """Close these descriptors, and give each back to `quota` then."""
        for descriptor in descriptors:
            self.do(lambda descriptor=descriptor: _close(descriptor, quota))  # type: ignore[misc]

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left, but not longer than that. Whether nothing is left."""
        end = time.monotonic() + seconds
        while self._left and time.monotonic() < end:
            time.sleep(0.001)
        return not self._left

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._running = False
                    return
                work = self._queue.popleft()
            try:
                work()
            except Exception as error:  # the thread goes on: others wait behind
                log.warning("%s: something could not be given back: %s", self.name, error)
            finally:
                del work
                with self._lock:
                    self._left -= 1


def _close(descriptor: int, quota: Quota | None) -> None:
    try:
        os.close(descriptor)
    finally:
        if quota is not None:
            quota.give()
