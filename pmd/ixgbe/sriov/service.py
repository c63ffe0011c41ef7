# SPDX-License-Identifier: BSD-3-Clause
"""The PF serves its VFs: resets, requests, and what it has to tell them (datasheet 7.10.2.9, 4.6.10.2).

One round looks at every VF once, and serves at most one message of each: first its reset, then its message, then its ACK,
then what the PF has to say. Nothing in a round waits. What a VF can do to this is to be slow itself: a mailbox that it
holds is taken from it after a second, and one that asks without end is answered at a bounded rate.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from dataplane.errors import DataplaneError, DeviceGone
from dataplane.pmd.datasheet import EICR, mailbox
from dataplane.pmd.ixgbe.mailbox import PfMailboxes
from dataplane.pmd.ixgbe.sriov.bell import Bell
from dataplane.pmd.ixgbe.sriov.replies import VfReplies
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.sriov.table import VfTable
from dataplane.pmd.ixgbe.vf.watch import LOOK_QUIET, until_next
from dataplane.port import Link

__all__ = ["VfService"]

log = logging.getLogger("dataplane")

# Seconds between rounds where interrupts tell of messages, resets and the link: for interrupts that are lost. The second
# where each access is a message (a served NIC), whose interrupts are signals that cannot be, once no VF has spoken for
# QUIET_AFTER and none has a limit to its rate.
LISTEN, LISTEN_QUIET, QUIET_AFTER = 0.05, 4 * LOOK_QUIET, 1.0
IDLE, BUSY, HOT = (
    2e-3,
    2e-4,
    2e-5,
)  # and where there are no interrupts; a VF in its handshake asks again at once
BUSY_FOR, HOT_FOR = 0.05, 2e-3
SHARE = 0.01  # seconds that VFs may keep the service busy at a stretch; in the long run half of its time
AGAIN = 0.5  # seconds between two tries on a device that does not answer
SLOW = 0.5  # seconds in one round from which on `vf show` says so
LINK_INTERVAL = 0.05
BURST, RATE = 200, 1000.0  # messages that a VF may send at once, and in a second


@dataclass
class Dialog:
    """The service's side of one VF."""

    outbox: list[int] | None = None  # a reply that could not be written yet
    blocked_since: float | None = None  # it has the memory, and we want it
    unread_since: float | None = None  # it has not acknowledged our last message
    greeted: bool = False  # our last message was the NACK that answers a stray ACK
    tokens: float = BURST
    filled_at: float = 0.0
    forced: int = 0  # how often its lock was broken
    held_back: int = 0  # how often it had to wait for asking too much


