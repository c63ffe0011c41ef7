# SPDX-License-Identifier: BSD-3-Clause
"""How fast a Tx queue may send (datasheet 7.7.2.1, 8.2.3.10.13, 8.2.3.10.16): bytes of frames with FCS, gaps not counted.

The chip knows a queue's limit as a factor: the speed of the link over the rate. So a factor is made for the fastest link
that the port can come up with by itself, and stays when the link goes down and comes back: no moment is without limit.
A VF has one limit and several queues: `dataplane.pmd.ixgbe.sriov.rates` divides it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from dataplane.capability import PortRates
from dataplane.errors import ConfigError
from dataplane.limits import FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.pmd.datasheet import RTTBCNRC, RTTBCNRM, RTTDQSEL, limits
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device

__all__ = ["RATE_MIN", "PfRates", "TxRates"]

RATE_MIN, RATE_MAX = 10, 10_000  # Mb/s: the factor has 10 bits before the point
_POINT = 14  # bits of the factor behind the point
_FACTOR_MAX = (1 << 24) - 1


class TxRates:
    """The limits of a port's queues, its VFs' among them: one pair of registers is a window on all, so there is a lock.

    speed: of the fastest link that the port can have until its driver sets up another, in Mb/s.
    """

    def __init__(self, bar: Bar, speed: int = RATE_MAX) -> None:
        self.bar, self.speed = bar, speed
        self._lock = threading.Lock()
        self._words: dict[int, int] = {}  # what each queue has: a factor that stays is not written again

    @property
    def least(self) -> float:
        """The lowest rate that a queue can have, in Mb/s."""
        return self.speed * (1 << _POINT) / _FACTOR_MAX

    def clear(self, frame: int) -> None:
        """8.2.3.10.16: limits are a memory, undefined after power-up: none for every queue. frame: the largest, with FCS."""
        # The most that a queue may catch up after a pause, in KiB: two of the largest frames at least.
        self.bar.write(RTTBCNRM, 0x14 if frame > FRAME_STANDARD_WITH_FCS_BYTES else 0x4)
        with self._lock:
            self._words.clear()
        self.write_all(dict.fromkeys(range(limits.TX_QUEUES), 0))

    def write(self, queue: int, mbps: float) -> None:
        """Limit one queue: see `write_all`."""
        self.write_all({queue: mbps})

    def write_all(self, rates: Mapping[int, float]) -> None:
        """8.2.3.10.16: limit these queues, in Mb/s; 0, or no less than the link's speed: no limit.

        Queues that get less than they have are written first: at no moment they have more together than before or after.
        """
        with self._lock:
            changed = []
            for queue, mbps in rates.items():
                word, before = self._word(mbps), self._words.get(queue, -1)
                if word != before:
                    changed.append(
                        (word < before, queue, word)
                    )  # the greater factor is the lower rate, none is 0
            for _, queue, word in sorted(changed):
                self.bar.write(RTTDQSEL, RTTDQSEL.pack(QUEUE=queue))
                self.bar.write(RTTBCNRC, word)
                self._words[queue] = word

    def _word(self, mbps: float) -> int:
        """RTTBCNRC for a rate. The factor is rounded up: a queue gets a little less rather than more."""
        if not 0 < mbps < self.speed:
            return 0
        factor = min(-int(-(self.speed << _POINT) // mbps), _FACTOR_MAX)
        return RTTBCNRC.pack(RS_ENA=1, RF_INT=factor >> _POINT, RF_DEC=factor & (1 << _POINT) - 1)


def check_rate(mbps: int) -> int:
    """A rate that a queue can have, in Mb/s. Raises ConfigError."""
    if mbps and not RATE_MIN <= mbps <= RATE_MAX:
        raise ConfigError(f"a rate of {mbps} Mb/s: must be {RATE_MIN} to {RATE_MAX}, or 0 for no limit")
    return mbps


class PfRates(PortRates):
    """The limits of a PF's own Tx queues. rates: writes them; first: the PF's first queue by the chip's numbers.

    check: called with a queue number; raises ConfigError, PortError for one that the port cannot have.
    """

    def __init__(self, port: IxgbeBase, rates: TxRates, first: int, check: Callable[[int], None]) -> None:
        super().__init__(port)
        self.rates, self.first, self._check = rates, first, check
        self._asked: dict[int, int] = {}  # by queue, Mb/s

    @touches_device
    def set(self, queue: int, mbps: int) -> None:
        """Let Tx queue `queue` send at most `mbps` Mbit/s, 10 to 10,000; 0 removes the limit.

        Takes effect at once and survives a restart. Bytes of frames with FCS count. The queue need not have been named yet.
        Raises ConfigError, DeviceGone.
        """
        self._check(queue)
        check_rate(mbps)
        self._asked.pop(queue, None)
        if mbps:
            self._asked[queue] = mbps
        if self.port.started:
            self.rates.write(self.first + queue, mbps)

    @property
    def limits(self) -> dict[int, int]:
        """The limits in force: Mbit/s by Tx queue."""
        return dict(self._asked)

    def write_all(self, queues: int) -> None:
        """After a reset: write the limits of queues 0 to `queues` - 1 again."""
        self.rates.write_all(
            {self.first + queue: mbps for queue, mbps in self._asked.items() if queue < queues}
        )
