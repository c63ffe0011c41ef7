# SPDX-License-Identifier: BSD-3-Clause
"""The IEEE 1588 clock of a port, and the time stamps that packets get from it (datasheet 7.9, 8.2.3.26)."""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dataplane.capability import PortClock
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.datasheet import (
    ETHERTYPE_PTP,
    PTP_PORT,
    RXMTRL,
    RXSATRH,
    RXSATRL,
    RXSTMPH,
    RXSTMPL,
    STAMP_EVENTS,
    STAMP_V2,
    SYSTIMH,
    SYSTIML,
    TIMADJH,
    TIMADJL,
    TIMINCA,
    TSYNCRXCTL,
    TSYNCTXCTL,
    TXSTMPH,
    TXSTMPL,
    RegisterRef,
)
from dataplane.pmd.ixgbe.common import IxgbeBase

__all__ = ["IxgbeClock", "RxStamp"]

_INCVALUE = 12_800_000  # for each period; of 24 bits, so that there is room above
_UNITS = {10: 2_000_000, 1: 200_000}  # of SYSTIM in a ns, by Gbit/s: a period is 6.4 or 64 ns
_PPB_MOST = 100_000_000
_STEP_MOST = 10**9  # ns
_SLEEP = 2e-5  # s between two looks for a stamp
_PATIENCE = 60.0  # s


class RxStamp(NamedTuple):
    """When a PTP message came. source: bytes 22 to 27 of it, of the sender's identity."""

    ns: int
    sequence: int
    source: bytes