class VfService:
    """`round` serves once; `start` has a thread do it until `stop`. link: reads the state of the port's link."""

    def __init__(self, table: VfTable, link: Callable[[], Link]) -> None:
        self.table, self.bar = table, table.bar
        self.boxes = PfMailboxes(table.bar, table.layout.vfs)
        self.dialogs = [Dialog() for _ in table.vfs]
        self.rounds = 0
        self.messages = 0
        self._link, self._link_seen, self._link_at = link, -1, 0.0
        self._first = 0
        self.bell: Bell | None = None
        self.stalls = 0  # how often the device did not answer
        self._trouble, self._trouble_at = "", 0.0  # why and since when no VF is served
        self._began: float | None = None  # of the round that is under way
        self._left = False  # a request waits that was not served
        self._rung = True  # this round was started by an interrupt, or interrupts are not used
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._leave: Callable[[], None] | None = None
        self.replies = VfReplies(table)

    # ---- life -----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Forget what was in the mailboxes before, after the PF's reset and before PFRSTD tells the VFs to go on."""
        with self.table.lock:
            self.boxes.clear()
            self.dialogs[:] = [Dialog() for _ in self.table.vfs]
            self._link_seen = -1

    def start(self) -> None:
        """Serve in a thread; on a device whose time is simulated, whenever a thread waits on it."""
        self._end.clear()
        self._leave = self.bar.accompany(self._round_beside)
        if self._leave is not None:
            return
        if self.bell is not None:
            self.bell.arm()
        self._thread = threading.Thread(target=self._run, name=f"{self.table.name}-vfs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more service; what the PF has to say has been said, or could not be."""
        self._end.set()
        if self.bell is not None:
            self.bell.wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None
        if self.bell is not None:
            self.bell.disarm()
        if self._leave is not None:
            self._leave()
            self._leave = None
        self._trouble = ""

    def nudge(self) -> None:
        """There is something to tell a VF: look now."""
        if self.bell is not None:
            self.bell.wake()

    @property
    def trouble(self) -> str:
        """Why VFs are not served just now, "" while they are: the device, or the process that is it, does not answer."""
        began, now = self._began, time.monotonic()
        if self._trouble:
            return f"not served for {now - self._trouble_at:.1f} s, tried again: {self._trouble}"
        if began is not None and now - began > SLOW:
            return f"not served for {now - began:.1f} s: the device does not answer"
        return ""

    def _run(self) -> None:
        spoken_at, share = 0.0, SHARE
        while not self._end.is_set():
            began = time.monotonic()
            taken = self._round_beside()
            ended = time.monotonic()
            if taken:
                spoken_at = ended
                if self.bell is not None and self.bell.rings and not self._rung:
                    self.bell.missed()
            # However much VFs ask, half of the time belongs to others.
            share -= ended - began
            if share < 0:
                self._end.wait(-share)
            self._pause(ended - spoken_at)
            share = min(share + time.monotonic() - ended, SHARE)

    def _pause(self, silent: float) -> None:
        """Until there is something to do. silent: seconds since a VF has spoken."""
        if self._trouble:
            self._end.wait(AGAIN)
        elif self.bell is not None and self.bell.rings:
            # Retry what could not be done: no interrupt announces that it can be.
            again = self._left or self._waiting() or self.table.notify
            quiet = self.bar.remote and silent >= QUIET_AFTER and not self.table.rates.limited
            # The bell counts in ms, and must not end just before that moment.
            listen = until_next(LISTEN_QUIET) + 1e-3 if quiet else LISTEN
            self._rung = self.bell.wait(1e-3 if again else listen) or bool(again)
        else:
            self._end.wait(HOT if silent < HOT_FOR else BUSY if silent < BUSY_FOR else IDLE)

    def _round_beside(self) -> int:
        """A round whose errors are the log's and `vf show`'s alone: the next one tries again."""
        if self._end.is_set():
            return 0
        self._began = time.monotonic()
        try:
            if self._trouble:
                self.boxes.let_go()
            taken = self.round()
        except DeviceGone:
            self._end.set()  # the lcore that polls the queues reports it
            return 0
        except Exception as error:
            self._stumble(error)
            return 0
        finally:
            self._began = None
        if self._trouble:
            log.warning("%s: its VFs are served again", self.table.name)
            self._trouble = ""
        return taken

    def _stumble(self, error: Exception) -> None:
        self.stalls += 1
        if not self._trouble:
            self._trouble_at = time.monotonic()
            log.warning(
                "%s: its VFs are not served: %s",
                self.table.name,
                error,
                exc_info=None if isinstance(error, DataplaneError) else error,
            )
        self._trouble = str(error) or repr(error)

    def farewell(self, patience: float = 0.1) -> None:
        """Tell every VF that the PF goes, and see that they have read it; for at most `patience` s."""
        deadline = self.bar.now() + patience
        while self.table.notify or any(dialog.outbox for dialog in self.dialogs):
            self.round()
            if self.bar.now() >= deadline:
                return
            self.bar.sleep(BUSY)

    def see_resets(self) -> None:
        """Notice resets of VFs that have not been served since."""
        with self.table.lock:
            resets = self.boxes.was_reset()
            for state, dialog in zip(self.table.vfs, self.dialogs, strict=True):
                if resets >> state.number & 1:
                    self._on_reset(state, dialog)

    # ---- one round ------------------------------------------------------------------------------------------------

    def round(self) -> int:
        """Serve every VF once. Returns how many messages were taken."""
        table, boxes = self.table, self.boxes
        taken = 0
        with table.lock:
            now = self.bar.now()
            self.rounds += 1
            self._left = False
            if (
                self.bell is not None
                and self.bell.rings
                and self._rung
                and self.bell.causes() & EICR.LSC.mask
            ):
                self._link_at = now
            self._watch_link(now)
            resets = boxes.was_reset()
            requests, acks = boxes.pending()
            if resets | requests | acks | table.notify | self._waiting():
                count = len(table.vfs)
                for n in range(count):  # round robin: who is served first changes
                    v = (self._first + n) % count
                    bit = 1 << v
                    taken += self._serve(v, bool(resets & bit), bool(requests & bit), bool(acks & bit), now)
                self._first = (self._first + 1) % count
        self.messages += taken
        return taken

    def _waiting(self) -> int:
        return any(dialog.outbox or dialog.blocked_since is not None for dialog in self.dialogs)

    def _watch_link(self, now: float) -> None:
        if now < self._link_at:
            return
        self._link_at = now + LINK_INTERVAL
        self.table.rates.look(now)
        speed = self._link().speed
        if speed != self._link_seen:
            self._link_seen = speed
            self.table.link_changed(speed)

    def _serve(self, v: int, reset: bool, request: bool, ack: bool, now: float) -> int:
        state, dialog = self.table.vfs[v], self.dialogs[v]
        taken = 0
        if reset:
            self._on_reset(state, dialog)
        if dialog.outbox is not None:
            self._answer(state, dialog, now)
        if request and dialog.outbox is None and self._may_ask(dialog, now):
            taken = self._on_message(state, dialog, now)
        self._left |= request and not taken
        if ack and dialog.unread_since != now:  # ignore an ACK of an earlier message
            self._on_ack(state, dialog, now)
        if self.table.notify >> v & 1 and dialog.outbox is None:
            self._tell(state, dialog, now)
        return taken

    def _on_reset(self, state: VfState, dialog: Dialog) -> None:
        """4.6.10.2: PFVFLRE. Forget its requests and our messages to it."""
        self.boxes.clear_reset(state.number)
        self.table.on_reset(state)
        dialog.outbox = dialog.unread_since = dialog.blocked_since = None
        dialog.greeted = False

    def _may_ask(self, dialog: Dialog, now: float) -> bool:
        dialog.tokens = min(BURST, dialog.tokens + (now - dialog.filled_at) * RATE)
        dialog.filled_at = now
        if dialog.tokens < 1:
            dialog.held_back += 1
            return False
        dialog.tokens -= 1
        return True

    def _on_message(self, state: VfState, dialog: Dialog, now: float) -> int:
        words = self.boxes.take(state.number)
        if words is None:
            self._blocked(state, dialog, now)
            return 0
        dialog.blocked_since = dialog.unread_since = (
            None  # a VF that asks has read our message, or ignores it
        )
        dialog.greeted = False
        state.messages += 1
        # A VF that resets itself and asks at once: its reset comes first, though we looked for it before.
        if words[0] & mailbox.TYPE_MASK == mailbox.RESET and self.boxes.was_reset() >> state.number & 1:
            self._on_reset(state, dialog)
        reply = self.replies.to(state, words)
        if reply is not None:
            dialog.outbox = reply
            self._answer(state, dialog, now)
        return 1

    def _on_ack(self, state: VfState, dialog: Dialog, now: float) -> None:
        self.boxes.clear_ack(state.number)
        dialog.unread_since = None
        told = dialog.greeted or (state.active and self.table.notify >> state.number & 1)
        if not state.clear_to_send and dialog.outbox is None and not told:
            # An ACK of a VF without CTS: it has missed that it must reinitialise.
            dialog.outbox, dialog.greeted = [mailbox.NACK], True
            self._answer(state, dialog, now)

    def _answer(self, state: VfState, dialog: Dialog, now: float) -> None:
        assert dialog.outbox is not None
        if self.boxes.put(state.number, dialog.outbox):
            dialog.outbox = dialog.blocked_since = None
            dialog.unread_since = now
        else:
            self._blocked(state, dialog, now)

    def _tell(self, state: VfState, dialog: Dialog, now: float) -> None:
        """PF_CONTROL_MSG: have the VF read its link again, and reinitialise if CTS is not set."""
        if not state.active:
            self.table.notify &= ~(1 << state.number)  # no driver listens
            return
        if dialog.unread_since is not None and now - dialog.unread_since < mailbox.REPLY_TIMEOUT:
            return  # it would overwrite the answer that the VF has not read yet
        word = mailbox.PF_CONTROL_MSG | (mailbox.CTS if state.clear_to_send else 0)
        if self.boxes.put(state.number, [word], polite=True):
            self.table.notify &= ~(1 << state.number)
            dialog.blocked_since = None
            # Linux's VF only notices by the NACK that follows on its ACK of this.
            dialog.unread_since, dialog.greeted = now, False
        elif not self.boxes.requests_of(state.number):
            self._blocked(state, dialog, now)

    def _blocked(self, state: VfState, dialog: Dialog, now: float) -> None:
        """The VF owns the mailbox: right for a moment, but a crashed or hostile driver would keep it."""
        if dialog.blocked_since is None:
            dialog.blocked_since = now
        elif now - dialog.blocked_since >= mailbox.LOCK_TIMEOUT:
            self.boxes.release_by_force(state.number)
            dialog.blocked_since, dialog.outbox = None, None
            dialog.forced += 1
            if dialog.forced == 1:
                log.warning(
                    "%s: VF %d kept the mailbox for %g s: taken from it",
                    self.table.name,
                    state.number,
                    mailbox.LOCK_TIMEOUT,
                )
