# SPDX-License-Identifier: BSD-3-Clause
"""A PF's service on the board, and a VF that is played by a test: word by word, as a driver that we did not write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dataplane.limits import FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.pmd.datasheet import CTRL_EXT, mailbox
from dataplane.pmd.datasheet.vf import VFCTRL, VFMAILBOX, VFMBMEM
from dataplane.pmd.ixgbe.sriov.service import VfService
from dataplane.pmd.ixgbe.sriov.table import VfTable
from dataplane.pmd.ixgbe.steering.pool_filters import PoolFilters
from dataplane.pmd.ixgbe.steering.pools import PoolLayout
from dataplane.port import Link
from tests.pmd.ixgbe.fakeboard import Board

PF_MAC = bytes.fromhex("001b21aabbcc")


class Ruled:
    """A board whose PF is up. `round` lets the service work once and time pass."""

    def __init__(self, vfs: int = 4, frame: int = FRAME_STANDARD_WITH_FCS_BYTES) -> None:
        layout = PoolLayout.of(vfs)
        self.board = self.make_board(vfs, layout.queues)
        self.filters = PoolFilters(self.board.pf, layout)
        self.filters.mac = PF_MAC
        self.table = VfTable(self.board.pf, "board0", self.filters, PF_MAC)
        self.service = VfService(self.table, self.link)
        self.board.on_sleep.append(self.service.round)
        self.frame = frame
        self.bring_up()

    def make_board(self, vfs: int, queues: int) -> Board:
        return Board(vfs, queues)

    def bring_up(self) -> None:
        """Do what the PF's driver does at its start."""
        self.filters.clear_tables()
        self.filters.write_all(1)
        self.table.set_up(self.frame)
        self.service.begin()
        self.board.pf.set(CTRL_EXT.PFRSTD)

    def link(self) -> Link:
        return Link(self.board.link_up, 10_000 if self.board.link_up else 0)

    def round(self, times: int = 1, apart: float = 1e-3) -> None:
        for _ in range(times):
            self.board.sleep(apart)

    def vf(self, number: int = 0, *, begun: bool = True, api: int | None = None) -> Script:
        script = Script(self, number)
        if begun:
            script.begin()
        if api is not None:
            assert script.ask(mailbox.API_NEGOTIATE, api)[0] == mailbox.API_NEGOTIATE | OK
        return script


Rule = Callable[..., Ruled]
"""The fixture `rule`: makes a `Ruled`, on the board or on the model."""

OK = mailbox.ACK | mailbox.CTS
NO = mailbox.NACK | mailbox.CTS


class Script:
    """The VF's end, in single steps."""

    def __init__(self, ruled: Ruled, number: int) -> None:
        self.ruled, self.number, self.bar = ruled, number, ruled.board.vf(number)
        self.state = ruled.table.vfs[number]

    def begin(self) -> bytes:
        """Reset and RESET: the address that the PF gave."""
        self.bar.write(VFCTRL, VFCTRL.RST.mask)
        self.bar.sleep(0.05)
        self.flags()
        reply = self.ask(mailbox.RESET)
        assert reply[0] == mailbox.RESET_ACK, hex(reply[0])
        return mailbox.words_mac(reply[1], reply[2])

    def flags(self) -> int:
        return self.bar.read(VFMAILBOX)

    def send(self, *words: int) -> None:
        """VFU, the words, REQ."""
        self.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
        assert self.flags() & VFMAILBOX.VFU.mask, "the PF has the memory"
        for n, word in enumerate(words):
            self.bar.write(VFMBMEM[n], word)
        self.bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)

    def read(self, rounds: int = 50) -> list[int] | None:
        """Wait for a message, take it, ACK. None: none came."""
        for _ in range(rounds):
            if self.flags() & VFMAILBOX.PFSTS.mask:
                break
            self.bar.sleep(500e-6)
        else:
            return None
        self.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
        words = [self.bar.read(VFMBMEM[n]) for n in range(mailbox.WORDS)]
        self.bar.write(VFMAILBOX, VFMAILBOX.ACK.mask)
        return words

    def ask(self, *words: int) -> list[int]:
        """A message and its answer."""
        self.send(*words)
        answer = self.read()
        assert answer is not None, f"no answer to {mailbox.describe(words[0])}"
        return answer

    def why(self) -> str:
        """Why the PF refused what it refused, all of it."""
        return "; ".join(self.state.refusals)


def set_mac(mac: str) -> Sequence[int]:
    return mailbox.SET_MAC_ADDR, *mailbox.mac_words(bytes.fromhex(mac.replace(":", "")))


def set_macvlan(index: int, mac: str = "00:00:00:00:00:00") -> Sequence[int]:
    words = mailbox.mac_words(bytes.fromhex(mac.replace(":", "")))
    return mailbox.SET_MACVLAN | index << mailbox.INFO_SHIFT, *words


def set_vlan(vid: int, add: bool = True) -> Sequence[int]:
    return mailbox.SET_VLAN | int(add) << mailbox.INFO_SHIFT, vid


def set_multicast(*hashes: int) -> Sequence[int]:
    padded = [*hashes, 0]
    words = [padded[n] | padded[n + 1] << 16 for n in range(0, len(hashes), 2)]
    return [mailbox.SET_MULTICAST | len(hashes) << mailbox.INFO_SHIFT, *words, *[0] * (15 - len(words))]
