# SPDX-License-Identifier: BSD-3-Clause
"""RSS of a VF's port. The chip has one key and one table, which are the PF's: a VF may ask for them (datasheet 7.1.2.8)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from dataplane.errors import PortError
from dataplane.pmd.datasheet import mailbox
from dataplane.pmd.datasheet.vf import VFPSRTYPE
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.messages import GetReta, GetRssKey, Message, Reply, unpack_reta
from dataplane.pmd.ixgbe.vf.session import VfSession

__all__ = ["VfRssVerbs", "table_bits"]


class VfRssVerbs(IxgbeBase):
    """rss_key, rss_table, rss_spread, rss_hash_types."""

    session: VfSession
    _lock: threading.RLock
    _running: bool

    @property
    def rss_key(self) -> bytes:
        """The PF's key: it is asked, and must allow it (``query_rss``). Raises MailboxRefused, PortError."""
        words = self._query_rss(GetRssKey()).words[1 : mailbox.GET_RSS_KEY_REPLY_WORDS]
        return b"".join(word.to_bytes(4, "little") for word in words)

    @rss_key.setter
    def rss_key(self, value: str | bytes) -> None:
        raise PortError(f"{self.name} has its PF's RSS key: the chip has one for all. Set it there")

    @property
    def rss_table(self) -> tuple[int, ...]:
        """This VF's Rx queue for each value of the hash's low 7 bits, from the PF. Raises MailboxRefused, PortError."""
        with self._lock:
            words = self._query_rss(GetReta()).words[1 : mailbox.GET_RETA_REPLY_WORDS]
            # As many bits of an entry count as VFPSRTYPE.RQPL says; before the start: as it will say.
            bits = self.bar.get(VFPSRTYPE.RQPL) if self._running else table_bits(self.rx_queues)
        return tuple(entry & (1 << bits) - 1 for entry in unpack_reta(words))

    @rss_table.setter
    def rss_table(self, value: Iterable[int]) -> None:
        self.rss_spread()

    def rss_spread(self, shares: int | Sequence[int] | None = None) -> None:
        """Raises PortError: it is the PF's to say."""
        raise PortError(f"{self.name} has its PF's RSS table: the chip has one for all pools. Set it there")

    @property
    def rss_hash_types(self) -> tuple[str, ...]:
        """Raises PortError: no message asks for that."""
        raise PortError(f"{self.name} has its PF's RSS hash types: the chip has one word for all. See there")

    @rss_hash_types.setter
    def rss_hash_types(self, value: Iterable[str]) -> None:
        raise PortError(
            f"{self.name} has its PF's RSS hash types: the chip has one word for all. Set them there"
        )

    def _query_rss(self, message: Message) -> Reply:
        with self._lock:
            if self.session.api < mailbox.API_1_2:
                raise PortError(
                    f"{self.name}: its PF speaks a version of the mailbox that knows no {message.name}"
                )
            return self.session.ask(message)


def table_bits(queues: int) -> int:
    """8.2.3.7.4: how many bits of an entry of the RSS table a VF of that many Rx queues uses."""
    return max(queues, 1).bit_length() - 1