class IxgbeClock(PortClock):
    """The clock of a port: `port.clock`. `use` starts it with the host's time of day; it continues over stop and start.

    gbps: the speed that the port is set up for. seek: called with the EtherType in which the chip must look for PTP
    messages, or None. SYSTIM wraps after 2.5 hours: call `look` at least once an hour, as the port does.
    """

    def __init__(self, port: IxgbeBase, gbps: int, seek: Callable[[int | None], None]) -> None:
        super().__init__(port)
        self._bar, self._name, self._seek = port.bar, port.name, seek
        self._units = _UNITS[gbps]
        self._lock = threading.RLock()
        self._last = 0  # SYSTIM when it was looked at last, as a 64-bit number
        self._time = 0  # and what time that was
        self._seen = 0.0  # by the host
        self._used = self._runs = self._closed = False
        self._more = 0  # than _INCVALUE
        self._stamps: tuple[int | None, int] | None = None

    def use(self) -> None:
        """Start SYSTIM with the host's time of day, at the first call. Raises DeviceGone; PortError once closed."""
        with self._in_use():
            if not self._used:
                self._bar.check()
                self._time, self._seen, self._used = time.time_ns() * self._units, self._bar.now(), True
                self.begin()

    # ---- the time ---------------------------------------------------------------------------------------------

    def read(self) -> int:
        """The time in ns. Raises DeviceGone."""
        with self._in_use():
            return self._look() // self._units

    def set(self, ns: int) -> None:
        """It is `ns` now, from 0 on. Stamps that were taken before are read in the new time, too."""
        ns = operator.index(ns)
        if not 0 <= ns < 1 << 63:
            raise ConfigError(f"{self._name}: a time of {ns} ns: must be 0 to 2**63 - 1")
        with self._in_use():
            self._look()
            self._time, self._seen = ns * self._units, self._bar.now()

    def step(self, ns: int) -> None:
        """Forward, or back if negative, by up to 10**9 ns: by TIMADJ, so no time is lost between a look and a write."""
        ns = operator.index(ns)
        if not -_STEP_MOST <= ns <= _STEP_MOST:
            raise ConfigError(
                f"{self._name}: a step of {ns} ns: must be at most {_STEP_MOST}; set the clock for more"
            )
        with self._in_use():
            if not self._runs:
                self._time += ns * self._units
                return
            self._look()
            by = abs(ns) * self._units
            self._bar.write(TIMADJL, by & 0xFFFF_FFFF)
            self._bar.write(TIMADJH, TIMADJH.pack(HIGH=by >> 32, SIGN=ns < 0))

    def adjust(self, ppb: float) -> float:
        """Run faster than nominal by `ppb` 1e-9, slower if negative, until told otherwise; up to 10 percent.

        Returns what that is in TIMINCA's steps of 78 ppb.
        """
        if not -_PPB_MOST <= ppb <= _PPB_MOST:
            raise ConfigError(f"{self._name}: adjust by {ppb} ppb: must be -{_PPB_MOST} to {_PPB_MOST}")
        with self._in_use():
            self._look()
            self._more = round(ppb * _INCVALUE / 1e9)
            if self._runs:
                self._write_rate()
        return self._more * 1e9 / _INCVALUE

    def look(self) -> None:
        """Take note of the time, before SYSTIM wraps."""
        with self._lock:
            if self._used:
                self._look()

    def hold(self) -> None:
        """Before a reset, which stops SYSTIM: until `begin` the time goes on by the host's."""
        with self._lock:
            if self._used:
                self._look()
            self._runs = False

    def begin(self) -> None:
        """After a reset: SYSTIM runs again, if the clock is in use."""
        with self._lock:
            if not self._used:
                return
            self._time, self._seen, self._last = self._by_host(), self._bar.now(), 0
            self._bar.write(SYSTIML, 0)
            self._bar.write(SYSTIMH, 0)
            self._write_rate()
            self._runs = True
            if self._stamps is not None:
                self._write_stamps()

    def close(self) -> None:
        """Its port is closed: from now on everything raises PortError."""
        with self._lock:
            self._closed = True

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise PortError(f"{self._name} is closed: probe it again")
            yield

    def _write_rate(self) -> None:
        self._bar.write(TIMINCA, TIMINCA.pack(INCVALUE=_INCVALUE + self._more, INCPERIOD=1))

    def _by_host(self) -> int:
        return self._time + round((self._bar.now() - self._seen) * 1e9) * self._units

    def _look(self) -> int:
        if not self._runs:
            return self._by_host()
        systim = self._pair(SYSTIML, SYSTIMH)
        self._time += self._since(systim)
        self._last, self._seen = systim, self._bar.now()
        return self._time

    def _since(self, systim: int) -> int:
        """From the last look to that value, which may be older if it is a stamp's."""
        passed = (systim - self._last) % (1 << 64)
        return passed - (1 << 64) if passed >> 63 else passed

    def _pair(self, low: RegisterRef, high: RegisterRef) -> int:
        word = self._bar.read(low)  # the low one first: it latches SYSTIMH, and the high one unlocks a stamp
        return word | self._bar.read(high) << 32

    # ---- stamps -----------------------------------------------------------------------------------------------

    def stamp(self, on: bool = True, *, message: int | None = None, udp_port: int = PTP_PORT) -> None:
        """Take stamps of PTP messages of version 2, over Ethernet (0x88F7) and UDP, and of packets sent with "stamp".

        message: only of this type (0 Sync, 1 Delay_Req), and of peer delay messages; None: of all event messages. The chip
        holds one stamp each way until it is read. Raises ConfigError if all EtherType filters are in use.
        """
        if message is not None and not 0 <= message <= 15:
            raise ConfigError(f"{self._name}: message={message}: a PTP message type is 0 to 15")
        if not 0 < udp_port < 1 << 16:
            raise ConfigError(f"{self._name}: udp_port={udp_port}: must be 1 to 65535")
        with self._in_use():
            self._seek(ETHERTYPE_PTP if on else None)
            self._stamps = (message, udp_port) if on else None
            self._write_stamps()

    def rx_stamp(self, timeout: float = 0.0) -> RxStamp | None:
        """The stamp that is held of a packet that came, once; None: there was none within `timeout` s.

        Raises PortError if stamps are off.
        """
        if not self._wait(TSYNCRXCTL, timeout):
            return None
        with self._in_use():
            low, high = self._bar.read(RXSATRL), self._bar.read(RXSATRH)
            ns = self._time_of(self._pair(RXSTMPL, RXSTMPH))
        source = low.to_bytes(4, "little") + RXSATRH.SOURCE.extract(high).to_bytes(2, "little")
        sequence = RXSATRH.SEQUENCE.extract(high).to_bytes(2, "little")  # as it lies in the message
        return RxStamp(ns, int.from_bytes(sequence, "big"), source)

    def tx_stamp(self, timeout: float = 0.0) -> int | None:
        """When a packet left that was sent with "stamp", in ns, once; None: there was none within `timeout` s.

        Raises PortError if stamps are off.
        """
        if not self._wait(TSYNCTXCTL, timeout):
            return None
        with self._in_use():
            return self._time_of(self._pair(TXSTMPL, TXSTMPH))

    def _time_of(self, stamp: int) -> int:
        return (self._look() + self._since(stamp)) // self._units

    def _wait(self, control: RegisterRef, timeout: float) -> bool:
        if self._stamps is None:
            raise PortError(f"{self._name} takes no stamps: call clock.stamp() first")
        if not 0 <= timeout <= _PATIENCE:
            raise ConfigError(f"{self._name}: timeout={timeout}: must be 0 to {_PATIENCE:g} s")
        deadline = self._bar.now() + timeout
        while True:
            late = self._bar.now() >= deadline
            with self._in_use():
                if self._bar.get(control.VALID):
                    return True
            if late:
                return False
            self._bar.sleep(_SLEEP)

    def _write_stamps(self) -> None:
        on = self._stamps is not None
        message, port = self._stamps or (None, PTP_PORT)
        for control in (TSYNCRXCTL, TSYNCTXCTL):
            self._bar.write(control, 0)
        self._bar.read(RXSTMPH)  # discard the stamp that it held
        self._bar.read(TXSTMPH)
        self._bar.write(RXMTRL, RXMTRL.pack(MSGT=message or 0, UDPT=port))
        kind = STAMP_EVENTS if message is None else STAMP_V2
        self._bar.write(TSYNCRXCTL, TSYNCRXCTL.pack(TYPE=kind, ENABLE=1) if on else 0)
        self._bar.write(TSYNCTXCTL, TSYNCTXCTL.pack(ENABLE=on))

    def __repr__(self) -> str:
        stamps = "stamps" if self._stamps is not None else "no stamps"
        return f"<IxgbeClock of {self._name}: {self._more * 1e9 / _INCVALUE:+.0f} ppb, {stamps}>"
