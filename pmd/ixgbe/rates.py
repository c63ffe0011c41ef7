# SPDX-License-Identifier: BSD-3-Clause
"""How fast a Tx queue may send (datasheet 7.7.2.1, 8.2.3.10.13, 8.2.3.10.16): bytes of frames with FCS, gaps not counted."""

from __future__ import annotations

import threading

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import RTTBCNRC, RTTBCNRM, RTTDQSEL, limits
from dataplane.pmd.function import Bar

__all__ = ["OwnRates", "TxRates"]

RATE_MIN, RATE_MAX = 10, 10_000  # Mb/s: the factor has 10 bits before the point


class TxRates:
    """The limits of a port's queues, its VFs' among them: one pair of registers is a window on all, so there is a lock."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.lock = threading.Lock()

    def clear(self, frame: int) -> None:
        """8.2.3.10.16: limits are a memory, undefined after power-up: none for every queue. frame: the largest, with FCS."""
        # The most that a queue may catch up after a pause, in KiB: two of the largest frames at least.
        self.bar.write(RTTBCNRM, 0x14 if frame > limits.FRAME_STANDARD else 0x4)
        for queue in range(limits.TX_QUEUES):
            self.write(queue, 0, RATE_MAX)

    def write(self, queue: int, mbps: int, speed: int) -> None:
        """8.2.3.10.16: link speed by rate (both in Mb/s), 14 bits behind the point; 0, or no less than the link's: none."""
        word = 0
        if mbps and speed > mbps:
            factor = (speed << 14) // mbps
            word = RTTBCNRC.pack(RS_ENA=1, RF_INT=factor >> 14, RF_DEC=factor & 0x3FFF)
        with self.lock:
            self.bar.write(RTTDQSEL, RTTDQSEL.pack(QUEUE=queue))
            self.bar.write(RTTBCNRC, word)


def check_rate(mbps: int) -> int:
    """A rate that a queue can have, in Mb/s. Raises ConfigError."""
    if mbps and not RATE_MIN <= mbps <= RATE_MAX:
        raise ConfigError(
            f"a rate of {mbps} Mb/s: 0 for no limit, or from {RATE_MIN} to {RATE_MAX} is possible"
        )
    return mbps


class OwnRates:
    """What a PF asks for its own queues. first: its first queue by the chip's numbers."""

    def __init__(self, rates: TxRates, first: int) -> None:
        self.rates, self.first = rates, first
        self.asked: dict[int, int] = {}  # by queue, Mb/s
        self._speed = RATE_MAX

    def set(self, queue: int, mbps: int) -> None:
        """Remember a queue's limit. Raises ConfigError."""
        check_rate(mbps)
        self.asked.pop(queue, None)
        if mbps:
            self.asked[queue] = mbps

    def write(self, queue: int) -> None:
        self.rates.write(self.first + queue, self.asked.get(queue, 0), self._speed)

    def write_all(self, queues: int) -> None:
        """After a reset: the limits of the queues that there are."""
        for queue in self.asked:
            if queue < queues:
                self.write(queue)

    def follow(self, speed: int) -> None:
        """The link is at `speed` Mb/s: a limit is a part of that. While it is down the last speed holds."""
        if speed and speed != self._speed:
            self._speed = speed
            for queue in self.asked:
                self.write(queue)
