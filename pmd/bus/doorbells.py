# SPDX-License-Identifier: BSD-3-Clause
"""Tails of queues on a device behind messages: an address for each, so that hot loops write memory as on a card.

The addresses are words of our own, which a thread looks at: it sends what has changed, some 50 us later.
"""

from __future__ import annotations

import ctypes
import threading
from contextlib import suppress

from dataplane.errors import DataplaneError, DeviceError
from pmd.datasheet import RDT, TDT
from pmd.datasheet.vf import VFRDT, VFTDT
from pmd.function import Bar
from pmd.vfio_user.client import Connection
from pmd.vfio_user.messages import Command, RegionAccess

__all__ = ["Doorbells"]

INTERVAL = 50e-6  # seconds


class Doorbells:
    """Of one function. `address` is asked for when queues are set up, `will_write` tells of writes by message."""

    def __init__(self, bar: Bar, connection: Connection, regions: int, virtual: bool) -> None:
        self._bar, self._connection = bar, connection
        self._tails = {
            offset for line in ((VFRDT, VFTDT) if virtual else (RDT, TDT)) for offset, _ in line.addresses()
        }
        self._lock = threading.Lock()
        self._words: dict[int, ctypes.c_uint32] = {}
        self._sent: dict[int, int] = {}
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def address(self, offset: int) -> int:
        """Where to write the tail at that offset. Raises DeviceError for what is no tail."""
        if offset not in self._tails:
            raise DeviceError(f"{self._bar.name}: only the tails of queues can be mapped, not {offset:#x}")
        if offset not in self._words:
            word = ctypes.c_uint32(self._bar.read32(offset))
            with self._lock:
                self._words[offset], self._sent[offset] = word, word.value
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"{self._bar.name}-tails", daemon=True)
                self._thread.start()
        return ctypes.addressof(self._words[offset])

    def will_write(self, offset: int, value: int) -> None:
        """That register is about to be written by a message."""
        if offset in self._words:
            with self._lock:
                self._words[offset].value = self._sent[offset] = value

    def close(self) -> None:
        """No tail is passed on any more."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with suppress(DataplaneError):  # the server is gone: those who poll hear of it elsewhere
            while not self._end.wait(INTERVAL):
                with self._lock:
                    for offset, word in self._words.items():
                        value = word.value
                        if value != self._sent[offset]:
                            self._sent[offset] = value
                            body = RegionAccess(offset, 0, 4).pack() + value.to_bytes(4, "little")
                            self._connection.post(Command.REGION_WRITE, body)
