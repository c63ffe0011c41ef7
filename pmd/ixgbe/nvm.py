# SPDX-License-Identifier: BSD-3-Clause
"""EEPROM, and the semaphores that share it and the PHYs with the other port and with firmware (datasheet 6, 10.5.4)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dataplane.errors import DeviceError, DeviceTimeout
from dataplane.pmd.datasheet import EEC, EERD, FWSM, SW_FW_SYNC, SWSM, FieldRef, eeprom
from dataplane.pmd.function import Bar

__all__ = ["Nvm", "semaphore"]

_TRIES, _APART = 200, 5e-3


class Nvm:
    """The EEPROM's words. `caps` is known once `verify` or `read_caps` has run."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar

    def wait_auto_read(self) -> None:
        """8.2.3.2.1: the chip has loaded its registers from the EEPROM."""
        bar = self.bar
        bar.wait(EEC.ARD, timeout=1.0)
        # ARD comes up without an EEPROM too, and with one whose checksum is wrong (8.2.3.4.10).
        if not bar.get(EEC.PRES):
            raise DeviceError(
                f"{bar.name}: there is no EEPROM (EEC.PRES is 0, datasheet 8.2.3.2.1): the card is damaged"
            )
        cause = bar.get(FWSM.EXT_ERR_IND)
        if cause:
            raise DeviceError(
                f"{bar.name}: firmware reports error {cause:#x}{' (bad EEPROM checksum)' if cause == 1 else ''} in "
                f"FWSM.EXT_ERR_IND (datasheet 8.2.3.4.10): load a good EEPROM image with the maker's tool"
            )

    def words(self) -> int:
        """8.2.3.2.1: how many words it has."""
        return int(1 << self.bar.get(EEC.SIZE) + 6)

    def read(self, address: int) -> int:
        """8.2.3.2.2: one 16-bit word."""
        bar = self.bar
        bar.write(EERD, EERD.pack(START=1, ADDR=address))
        bar.wait(EERD.DONE, timeout=0.5, interval=5e-6)
        return bar.get(EERD.DATA)

    def verify(self) -> int:
        """6: the checksum over words 0x00..0x3F and the sections they point to. Returns the device capabilities word.

        The chip checks only a part of the EEPROM by itself. Raises DeviceError.
        """
        size = self.words()
        with semaphore(self.bar, SW_FW_SYNC.SW_EEP, SW_FW_SYNC.FW_EEP):
            words = _EepromWords(self, size)
            try:
                good = eeprom.is_valid(words)
            except ValueError as error:
                raise DeviceError(
                    f"{self.bar.name}: {error} (datasheet 6): load a good EEPROM image with the maker's tool"
                ) from None
            if not good:
                raise DeviceError(
                    f"{self.bar.name}: the EEPROM's checksum, word {eeprom.CHECKSUM:#04x} read through EERD, is "
                    f"{words[eeprom.CHECKSUM]:#06x} and should be {eeprom.checksum(words):#06x} (datasheet 6): load a "
                    f"good EEPROM image with the maker's tool, or go on without the check by eeprom_check=off"
                )
            return int(words[eeprom.DEVICE_CAPS])

    def read_caps(self) -> int:
        """6: the device capabilities word."""
        with semaphore(self.bar, SW_FW_SYNC.SW_EEP, SW_FW_SYNC.FW_EEP):
            return self.read(eeprom.DEVICE_CAPS)


class _EepromWords(list[int]):
    """The EEPROM as a sequence: a word is read when it is first asked for, and never twice."""

    def __init__(self, nvm: Nvm, size: int) -> None:
        super().__init__([-1] * size)
        self._nvm = nvm

    def __getitem__(self, at):  # type: ignore[no-untyped-def]
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        word = super().__getitem__(at)
        if word < 0:
            word = self._nvm.read(at)
            self[at] = word
        return word


@contextmanager
def semaphore(bar: Bar, ours: FieldRef, firmwares: FieldRef) -> Iterator[None]:
    """10.5.4: own a shared block: SW_FW_SYNC bits, which are themselves guarded by SWSM.

    Raises DeviceTimeout when firmware keeps it, or SWSM does not work.
    """
    _acquire(bar, ours, firmwares)
    try:
        yield
    finally:
        _guard(bar)
        bar.clear(ours)
        _unguard(bar)


def _acquire(bar: Bar, ours: FieldRef, firmwares: FieldRef) -> None:
    """10.5.4: the bit is taken if neither software nor firmware has it."""
    for _ in range(_TRIES):
        _guard(bar)
        taken = bar.read(SW_FW_SYNC) & (ours.mask | firmwares.mask)
        if not taken:
            bar.set(ours)
        _unguard(bar)
        if not taken:
            return
        bar.sleep(_APART)
    holder = ours if taken & ours.mask else firmwares
    if holder is ours:
        # SILENT: what if its owner has died. After a second we take the bit over: no section lasts that long. If it
        # cannot even be cleared, it is not an owner that is at fault.
        _guard(bar)
        bar.clear(ours)
        _unguard(bar)
        if not bar.get(ours):
            _guard(bar)
            bar.set(ours)
            _unguard(bar)
            return
    raise DeviceTimeout(
        f"{holder} still 1 after {_TRIES * _APART:g} s on {bar.name} (datasheet {SW_FW_SYNC.section}): "
        f"{'it cannot be cleared' if holder is ours else 'firmware keeps the block'}; power the machine off and on"
    )


def _guard(bar: Bar) -> None:
    """8.2.3.4.9: SMBI between drivers (a read that returns 0 has taken it), then SWESMBI between software and firmware."""
    try:
        bar.wait(SWSM.SMBI, 0, timeout=_TRIES * _APART, interval=_APART)
    except DeviceTimeout:
        # SILENT: whether its owner has died. It guards a few accesses: after a second the owner is gone.
        bar.clear(SWSM.SMBI, SWSM.SWESMBI)
        bar.wait(SWSM.SMBI, 0, timeout=_APART, interval=_APART)
    deadline = bar.now() + _TRIES * _APART
    while True:
        bar.set(SWSM.SWESMBI)
        if bar.get(SWSM.SWESMBI):
            return
        if bar.now() >= deadline:
            bar.clear(SWSM.SMBI)
            raise DeviceTimeout(
                f"{SWSM.SWESMBI} still 0 after {_TRIES * _APART:g} s on {bar.name} (datasheet {SWSM.section}): "
                f"firmware keeps the semaphore; power the machine off and on"
            )
        bar.sleep(_APART)


def _unguard(bar: Bar) -> None:
    """8.2.3.4.9: both at once; a write of 0 gives SMBI back."""
    bar.clear(SWSM.SMBI, SWSM.SWESMBI)
