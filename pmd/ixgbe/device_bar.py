# SPDX-License-Identifier: BSD-3-Clause
"""The registers of one function as the threads of its driver share them: closed during a reset, and checked for removal.

Every register access of the slow path goes through here. The fast path does not: a queue writes its tail to memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, TypeVar, cast

from dataplane.errors import DeviceGone
from dataplane.pmd.datasheet import RDT, STATUS, TDT, decode, pci, vf
from dataplane.pmd.datasheet.vf import VFRDT, VFTDT
from dataplane.pmd.function import ALL_ONES, Bar, RegisterUse, Waker
from dataplane.pmd.register import RC, Register, RegisterRef
from dataplane.pmd.vfio_user.messages import DOORBELLS

__all__ = ["DeviceBar", "VfBar", "pf_registers", "touches_device", "vf_registers"]


@cache
def pf_registers() -> RegisterUse:
    """The part that a bus must know of the PF's registers: STATUS (8.2.3.1.2), the tails, and those that a read clears."""
    return _use((RDT, TDT), decode, pci.REGISTERS_SIZE)


@cache
def vf_registers() -> RegisterUse:
    """The part that a bus must know of a VF's registers; VFSTATUS is at the offset of STATUS."""
    return _use((VFRDT, VFTDT), vf.decode, pci.VF_REGISTERS_SIZE)


def _use(tails: tuple[Register, ...], find: Callable[[int], RegisterRef | None], size: int) -> RegisterUse:
    found = ((offset, find(offset)) for offset in range(0, size, 4))
    return RegisterUse(
        # Its reserved bits are 0 on a card that is there.
        presence=STATUS.offset,
        doorbells=frozenset(offset for line in tails for offset, _ in line.addresses()),
        once=frozenset(
            offset
            for offset, line in found
            if line and (line.register.bits(RC) or line.register.name in ("EICR", "VTEICR"))
        ),
        doorbell_region=(pci.INTEL, DOORBELLS),
    )


Verb = TypeVar("Verb", bound=Callable[..., Any])


class DeviceBar(Bar):
    """`bar`, with two promises to its callers, in any thread.

    No access happens during a reset (4.6.3.2): the thread that resets the function holds `exclusively`, and all others wait,
    10 ms for a PF and 50 ms for a VF. A word of all ones is returned only if it is the register's value: when STATUS
    reads all ones too, the device is gone and the read raises DeviceGone.
    """

    use = staticmethod(pf_registers)

    def __init__(self, bar: Bar) -> None:
        self.name, self.remote = bar.name, bar.remote
        self.registers = self.use()
        bar.describe(self.registers)
        self._bar = bar
        self._lock = threading.RLock()  # held for one access, or for the time of a reset
        self._read, self._write = bar.read32, bar.write32

    def read32(self, offset: int) -> int:
        """The register at a byte offset. Raises DeviceGone instead of returning what a device that is gone reads."""
        with self._lock:
            word = self._read(offset)
            if word == ALL_ONES and self._read(STATUS.offset) == ALL_ONES:
                raise self.gone()
            return word

    def write32(self, offset: int, value: int) -> None:
        """Write the register at a byte offset. A device that is gone takes any write: `check` afterwards tells."""
        with self._lock:
            self._write(offset, value)

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Keep every other thread out until the `with` block ends: for a reset and the wait after it."""
        with self._lock:
            yield

    def address(self, offset: int) -> int:
        """Where the register is in memory, for a queue's tail."""
        return self._bar.address(offset)

    def waker(self) -> Waker | None:
        """The Waker to call after a tail was written, None if the device never rests."""
        return self._bar.waker()

    def now(self) -> float:
        """Seconds on the device's clock."""
        return self._bar.now()

    def sleep(self, seconds: float) -> None:
        """Wait, on the device's clock."""
        self._bar.sleep(seconds)

    def accompany(self, work: Callable[[], object]) -> Callable[[], None] | None:
        """Have `work` called while a thread waits, on a device that works only then."""
        return self._bar.accompany(work)


class VfBar(DeviceBar):
    """The registers of a VF, which can be gone while its card is there."""

    use = staticmethod(vf_registers)

    def gone(self) -> DeviceGone:
        """The error of a VF that no longer answers."""
        return DeviceGone(
            f"{self.name} is gone: its registers read all ones. Its PF has fewer VFs now, its card was removed, or its "
            f"server process ended: give the PF enough VFs, then open it again"
        )


def touches_device(verb: Verb) -> Verb:
    """Make a method that changes or asks the device raise DeviceGone when the device is gone.

    verb: a method of a port, or of an object that has the port as `port`. The device is checked before the call, so that
    nothing is changed, and after it, because a write to a device that is gone does not fail. A closed port is not checked.
    """

    @wraps(verb)
    def checked(subject: Any, /, *args: Any, **kwargs: Any) -> Any:
        port = getattr(subject, "port", subject)
        if port.closed:
            return verb(subject, *args, **kwargs)
        port.bar.check()
        result = verb(subject, *args, **kwargs)
        port.bar.check()
        return result

    return cast(Verb, checked)
