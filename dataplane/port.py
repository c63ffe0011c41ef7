# SPDX-License-Identifier: BSD-3-Clause
"""Port: the slow verbs of whatever packets come from and go to.

A port is opened by `dataplane.probe("...")`. Naming a queue (``port.rx(0)``) asks for it; `start()` sets up as many queues
as were named. A pipeline starts the ports it uses and stops those it started. The fast path is in `dataplane.queue`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from dataplane.errors import ConfigError, PortError
from dataplane.mempool import Mempool
from dataplane.queue import RxQueue, TxQueue

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
    """What a port can do. ring lengths in descriptors: (least, most, multiple of)."""

    driver: str
    max_rx_queues: int
    max_tx_queues: int
    rx_desc: tuple[int, int, int] = (1, 65535, 1)
    tx_desc: tuple[int, int, int] = (1, 65535, 1)
    max_frame: int = 9728  # bytes with FCS
    line_rate: int = 0  # bit/s, 0: none


class Port:
    """The slow verbs. Subclasses fill in the underscored ones.

    name: the port string it was opened with. Every verb raises PortError (or a subclass) when the device does not do it.
    """

    info: PortInfo
    rules = False
    """Whether others depend on it: a PF with VFs, which can be opened only while it runs."""

    gated = False
    """Whether it may be stopped while its queues are polled, as they are detached from it and keep their pollers out."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.started = False
        self.closed = False
        self.rx_desc = 512
        self.tx_desc = 512
        self._mtu = 1500
        self._mempool: Mempool | None = None
        self._rx: dict[int, RxQueue] = {}
        self._tx: dict[int, TxQueue] = {}

    @property
    def wire(self) -> str:
        """What it is joined to, as in "to model1, elastic", for `explain`; empty where it does not know."""
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

    def begin(self) -> None:
        """All checks of a run are over: make the files that belong to the port. `start` does it, too, except for a port on
        which others depend (`rules`), as that runs before."""

    def start(self) -> None:
        """Set up the queues that were named and let packets flow. Raises PortError. A running port stays as it is."""
        if self.closed:
            raise PortError(f"{self.name} is closed: probe it again")
        if not self.started:
            self._start()
            self.started = True

    def stop(self) -> None:
        """No more packets; every mbuf that the port holds goes back to its pool.

        Raises PortError while one of its queues is polled, unless the port is `gated`.
        """
        if self.started:
            self._check_unused()
            self.started = False
            self._stop()

    def close(self) -> None:
        """Stop and let go of the device. Raises PortError as `stop` does."""
        if not self.closed:
            self._check_unused()
            self.stop()
            self.closed = True
            self._close()

    def abandon(self) -> None:
        """For a process that ends at once, beside a poller that does not come back: no packet taken for sending is lost in a
        buffer, and no device writes to memory any more. Raises PortError.
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
    def macs(self) -> tuple[str, ...]:
        """Its MAC addresses: `mac`, then those of `add_mac`."""
        return (self.mac,)

    def add_mac(self, value: str) -> None:
        """Receive frames to one more unicast address, as a bridge or a bond in a guest needs it. Holds over restarts."""
        raise PortError(f"{self.name} has no filter for further MAC addresses: set promiscuous")

    def remove_mac(self, value: str) -> None:
        """No longer receive frames to an address of `add_mac`."""
        raise PortError(f"{self.name} has no filter for further MAC addresses")

    @property
    def mtu(self) -> int:
        """Bytes of payload of the largest frame (frame = mtu + 14, + 4 with FCS). May be set while stopped."""
        return self._mtu

    @mtu.setter
    def mtu(self, value: int) -> None:
        largest = self.info.max_frame - 18
        if not 68 <= value <= largest:
            raise ConfigError(f"{self.name}: an MTU of {value}: must be 68 (RFC 791) to {largest}")
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

    def set_multicast(self, addresses: Iterable[str]) -> None:
        """Receive these multicast groups (MAC addresses) and no others."""
        raise PortError(f"{self.name} has no multicast filter")

    def vlan_filter(self, vid: int, on: bool = True) -> None:
        """Receive (or no longer receive) frames of that VLAN, 0..4095; the first call switches the filter on."""
        raise PortError(f"{self.name} has no VLAN filter")

    # RSS: a hash of each packet's addresses and ports, and a table of 128 queues that its low 7 bits choose from. What is
    # set holds at once on a port that runs, and over restarts.

    @property
    def rss_key(self) -> bytes:
        """The key of the hash, 40 bytes. Set it to bytes, to 80 hex digits, to "default", or to "symmetric": both directions
        of a flow then have one hash."""
        raise PortError(f"{self.name} has no RSS")

    @rss_key.setter
    def rss_key(self, value: str | bytes) -> None:
        raise PortError(f"{self.name} has no RSS")

    @property
    def rss_table(self) -> tuple[int, ...]:
        """The Rx queue for each value of the hash's low 7 bits. Set it to 128 numbers, in a list or an array."""
        raise PortError(f"{self.name} has no RSS")

    @rss_table.setter
    def rss_table(self, value: Iterable[int]) -> None:
        raise PortError(f"{self.name} has no RSS")

    def rss_spread(self, shares: int | Sequence[int] | None = None) -> None:
        """Fill the table: ``rss_spread(4)`` evenly with queues 0 to 3, ``rss_spread([6, 2])`` by weights; without an
        argument evenly with however many queues there are, as it is from the start."""
        raise PortError(f"{self.name} has no RSS")

    @property
    def rss_hash_types(self) -> tuple[str, ...]:
        """What is hashed: "ipv4", "ipv6" for addresses, "ipv4-tcp", "ipv6-udp", ... for ports too. Set it to any of these;
        to none of them, and every packet goes to queue 0."""
        raise PortError(f"{self.name} has no RSS")

    @rss_hash_types.setter
    def rss_hash_types(self, value: Iterable[str]) -> None:
        raise PortError(f"{self.name} has no RSS")

    def flow(
        self,
        *,
        queue: int | None = None,
        drop: bool = False,
        proto: str | None = None,
        src: str | IPv4Address | IPv4Network | None = None,
        dst: str | IPv4Address | IPv4Network | None = None,
        src_port: int | None = None,
        dst_port: int | None = None,
        vlan: int | None = None,
        ether_type: int | None = None,
        priority: int | None = None,
    ) -> Any:
        """Packets that match go to an Rx queue, or are dropped: ``port.flow(proto="udp", dst_port=53, queue=2)``.

        Returns a handle with `remove`, which a `with` block calls at its end.
        """
        raise PortError(f"{self.name} steers no flows: rules are for the PF of an 82599")

    @property
    def flows(self) -> list[Any]:
        """The rules that hold."""
        return []

    def tx_queue_rate(self, queue: int, mbps: int) -> None:
        """Let a Tx queue send no more than `mbps` Mbit/s (bytes of frames with FCS), 0: as much as it can. Holds at once."""
        raise PortError(f"{self.name} cannot limit its queues: limit the sender, as PktGen(rate=...) does")

    @property
    def tx_queue_rates(self) -> dict[int, int]:
        """The limits that were set: Mbit/s by Tx queue."""
        return {}

    @property
    def clock(self) -> Any:
        """The IEEE 1588 clock: `read`, `set`, `step`, `adjust`, and stamps of packets. Raises PortError without one."""
        raise PortError(f"{self.name} has no clock: the PF of an 82599 has one")

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
        """Raise PortError while somebody polls one of its queues: their memory must not go under a poller."""
        if self.gated:
            return
        for queue in (*self._rx.values(), *self._tx.values()):
            if queue.polled_by is not None:
                raise PortError(
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
