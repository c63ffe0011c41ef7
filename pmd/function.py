# SPDX-License-Identifier: BSD-3-Clause
"""A PCI function as a driver sees it: registers behind a BAR, configuration space, DMA, interrupts, reset.

Every bus (the model, VFIO, UIO, vfio-user) implements ``Function``, ``Bar`` and ``ConfigSpace``; a driver
knows nothing else of the machine. Registers are spoken of in the datasheet's words::

    bar.update(SRRCTL[q], DESCTYPE=1, BSIZEPACKET=2, DROP_EN=1)
    bar.set(RXDCTL[q].ENABLE)
    bar.wait(RXDCTL[q].ENABLE)

    DeviceTimeout: RXDCTL[3].ENABLE still 0 after 1.0 s on model0 (datasheet 8.2.3.8.6)

This is the slow path. A queue's tail is written straight to memory, at the address that ``Bar.address``
gives.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from dataplane.errors import ConfigError, DeviceError, DeviceGone, DeviceTimeout
from dataplane.memory.hugepage import Arena
from dataplane.pmd import pci
from dataplane.pmd.register import W1C, FieldRef, RegisterRef

__all__ = ["Bar", "ConfigSpace", "Function", "RegisterUse", "Waker"]

ALL_ONES = 0xFFFF_FFFF
NO_ANSWER = 0xFFFF  # 16 bits of configuration space of a device that is gone


@dataclass(frozen=True, slots=True)
class RegisterUse:
    """A driver's description of its registers for its BAR: the bus knows no device. Offsets are in bytes.

    presence: a register of 32 bits that reads all ones only when the device is gone; None: no such register. doorbells: the
    registers that hot loops write through `Bar.address`. once: registers that a read clears.
    doorbell_region: (vendor, subtype) of the vfio-user region in which a server offers its doorbells; None: no such region.
    """

    presence: int | None = None
    doorbells: frozenset[int] = frozenset()
    once: frozenset[int] = frozenset()
    doorbell_region: tuple[int, int] | None = None


class Waker:
    """How to wake a device that rests: a thread that has written a tail loads the word at `address`, and adds 1 to `eventfd`
    if the word is not 0. Both are valid for as long as this object lives.

    memory: an object that keeps the word alive. eventfd: a duplicate of it is taken. Raises OSError for an invalid
    descriptor.
    """

    def __init__(self, address: int, eventfd: int, memory: object) -> None:
        own = os.dup(eventfd)
        self.__del__()  # a second __init__ lets go of the first descriptor
        self.address, self._memory, self._own = address, memory, own

    @property
    def eventfd(self) -> int:
        """The descriptor to signal."""
        return self._own

    def __del__(self) -> None:
        own = getattr(self, "_own", -1)  # -1: nothing could be duplicated
        if own >= 0:
            os.close(own)


class Bar(ABC):
    """A memory BAR: registers by offset, those of 32 bits also by name. ``name`` is the device's.

    Every bus has accesses of 32 bits; those of 8, 16 and 64 bits raise DeviceError where the bus or the device has none.
    """

    name: str = "device"
    remote: bool = False  # whether each access is a message to another process
    registers = RegisterUse()
    config: ConfigSpace | None = None  # of its function, on a bus that says by it whether the device is there

    def describe(self, registers: RegisterUse) -> None:
        """Tell the bus which registers have a part in how it works; a driver calls it once, before any other access."""
        self.registers = registers

    @abstractmethod
    def read32(self, offset: int) -> int:
        """The register at a byte offset."""

    @abstractmethod
    def write32(self, offset: int, value: int) -> None:
        """Write the register at a byte offset."""

    def read8(self, offset: int) -> int:
        """The byte at an offset. Raises DeviceError on a bus without accesses of 8 bits."""
        raise self._no_access(8)

    def read16(self, offset: int) -> int:
        """The 16-bit register at a byte offset, a multiple of 2. Raises DeviceError on a bus without such accesses."""
        raise self._no_access(16)

    def read64(self, offset: int) -> int:
        """The 64-bit register at a byte offset, a multiple of 8. Raises DeviceError on a bus without such accesses."""
        raise self._no_access(64)

    def write8(self, offset: int, value: int) -> None:
        """Write the byte at an offset. Raises DeviceError on a bus without accesses of 8 bits."""
        raise self._no_access(8)

    def write16(self, offset: int, value: int) -> None:
        """Write the 16-bit register at a byte offset. Raises DeviceError on a bus without such accesses."""
        raise self._no_access(16)

    def write64(self, offset: int, value: int) -> None:
        """Write the 64-bit register at a byte offset. Raises DeviceError on a bus without such accesses."""
        raise self._no_access(64)

    def _no_access(self, bits: int) -> DeviceError:
        return DeviceError(f"{self.name}: no access of {bits} bits on this bus: use read32 and write32")

    def address(self, offset: int) -> int:
        """The host address of a register, for a queue's tail. DeviceError if a bus cannot map it."""
        raise DeviceError(f"{self.name}: register {offset:#07x} cannot be mapped into memory by this bus")

    def waker(self) -> Waker | None:
        """How to wake a device that may rest after a tail was written; None: it sees tails by itself, as cards do."""
        return None

    # Time belongs to the device: a model that is stepped by hand moves on, and its clock too, while a driver
    # sleeps. So drivers wait with these two, never with the time module.

    def now(self) -> float:
        """Seconds on the clock that time-outs are measured with."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, as the datasheet demands here and there."""
        time.sleep(seconds)

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep other threads' accesses out of a reset; a bar that one thread has needs nothing for that."""
        return nullcontext()

    def accompany(self, work: Callable[[], object]) -> Callable[[], None] | None:
        """Call `work` while a caller sleeps on a device whose time passes only then; returns the function that ends this.

        None: the device runs in real time, and work beside other work needs a thread.
        """
        return None

    def __getitem__(self, register: RegisterRef) -> int:
        return self.read32(register.offset)

    def read(self, register: RegisterRef) -> int:
        """The register's word; ``bar[register]`` is the same."""
        return self.read32(register.offset)

    def write(self, register: RegisterRef, value: int) -> None:
        """Write the whole word. ConfigError if it is not one."""
        if not 0 <= value <= ALL_ONES:
            raise ConfigError(
                f"{register.name} holds 32 bits: {value:#x} does not fit (datasheet {register.section})"
            )
        self.write32(register.offset, value)

    def get(self, field: FieldRef) -> int:
        """One field's value."""
        return field.extract(self.read32(field.register.offset))

    def set(self, *fields: FieldRef) -> None:
        """Set every bit of these fields of one register, leaving the others."""
        register, mask = _together(fields)
        self.write32(register.offset, self._to_modify(register) | mask)

    def clear(self, *fields: FieldRef) -> None:
        """Clear these fields of one register, leaving the others: by a 1 where the datasheet says so, else by 0."""
        register, mask = _together(fields)
        self.write32(register.offset, self._to_modify(register) & ~mask | mask & register.bits(W1C))

    def update(self, register: RegisterRef, **values: int) -> None:
        """Give the named fields new values, leaving the others. ValueError for a value too wide."""
        register.pack(**values)  # complain before the device is touched
        self.write32(register.offset, register.update(self._to_modify(register), **values))

    def wait(self, field: FieldRef, value: int = 1, timeout: float = 1.0, interval: float = 1e-4) -> None:
        """Read every ``interval`` seconds until the field has that value.

        Raises DeviceTimeout after ``timeout`` seconds, DeviceGone if the device went away meanwhile.
        """
        register = field.register
        field.insert(0, value)  # a value that the field cannot have would never come
        deadline = self.now() + timeout
        while True:
            late = self.now() >= deadline  # asked before the read: a long sleep must not cost the last look
            word = self.read32(register.offset)
            if word == ALL_ONES:
                self.check()
            seen = field.extract(word)
            if seen == value:
                return
            if late:
                wanted = f", not {value}," if field.width > 1 else ""
                raise DeviceTimeout(
                    f"{field} still {seen}{wanted} after {timeout} s on {self.name} "
                    f"(datasheet {register.section})"
                )
            self.sleep(interval)

    def check(self) -> None:
        """Raise DeviceGone if the device no longer answers: then every register reads all ones, `presence` too.

        A bar whose driver has named no such register reads the status word of configuration space, which has bits that are
        always 0 (PCI 3.0, 6.2.3); where the bus does not offer it (`config`), it says nothing. An access by itself raises
        nothing: the CPU gets all ones from a device that is gone, whatever the program is.
        """
        at = self.registers.presence
        if at is not None:
            gone = self.read32(at) == ALL_ONES
        else:
            gone = self.config is not None and self.config.read16(pci.STATUS) == NO_ANSWER
        if gone:
            raise self.gone()

    def gone(self) -> DeviceGone:
        """The error of a device that no longer answers."""
        return DeviceGone(
            f"{self.name} is gone: its registers read all ones. It was pulled out or reset, or its "
            f"server process ended; open it again"
        )

    def _to_modify(self, register: RegisterRef) -> int:
        """The word for a read-modify-write, without the bits that writing a 1 back would clear."""
        return self.read32(register.offset) & ~register.bits(W1C)


