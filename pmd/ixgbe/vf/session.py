# SPDX-License-Identifier: BSD-3-Clause
"""A VF and its PF: from reset to an agreement, what was asked for, and its restoration (datasheet 7.10.2.9, 4.6.10).

A PF can be reset at any time, and then has forgotten this VF. So every request is kept in `wanted`, and sent again after
each handshake. Everything here waits, and every wait ends.
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass

from dataplane.errors import DeviceTimeout
from dataplane.limits import FRAME_MIN_WITH_FCS_BYTES, FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.pmd.datasheet import limits, mailbox
from dataplane.pmd.datasheet.vf import (
    VFCTRL,
    VFDCA_RXCTRL,
    VFDCA_TXCTRL,
    VFMAILBOX,
    VFPSRTYPE,
    VFRXDCTL,
    VFSTATUS,
    VFTDWBAH,
    VFTDWBAL,
    VFTXDCTL,
    VTEICR,
    VTEIMC,
)
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.errors import FrameRefused, MailboxRefused, MailboxSilent, PfNotUp, PfWasReset
from dataplane.pmd.ixgbe.mailbox import VfMailbox
from dataplane.pmd.ixgbe.messages import (
    ApiNegotiate,
    GetLinkState,
    GetQueues,
    Message,
    QueuesReply,
    Reply,
    Reset,
    SetLpe,
    SetMac,
    SetMacvlan,
    SetMulticast,
    SetVlan,
    UpdateXcast,
    xcast_name,
)
from dataplane.port import format_mac

__all__ = ["VfSession", "Wanted", "index_of"]

log = logging.getLogger("dataplane")

VERSIONS = (mailbox.API_1_3, mailbox.API_1_2, mailbox.API_1_1, mailbox.API_1_0)
"""The versions of this driver, best first: later ones add nothing that an 82599 has."""

TRIES, TRY_TIMEOUT = 4, 0.25  # a lost message costs a quarter of a second; a PF that is not there one second
_LEAST_QUEUES, _MOST_QUEUES = 2, 8  # of a pool


@dataclass
class Wanted:
    """The requests of the VF's program. An attribute is changed only while the port's lock is held, from the change to
    the PF's answer: a refusal in one thread then undoes that thread's change and no other.

    mac: b"" for the PF's choice. over: the address that RESET had answered when `mac` was granted, None until `mac` is
    granted. macs: further addresses. frame: bytes with FCS. groups: multicast addresses.
    """

    mac: bytes = b""
    over: bytes | None = None
    macs: tuple[bytes, ...] = ()
    frame: int = FRAME_STANDARD_WITH_FCS_BYTES
    groups: tuple[bytes, ...] = ()
    vlans: frozenset[int] = frozenset()
    xcast: int = mailbox.XCAST_MULTI


def index_of(macs: tuple[bytes, ...]) -> int:
    """Index of the SET_MACVLAN that adds an address to `macs`: 1 begins a new list; it has 8 bits."""
    return min(len(macs) + 1, 0xFF)


class VfSession:
    """The VF's side of the agreement. `up`: there is one, and the frame size is granted."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.box = VfMailbox(bar, self._on_control)
        self.wanted = Wanted()
        self.up = False
        self.agreed = False  # the PF knows us, though it may refuse our frame size
        self.stale = False  # the PF requires us to reinitialise
        self.link_told = False  # and to look at the link
        self.enabled = True  # the administrator's word about our link
        self.mac = b""
        self.given = b""  # the address in the reply to RESET, b"" if the PF leaves the choice to us
        self.hash_type = 0
        self.api = mailbox.API_1_0
        self.queues = QueuesReply(1, 1, 0, 0)
        self.granted = mailbox.XCAST_MULTI
        self.handshakes = 0
        self._reach = _LEAST_QUEUES  # registers of how many queues may be touched
        self._until = math.inf  # when the caller of `connect` stops waiting
        self.repeated = 0  # requests that were sent again because no answer came

    # ---- beginning ------------------------------------------------------------------------------------------------

    def connect(self, patience: float) -> None:
        """Reset, and agree with the PF; again for `patience` s while the PF is not up.

        Raises PfNotUp, MailboxRefused; after FrameRefused the VF is `agreed`, not `up`, and `resume` asks again.
        """
        deadline = self.bar.now() + patience
        while True:
            late = self.bar.now() >= deadline
            self._until = self.bar.now() + TRIES * TRY_TIMEOUT if late else deadline
            try:
                self.reset()
                self.shake_hands()
                self.restore()
            except (PfNotUp, PfWasReset, DeviceTimeout) as error:
                if late:
                    self._until = math.inf
                    waited = f" for {patience:g} s" if patience else ""
                    raise PfNotUp(
                        f"{self.bar.name}: its PF is not up{waited} ({error}): start the PF first, by opening it with "
                        f"vfs=N or by loading its kernel driver, then try again"
                    ) from error
                self.bar.sleep(0.05)
            except MailboxRefused as error:
                self._until = math.inf
                self.agreed = isinstance(error, FrameRefused)
                raise
            else:
                self._until = math.inf
                self.up = self.agreed = True
                self.handshakes += 1
                return

    def resume(self) -> None:
        """Ask again for what was refused, without a reset while the PF knows this VF. Raises PfNotUp, MailboxRefused."""
        if self.up:
            return
        try:
            self.restore()
        except (PfWasReset, DeviceTimeout):
            self.connect(0)
        else:
            self.up = True

    def quiet(self) -> None:
        """4.6.10.2: everything off, then VFCTRL.RST. After it the device touches no memory."""
        bar = self.bar
        self.up = self.agreed = self.stale = False
        bar.write(VTEIMC, VTEIMC.CAUSE.mask)
        bar.read(VTEICR)
        # After the PF's reset they are off, and there are no pools yet to which they belong.
        for queue in range(0 if self.box.pf_was_reset else self._reach):
            bar.write(VFTXDCTL[queue], VFTXDCTL[queue].pack(SWFLSH=1))
            bar.clear(VFRXDCTL[queue].ENABLE)
        bar.write(VFPSRTYPE, 0)
        bar.sleep(2e-3)
        bar.write(VFCTRL, VFCTRL.RST.mask)
        bar.read(VFSTATUS)  # the write has arrived when this returns

    def reset(self) -> None:
        """4.6.10.2: a reset, waited for until the PF's is over too. Raises PfNotUp."""
        bar = self.bar
        with bar.exclusively():
            self.quiet()
            bar.check()
            bar.sleep(mailbox.RESET_SETTLE)
        self._wait_for_pf()

    def _set_defaults(self) -> None:
        """9.4: SILENT: whether a VF's reset brings these back. As the PF's driver has them for its own queues."""
        bar = self.bar
        for queue in range(self._reach):
            bar.write(VFRXDCTL[queue], 0)
            bar.write(VFTXDCTL[queue], 0)
            bar.write(VFTDWBAL[queue], 0)
            bar.write(VFTDWBAH[queue], 0)
            bar.write(VFDCA_RXCTRL[queue], VFDCA_RXCTRL[queue].pack(DESC_RRO=1))
            bar.write(VFDCA_TXCTRL[queue], VFDCA_TXCTRL[queue].pack(DESC_RRO=1, DATA_RRO=1))

    def _wait_for_pf(self) -> None:
        """7.10.2.9: RSTI and RSTD both 0; a read clears RSTD, so what was seen before must not count."""
        deadline = self.bar.now() + mailbox.RESET_SETTLE
        while True:
            late = self.bar.now() >= deadline
            self.box.forget()
            if not self.box.pf_was_reset:
                return
            if late:
                self.bar.check()
                raise PfNotUp(
                    f"{VFMAILBOX.RSTI} still 1 after {mailbox.RESET_SETTLE:g} s on {self.bar.name} (datasheet 7.10.2.9)"
                )
            self.bar.sleep(mailbox.POLL_INTERVAL)

    def shake_hands(self) -> None:
        """RESET, the version, the queues. Raises PfNotUp, PfWasReset, MailboxSilent."""
        self.api, self.granted, self.enabled = mailbox.API_1_0, mailbox.XCAST_MULTI, True
        reply = self._repeat(Reset(), delay=mailbox.RESET_REPLY_DELAY)
        if reply.words[0] == mailbox.RESET_ACK:
            self.mac = self.given = reply.mac
        elif reply.words[0] == mailbox.RESET_NACK:
            # The PF leaves the choice to us: once made, it stays.
            self.given = b""
            self.mac = self.mac or bytes([0x02]) + random.randbytes(5)
            self.ask(SetMac(self.mac))
        else:
            raise PfNotUp(f"{self.bar.name}: an answer to RESET that is none: {reply.words[0]:#010x}")
        self.hash_type = reply.words[3] & 3
        for version in VERSIONS:
            if self._repeat(ApiNegotiate(version)).acknowledged:
                self.api = version
                break
        self.queues = QueuesReply(1, 1, 0, 0)
        if self.api >= mailbox.API_1_1:
            self.queues = QueuesReply.of(self.ask(GetQueues()).words, _MOST_QUEUES)
        self._reach = max(self.queues.rx, self.queues.tx, _LEAST_QUEUES)
        self._set_defaults()

    def restore(self) -> None:
        """Request everything wanted. A refusal is logged; a refused frame size raises FrameRefused."""
        wanted = self.wanted
        try:
            self.ask(SetLpe(wanted.frame))
        except MailboxRefused as error:
            # Our PF answers with its own largest frame. A PF that writes one word leaves ours in the memory.
            largest = error.words[1] if FRAME_MIN_WITH_FCS_BYTES <= error.words[1] < wanted.frame else 0
            raise FrameRefused(error, largest) from error
        self._restore_mac()
        self.restore_macs()
        if wanted.groups:
            self._ask_again(SetMulticast(self.hashes(wanted.groups)))
        for vid in sorted(wanted.vlans):
            self._ask_again(SetVlan(vid, True))
        if wanted.xcast != mailbox.XCAST_MULTI:
            self.set_xcast(wanted.xcast)
        self.look_at_link()

    def _restore_mac(self) -> None:
        """The address that was chosen, unless the PF's administrator has named another since: then it is forgotten."""
        wanted = self.wanted
        if not wanted.mac:
            return
        if wanted.mac == self.mac:
            pass  # the PF's own word now
        elif wanted.over is not None and self.given and self.given != wanted.over:
            log.warning(
                "%s: its address is %s now, by its PF's administrator, and %s is forgotten",
                self.bar.name,
                format_mac(self.given),
                format_mac(wanted.mac),
            )
        elif self._ask_again(SetMac(wanted.mac)):
            self.mac, wanted.over = wanted.mac, self.given
            return
        wanted.mac, wanted.over = b"", None

    def restore_macs(self) -> None:
        """The further addresses, as a new list; one that is refused is forgotten."""
        granted: tuple[bytes, ...] = ()
        for mac in self.wanted.macs:
            if self._ask_again(SetMacvlan(index_of(granted), mac)):
                granted += (mac,)
        self.wanted.macs = granted

    def _ask_again(self, message: Message) -> bool:
        """Whether it was granted."""
        try:
            self.ask(message)
        except MailboxRefused as error:
            log.warning("%s", error)
            return False
        return True

    # ---- requests -------------------------------------------------------------------------------------------------

    def ask(self, message: Message) -> Reply:
        """A request that must be granted. Raises MailboxRefused, MailboxSilent, PfWasReset."""
        reply = self._repeat(message)
        if reply.refused and not reply.clear_to_send:
            self.stale = True
            raise PfWasReset(
                f"{self.bar.name}: the PF no longer knows this VF (request: {message}): the VF reinitialises"
            )
        if not reply.acknowledged:
            raise MailboxRefused(
                f"{self.bar.name}: the PF refuses {message}: its administrator may allow it (on the PF, 'dataplane vf "
                f"explain' or the kernel's log says why)",
                reply.words,
            )
        return reply

    def _repeat(self, message: Message, delay: float = 0.0) -> Reply:
        """A message and its answer. Either may get lost: it is sent again, for asking twice does no harm."""
        for _ in range(TRIES - 1):
            try:
                return self.box.request(message, timeout=TRY_TIMEOUT, delay=delay)
            except MailboxSilent:
                if self.bar.now() >= self._until:
                    raise
                self.repeated += 1
        return self.box.request(message, timeout=TRY_TIMEOUT, delay=delay)

    def set_xcast(self, mode: int) -> int:
        """Ask for a reception mode, or the next lower one that the PF does not refuse. Returns what it grants."""
        granted = self.granted
        for asked in range(mode, mailbox.XCAST_NONE - 1, -1):
            if self.api < (mailbox.API_1_3 if asked == mailbox.XCAST_PROMISC else mailbox.API_1_2):
                continue
            reply = self._repeat(UpdateXcast(asked))
            if reply.acknowledged:
                # A PF that writes one word leaves our own in the memory: then it grants what it was asked for.
                granted = min(reply.words[1], asked)
                break
        self.granted = granted
        if granted < mode:
            log.warning(
                "%s: the PF grants reception mode %s, not %s: its administrator may trust this VF ('dataplane vf set PF N "
                "trust on', 'ip link set PF vf N trust on'); no VF of an 82599 can be promiscuous for unicast",
                self.bar.name,
                xcast_name(granted),
                xcast_name(mode),
            )
        return granted

    def look_at_link(self) -> None:
        """Whether the administrator has left our link on. A PF that does not tell has."""
        self.link_told = False
        if self.api >= mailbox.API_1_2:
            reply = self._repeat(GetLinkState())
            self.enabled = bool(reply.words[1]) if reply.acknowledged else True

    def hashes(self, groups: tuple[bytes, ...]) -> tuple[int, ...]:
        """7.1.1.1: 12 bits of each address, which ones the PF has said (MCSTCTRL.MO). At most 30 fit: others are logged."""
        shift = (4, 3, 2, 0)[self.hash_type]
        found = tuple(
            dict.fromkeys(
                (mac[4] >> shift | mac[5] << 8 - shift) & limits.MULTICAST_HASHES - 1 for mac in groups
            )
        )
        most = mailbox.MULTICAST_HASHES_MAX
        if len(found) > most:
            log.warning(
                "%s: %d multicast groups are more than the %d that a VF may have: %s and those after it are left out; "
                "allmulticast is the way out",
                self.bar.name,
                len(groups),
                most,
                format_mac(groups[most]),
            )
        return found[:most]

    # ---- what the PF says of its own ------------------------------------------------------------------------------

    def news(self) -> bool:
        """Whether the PF has sent a message of its own, or ended a reset, since `box.heard` was cleared."""
        self.box.poll()
        return self.box.heard

    def poll(self) -> bool:
        """Take the PF's own messages. True if this VF has to reinitialise. Raises DeviceGone."""
        if self.box.poll():
            self.stale = True
            self._reach = _LEAST_QUEUES  # it may have made other pools
        if self.up and not self.stale and self.link_told:
            try:
                self.look_at_link()
            except (MailboxSilent, PfWasReset):
                self.stale = True
        return self.stale

    def _on_control(self, reply: Reply) -> None:
        if reply.clear_to_send:
            self.link_told = True
        elif self.agreed:
            self.stale = True
