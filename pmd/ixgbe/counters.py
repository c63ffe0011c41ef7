# SPDX-License-Identifier: BSD-3-Clause
"""The chip's counters, added up for as long as the port is open (datasheet 8.2.3.23).

A read clears a counter, and at its maximum a counter sticks. At 10 Gb/s the 36-bit byte counters are full after 55 s and
the 32-bit packet counters after 288 s, so `Watch` reads them every `INTERVAL` seconds. The counts of
received pause frames have 16 bits: more than 65,535 between two reads are not counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from dataplane.errors import DataplaneError, DeviceGone, DeviceTimeout
from dataplane.limits import FCS_BYTES
from dataplane.pmd.datasheet import (
    BPRC,
    BPTC,
    CRCERRS,
    ERRBC,
    FDIRMATCH,
    FDIRMISS,
    GORCH,
    GORCL,
    GOTCH,
    GOTCL,
    GPRC,
    GPTC,
    ILLERRC,
    LXOFFRXCNT,
    LXOFFTXC,
    LXONRXCNT,
    LXONTXC,
    MLFC,
    MNGPDC,
    MNGPRC,
    MNGPTC,
    MPRC,
    MPTC,
    MRFC,
    MSPDC,
    PRC64,
    PRC127,
    PRC255,
    PRC511,
    PRC1023,
    PRC1522,
    PTC64,
    PTC127,
    PTC255,
    PTC511,
    PTC1023,
    PTC1522,
    QBRC_H,
    QBRC_L,
    QBTC_H,
    QBTC_L,
    QPRC,
    QPRDC,
    QPTC,
    RFC,
    RJC,
    RLEC,
    ROC,
    RQSMR,
    RUC,
    RXMPC,
    SSVPC,
    TORH,
    TORL,
    TPR,
    TPT,
    TQSM,
    XEC,
    RegisterRef,
    limits,
)
from dataplane.pmd.function import Bar

__all__ = ["INTERVAL", "Counters", "Watch"]

log = logging.getLogger("dataplane")

VF_SET = limits.QUEUE_STATS - 1  # where the queues of VFs count
LENT_SET = VF_SET - 1  # and those of one VF by itself; the PF has 4 queues at most
VF_DROPS = f"rx_q{VF_SET}_errors", f"rx_q{LENT_SET}_errors"

INTERVAL = 20.0
"""Seconds between two reads by `Watch`: a little more than a third of what the byte counters bear."""

# DPDK's name of the port's counters: registers that are added up, or the low and high half of one.
_SINGLE: dict[str, RegisterRef | Iterable[RegisterRef]] = {
    "rx_crc_errors": CRCERRS,
    "rx_illegal_byte_errors": ILLERRC,
    "rx_error_bytes": ERRBC,
    "rx_mac_short_packet_dropped": MSPDC,
    "mac_local_errors": MLFC,
    "mac_remote_errors": MRFC,
    "rx_length_errors": RLEC,
    "tx_xon_packets": LXONTXC,
    "rx_xon_packets": LXONRXCNT,
    "tx_xoff_packets": LXOFFTXC,
    "rx_xoff_packets": LXOFFRXCNT,
    "rx_size_64_packets": PRC64,
    "rx_size_65_to_127_packets": PRC127,
    "rx_size_128_to_255_packets": PRC255,
    "rx_size_256_to_511_packets": PRC511,
    "rx_size_512_to_1023_packets": PRC1023,
    "rx_size_1024_to_max_packets": PRC1522,
    "rx_broadcast_packets": BPRC,
    "rx_multicast_packets": MPRC,
    "rx_fragment_errors": RFC,
    "rx_undersize_errors": RUC,
    "rx_oversize_errors": ROC,
    "rx_jabber_errors": RJC,
    "rx_management_packets": MNGPRC,
    "rx_management_dropped": MNGPDC,
    "tx_management_packets": MNGPTC,
    "rx_total_packets": TPR,
    "tx_total_packets": TPT,
    "tx_size_64_packets": PTC64,
    "tx_size_65_to_127_packets": PTC127,
    "tx_size_128_to_255_packets": PTC255,
    "tx_size_256_to_511_packets": PTC511,
    "tx_size_512_to_1023_packets": PTC1023,
    "tx_size_1024_to_max_packets": PTC1522,
    "tx_multicast_packets": MPTC,
    "tx_broadcast_packets": BPTC,
    "rx_l3_l4_xsum_error": XEC,
    "mac_rx_good_packets": GPRC,
    "tx_good_packets": GPTC,
    "missed": RXMPC,
}
_PAIRS = {
    "rx_total_bytes": (TORL, TORH),
    "mac_rx_good_bytes": (GORCL, GORCH),
    "mac_tx_good_bytes": (GOTCL, GOTCH),
}
# Frames that the MAC threw away. ILLERRC and ERRBC are not in: they count symbols and bytes of the same frames again.
_RX_ERRORS = (
    "rx_crc_errors",
    "rx_mac_short_packet_dropped",
    "rx_length_errors",
    "rx_fragment_errors",
    "rx_undersize_errors",
    "rx_oversize_errors",
    "rx_jabber_errors",
)
_DIRECTOR = {"flow_director_matched_filters": FDIRMATCH, "flow_director_missed_filters": FDIRMISS}
_INTERNAL = ("missed", "mac_rx_good_packets", "mac_rx_good_bytes", "mac_tx_good_bytes")


class Counters:
    """Totals since the port was opened: the ledger of its counters.

    A read clears a counter, so this is the only place that reads them: everything that tells of them asks for totals.
    `collect`, `total` and `snapshot` may be called from any thread. own: with VFs the queues that are the PF's: they count
    in the sets from 0 on, and the VFs' all in the last one.
    """

    def __init__(self, bar: Bar, own: range | None = None) -> None:
        self.bar = bar
        self._lock = threading.Lock()
        self._totals: dict[str, int] = {}
        self._so_far: dict[
            str, int
        ] = {}  # of a read that a DeviceTimeout has broken off: the chip has forgotten it
        self._own = own
        self._lent = range(0)
        self.drop_queue: int | None = None  # where rules send what they drop
        self.directs = False  # whether the flow director has been in use

    def map_queues(self) -> None:
        """8.2.3.23: queue q counts in set q modulo 16, with VFs as `own` says; a reset puts all into set 0."""
        self._lent = range(0)
        for table in (RQSMR, TQSM):
            for n, register in enumerate(table):
                self.bar.write(register, register.pack(**self._sets(n)))

    def lend(self, queues: range) -> None:
        """Let these Rx queues of a VF count in LENT_SET, by themselves, and no others; an empty range: none."""
        before, self._lent = self._lent, queues
        for n in sorted({queue >> 2 for queue in (*before, *queues)}):
            self.bar.write(RQSMR[n], RQSMR[n].pack(**self._sets(n)))

    def _sets(self, n: int) -> dict[str, int]:
        return {f"Q{i}": LENT_SET if 4 * n + i in self._lent else self._set_of(4 * n + i) for i in range(4)}

    def _set_of(self, queue: int) -> int:
        if self._own is None:
            return queue % limits.QUEUE_STATS
        return queue - self._own.start if queue in self._own else VF_SET

    def total(self, *names: str) -> int:
        """The total of these counters as of the last `collect`, by DPDK's names."""
        with self._lock:
            return sum(self._totals.get(name, 0) for name in names)

    def forget(self) -> None:
        """4.6.5: read once and thrown away: what was counted before the port was ours."""
        with self._lock:
            self._so_far = {}
            self._read()
            self._so_far = {}

    def collect(self) -> None:
        """Add what the chip has counted since the last time.

        Raises DeviceGone, and then adds nothing; DeviceTimeout, and then the next call adds what this one has read.
        """
        with self._lock:
            try:
                self._read()
                self.bar.check()  # a device that went away while it was read has counted nothing like all ones
            except DeviceGone:
                self._so_far = {}
                raise
            counted, self._so_far = self._so_far, {}
            for name, count in counted.items():
                self._totals[name] = self._totals.get(name, 0) + count

    def snapshot(self, rx_queues: int, tx_queues: int) -> dict[str, int]:
        """Totals by DPDK's names; counters of queues for as many as asked, at most the 16 sets."""
        with self._lock:
            totals = dict(self._totals)
        of = totals.get
        everything = range(limits.QUEUE_STATS if self._own is None else len(self._own))
        dropped = sum(of(f"rx_q{q}_errors", 0) for q in everything)
        stats = {}
        if (
            self.drop_queue is not None and self._set_of(self.drop_queue) >= rx_queues
        ):  # no queue in use counts there
            stats["rx_flow_drops"] = of(f"rx_q{self._set_of(self.drop_queue)}_errors", 0)
            dropped -= stats["rx_flow_drops"]
        if self.directs:
            stats |= {name: of(name, 0) for name in _DIRECTOR}
        stats |= {
            # GPRC counts frames that the filters refused or that were missed: what reached a queue is what was received.
            "rx_good_packets": sum(of(f"rx_q{q}_packets", 0) for q in everything),
            "tx_good_packets": of("tx_good_packets", 0),
            "rx_good_bytes": sum(of(f"rx_q{q}_bytes", 0) for q in everything),
            "tx_good_bytes": of("mac_tx_good_bytes", 0) - FCS_BYTES * of("tx_good_packets", 0),
            # With Drop_En a packet without a descriptor is dropped at its queue, without it in front of the packet buffer.
            "rx_missed_errors": of("missed", 0) + dropped,
            "rx_errors": sum(of(name, 0) for name in _RX_ERRORS),
        }
        for q in range(min(rx_queues, limits.QUEUE_STATS)):
            for what in ("packets", "bytes", "errors"):
                stats[f"rx_q{q}_{what}"] = of(f"rx_q{q}_{what}", 0)
        for q in range(min(tx_queues, limits.QUEUE_STATS)):
            for what in ("packets", "bytes"):
                stats[f"tx_q{q}_{what}"] = of(f"tx_q{q}_{what}", 0)
        for name in (*_SINGLE, *_PAIRS):
            if name not in _INTERNAL:
                stats.setdefault(name, of(name, 0))
        if self._own is not None:
            # GPTC is the port's: what VFs send to the wire is in it, and what the PF sends to VFs is not.
            stats["tx_good_packets"] = sum(of(f"tx_q{q}_packets", 0) for q in everything)
            stats["tx_good_bytes"] = sum(of(f"tx_q{q}_bytes", 0) for q in everything)
            stats["vf_rx_errors"] = sum(of(name, 0) for name in VF_DROPS)
            stats["vf_spoofed_packets"] = of("vf_spoofed_packets", 0)
        return stats

    def _read(self) -> None:
        """Every counter once, added to `_so_far`: a read clears, and if a later one times out no count may be lost."""
        for name, line in _SINGLE.items():
            for register in _all(line):
                self._add(name, register)
        for name, (low, high) in _PAIRS.items():
            self._add_pair(name, low, high)
        if self.directs:
            for name, register in _DIRECTOR.items():
                self._add(name, register)
        for q in range(limits.QUEUE_STATS):
            self._add(f"rx_q{q}_packets", QPRC[q])
            self._add_pair(f"rx_q{q}_bytes", QBRC_L[q], QBRC_H[q])
            self._add(f"rx_q{q}_errors", QPRDC[q])
            self._add(f"tx_q{q}_packets", QPTC[q])
            self._add_pair(f"tx_q{q}_bytes", QBTC_L[q], QBTC_H[q])
        if self._own is not None:
            self._add("vf_spoofed_packets", SSVPC)  # 8.2.3.27: of the pools in PFVMECM

    def _add(self, name: str, register: RegisterRef, mask: int = 0xFFFF_FFFF, shift: int = 0) -> None:
        self._so_far[name] = self._so_far.get(name, 0) + ((self.bar.read(register) & mask) << shift)

    def _add_pair(self, name: str, low: RegisterRef, high: RegisterRef) -> None:
        """8.2.3.23: 36 bits: the low half first, which holds the high one still."""
        self._add(name, low)
        self._add(name, high, 0xF, 32)


def _all(line: RegisterRef | Iterable[RegisterRef]) -> Iterable[RegisterRef]:
    return line if line is RXMPC else (line,)  # type: ignore[return-value]


class Watch:
    """A thread that reads the counters often enough, while the port runs."""

    def __init__(self, name: str, collect: Callable[[], None], interval: float = INTERVAL) -> None:
        self._name, self._collect, self._interval = name, collect, interval
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name}-counters", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._end.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._interval):
            try:
                self._collect()
            except DeviceGone:
                return  # the lcore that polls the queues reports it
            except DeviceTimeout as error:
                log.warning("%s: its counters cannot be read now: %s", self._name, error)
            except DataplaneError as error:
                log.warning("%s: its counters cannot be read: %s", self._name, error)
                return
