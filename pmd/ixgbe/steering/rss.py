# SPDX-License-Identifier: BSD-3-Clause
"""RSS: flows are hashed, and a table says which queue a hash means (datasheet 7.1.2.8, 8.2.3.7.12, 8.2.3.7.14, 8.2.3.7.15).

The settings are kept here, and written again after each reset; the current values are read from the chip. They may change
while packets arrive. The chip does not do that between two packets: a few are hashed with the old words, or a mixture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import MRQC, MRQE_OFF, RETA, RSSRK, limits
from dataplane.pmd.function import Bar

__all__ = [
    "DEFAULT_KEY",
    "DEFAULT_TYPES",
    "HASH_TYPES",
    "SYMMETRIC_KEY",
    "Reach",
    "Rss",
    "parse_key",
    "read_key",
    "read_table",
    "read_types",
]

# The key of Microsoft's RSS specification, the usual one; and one with the same hash for both directions of a flow.
DEFAULT_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
)
SYMMETRIC_KEY = bytes.fromhex("6d5a") * 20

# The fields that may be hashed, by DPDK's names: addresses, also with the ports of TCP or UDP; -ex: IPv6 extension headers.
HASH_TYPES = {
    "ipv4": "IPV4",
    "ipv4-tcp": "TCP_IPV4",
    "ipv4-udp": "UDP_IPV4",
    "ipv6": "IPV6",
    "ipv6-tcp": "TCP_IPV6",
    "ipv6-udp": "UDP_IPV6",
    "ipv6-ex": "IPV6_EX",
    "ipv6-tcp-ex": "TCP_IPV6_EX",
    "ipv6-udp-ex": "UDP_IPV6_EX",
}
DEFAULT_TYPES = tuple(name for name in HASH_TYPES if not name.endswith("-ex"))


def parse_key(value: str | bytes | bytearray | memoryview) -> bytes:
    """A key by name ("default", "symmetric"), as 80 hex digits, or its 40 bytes. Raises ConfigError."""
    if isinstance(value, str):
        if value in ("default", "symmetric"):
            return DEFAULT_KEY if value == "default" else SYMMETRIC_KEY
        try:
            key = bytes.fromhex(value.replace(":", ""))
        except ValueError:
            key = b""
        said = value
    else:
        key = bytes(value)
        said = f"{len(key)} bytes"
    if len(key) != limits.RSS_KEY_SIZE:
        raise ConfigError(
            f"rss_key={said}: expected default, symmetric or {2 * limits.RSS_KEY_SIZE} hex digits"
        )
    return key


def read_key(bar: Bar) -> bytes:
    """8.2.3.7.14: the 40 bytes that the chip hashes with."""
    return b"".join(bar.read(register).to_bytes(4, "little") for register in RSSRK)


def read_table(bar: Bar) -> tuple[int, ...]:
    """8.2.3.7.15: the chip's 128 entries, all bits of each."""
    words = [(register, bar.read(register)) for register in RETA]
    return tuple(register.ENTRY0.extract(word >> 8 * i) for register, word in words for i in range(4))


def read_types(bar: Bar) -> tuple[str, ...]:
    """8.2.3.7.12: what the chip hashes, in the order of `HASH_TYPES`; nothing while RSS is off."""
    word = bar.read(MRQC)
    return tuple(name for name, field in HASH_TYPES.items() if getattr(MRQC, field).extract(word))


@dataclass(frozen=True, slots=True)
class Reach:
    """Which queues a table may name: the first `usable`. queues: that there are; most: usable of as many as can be."""

    queues: int
    usable: int
    most: int


