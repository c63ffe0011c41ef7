# SPDX-License-Identifier: BSD-3-Clause
"""RSS of a PF's port (datasheet 7.1.2.8): `port.rss`. With VFs the PF's key and table are theirs, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataplane.capability import PortRss
from dataplane.errors import PortError
from dataplane.pmd.datasheet import limits
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device
from dataplane.pmd.ixgbe.steering.filters import Filters
from dataplane.pmd.ixgbe.steering.rss import Reach, parse_key, read_key, read_types

__all__ = ["PfRss"]


class PfRss(PortRss):
    """Key, table and hash types: while the port runs they are read from the chip, and a change takes effect at once."""

    def __init__(self, port: IxgbeBase, filters: Filters) -> None:
        super().__init__(port)
        self._filters = filters

    @property
    def key(self) -> bytes:
        """The key of the RSS hash, 40 bytes; VFs have the same. Set it as `PortRss.key` describes. Raises DeviceGone."""
        return read_key(self.port.bar) if self.port.started else self._filters.rss.key

    @key.setter
    @touches_device
    def key(self, value: str | bytes) -> None:
        self._filters.rss.key = parse_key(value)
        self._write()

    @property
    def table(self) -> tuple[int, ...]:
        """The Rx queue for each value of the hash's low 7 bits; with VFs the table applies to all pools.

        Set it to existing queues among the first 16, with VFs among the first 1, 2 or 4: of 3 queues the third is refused.
        A PF with one queue sets, and returns, what its VFs use. Raises ConfigError, DeviceGone.
        """
        port, filters = self.port, self._filters
        if port.started:
            return filters.read_rss_table(port.rx_queues)
        return filters.rss.entries(filters.rss_usable(port.rx_queues))

    @table.setter
    @touches_device
    def table(self, value: Iterable[int]) -> None:
        self._filters.rss.set_table(value, self._reach)
        self._write()

    @touches_device
    def spread(self, shares: int | Sequence[int] | None = None) -> None:
        """Fill the table evenly or by weights, as `PortRss.spread` describes. Raises ConfigError, DeviceGone."""
        self._filters.rss.spread(shares, self._reach)
        self._write()

    @property
    def hash_types(self) -> tuple[str, ...]:
        """What is hashed: any of `rss.HASH_TYPES`. With one Rx queue, only if it was set before the start.

        Raises ConfigError for another type, PortError on a port that runs without RSS, DeviceGone.
        """
        return read_types(self.port.bar) if self.port.started else self._filters.rss.types

    @hash_types.setter
    @touches_device
    def hash_types(self, value: Iterable[str]) -> None:
        if self.port.started and not self._filters.hashes:
            # 8.2.3.7.12: MRQE must not change while packets arrive.
            raise PortError(
                f"{self.port.name} runs without RSS, as it has one Rx queue: stop it, set what is to be hashed, and start it"
            )
        self._filters.rss.set_types(value)
        self._write()

    @property
    def _reach(self) -> Reach:
        """The queues that the table may name now. Before the start their number is not known: all that RSS can fill."""
        return self._filters.rss_reach(self.port.rx_queues if self.port.started else limits.RSS_QUEUES)

    def _write(self) -> None:
        if self.port.started:
            self._filters.write_rss(self.port.rx_queues)