def _together(fields: tuple[FieldRef, ...]) -> tuple[RegisterRef, int]:
    """The register and joint mask of fields that one write can change."""
    if not fields:
        raise ConfigError("name at least one field, as in bar.set(RXDCTL[0].ENABLE)")
    register, mask = fields[0].register, 0
    for field in fields:
        if field.register.offset != register.offset:
            raise ConfigError(
                f"{fields[0]} and {field} are in two registers: write them one after the other "
                f"(datasheet {register.section}, {field.register.section})"
            )
        mask |= field.mask
    return register, mask


class ConfigSpace(ABC):
    """PCI configuration space, little-endian; offsets and identifiers are in ``dataplane.pmd.pci``."""

    @abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> None:
        """Write bytes; read-only bits keep their value, as on every PCI device."""

    def read8(self, offset: int) -> int:
        """The 8-bit value at `offset`."""
        return int.from_bytes(self.read(offset, 1), "little")

    def read16(self, offset: int) -> int:
        """The 16-bit value at `offset`."""
        return int.from_bytes(self.read(offset, 2), "little")

    def read32(self, offset: int) -> int:
        """The 32-bit value at `offset`."""
        return int.from_bytes(self.read(offset, 4), "little")

    def write8(self, offset: int, value: int) -> None:
        """Write an 8-bit value."""
        self.write(offset, value.to_bytes(1, "little"))

    def write16(self, offset: int, value: int) -> None:
        """Write a 16-bit value."""
        self.write(offset, value.to_bytes(2, "little"))

    def write32(self, offset: int, value: int) -> None:
        """Write a 32-bit value."""
        self.write(offset, value.to_bytes(4, "little"))

    def capabilities(self) -> Iterator[tuple[int, int]]:
        """(identifier, offset) of each capability, in the chain's order. DeviceError if it is broken."""
        if not self.read16(pci.STATUS) & pci.STATUS_CAPABILITIES:
            return
        at, seen = self.read8(pci.CAPABILITIES) & 0xFC, set[int]()
        while at:
            if at in seen or at < pci.HEADER_SIZE:
                raise DeviceError(f"the capability chain is broken at {at:#04x}: the device does not respond")
            seen.add(at)
            yield self.read8(at), at
            at = self.read8(at + 1) & 0xFC

    def extended_capabilities(self) -> Iterator[tuple[int, int]]:
        """(identifier, offset) of each PCI Express extended capability."""
        at, seen = pci.EXTENDED, set[int]()
        while at:
            if at in seen or at < pci.EXTENDED:
                raise DeviceError(
                    f"the extended capability chain is broken at {at:#05x}: the device does not respond"
                )
            seen.add(at)
            header = self.read32(at)
            if header in (0, ALL_ONES):
                return
            yield header & 0xFFFF, at
            at = header >> 20 & 0xFFC

    def find(self, identifier: int, extended: bool = False) -> int | None:
        """The offset of a capability, None if the device does not have it."""
        chain = self.extended_capabilities() if extended else self.capabilities()
        return next((offset for found, offset in chain if found == identifier), None)