class Rss:
    """key: 40 bytes; types: what is hashed, in the order of `HASH_TYPES`.

    wanted: hash types were set, so packets are hashed even with a single queue.
    """

    def __init__(self) -> None:
        self.key = DEFAULT_KEY
        self.types: tuple[str, ...] = DEFAULT_TYPES
        self.wanted = False
        self._table: tuple[int, ...] | None = None
        self._weights: tuple[int, ...] | None = None

    def set_types(self, names: Iterable[str]) -> None:
        """Remember what is to be hashed; nothing: every packet goes to queue 0. Raises ConfigError."""
        asked = names.replace("+", " ").split() if isinstance(names, str) else list(names)
        for name in asked:
            if name not in HASH_TYPES:
                raise ConfigError(f"RSS hash type {name}: expected any of {', '.join(HASH_TYPES)}")
        self.types = tuple(name for name in HASH_TYPES if name in asked)
        self.wanted = True

    def set_table(self, entries: Iterable[int], reach: Reach) -> None:
        """Remember a table: a queue for each value of the hash's low 7 bits. Raises ConfigError."""
        table = tuple(int(entry) for entry in entries)
        if len(table) != limits.RETA_SIZE:
            raise ConfigError(f"an RSS table of {len(table)} entries: the chip's has {limits.RETA_SIZE}")
        _check(table, reach)
        self._table, self._weights = table, None

    def spread(self, shares: int | Sequence[int] | None, reach: Reach) -> None:
        """Remember how to fill the table: evenly (None), over the first `shares` queues, or by a weight for each queue.

        None follows the number of queues at each start. Raises ConfigError.
        """
        if shares is None:
            self._table = self._weights = None
            return
        weights = (1,) * shares if isinstance(shares, int) else tuple(int(weight) for weight in shares)
        if not any(weights) or min(weights) < 0 or sum(weights) > limits.RETA_SIZE:
            raise ConfigError(
                f"RSS by weights {list(weights)}: expected integers from 0, with a sum of 1 to {limits.RETA_SIZE}"
            )
        _check(_weighted(weights), reach)
        self._table, self._weights = None, weights

    def entries(self, queues: int) -> tuple[int, ...]:
        """The table for a port of `queues` queues, 1 or more."""
        if self._table is not None:
            return self._table
        return _weighted(self._weights or (1,) * queues)

    def check(self, reach: Reach) -> None:
        """Raise ConfigError if a table that was set names a queue that RSS cannot fill."""
        if self._table is not None or self._weights is not None:
            _check(self.entries(reach.usable), reach)

    def write(self, bar: Bar, queues: int, mrqe: int) -> None:
        """8.2.3.7.12, 8.2.3.7.14, 8.2.3.7.15: key and table before the switch. mrqe: how queues are chosen."""
        for n, register in enumerate(RSSRK):
            bar.write(register, int.from_bytes(self.key[4 * n : 4 * n + 4], "little"))
        table = self.entries(queues)
        for n, register in enumerate(RETA):
            bar.write(register, register.pack(**{f"ENTRY{i}": table[4 * n + i] for i in range(4)}))
        types = () if mrqe == MRQE_OFF else self.types
        bar.write(MRQC, MRQC.pack(MRQE=mrqe, **{HASH_TYPES[name]: 1 for name in types}))


def _check(table: Sequence[int], reach: Reach) -> None:
    wrong = next((entry for entry in table if not 0 <= entry < reach.usable), None)
    if wrong is None:
        return
    way = "give it another table"
    if 0 <= wrong < reach.most:
        way = f"name more queues, up to {reach.most - 1}, before the port is started, or {way}"
    why = ", with VFs 2 or 4" if reach.usable < min(reach.queues, reach.most) else ""
    raise ConfigError(
        f"RSS to queue {wrong}: of {reach.queues} queues it can fill 0 to {reach.usable - 1}{why}: {way}"
    )


def _weighted(weights: Sequence[int]) -> tuple[int, ...]:
    """A table in which each queue has its share, to an entry; with equal weights they take turns."""
    size = limits.RETA_SIZE
    if set(weights) == {1}:
        return tuple(n % len(weights) for n in range(size))
    ends = list(accumulate(weights))
    return tuple(next(q for q, end in enumerate(ends) if n * ends[-1] < end * size) for n in range(size))
