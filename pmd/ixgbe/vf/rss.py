# SPDX-License-Identifier: BSD-3-Clause
"""RSS of a VF's port: `port.rss`. The chip has one key and one table, the PF's: a VF may ask for them (7.1.2.8)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from dataplane.capability import PortRss
from dataplane.errors import PortError
from dataplane.pmd.datasheet import mailbox
from dataplane.pmd.datasheet.vf import VFPSRTYPE
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.messages import GetReta, GetRssKey, Message, Reply, unpack_reta
from dataplane.pmd.ixgbe.vf.talk import VfTalk

__all__ = ["VfRss", "table_bits"]


class VfRss(PortRss):
    """Key and table, read from the PF, which must allow it (``query_rss``). Setting them raises PortError.

    running: whether the VF's queues are set up on the device.
    """

    def __init__(self, port: IxgbeBase, talk: VfTalk, running: Callable[[], bool]) -> None:
        super().__init__(port)
        self._talk, self._running = talk, running

    @property
    def key(self) -> bytes:
        """The PF's key, 40 bytes (GET_RSS_KEY). Raises MailboxRefused, PortError."""
        words = self._query(GetRssKey()).words[1 : mailbox.GET_RSS_KEY_REPLY_WORDS]
        return b"".join(word.to_bytes(4, "little") for word in words)

    @key.setter
    def key(self, value: str | bytes) -> None:
        raise PortError(f"{self.port.name} has its PF's RSS key: the chip has one for all. Set it there")

    @property
    def table(self) -> tuple[int, ...]:
        """This VF's Rx queue for each value of the hash's low 7 bits (GET_RETA). Raises MailboxRefused, PortError."""
        with self._talk.lock:
            words = self._query(GetReta()).words[1 : mailbox.GET_RETA_REPLY_WORDS]
            # VFPSRTYPE.RQPL says how many bits of an entry count; before the start: what it will say.
            started = self._running()
            bits = self.port.bar.get(VFPSRTYPE.RQPL) if started else table_bits(self.port.rx_queues)
        return tuple(entry & (1 << bits) - 1 for entry in unpack_reta(words))

    @table.setter
    def table(self, value: Iterable[int]) -> None:
        self.spread()

    def spread(self, shares: int | Sequence[int] | None = None) -> None:
        """Raises PortError: the table is the PF's."""
        raise PortError(
            f"{self.port.name} has its PF's RSS table: the chip has one for all pools. Set it there"
        )

    @property
    def hash_types(self) -> tuple[str, ...]:
        """Raises PortError: no message of the mailbox asks for them."""
        raise PortError(
            f"{self.port.name} has its PF's RSS hash types: the chip has one word for all. See there"
        )

    @hash_types.setter
    def hash_types(self, value: Iterable[str]) -> None:
        raise PortError(
            f"{self.port.name} has its PF's RSS hash types: the chip has one word for all. Set them there"
        )

    def _query(self, message: Message) -> Reply:
        with self._talk.lock:
            if self._talk.session.api < mailbox.API_1_2:
                raise PortError(
                    f"{self.port.name}: its PF speaks a version of the mailbox that knows no {message.name}"
                )
            return self._talk.session.ask(message)


def table_bits(queues: int) -> int:
    """8.2.3.7.4: how many bits of an entry of the RSS table a VF of that many Rx queues uses."""
    return max(queues, 1).bit_length() - 1
