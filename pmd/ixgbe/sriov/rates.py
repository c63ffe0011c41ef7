# SPDX-License-Identifier: BSD-3-Clause
"""One limit for a VF with several Tx queues (datasheet 7.7.2.1, 8.2.3.10.16).

The chip limits queues, not pools, and a VF switches its queues on and off without a message to its PF. So:

- From its reset on each queue of its pool has an equal part of the limit, whether it is on or not.
- Once the same queues have been on for `SETTLED` seconds, these share the whole limit, and each of the others has the least
  that the chip can give (10 Mb/s of a 10 Gb/s link). A queue that is on keeps its part while it has nothing to send.
- A queue that is switched on later is seen by the next look, and the equal parts are back. For that long the VF may have
  had the others' least above its limit; it is given back in the time until the parts settle again.
- A VF that sends more than its limit allows, by switching queues on and off between two looks, keeps equal parts for good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from dataplane.errors import ConfigError
from dataplane.limits import FRAME_MAX_WITH_FCS_BYTES
from dataplane.pmd.datasheet import TXDCTL
from dataplane.pmd.ixgbe.rates import RATE_MIN, TxRates
from dataplane.pmd.ixgbe.steering.pools import PoolLayout

__all__ = ["INTERVAL", "SETTLED", "VfRates"]

log = logging.getLogger("dataplane")

INTERVAL = 0.05  # seconds between two looks at the queues
SETTLED = 0.2  # seconds for which the same queues have been on before they share all
WINDOW = 1.0  # seconds over which a VF's bytes are compared with its limit
TOLERANCE = 1.01
LOOKS = 4  # of so many looks one is at the queues that are on, too


@dataclass
class _Share:
    """How one VF's limit is divided. on: a bit for each of its queues that had its ENABLE set at the last look."""

    mbps: int
    on: int = 0
    since: float = 0.0  # when that changed last
    debt: float = 0.0  # Mb/s less than the limit, until it has settled
    whole: bool = False  # the queues that are on share all of it
    pinned: bool = False  # equal parts for good
    window_at: float = 0.0
    window_bytes: int = -1  # sent until then; -1: not looked at yet


class VfRates:
    """The limits of a port's VFs. sent: bytes with FCS that a VF has sent so far, or since any moment.

    The caller holds the lock of the VFs' tables.
    """

    def __init__(self, rates: TxRates, layout: PoolLayout, name: str, sent: Callable[[int], int]) -> None:
        self.rates, self.layout, self.name = rates, layout, name
        self._sent = sent
        self._shares: dict[int, _Share] = {}
        self._look_at = 0.0
        self._looks = 0

    @property
    def limited(self) -> bool:
        """Whether any VF has a limit."""
        return bool(self._shares)

    @property
    def least(self) -> int:
        """The lowest limit that a VF can have, in Mb/s: what the chip can give to each of its queues."""
        return RATE_MIN * self.layout.queues

    def check(self, mbps: int) -> None:
        """Raises ConfigError for a limit that the chip cannot hold."""
        if 0 < mbps < self.least:
            raise ConfigError(
                f"max_tx_rate {mbps}: 0 for none, or from {self.least} Mb/s on: each of the VF's {self.layout.queues} Tx "
                f"queues has {RATE_MIN} at the least (datasheet 8.2.3.10.16)"
            )

    def limit(self, vf: int, mbps: int, write: bool = True) -> None:
        """Hold a VF to so many Mb/s, 0: no limit; at once, or with `write` off from the next `begin` on."""
        if mbps:
            self._shares[vf] = _Share(mbps)
        else:
            self._shares.pop(vf, None)
        if write:
            self._write(vf)

    def begin(self, vf: int) -> None:
        """The VF was reset, or its driver begins: equal parts, before it can send."""
        if share := self._shares.get(vf):
            self._shares[vf] = _Share(share.mbps, pinned=share.pinned)
        self._write(vf)

    def look(self, now: float) -> None:
        """See which queues are on, every `INTERVAL` seconds; now: seconds of the device's clock."""
        if not self._shares or 0 <= now - self._look_at < INTERVAL:
            return
        missed, self._look_at = now - self._look_at, now
        self._looks += 1
        for vf, share in self._shares.items():
            # That a queue has ended is not urgent: those that are on are looked at less often.
            known = share.on if self._looks % LOOKS else 0
            on = known | self._queues_on(vf, known)
            if on & ~share.on:
                # One that began may have had the chip's least since just after the last look.
                begun = (on & ~share.on).bit_count() if share.whole else 0
                share.debt = begun * self.rates.least * min(missed, SETTLED) / SETTLED
                share.on, share.whole, share.since = on, False, now
                self._write(vf)
            elif on != share.on:
                share.on, share.since = on, now
                share.whole = False
            elif on and not share.whole and not share.pinned and now - share.since >= SETTLED:
                share.whole, share.debt, share.window_bytes = True, 0.0, -1
                self._write(vf)
            else:
                self._compare(vf, share)

    def _queues_on(self, vf: int, known: int) -> int:
        queues, bar = self.layout.queues_of(vf), self.rates.bar
        return sum(bar.get(TXDCTL[q].ENABLE) << n for n, q in enumerate(queues) if not known >> n & 1)

    def _write(self, vf: int) -> None:
        queues, share = self.layout.queues_of(vf), self._shares.get(vf)
        if share is None:
            self.rates.write_all(dict.fromkeys(queues, 0))
        elif share.mbps >= self.rates.speed:
            self.rates.write_all(dict.fromkeys(queues, 0))  # more than the link can carry
        elif share.whole and share.on:
            part = share.mbps / share.on.bit_count()
            least = self.rates.least
            self.rates.write_all(
                {queue: part if share.on >> n & 1 else least for n, queue in enumerate(queues)}
            )
        else:
            part = max(share.mbps - share.debt, self.least) / len(queues)
            self.rates.write_all(dict.fromkeys(queues, part))

    def _compare(self, vf: int, share: _Share) -> None:
        """Whether the VF keeps to its limit, though not all of its queues count in it."""
        if not share.whole or share.on.bit_count() == self.layout.queues:
            return
        bar = self.rates.bar
        if share.window_bytes < 0:
            share.window_at, share.window_bytes = bar.now(), self._sent(vf)
            return
        if bar.now() - share.window_at < WINDOW:
            return
        sent = self._sent(vf)
        now = bar.now()  # after the counter, as above before it: never a shorter time than that of the bytes
        allowed = share.mbps * 125_000 * (now - share.window_at) * TOLERANCE
        # Each queue may catch up what RTTBCNRM grants, and overdraw by a frame.
        allowed += self.layout.queues * 3 * FRAME_MAX_WITH_FCS_BYTES
        if sent - share.window_bytes > allowed:
            log.warning(
                "%s: VF %d sends more than its %d Mb/s by switching queues on and off: its %d queues have equal parts from "
                "now on",
                self.name,
                vf,
                share.mbps,
                self.layout.queues,
            )
            share.pinned, share.whole = True, False
            self._write(vf)
        share.window_at, share.window_bytes = bar.now(), self._sent(vf)
