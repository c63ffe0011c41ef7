# SPDX-License-Identifier: BSD-3-Clause
"""Worker: the thread of an lcore."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dataplane.engine.lcore import Loop
from dataplane.machine import enter, leave

__all__ = ["Worker"]


class Worker(threading.Thread):
    """The thread of an lcore. cpu: which CPU it is pinned to, None: wherever the scheduler puts it; name: for that case.

    ended: called in it when it is over. By then `over` is set, and `error` is what ended it, or None.
    """

    def __init__(
        self,
        loop: Loop,
        *,
        cpu: int | None = None,
        name: str = "any",
        count: int | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name=f"lcore-{name if cpu is None else cpu}", daemon=True)
        self.loop = loop
        self.cpu = cpu
        self.count = count
        self.error: BaseException | None = None
        self.over = False
        self.why = 0
        self._ended = ended

    def run(self) -> None:
        """Make this thread the lcore, and run the loop until it ends."""
        try:
            enter(self.cpu)
            try:
                self.why = self.loop.run(self.count)
            finally:
                leave()
        except BaseException as error:
            self.error = error
        finally:
            self.loop.let_go()
            self.over = True
            if self._ended is not None:
                self._ended()
