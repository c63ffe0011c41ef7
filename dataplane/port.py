# SPDX-License-Identifier: BSD-3-Clause
"""Port: the slow verbs of whatever packets come from and go to.

A port is opened by `dataplane.probe("...")`. Naming a queue (``port.rx(0)``) asks for it; `start()` sets up as many queues
as were named. A pipeline starts the ports it uses and stops those it started. The fast path is in `dataplane.queue`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from dataplane.capability import (
    Capability,
    PortClock,
    PortFlows,
    PortMacs,
    PortMulticast,
    PortRates,
    PortRss,
    PortVfs,
    PortVlans,
    missing,
)
from dataplane.errors import ConfigError, PortError, check_new
from dataplane.limits import (
    FRAME_MAX_WITH_FCS_BYTES,
    HEADER_AND_FCS_BYTES,
    MTU_MIN_BYTES,
    MTU_STANDARD_BYTES,
)
from dataplane.mempool import Mempool
from dataplane.queue import RxQueue, TxQueue, halt
from dataplane.stage import Stage

__all__ = ["Link", "Port", "PortInfo", "format_mac", "parse_mac"]


@dataclass(frozen=True)
class Link:
    """State of the link. speed: Mbit/s, 0 when it is down or has none."""

    up: bool
    speed: int
    full_duplex: bool = True

    def __str__(self) -> str:
        return f"up, {self.speed / 1000:g} Gbit/s" if self.up else "down"


@dataclass(frozen=True)
class PortInfo:
    """The abilities of a port.

    driver: its name. max_rx_queues, max_tx_queues: of the device. rx_desc, tx_desc: ring lengths in descriptors, as (least,
    most, multiple of). max_frame: bytes, with FCS. line_rate: bit/s, 0 for a port without one.
    """

    driver: str
    max_rx_queues: int
    max_tx_queues: int
    rx_desc: tuple[int, int, int] = (1, 65535, 1)
    tx_desc: tuple[int, int, int] = (1, 65535, 1)
    max_frame: int = FRAME_MAX_WITH_FCS_BYTES
    line_rate: int = 0  # bit/s, 0: none


class Port:
    """The slow verbs. Subclasses fill in the underscored ones.

    name: the port string it was opened with. Every verb raises PortError (or a subclass) when the device does not do it.
    Several threads may call them: `start`, `stop`, `configure` and `close` wait for each other.
    """

    info: PortInfo
    hosts_vfs = False
    """Whether it is a PF with VFs. VFs can be opened only while their PF runs."""

    gated = False
    """Whether it may be stopped while its queues are polled, as they are detached from it and keep their pollers out."""

    lacks: Mapping[str, str] = {}
    """By capability that ports of this class lack: what to do instead, for the error. Others name the ports that have it."""

    def __init__(self, name: str) -> None:
        check_new(self, "_rx")
        self.name = name
        # Held by who changes the port's state: two threads that start it at once would start it twice.
        self._turn = threading.RLock()
        self._provided: dict[str, Capability] = {}
        self.started = False
        self.closed = False
        self.rx_desc = 512
        self.tx_desc = 512
        self._mtu = MTU_STANDARD_BYTES
        self.by_hand = [0, 0]  # packets received and sent without a run, by `receive` and `send`
        self._mempool: Mempool | None = None
        self._rx: dict[int, RxQueue] = {}
        self._tx: dict[int, TxQueue] = {}

    @property
    def wire(self) -> str:
        """The other end of its wire, as in "to model1, elastic", for `explain`; empty where it does not know."""
        return ""

    # ---- queues ---------------------------------------------------

    def rx(self, index: int = 0) -> RxQueue:
        """Rx queue `index`: where a pipeline begins."""
        self._check_queue("Rx", index, self.info.max_rx_queues, index in self._rx)
        if index not in self._rx:
            self._rx[index] = self._make_rx(index)
        return self._rx[index]

    def tx(self, index: int = 0) -> TxQueue:
        """Tx queue `index`: where a pipeline ends."""
        self._check_queue("Tx", index, self.info.max_tx_queues, index in self._tx)
        if index not in self._tx:
            self._tx[index] = self._make_tx(index)
        return self._tx[index]

    @property
    def rx_queues(self) -> int:
        """Rx queues that `start` sets up: the highest named plus one."""
        return max(self._rx, default=-1) + 1

    @property
    def tx_queues(self) -> int:
        """Tx queues that `start` sets up."""
        return max(self._tx, default=-1) + 1

    # ---- life ---------------------------------------------------

    def configure(
        self,
        *,
        rx_desc: int | None = None,
        tx_desc: int | None = None,
        mtu: int | None = None,
        mempool: Mempool | None = None,
    ) -> Port:
        """Settings that hold from the next `start`. Ring lengths in descriptors; mtu in bytes; mempool for Rx.

        Returns the port. Raises ConfigError for what the port refuses, PortError if it is running.
        """
        with self._turn:
            if self.started:
                raise PortError(f"{self.name} is running: stop it before it is configured")
            if rx_desc is not None:
                self.rx_desc = self._checked_length("rx_desc", rx_desc, self.info.rx_desc)
            if tx_desc is not None:
                self.tx_desc = self._checked_length("tx_desc", tx_desc, self.info.tx_desc)
            if mempool is not None:
                self._mempool = mempool
            if mtu is not None:
                self.mtu = mtu
            return self

    @property
    def mempool(self) -> Mempool:
        """Where Rx takes its mbufs from. Made at first use if none was configured."""
        if self._mempool is None:
            held = self.rx_queues * self.rx_desc + self.tx_queues * self.tx_desc
            self._mempool = Mempool(max(2048, held + 1024), name=f"{self.name}-pool")
        return self._mempool

    def prepare(self) -> None:
        """Check, and reserve, what `start` needs; change nothing. A run calls it for all its ports before it starts one.

        Raises PortError, FileError.
        """

    @property
    def rx_pool(self) -> Mempool | None:
        """The mempool that Rx takes mbufs from; None until it is made, which `mempool` does."""
        return self._mempool

    def waiting(self) -> tuple[int, int]:
        """Packets that it holds now: received and not taken by `rx_burst`, taken by `tx_burst` and not sent."""
        return 0, 0

    @property
    def room(self) -> tuple[int, int]:
        """Mbufs that it may hold at once, for receiving and for sending: the descriptors of its queues."""
        return self.rx_queues * self.rx_desc, self.tx_queues * self.tx_desc

    @property
    def whole(self) -> bool:
        """Whether it counts packets as apps see them. A NIC that cuts or merges packets counts frames."""
        return True

    def begin(self) -> None:
        """Make the files that belong to the port, after all checks of a run. `start` does it, too, except for a PF with VFs
        (`hosts_vfs`), which runs before those checks."""

    def start(self) -> None:
        """Set up the queues that were named and let packets flow. Raises PortError. A running port stays as it is."""
        with self._turn:
            if self.closed:
                raise PortError(f"{self.name} is closed: probe it again")
            if not self.started:
                self._start()
                self.started = True

    def stop(self) -> None:
        """No more packets; every mbuf that the port holds goes back to its pool.

        Raises PortError while one of its queues is polled, unless the port is `gated`.
        """
        with self._turn:
            if self.started:
                polled = halt(self, () if self.gated else (*self._rx.values(), *self._tx.values()))
                if polled is not None:
                    raise self._polled(polled)
                self._stop()

    def close(self) -> None:
        """Stop and let go of the device. Raises PortError as `stop` does."""
        with self._turn:
            if not self.closed:
                self._check_unused()
                self.stop()
                self.closed = True
                self._close()

    def abandon(self) -> None:
        """Stop the device for a process that ends at once, while a poller does not return. Writes out packets taken for
        sending, and no device writes to memory any more. Raises PortError.
        """
        if self.gated:
            self.stop()  # of any other port, the kernel takes away what it has

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- settings: defaults for ports that have no such thing ---------------------------------------------------

    @property
    def mac(self) -> str:
        """Its MAC address, "02:00:00:00:00:01"; set it to change it."""
        raise PortError(f"{self.name} has no MAC address")

    @mac.setter
    def mac(self, value: str) -> None:
        raise PortError(f"{self.name} has no MAC address to change")

    @property
    def mtu(self) -> int:
        """Bytes of payload of the largest frame (frame = mtu + 14, + 4 with FCS). May be set while stopped."""
        return self._mtu

    @mtu.setter
    def mtu(self, value: int) -> None:
        largest = self.info.max_frame - HEADER_AND_FCS_BYTES
        if not MTU_MIN_BYTES <= value <= largest:
            raise ConfigError(
                f"{self.name}: an MTU of {value}: must be {MTU_MIN_BYTES} (RFC 791) to {largest}"
            )
        self._set_mtu(value)
        self._mtu = value

    @property
    def promiscuous(self) -> bool:
        """Whether frames for other addresses are received; settable."""
        return True

    @promiscuous.setter
    def promiscuous(self, on: bool) -> None:
        if not on:
            raise PortError(f"{self.name} receives everything: it has no address filter")

    @property
    def allmulticast(self) -> bool:
        """Whether every multicast frame is received; settable."""
        return True

    @allmulticast.setter
    def allmulticast(self, on: bool) -> None:
        if not on:
            raise PortError(f"{self.name} receives everything: it has no multicast filter")

    # ---- capabilities: an object each, or one error ---------------------------------------------------

    @property
    def capabilities(self) -> frozenset[str]:
        """Which of ``clock flows macs multicast rates rss vfs vlans`` this port has, each as an attribute.

        ``"rss" in port.capabilities`` asks. The attribute of a capability that the port lacks raises PortError.
        """
        return frozenset(self._provided)

    @property
    def rss(self) -> PortRss:
        """RSS: key, table and hash types. Raises PortError on a port without it."""
        return cast(PortRss, self._capability("rss"))

    @property
    def flows(self) -> PortFlows:
        """The flow rules: a sequence, with `add`. Raises PortError on a port without them."""
        return cast(PortFlows, self._capability("flows"))

    @property
    def rates(self) -> PortRates:
        """Rate limits of Tx queues, in Mbit/s. Raises PortError on a port without them."""
        return cast(PortRates, self._capability("rates"))

    @property
    def vfs(self) -> PortVfs:
        """The virtual functions of a PF: show, set, explain. Raises PortError on a port without VFs."""
        return cast(PortVfs, self._capability("vfs"))

    @property
    def clock(self) -> PortClock:
        """The IEEE 1588 clock: `read`, `set`, `step`, `adjust`, and stamps of packets. Raises PortError without one."""
        return cast(PortClock, self._capability("clock"))

    @property
    def macs(self) -> PortMacs:
        """The unicast addresses that it receives frames for: a sequence, with `add` and `remove`.

        Raises PortError on a port without an address filter.
        """
        return cast(PortMacs, self._capability("macs"))

    @property
    def multicast(self) -> PortMulticast:
        """The multicast groups that it receives. Raises PortError on a port without a multicast filter."""
        return cast(PortMulticast, self._capability("multicast"))

    @property
    def vlans(self) -> PortVlans:
        """The VLANs that it receives. Raises PortError on a port without a VLAN filter."""
        return cast(PortVlans, self._capability("vlans"))

    @property
    def link(self) -> Link:
        """State of the link, read now."""
        return Link(True, 0)

    def wait_link(self, timeout: float = 10.0) -> Link:
        """Wait until the link is up, at most `timeout` s. Raises PortError when it stays down."""
        return self.link

    def xstats(self) -> dict[str, int]:
        """Counters since the port was opened, by DPDK's names (``rx_good_packets``, ``tx_good_bytes``, ...)."""
        raise NotImplementedError

    def reset_xstats(self) -> None:
        """Count from zero again."""
        raise NotImplementedError

    # ---- for subclasses ---------------------------------------------------

    def _provide(self, **objects: Capability) -> None:
        """Give the port these capabilities, by the names of `CAPABILITIES`."""
        self._provided.update(objects)

    def _capability(self, name: str) -> Capability:
        if name not in self._provided:
            raise missing(self.name, name, self.lacks.get(name, ""))
        return self._provided[name]

    def _make_rx(self, index: int) -> RxQueue:
        raise PortError(f"{self.name} cannot receive")

    def _make_tx(self, index: int) -> TxQueue:
        raise PortError(f"{self.name} cannot send")

    def _start(self) -> None:
        raise NotImplementedError

    def _stop(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        """Let go of what was opened."""

    def _set_mtu(self, value: int) -> None:
        if self.started:
            raise PortError(f"{self.name} is running: stop it before its MTU is changed")

    def _check_queue(self, kind: str, index: int, most: int, known: bool) -> None:
        if not isinstance(index, int) or not 0 <= index < most:
            has = f"it has 0..{most - 1}" if most else "it has none"
            raise ConfigError(f"{self.name}: no {kind} queue {index}: {has}")
        if self.started and not known:
            raise PortError(
                f"{self.name} is running without {kind} queue {index}: name it before the port is started"
            )

    def _check_unused(self) -> None:
        """Raise PortError while a thread polls one of its queues: their memory must not go under a poller."""
        if self.gated:
            return
        for queue in (*self._rx.values(), *self._tx.values()):
            if queue.polled_by is not None:
                raise self._polled(queue)

    def _polled(self, queue: Stage) -> PortError:
        return PortError(
            f"{self.name}: {queue!r} is polled by thread {queue.polled_by}: stop that pipeline, then the port"
        )

    def _checked_length(self, what: str, value: int, allowed: tuple[int, int, int]) -> int:
        least, most, multiple = allowed
        if not least <= value <= most or value % multiple:
            raise ConfigError(
                f"{self.name}: {what}={value}: must be a multiple of {multiple} from {least} to {most}"
            )
        return value

    def __repr__(self) -> str:
        state = "closed" if self.closed else "running" if self.started else "stopped"
        return f"<{type(self).__name__} {self.name}, {state}>"


def parse_mac(text: str) -> bytes:
    """Six bytes of "02:00:00:00:00:01". Raises ConfigError."""
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", text):
        raise ConfigError(f"{text!r} is no MAC address: write it as 02:00:00:00:00:01")
    return bytes.fromhex(text.replace(":", ""))


def parse_own_mac(text: str) -> bytes:
    """The address of a port itself: not multicast, not zero. Raises ConfigError."""
    address = parse_mac(text)
    if address[0] & 1 or not any(address):
        raise ConfigError(f"{text} cannot be a port's own address: it is multicast or zero")
    return address


def parse_own_macs(text: str) -> tuple[bytes, ...]:
    """Those of a port string's option, joined by +, each once. Raises ConfigError."""
    return tuple(dict.fromkeys(parse_own_mac(each) for each in text.split("+"))) if text else ()


def format_mac(address: bytes) -> str:
    """The usual text of six bytes."""
    return ":".join(f"{byte:02x}" for byte in address)
