# SPDX-License-Identifier: BSD-3-Clause
"""The mailbox between PF and VF, from both ends (datasheet 7.10.2.9, 8.2.3.27).

The 16 words are one memory that both sides see. A side that accesses it takes it first (PFU, VFU: a write sticks only
while the other's bit is 0) and lets go of it by telling the other side: REQ or STS "there is a message", ACK "I have taken
yours".

The PF never waits here: what cannot be done at once is tried again on its next round, and a VF that keeps the memory is
made to let go (RVFU) by the service, which measures the time. The VF does wait, and every wait ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dataplane.pmd.datasheet import PFMAILBOX, PFMBICR, PFMBMEM, PFVFLRE, PFVFLREC, mailbox
from dataplane.pmd.datasheet.vf import VFMAILBOX, VFMBMEM
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.errors import MailboxSilent, PfWasReset
from dataplane.pmd.ixgbe.messages import Message, Reply, size_of

__all__ = ["PfMailboxes", "VfMailbox"]

_GONE = 0xFFFF_FFFF
FIRST_LOOK = 2e-5  # seconds until a VF looks for an answer for the first time


class PfMailboxes:
    """The PF's ends of the first `vfs` mailboxes. Sets of VFs are bit masks: bit v is VF v."""

    def __init__(self, bar: Bar, vfs: int) -> None:
        self.bar, self.vfs = bar, vfs

    def clear(self) -> None:
        """Forget what a driver before us has left: locks, requests, resets."""
        bar = self.bar
        for v in range(self.vfs):
            self.release_by_force(v)
        for register in PFMBICR:
            bar.write(register, _GONE)
        for register in PFVFLREC:
            bar.write(register, _GONE)

    def pending(self) -> tuple[int, int]:
        """Which VFs have sent a message, and which have taken ours (PFMBICR)."""
        requests = acks = 0
        for n in range(-(-self.vfs // 16)):
            word = self.bar.read(PFMBICR[n])
            if word == _GONE:
                self.bar.check()
            requests |= (word & 0xFFFF) << 16 * n
            acks |= word >> 16 << 16 * n
        mask = (1 << self.vfs) - 1
        return requests & mask, acks & mask

    def requests_of(self, v: int) -> bool:
        """Whether VF v has sent a message."""
        return bool(self.bar.read(PFMBICR[v >> 4]) >> (v & 15) & 1)

    def was_reset(self) -> int:
        """Which VFs had a function-level reset or reset themselves (PFVFLRE)."""
        found = 0
        for n in range(-(-self.vfs // 32)):
            word = self.bar.read(PFVFLRE[n])
            if word == _GONE:
                self.bar.check()
            found |= word << 32 * n
        return found & (1 << self.vfs) - 1

    def clear_reset(self, v: int) -> None:
        """VF v's reset has been seen."""
        self.bar.write(PFVFLREC[v >> 5], 1 << (v & 31))

    def lock(self, v: int) -> bool:
        """Take the memory if VF v does not have it."""
        register = PFMAILBOX[v]
        self.bar.write(register, register.PFU.mask)
        return bool(self.bar.get(register.PFU))

    def unlock(self, v: int) -> None:
        """Let go without a message."""
        self.bar.write(PFMAILBOX[v], 0)

    def let_go(self) -> None:
        """Let go of every mailbox: an exchange was interrupted and is not continued."""
        for v in range(self.vfs):
            self.unlock(v)

    def release_by_force(self, v: int) -> None:
        """VF v has kept the memory too long: RVFU takes it away, and its requests with it."""
        register = PFMAILBOX[v]
        self.bar.write(register, register.RVFU.mask)

    def take(self, v: int) -> list[int] | None:
        """VF v's message, 16 words, and tell it so. None: it has the memory, try again.

        Words that its type does not have are not read, and 0.
        """
        if not self.lock(v):
            return None
        bar = self.bar
        # Cleared while we have the memory: a VF that keeps to the rules cannot send the next one before our ACK.
        bar.write(PFMBICR[v >> 4], 1 << (v & 15))
        first = bar.read(PFMBMEM[v, 0])
        size = size_of(first)
        words = [first, *(bar.read(PFMBMEM[v, n]) for n in range(1, size)), *[0] * (mailbox.WORDS - size)]
        register = PFMAILBOX[v]
        bar.write(register, register.ACK.mask)  # PFU falls with it: the word is written whole
        return words

    def put(self, v: int, words: Sequence[int], *, polite: bool = False) -> bool:
        """A message to VF v. False: it has the memory, or (polite) a request of its own waits to be served first."""
        if not self.lock(v):
            return False
        bar = self.bar
        if polite and self.requests_of(v):
            self.unlock(v)  # the request lies in the memory that we would write to
            return False
        # An earlier ACK does not belong to this message.
        bar.write(PFMBICR[v >> 4], (1 << 16 | 1) << (v & 15))
        for n, word in enumerate(words):
            bar.write(PFMBMEM[v, n], word)
        register = PFMAILBOX[v]
        bar.write(register, register.STS.mask)
        return True

    def clear_ack(self, v: int) -> None:
        """VF v's ACK has been seen."""
        self.bar.write(PFMBICR[v >> 4], 1 << 16 + (v & 15))


class VfMailbox:
    """The VF's end. `on_control` is called with each message that the PF sends of its own."""

    def __init__(self, bar: Bar, on_control: Callable[[Reply], None] | None = None) -> None:
        self.bar = bar
        self.on_control = on_control or (lambda reply: None)
        self._seen = 0  # bits that a read of VFMAILBOX clears, kept until they are used
        self._in_reset = False
        # A reset of the PF is over, or it has sent a message of its own. The user of this object clears it.
        self.heard = False

    def look(self) -> int:
        """VFMAILBOX with what earlier reads cleared. DeviceGone if the VF is no longer there."""
        word = self.bar.read(VFMAILBOX)
        if word == _GONE:
            self.bar.check()
        in_reset = bool(word & VFMAILBOX.RSTI.mask)
        self.heard |= bool(word & VFMAILBOX.RSTD.mask) or (self._in_reset and not in_reset)
        self._in_reset = in_reset
        self._seen |= word & (VFMAILBOX.PFSTS.mask | VFMAILBOX.PFACK.mask | VFMAILBOX.RSTD.mask)
        return word | self._seen

    @property
    def pf_was_reset(self) -> bool:
        """RSTI: the PF is in reset; RSTD: it has been. In both cases this VF must reinitialise."""
        return _resets(self.look())

    @property
    def pf_is_in_reset(self) -> bool:
        """RSTI: no driver has brought the PF up since its reset."""
        return bool(self.look() & VFMAILBOX.RSTI.mask)

    def forget(self) -> None:
        """The VF was reset: what was seen before is over."""
        self.look()
        self._seen, self.heard = 0, False

    def poll(self) -> bool:
        """Take a message that the PF sent of its own, if there is one. Returns whether the PF is, or has been, in reset.

        One read of VFMAILBOX while the PF says nothing: on a served NIC each is a message.
        """
        seen = self.look()
        if seen & VFMAILBOX.PFSTS.mask:
            self._receive(mailbox.LOCK_TIMEOUT)
            return self.pf_was_reset
        return _resets(seen)

    def request(
        self, message: Message, *, timeout: float = mailbox.REPLY_TIMEOUT, delay: float = 0.0
    ) -> Reply:
        """Send, and wait for the answer: one of the same type. delay: leave the PF alone for so long first.

        Raises MailboxSilent when no answer came within `timeout`, PfWasReset when the PF was reset meanwhile.
        """
        self._send(message, timeout)
        if delay:
            self.bar.sleep(delay)
        began = self.bar.now()
        deadline = began + timeout
        while True:
            late = self.bar.now() >= deadline
            seen = self.look()
            self._refuse_reset(seen, message)
            if seen & VFMAILBOX.PFSTS.mask:
                reply = self._receive(timeout)
                if reply is not None and reply.type == message.TYPE:
                    return reply
                continue  # the PF spoke of its own, or this is the late answer to a request that we gave up
            if late:
                raise MailboxSilent(
                    f"{self.bar.name}: no answer to {message.name} within {timeout:g} s (datasheet 7.10.2.9): "
                    f"the PF's driver is not running, or does not serve its VFs"
                )
            # A PF that listens answers within 0.1 ms, and one that polls within some ms.
            self.bar.sleep(min(max((self.bar.now() - began) / 4, FIRST_LOOK), mailbox.POLL_INTERVAL))

    def _send(self, message: Message, timeout: float) -> None:
        """7.10.2.9: take the memory, write, REQ; VFU falls with it."""
        if self._lock(timeout, message) & VFMAILBOX.PFSTS.mask:
            self._read()  # ours would lie on it; REQ says that we have the memory no more, so no ACK of its own
        self._seen &= ~VFMAILBOX.PFACK.mask
        for n, word in enumerate(message.encode()):
            self.bar.write(VFMBMEM[n], word)
        self.bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)

    def _receive(self, timeout: float) -> Reply | None:
        """Take the PF's message and say so. None: it was not an answer."""
        self._lock(timeout, None)
        reply = self._read()
        self.bar.write(VFMAILBOX, VFMAILBOX.ACK.mask)
        return reply

    def _read(self) -> Reply | None:
        self._seen &= ~VFMAILBOX.PFSTS.mask
        first = self.bar.read(VFMBMEM[0])
        size = mailbox.REPLY_WORDS.get(first & mailbox.TYPE_MASK, mailbox.WORDS)
        words = first, *(self.bar.read(VFMBMEM[n]) for n in range(1, size)), *[0] * (mailbox.WORDS - size)
        reply = Reply(words)
        if reply.type == mailbox.PF_CONTROL_MSG or reply.words[0] == mailbox.NACK:
            self.heard = True
            self.on_control(reply)
            return None
        return reply

    def _lock(self, timeout: float, message: Message | None) -> int:
        """7.10.2.9: take the memory. Returns VFMAILBOX as it was then. Raises MailboxSilent, PfWasReset."""
        deadline = self.bar.now() + timeout
        while True:
            late = self.bar.now() >= deadline
            self.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
            seen = self.look()
            if message is not None:
                self._refuse_reset(seen, message)
            if seen & VFMAILBOX.VFU.mask:
                return seen
            if late:
                # Handled like any missing answer: a patient caller tries again.
                raise MailboxSilent(
                    f"{VFMAILBOX.VFU} still 0 after {timeout:g} s on {self.bar.name} (datasheet {VFMAILBOX.section}): "
                    f"the PF's driver keeps the mailbox: restart it"
                )
            self.bar.sleep(mailbox.POLL_INTERVAL)

    def _refuse_reset(self, seen: int, message: Message) -> None:
        if _resets(seen):
            raise PfWasReset(
                f"{self.bar.name}: the PF was reset before it answered {message.name} (datasheet 7.10.2.9): this VF must "
                f"reinitialise"
            )


def _resets(word: int) -> bool:
    """Whether VFMAILBOX says that the PF is in reset (RSTI), or has been (RSTD)."""
    return bool(word & (VFMAILBOX.RSTI.mask | VFMAILBOX.RSTD.mask))