class Function(ABC):
    """One PCI function: what ``probe()`` opens on a bus and hands to a driver.

    name: what messages call it ("0000:03:00.0", "model0"). config: its configuration space.
    """

    name: str
    config: ConfigSpace

    @property
    def vendor_id(self) -> int:
        """The PCI vendor ID."""
        return self.config.read16(pci.VENDOR_ID)

    @property
    def device_id(self) -> int:
        """A bus whose VFs read 0xFFFF here takes it from the PF's SR-IOV capability."""
        return self.config.read16(pci.DEVICE_ID)

    @property
    def wire(self) -> str:
        """The other end of its port's wire, where the bus knows it: "to model1, elastic". Empty otherwise."""
        return ""

    @property
    def revision(self) -> int:
        """The PCI revision."""
        return self.config.read8(pci.REVISION)

    @abstractmethod
    def bar(self, index: int) -> Bar:
        """The BAR, mapped; the same object each time. DeviceError if the function does not have it."""

    def await_presence(self, bar: Bar) -> None:  # noqa: B027 - most functions are there when they are opened
        """Wait until the device answers at the `presence` register of `bar`, where a function may come later than its name.

        Raises DeviceError when it does not come in time.
        """

    @abstractmethod
    def dma_map(self, arena: Arena) -> None:
        """Let the device reach the whole arena, at the arena's own IOVA. Mapping twice is no error."""

    @abstractmethod
    def dma_unmap(self, arena: Arena) -> None:
        """Take the arena away. From here on an access by the device is a fault: stop the queues first."""

    @abstractmethod
    def reset(self) -> None:
        """Function level reset. The function answers again when this returns, and the driver must initialise it again."""

    @property
    def vfs(self) -> int:
        """How many virtual functions it has now (PCIe SR-IOV)."""
        at = self.config.find(pci.EXT_SRIOV, extended=True)
        if at is None or not self.config.read16(at + pci.SRIOV_CONTROL) & pci.SRIOV_VF_ENABLE:
            return 0
        return self.config.read16(at + pci.SRIOV_NUM_VFS)

    def set_vfs(self, count: int) -> None:
        """Have `count` virtual functions, with their memory on; 0: none. Those it has stay if the number is the same.

        A driver resets the function afterwards. DeviceError if the function or the host cannot; a
        bus whose host owns the capability does this its own way.
        """
        if count == self.vfs:
            return
        config, wait = self.config, self.bar(0).sleep  # by the clock of the device
        at = config.find(pci.EXT_SRIOV, extended=True)
        if at is None:
            raise DeviceError(
                f"{self.name} has no SR-IOV capability: switch SR-IOV on in the machine's firmware set-up"
            )
        most = config.read16(at + pci.SRIOV_TOTAL_VFS)
        if count > most:
            raise DeviceError(f"{self.name} can have {most} VFs, not {count}")
        control = config.read16(at + pci.SRIOV_CONTROL)
        if control & pci.SRIOV_VF_ENABLE:
            control &= ~(pci.SRIOV_VF_ENABLE | pci.SRIOV_VF_MSE)
            config.write16(at + pci.SRIOV_CONTROL, control)
            wait(0.1)
        if not count:
            return
        # NumVFs may change only while VF Enable is 0; after it a VF needs 100 ms before it answers (SR-IOV 1.1, 3.3.3.1).
        config.write16(at + pci.SRIOV_NUM_VFS, count)
        for bit in (pci.SRIOV_ARI, pci.SRIOV_VF_ENABLE, pci.SRIOV_VF_MSE):
            control |= bit
            config.write16(at + pci.SRIOV_CONTROL, control)
        wait(0.1)
        if self.vfs != count:
            raise DeviceError(
                f"{self.name}: VF Enable does not stay on: the host keeps SR-IOV to itself, on Linux "
                f"write {count} to the device's sriov_numvfs in sysfs first"
            )

    @property
    def vectors(self) -> int:
        """How many MSI-X vectors can be joined to an eventfd; 0 where a bus cannot deliver interrupts."""
        return 0

    def interrupt(self, vector: int, eventfd: int | None) -> None:
        """Signal an eventfd when the vector fires; None ends that. DeviceError if there is no such vector."""
        raise DeviceError(
            f"{self.name}: no interrupt vector {vector} (it has {self.vectors}); poll the device instead"
        )

    def prepare(self) -> None:  # noqa: B027 - most functions have nothing to prepare
        """Check, and reserve, what goes with the function once its port runs; change nothing. Raises FileError, for one."""

    def begin(self) -> None:  # noqa: B027
        """Its port starts, all checks are over: make what goes with it. Nothing the second time."""

    @abstractmethod
    def close(self) -> None:
        """Give the function back: DMA ends, mappings go. Calling it twice is no error."""

    def __enter__(self) -> Function:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
