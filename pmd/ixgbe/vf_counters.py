# SPDX-License-Identifier: BSD-3-Clause
"""A VF's counters, added up (datasheet 9.4), by itself and by its PF.

Nothing clears them: they wrap, and start anywhere after the PF's reset. At 10 Gb/s the 36-bit byte counters wrap after 55 s.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from dataplane.limits import FCS_BYTES
from dataplane.pmd.datasheet import (
    PVFGORC_LSB,
    PVFGORC_MSB,
    PVFGOTC_LSB,
    PVFGOTC_MSB,
    PVFGPRC,
    PVFGPTC,
    PVFMPRC,
    Register,
    RegisterRef,
)
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

__all__ = ["VfCounters", "VfLedger"]

_SINGLE: dict[str, RegisterRef] = {
    "rx_good_packets": VFGPRC,
    "tx_good_packets": VFGPTC,
    "rx_multicast_packets": VFMPRC,
}
_PAIRS: dict[str, tuple[RegisterRef, RegisterRef]] = {
    "rx_good_bytes": (VFGORC_LSB, VFGORC_MSB),
    "tx_good_bytes": (VFGOTC_LSB, VFGOTC_MSB),
}
_PF_SINGLE: dict[str, Register] = {
    "rx_good_packets": PVFGPRC,
    "tx_good_packets": PVFGPTC,
    "rx_multicast_packets": PVFMPRC,
}
_PF_PAIRS: dict[str, tuple[Register, Register]] = {
    "rx_good_bytes": (PVFGORC_LSB, PVFGORC_MSB),
    "tx_good_bytes": (PVFGOTC_LSB, PVFGOTC_MSB),
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
        return _read(self.bar, _SINGLE, _PAIRS)


class VfLedger:
    """The totals of every VF of a port since the port was opened, as its PF reads them. Any thread may call.

    The totals only grow: over wraps, if `collect` comes more often than every 30 s, and over resets of the PF, after which
    `rebase` is due.
    """

    def __init__(self, bar: Bar, vfs: int) -> None:
        self.bar = bar
        self._lock = threading.Lock()
        self._registers = [
            (
                {name: line[vf] for name, line in _PF_SINGLE.items()},
                {name: (low[vf], high[vf]) for name, (low, high) in _PF_PAIRS.items()},
            )
            for vf in range(vfs)
        ]
        self._base: list[dict[str, int]] = []
        self._at = 0.0  # when all were read last
        self._totals = [dict.fromkeys(_BITS, 0) for _ in range(vfs)]

    def rebase(self) -> None:
        """After the PF's reset: count from what the registers hold now."""
        with self._lock:
            self._base = [_read(self.bar, *registers) for registers in self._registers]

    def collect(self, older_than: float = 0.0) -> None:
        """Add what was counted since the last time, if that is so many seconds ago. Raises DeviceGone, and then adds
        nothing."""
        with self._lock:
            if not self._base or 0 <= self.bar.now() - self._at < older_than:
                return  # the port has not been started yet, or it is too early
            self._at = self.bar.now()
            now = [_read(self.bar, *registers) for registers in self._registers]
            self.bar.check()
            for totals, values, base in zip(self._totals, now, self._base, strict=True):
                for name, value in values.items():
                    totals[name] += _grown(value, base[name], _BITS[name])
            self._base = now

    def totals(self, vf: int) -> dict[str, int]:
        """A VF's totals as of the last `collect`, by DPDK's names."""
        with self._lock:
            return dict(self._totals[vf])

    def sent(self, vf: int) -> int:
        """Bytes with FCS that a VF has sent so far, read now. Raises DeviceGone."""
        with self._lock:
            if not self._base:
                return 0
            now = _read(self.bar, *self._registers[vf])
            self.bar.check()
            totals, base = self._totals[vf], self._base[vf]
            for name, value in now.items():
                totals[name] += _grown(value, base[name], _BITS[name])
            self._base[vf] = now
            return totals["tx_good_bytes"] + FCS_BYTES * totals["tx_good_packets"]


def _grown(value: int, base: int, bits: int) -> int:
    """How much a counter has counted since it was at `base`. SILENT about what a VF's reset does to it: if it is less than
    before by more than wrapping explains, within the time between two reads at 10 Gb/s, it has begun at 0."""
    counted = value - base & (1 << bits) - 1
    return value if value < base and counted >> (bits - 1) else counted


def _read(
    bar: Bar, single: Mapping[str, RegisterRef], pairs: Mapping[str, tuple[RegisterRef, RegisterRef]]
) -> dict[str, int]:
    read = bar.read
    counted = {name: read(register) for name, register in single.items()}
    for name, (low, high) in pairs.items():
        above = read(high) & 0xF
        while True:  # nothing holds the high half still while the low one is read
            word, seen = read(low), read(high) & 0xF
            if seen == above:
                break
            above = seen
        counted[name] = above << 32 | word
    return counted
