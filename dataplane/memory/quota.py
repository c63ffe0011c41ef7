# SPDX-License-Identifier: BSD-3-Clause
"""Limits on what another process can make us hold: memory, mappings, descriptors.

pool = Pool("maps", total=60000, members=8, most=16384)
quota = pool.join()
quota.take(3)       # False, and nothing taken, when that is too much
quota.give(3)
"""

from __future__ import annotations

import threading

from dataplane.errors import ConfigError

__all__ = ["Pool", "Quota"]

_SURE = 2  # half of the total is shared out in advance


class Pool:
    """An amount that `members` peers share, so that none can use up the part of another.

    Half of `total` is reserved in equal parts, one for each member; members take the other half in the order of their calls.
    most: the most that one member may hold. Any thread may use it. Raises ConfigError for a limit below 1.
    """

    def __init__(self, name: str, total: int, members: int, most: int) -> None:
        if most < 1 or members < 1 or total < members:
            raise ConfigError(
                f"{name}: {most} for each of {members} clients, {total} in all: each needs 1 or more"
            )
        self.name, self.total, self.members = name, total, members
        self.most = min(most, total)
        self.sure = self.most if self.most * members <= total else max(1, total // _SURE // members)
        self.free = total - self.sure * members  # neither reserved for a member nor held
        self.lock = threading.Lock()

    def join(self) -> Quota:
        """The quota of one more member."""
        return Quota(self)


class Quota:
    """The part of a pool that one peer holds."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.used = pool, 0

    @property
    def most(self) -> int:
        """The most that the peer may hold, if others leave it as much."""
        return self.pool.most

    def take(self, amount: int = 1) -> bool:
        """Hold `amount` more. Returns False, and changes nothing, if that is too much."""
        with self.pool.lock:
            shared = self._beyond(self.used + amount) - self._beyond(self.used)
            if self.used + amount > self.pool.most or shared > self.pool.free:
                return False
            self.used += amount
            self.pool.free -= shared
            return True

    def give(self, amount: int = 1) -> None:
        """Hold `amount` less."""
        with self.pool.lock:
            self.pool.free += self._beyond(self.used) - self._beyond(self.used - amount)
            self.used -= amount

    def _beyond(self, used: int) -> int:
        """How much of it comes from what all share."""
        return max(0, used - self.pool.sure)
