# SPDX-License-Identifier: BSD-3-Clause
"""The 82599's Virtual Function as a port: the PF's hot loops and queues, and a PF that has to be asked for everything else.

A watchdog looks after the agreement with the PF. When the PF was reset, or says so, the queues are taken apart under the
lcores that poll them, the VF reinitialises, and requests its settings again.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from contextlib import suppress
from typing import Any

from dataplane.errors import ConfigError, DataplaneError, DeviceGone, DeviceTimeout, PortError, check_new
from dataplane.limits import FRAME_MAX_WITH_FCS_BYTES, HEADER_AND_FCS_BYTES
from dataplane.memory.hugepage import Block
from dataplane.pmd.datasheet import MBPS, mailbox, pci
from dataplane.pmd.datasheet.vf import (
    VFDCA_RXCTRL,
    VFDCA_TXCTRL,
    VFLINKS,
    VFPSRTYPE,
    VFRDBAH,
    VFRDBAL,
    VFRDH,
    VFRDLEN,
    VFRDT,
    VFRXDCTL,
    VFSRRCTL,
    VFTDBAH,
    VFTDBAL,
    VFTDH,
    VFTDLEN,
    VFTDT,
    VFTDWBAL,
    VFTXDCTL,
)
from dataplane.pmd.function import Function
from dataplane.pmd.ixgbe.common import RING_LENGTHS, IxgbeBase
from dataplane.pmd.ixgbe.control import ControlServer
from dataplane.pmd.ixgbe.datapath import RxRegisters, TxRegisters
from dataplane.pmd.ixgbe.device_bar import VfBar, touches_device
from dataplane.pmd.ixgbe.errors import FrameRefused, MailboxRefused, PfWasReset
from dataplane.pmd.ixgbe.findings import answer
from dataplane.pmd.ixgbe.messages import Message
from dataplane.pmd.ixgbe.vf.explain import explain_vf, listen
from dataplane.pmd.ixgbe.vf.filters import VfMulticast, VfVlans
from dataplane.pmd.ixgbe.vf.macs import VfMacs
from dataplane.pmd.ixgbe.vf.rss import VfRss, table_bits
from dataplane.pmd.ixgbe.vf.session import VfSession
from dataplane.pmd.ixgbe.vf.talk import VfTalk
from dataplane.pmd.ixgbe.vf.watch import (
    Backoff,
    Paused,
    WatchInterval,
    mtu_refused,
    notes_trouble,
    reason,
    why_no_link,
)
from dataplane.pmd.ixgbe.vf_counters import VfCounters
from dataplane.pmd.portstring import PortString
from dataplane.port import Link, PortInfo, format_mac, parse_own_mac, parse_own_macs

__all__ = ["IxgbeVfPort"]

log = logging.getLogger("dataplane")

PATIENCE = 5  # seconds that opening waits for the PF
TALK = 0.1  # seconds that a reading of the counters waits for another thread's talk with the PF

_RX = (VFRDBAL, VFRDBAH, VFRDLEN, VFDCA_RXCTRL, VFSRRCTL, VFRDH, VFRDT, VFRXDCTL)
_TX = (VFTDBAL, VFTDBAH, VFTDLEN, VFDCA_TXCTRL, VFTDWBAL, VFTDH, VFTDT, VFTXDCTL)


class IxgbeVfPort(IxgbeBase):
    """A VF of an 82599. `dataplane.pmd.probe` makes it.

    Options beside those of `IxgbeBase`: pf_wait (seconds that opening waits for a PF that is not up), promiscuous,
    allmulticast (on, off: the attributes' first values), macs (further addresses, joined by +: see `VfMacs.add`). The PF
    decides about all three, and how many queues there are, 2 or 4 mostly.
    """

    shared = True
    lacks = {
        "clock": "the clock of an 82599 (datasheet 7.9) is its PF's: use that",
        "flows": "the filters of an 82599 (datasheet 7.1.2) are its PF's: use those",
        "rates": "its PF decides how fast a VF sends: 'dataplane vf set PF N max_tx_rate MBIT'",
    }

    def __init__(self, function: Function, spec: PortString) -> None:
        check_new(self, "session")
        bar = VfBar(function.bar(pci.VF_BAR_REGISTERS))
        self.session = VfSession(bar)
        self.info = self._info(1)
        super().__init__(function, spec, bar)
        self._counters = VfCounters(bar, lambda: self.session.box.pf_was_reset)
        self._lock = threading.RLock()  # who speaks with the PF
        talk = VfTalk(self.session, self._lock, self._tell)
        self._macs = VfMacs(self, talk)
        self._provide(
            macs=self._macs,
            multicast=VfMulticast(self, talk),
            rss=VfRss(self, talk, lambda: self._running),
            vlans=VfVlans(self, talk),
        )
        self._dog: threading.Thread | None = None
        self._control: ControlServer | None = None
        self._end = threading.Event()
        self._running = False  # the queues are set up on the device
        self.recoveries = 0
        self.trouble: DataplaneError | None = None  # why the last try to agree with the PF failed
        self._presence = ctypes.c_uint32(0)  # all ones once the VF is gone: VF Enable was taken away
        self._promiscuous = spec.flag("promiscuous", False)
        self._allmulticast = spec.flag("allmulticast", False)
        self.session.wanted.macs = parse_own_macs(spec.word("macs", ""))
        self.patience = spec.integer("pf_wait", PATIENCE)
        if spec.flag("lro", False):
            raise ConfigError(
                f"{self.name}: lro=on: the 82599 merges no packets while it has pools, and a VF is one (datasheet 7.10): "
                f"leave it out"
            )
        spec.done()
        self.function.await_presence(function.bar(pci.VF_BAR_REGISTERS))
        self._claim()
        self.bar.check()
        self._agree(self.patience)
        self._untouched = True  # no queue was set up since the reset

    @staticmethod
    def _info(queues: int, tx_queues: int | None = None) -> PortInfo:
        return PortInfo(
            driver="ixgbevf",
            max_rx_queues=queues,
            max_tx_queues=queues if tx_queues is None else tx_queues,
            rx_desc=RING_LENGTHS,
            tx_desc=RING_LENGTHS,
            max_frame=FRAME_MAX_WITH_FCS_BYTES,
            line_rate=10_000_000_000,
        )

    # ---- beginning ------------------------------------------------------------------------------------------------

    @notes_trouble
    def _agree(self, patience: float, *, with_reset: bool = True) -> None:
        """Agree with the PF, and request everything wanted. with_reset: reset first. Raises PfNotUp, PortError."""
        session = self.session
        session.wanted.frame = self._mtu + HEADER_AND_FCS_BYTES
        session.wanted.xcast = self._mode()
        try:
            if with_reset:
                session.connect(patience)
            else:
                session.resume()
        except FrameRefused as error:
            if not self.started:
                session.quiet()  # otherwise the PF keeps this VF's requests, for `vf explain`
            raise PortError(f"{self.name}: {mtu_refused(self._mtu, error)}") from error
        self._counters.rebase()
        queues = session.queues
        if max(self.rx_queues, self.tx_queues) > min(queues.rx, queues.tx):
            raise PortError(
                f"{self.name}: the PF gives it {queues.rx} Rx and {queues.tx} Tx queues, {self.rx_queues} and "
                f"{self.tx_queues} are in use: the PF was restarted with other pools; open this VF again"
            )
        self.info = self._info(queues.rx, queues.tx)

    def _bring_up(self) -> None:
        """4.6.10.2: from reset to an agreement with the PF; the one that was made when the port was opened will do."""
        with self._lock:
            frame = self._mtu + HEADER_AND_FCS_BYTES
            reset_since, self._untouched = not self._untouched, False
            if reset_since or frame != self.session.wanted.frame or self.session.poll():
                self._agree(self.patience)

    def _quiet(self) -> None:
        """4.6.10.2: reset; whether the PF is up does not matter for that."""
        self.session.quiet()

    def _rx_registers(self, index: int) -> RxRegisters:
        return RxRegisters(*(register[index] for register in _RX))

    def _tx_registers(self, index: int) -> TxRegisters:
        return TxRegisters(*(register[index] for register in _TX))

    def _start_rx(self, rings: list[Block]) -> None:
        """7.1.2.8, 8.2.3.7.4: the PF's key and table; how many of its bits count is the VF's."""
        bits = table_bits(len(rings))
        self.bar.write(VFPSRTYPE, VFPSRTYPE.pack(TCP=1, UDP=1, IPV4=1, IPV6=1, L2=1, RQPL=bits))
        super()._start_rx(rings)

    def _check_rss(self) -> None:
        """7.1.2.8: RSS alone fills a VF's queues, and uses whole bits of an entry. Raises ConfigError for 3 queues."""
        usable = 1 << table_bits(self.rx_queues)
        if self.rx_queues > usable:
            most = self.info.max_rx_queues
            more = f", or name queue {2 * usable - 1} as well" if 2 * usable <= most else ""
            raise ConfigError(
                f"{self.name}: Rx queue {usable} would stay empty: of a VF's {self.rx_queues} queues RSS fills 0 to "
                f"{usable - 1}. Open it again and use {usable}{more}"
            )

    @property
    def hidden_vlan(self) -> bool:
        """Whether frames come with the tag of a port VLAN, which this VF is not to see."""
        return bool(self.session.queues.strip)

    def _status_at(self) -> int:
        """A word of our own: VFSTATUS is the PF's register, which is there when this VF is not. The watchdog looks."""
        return ctypes.addressof(self._presence)

    def prepare(self) -> None:
        """Check that RSS can fill its queues, and what goes with the function. Raises ConfigError."""
        self._check_rss()
        super().prepare()

    def _start(self) -> None:
        self._check_rss()
        self._presence.value = 0
        super()._start()
        self._running = True
        self._end.clear()
        self._dog = threading.Thread(target=self._watch_pf, name=f"{self.name}-pf", daemon=True)
        self._dog.start()
        self._control = listen(self)

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        self._end.set()
        if self._dog is not None and self._dog is not threading.current_thread():
            self._dog.join()
        self._dog, self._running, self.trouble = None, False, None
        super()._stop()

    def _close(self) -> None:
        """4.6.10.2: a reset tells the PF that this VF is not used any more."""
        try:
            with suppress(DeviceGone):
                self._quiet()
        finally:
            self.function.close()

    # ---- the watchdog ---------------------------------------------------------------------------------------------

    def _watch_pf(self) -> None:
        told, retry, pace = "", Backoff(), WatchInterval(self)
        while not self._end.wait(pace.wait):
            try:
                with self._lock:
                    if not retry.due:
                        if not self.session.news():
                            continue
                        retry.reset()
                    self.session.box.heard = False
                    self.watch(brief=pace.brief)
                    if self.session.box.heard:
                        pace.stir()
            except DeviceGone as error:
                log.error("%s: %s", self.name, error)
                self._presence.value = 0xFFFF_FFFF  # the lcore that polls the queues reports it, too
                self.session.up = False
                return
            except DataplaneError as error:
                retry.failed()
                pace.stir()
                why = reason(self.name, self.trouble or error)
                if why != told:
                    log.warning("%s: no link: %s", self.name, why)
                told = why
            else:
                if told:
                    log.warning("%s: the PF is back, and so is this VF", self.name)
                told = ""
                retry.reset()

    def watch(self, *, brief: bool = False) -> None:
        """Read the PF's messages, and reinitialise if necessary. Raises PfNotUp, and PortError for a refused request.

        brief: do not check whether this VF was reset from outside.
        """
        with self._lock:
            session = self.session
            with_reset = session.poll() or (not brief and self._was_reset()) or not session.agreed
            if with_reset or not session.up or (self.started and not self._running):
                self.recover(with_reset=with_reset)

    def _was_reset(self) -> bool:
        """4.2.2: whether this VF was reset from outside, as its host does by a function level reset: only the PF is notified
        of that, and queues that we have enabled are off."""
        if not self._running:
            return False
        if self._rx:
            return not self.bar.get(VFRXDCTL[0].ENABLE)
        return bool(self._tx) and not self.bar.get(VFTXDCTL[0].ENABLE)

    @notes_trouble
    def recover(self, *, with_reset: bool = True) -> None:
        """Reinitialise while lcores poll the queues: no burst runs on a queue half set up. Raises PfNotUp, PortError.

        with_reset: with a reset; otherwise go on where the PF refused a request.
        """
        with self._lock:
            self._take_apart()
            # Without patience: the watchdog comes again, and meanwhile the port can be stopped.
            self._agree(0, with_reset=with_reset)
            if not self.started:
                return
            try:
                with Paused(self):
                    self._start_queues()
            except DataplaneError:
                self.session.up = self.session.agreed = False
                self._running = True  # half of it: the next try takes the queues apart first
                raise
            self.recoveries += 1
            self._running = True

    def _take_apart(self) -> None:
        """The device touches no memory, and every mbuf is back in its pool."""
        if not self._running:
            return
        with Paused(self):  # first: a tail that moves while its queue is off is lost (4.6.8.1)
            self._running = False
            self.session.quiet()
            self._detach()

    @property
    def whole(self) -> bool:
        """False too once its PF was reset under it: the counters of the VF forget what they had then."""
        return super().whole and not self.recoveries

    # ---- settings -------------------------------------------------------------------------------------------------

    def _tell(self, message: Message, *, undo: tuple[str, object] | None = None) -> None:
        """Ask the PF for a change that is in `wanted` already, so that a PF that has just been reset is asked for it again.

        The caller holds `_lock` since it changed `wanted`. undo: the attribute of `wanted` and its value before the change,
        which it gets back if the PF refuses. Raises MailboxRefused.
        """
        try:
            try:
                self.session.ask(message)
            except PfWasReset:
                self._reinitialise()
                self.session.ask(message)  # again: the handshake would only log a refusal
        except MailboxRefused:
            if undo is not None:
                setattr(self.session.wanted, *undo)
            raise

    def _reinitialise(self) -> None:
        if self._running:
            self.recover()
        else:
            self._agree(self.patience)

    def _mode(self) -> int:
        if self._promiscuous:
            return mailbox.XCAST_PROMISC
        return mailbox.XCAST_ALLMULTI if self._allmulticast else mailbox.XCAST_MULTI

    def _set_mode(self) -> None:
        """Ask the PF for the reception mode of the two flags. The caller holds `_lock` since it changed one of them."""
        self.session.wanted.xcast = self._mode()
        try:
            self.session.set_xcast(self.session.wanted.xcast)
        except PfWasReset:
            self._reinitialise()

    @property
    def mac(self) -> str:
        """Its MAC address: what the PF gave it, or what was set and granted.

        Set it to ask the PF for another. Raises ConfigError for what is no unicast address, MailboxRefused, PfNotUp.
        """
        return format_mac(self.session.mac)

    @mac.setter
    @touches_device
    def mac(self, value: str) -> None:
        self._macs.set_first(parse_own_mac(value))

    @property
    def promiscuous(self) -> bool:
        """Whether it gets frames for others; setting it asks the PF for that, and takes what is granted (see the log)."""
        return self._promiscuous and self.session.granted == mailbox.XCAST_PROMISC

    @promiscuous.setter
    @touches_device
    def promiscuous(self, on: bool) -> None:
        with self._lock:
            self._promiscuous = bool(on)
            self._set_mode()

    @property
    def allmulticast(self) -> bool:
        """Whether the PF lets it have every multicast frame; setting it asks for that, and takes what is granted."""
        return self.session.granted >= mailbox.XCAST_ALLMULTI

    @allmulticast.setter
    @touches_device
    def allmulticast(self, on: bool) -> None:
        with self._lock:
            self._allmulticast = bool(on)
            self._set_mode()

    @property
    def link(self) -> Link:
        """State of the link, read now; down without an agreement with the PF, and when its administrator says so.

        Raises DeviceGone for a VF that is there no longer.
        """
        session = self.session
        if self.closed:
            return Link(False, 0)
        if not session.up or session.stale or not session.enabled:
            self.bar.check()
            return Link(False, 0)
        if self.started and not self._running:
            return Link(False, 0)  # agreed again, but its queues are not back yet
        if self._was_reset():
            return Link(False, 0)  # the watchdog will see it, too
        word = self.bar.read(VFLINKS)
        if not VFLINKS.UP.extract(word):
            return Link(False, 0)
        return Link(True, MBPS.get(VFLINKS.SPEED.extract(word), 0))

    def wait_link(self, timeout: float = 10.0) -> Link:
        """Wait until the link is up, at most `timeout` s. Raises DeviceTimeout when it stays down."""
        deadline = self.bar.now() + timeout
        while True:
            late = self.bar.now() >= deadline
            link = self.link
            if link.up:
                return link
            if late:
                raise DeviceTimeout(f"{self.name}: no link after {timeout:g} s: {self.why_no_link()}")
            self.bar.sleep(0.01)

    @touches_device
    def explain(self) -> dict[str, Any]:
        """Why it sends or receives nothing, as far as a VF can know: "ok", "summary", "findings", as `PfVfs.explain`.

        Raises DeviceGone.
        """
        return answer(explain_vf(self))

    def why_no_link(self) -> str:
        """The cause of a link that is down, and the next step."""
        return why_no_link(self)

    # ---- counters -------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Not while another thread speaks with the PF: a look at VFMAILBOX takes away what that one waits for. A talk is
        short, or there is no PF, and nothing to count."""
        if self._lock.acquire(timeout=TALK):
            try:
                self._counters.collect()
            finally:
                self._lock.release()

    def _device_xstats(self) -> dict[str, int]:
        """9.4: a VF has five counters; packets that it missed and errors are counted by the PF alone."""
        stats = self._counters.snapshot()
        if self.rx_queues == 1:
            stats |= {"rx_q0_packets": stats["rx_good_packets"], "rx_q0_bytes": stats["rx_good_bytes"]}
        if self.tx_queues == 1:
            stats |= {"tx_q0_packets": stats["tx_good_packets"], "tx_q0_bytes": stats["tx_good_bytes"]}
        stats |= {"rx_missed_errors": 0, "rx_errors": 0}
        stats |= {"vf_recoveries": self.recoveries, "vf_repeated_requests": self.session.repeated}
        return stats
