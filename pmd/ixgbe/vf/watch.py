# SPDX-License-Identifier: BSD-3-Clause
"""What the watchdog of a VF works with: when to try again, why there is no link, and queues kept from their pollers."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar, cast

from dataplane.errors import DataplaneError, DeviceError, DeviceGone
from dataplane.limits import HEADER_AND_FCS_BYTES
from dataplane.pmd.datasheet.vf import VFLINKS
from dataplane.pmd.ixgbe.errors import FrameRefused, PfNotUp

__all__ = [
    "AGAIN",
    "AGAIN_MOST",
    "Backoff",
    "WatchInterval",
    "Paused",
    "VfPort",
    "mtu_refused",
    "notes_trouble",
    "reason",
    "until_next",
    "why_no_link",
]

AGAIN, AGAIN_MOST = 0.1, 5.0  # seconds from a failed try to the next: at first, and after many

LOOK, LOOK_QUIET, QUIET_AFTER = 0.02, 0.45, 1.0  # seconds: see WatchInterval
BRIEF_LOOKS = 3  # between two that are not, while it is quiet

Verb = TypeVar("Verb", bound=Callable[..., Any])


class VfPort(Protocol):
    """The part that this module and `explain` need of a VF's port (`IxgbeVfPort`, which imports both)."""

    bar: Any
    closed: bool
    function: Any
    name: str
    recoveries: int
    session: Any
    started: bool
    trouble: DataplaneError | None
    _rx: dict[int, Any]
    _tx: dict[int, Any]

    @property
    def _own_rx(self) -> dict[int, Any]:
        """Its Rx queues by number."""

    @property
    def _own_tx(self) -> dict[int, Any]:
        """Its Tx queues by number."""

    @property
    def mac(self) -> str:
        """Its address."""

    @property
    def link(self) -> Any:
        """Its `Link`."""

    @property
    def rx_queues(self) -> int:
        """Number of Rx queues that it uses."""

    @property
    def tx_queues(self) -> int:
        """Number of Tx queues that it uses."""

    def explain(self) -> dict[str, Any]:
        """The faults of its own set-up."""

    def why_no_link(self) -> str:
        """The cause of its link being down, and the next step."""

    def _was_reset(self) -> bool:
        """Whether the VF was reset since the last start."""


class WatchInterval:
    """How long a port waits before it looks after its PF again, and after what: LOOK seconds, and after everything.

    Where each access is a message (a served NIC) the first one of a look costs the server up to 0.5 ms of CPU time. So
    there it is LOOK_QUIET once no packet has moved, and nothing else has happened, for QUIET_AFTER; and most looks are
    `brief`: at the mailbox alone, which tells of the PF's resets and of a VF that was taken away. What they leave out is
    a check whether this VF alone was reset: on a served NIC only its own client can do that.
    """

    def __init__(self, port: VfPort) -> None:
        self._port, self._remote = port, port.bar.remote
        self._positions: list[int] = []
        self.brief = False
        self.stir()

    def stir(self) -> None:
        """Something has happened: more may follow."""
        self._quiet_at = time.monotonic() + QUIET_AFTER
        self._looks = 0  # since it is quiet

    @property
    def wait(self) -> float:
        """Seconds until the next look. From then on `brief` says what that one is."""
        if not self._remote:
            return LOOK
        now = [queue.next for queue in self._port._own_rx.values()]
        now += [queue.next for queue in self._port._own_tx.values()]
        if now != self._positions:
            self._positions = now
            self.stir()
        if time.monotonic() < self._quiet_at:
            self.brief = False
            return LOOK
        self.brief = self._looks % (BRIEF_LOOKS + 1) != BRIEF_LOOKS
        self._looks += 1
        return until_next(LOOK_QUIET)


def until_next(period: float) -> float:
    """Seconds until the clock that all processes share has a multiple of `period` seconds; at most that.

    Drivers that idle on one served NIC look at it at the same moments: it wakes once for all of them.
    """
    return period - time.monotonic() % period


class Backoff:
    """When to try again: AGAIN seconds after a failure, doubled with each further one up to AGAIN_MOST."""

    def __init__(self) -> None:
        self.delay = 0.0  # seconds
        self._at = 0.0

    @property
    def due(self) -> bool:
        """Whether the wait is over, or nothing has failed."""
        return time.monotonic() >= self._at

    def failed(self) -> None:
        """Begin the wait, twice as long as the one before."""
        self.delay = min(max(2 * self.delay, AGAIN), AGAIN_MOST)
        self._at = time.monotonic() + self.delay

    def reset(self) -> None:
        """Be due at once: an attempt has succeeded, or something has changed."""
        self.delay = self._at = 0.0


class Paused:
    """Every queue of a port, out of reach of the lcores that poll them, until the `with` block ends."""

    def __init__(self, port: VfPort) -> None:
        self.queues: tuple[Any, ...] = (*port._rx.values(), *port._tx.values())
        self.paused: list[Any] = []

    def __enter__(self) -> None:
        try:
            for queue in self.queues:
                queue.pause()
                self.paused.append(queue)
        except DeviceError:
            self.__exit__()
            raise

    def __exit__(self, *exc: object) -> None:
        for queue in self.paused:
            queue.resume()


def notes_trouble(verb: Verb) -> Verb:
    """A method of a VF's port after which `trouble` is the error that it raised, None if it raised none."""

    @wraps(verb)
    def noting(port: VfPort, /, *args: Any, **kwargs: Any) -> Any:
        try:
            result = verb(port, *args, **kwargs)
        except DataplaneError as error:
            port.trouble = error
            raise
        port.trouble = None
        return result

    return cast(Verb, noting)


def mtu_refused(mtu: int, error: FrameRefused) -> str:
    """The error for an MTU that the PF refuses, with the PF's own if it is known."""
    refused = f"an MTU of {mtu} is more than its PF lets it have"
    if not error.largest:
        return f"{refused} ({error}): raise the PF's MTU, or lower this one"
    largest = error.largest - HEADER_AND_FCS_BYTES
    return f"{refused} ({largest}): raise the PF's MTU to {mtu}, or lower this one to {largest} while the port is stopped"


def reason(name: str, error: DataplaneError) -> str:
    """Why port `name` has no link, when this error ended its last try to agree with its PF."""
    if isinstance(error, PfNotUp):
        return "its PF is not up: start the PF, by opening it with vfs=N or by loading its kernel driver"
    return str(error).removeprefix(f"{name}: ")


def why_no_link(port: VfPort) -> str:
    """The cause of this port's link being down, and the next step."""
    if port.closed:
        return "its port is closed: open it again"
    try:
        port.bar.check()
    except DeviceGone as error:
        return str(error)
    session = port.session
    if port.trouble is not None:
        return reason(port.name, port.trouble)
    if not port.started and not session.up:
        return "its port is stopped: start it"
    if not session.up or session.stale or port._was_reset():
        return "its PF is not up, or has been reset just now: start the PF if it does not come back"
    if not session.enabled:
        return "the PF's administrator has switched it off: 'dataplane vf set PF N state auto'"
    return (
        f"{VFLINKS.UP} is 0 (datasheet {VFLINKS.section}): see that the PF's cable and module are in, and that the "
        f"other end is up"
    )
