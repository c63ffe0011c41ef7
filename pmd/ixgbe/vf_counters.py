# SPDX-License-Identifier: BSD-3-Clause
"""A VF's counters, added up (datasheet 9.4). They are never cleared, wrap, and start anywhere after the PF's reset."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dataplane.pmd.datasheet import RegisterRef
from dataplane.pmd.datasheet.vf import (
    VFGORC_LSB,
    VFGORC_MSB,
    VFGOTC_LSB,
    VFGOTC_MSB,
    VFGPRC,
    VFGPTC,
    VFMPRC,
)
from dataplane.pmd.function import Bar

__all__ = ["VfCounters"]

_SINGLE: dict[str, RegisterRef] = {
    "rx_good_packets": VFGPRC,
    "tx_good_packets": VFGPTC,
    "rx_multicast_packets": VFMPRC,
}
_PAIRS: dict[str, tuple[RegisterRef, RegisterRef]] = {
    "rx_good_bytes": (VFGORC_LSB, VFGORC_MSB),
    "tx_good_bytes": (VFGOTC_LSB, VFGOTC_MSB),
}
_BITS = dict.fromkeys(_SINGLE, 32) | dict.fromkeys(_PAIRS, 36)


class VfCounters:
    """Totals since the port was opened. was_reset: whether the PF was reset since `rebase`. Any thread may call."""

    def __init__(self, bar: Bar, was_reset: Callable[[], bool]) -> None:
        self.bar, self._was_reset = bar, was_reset
        self._lock = threading.Lock()
        self._base: dict[str, int] = {}
        self._totals = dict.fromkeys(_BITS, 0)

    def rebase(self) -> None:
        """After a reset: count from what the registers hold now."""
        with self._lock:
            self._base = self._read()

    def collect(self) -> None:
        """Add what was counted since the last time. Raises DeviceGone, and then adds nothing."""
        with self._lock:
            if not self._base:
                return  # not agreed with the PF yet
            now = self._read()
            self.bar.check()
            # Looked at last: a reset that came in between has set the registers to something else.
            if self._was_reset():
                self._base = {}
                return
            for name, value in now.items():
                self._totals[name] += value - self._base[name] & (1 << _BITS[name]) - 1
            self._base = now

    def snapshot(self) -> dict[str, int]:
        """The totals by DPDK's names."""
        with self._lock:
            return dict(self._totals)

    def _read(self) -> dict[str, int]:
        read = self.bar.read
        counted = {name: read(register) for name, register in _SINGLE.items()}
        for name, (low, high) in _PAIRS.items():
            above = read(high) & 0xF
            while True:  # nothing holds the high half still while the low one is read
                word, seen = read(low), read(high) & 0xF
                if seen == above:
                    break
                above = seen
            counted[name] = above << 32 | word
        return counted
