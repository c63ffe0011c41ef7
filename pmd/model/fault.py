# SPDX-License-Identifier: BSD-3-Clause
"""Faults of a card, for tests of drivers. `FAULTS_AT_BRINGUP` lists those that a bring-up must detect.

    for fault in FAULTS_AT_BRINGUP:
        fault.inject(card, port=0)      # the driver must raise, and name fault.register
        fault.heal(card, port=0)

Any other stuck bit: ``stick(card, 0, RXDCTL[3].ENABLE, 0)``. While it runs: `unplug` and `plug` (a link that flaps),
`lose_doorbells`, `Card.remove` (surprise removal). A wire that loses, corrupts, delays frames: `netem.Netem`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dataplane.pmd.datasheet import (
    EEC,
    EERD,
    FWSM,
    LINKS,
    RDRXCTL,
    RXDCTL,
    SECRXSTAT,
    STATUS,
    SW_FW_SYNC,
    SWSM,
    TXDCTL,
    FieldRef,
)  # fmt: skip
from dataplane.pmd.model.card import Card
from dataplane.pmd.model.registers.eeprom import spoil

__all__ = ["FAULTS_AT_BRINGUP", "Fault", "fault", "heal", "lose_doorbells", "plug", "stick", "unplug"]

_NEVER = 1 << 62  # ns
_BAD_CHECKSUM = 1


@dataclass(frozen=True)
class Fault:
    """One fault. stage: where a bring-up meets it ("reset", "eeprom", "queues", "link", "any").

    register: the name that the driver's error must contain; section: of the datasheet, about the wait or the check.
    """

    name: str
    stage: str
    register: str
    section: str
    what: str
    _inject: Callable[[Card, int], None]

    def inject(self, card: Card, port: int = 0) -> None:
        """Make the port faulty from now on."""
        with card.lock:
            self._inject(card, port)

    def heal(self, card: Card, port: int = 0) -> None:
        """Remove all faults of the port. A port that was pulled out stays out."""
        heal(card, port)

    def __str__(self) -> str:
        return self.name


def stick(card: Card, port: int, field: FieldRef, value: int) -> None:
    """Hold the field at `value`, whatever is written and whatever the chip does."""
    with card.lock:
        card.ports[port].hold(field.register.offset, field.mask, field.insert(0, value))


def heal(card: Card, port: int = 0) -> None:
    """Release stuck bits, restore delays and the EEPROM, and plug the wire in."""
    chip = card.ports[port]
    with card.lock:
        chip.release()
        chip.general.timing = card.timing
        card.restore_eeprom()
        chip.poke(FWSM.offset, FWSM.update(chip.peek(FWSM.offset), EXT_ERR_IND=0))
        chip.poke(EEC.offset, EEC.update(chip.peek(EEC.offset), PRES=1))
        for each in card.ports:
            each.load([(SWSM.offset, 0), (SW_FW_SYNC.offset, 0)])
    plug(card, port)


def lose_doorbells(card: Card, port: int, kind: str, queue: int, lost: bool = True) -> None:
    """While `lost`, the chip does not see writes to the tail of that "rx" or "tx" queue, until the queue is set up again."""
    with card.lock:
        card.ports[port].engine.lose_doorbells(kind, queue, lost)


def unplug(card: Card, port: int = 0) -> None:
    """Pull the wire out of a port: both ends lose the link."""
    with card.lock:
        card.ports[port].shine(False)
        card.ports[port].link.set_unplugged(True)


def plug(card: Card, port: int = 0) -> None:
    """Put the wire back; the link comes up again in its time."""
    with card.lock:
        card.ports[port].shine(True)
        card.ports[port].link.set_unplugged(False)


def fault(name: str) -> Fault:
    """The fault of that name. Raises KeyError, with the names that exist."""
    for found in FAULTS_AT_BRINGUP:
        if found.name == name:
            return found
    raise KeyError(f"no fault {name!r}: there are {', '.join(each.name for each in FAULTS_AT_BRINGUP)}")


def _stuck(field: FieldRef, value: int) -> Callable[[Card, int], None]:
    return lambda card, port: stick(card, port, field, value)


def _every_queue(line: object, value: int) -> Callable[[Card, int], None]:
    def inject(card: Card, port: int) -> None:
        for each in line:  # type: ignore[attr-defined]
            if each.index < 8:  # the queues that tests of drivers use: at most 16 fields can be stuck
                stick(card, port, each.ENABLE, value)

    return inject


def _endless_reset(card: Card, port: int) -> None:
    general = card.ports[port].general
    general.timing = replace(card.timing, reset=_NEVER)


def _bad_checksum(card: Card, port: int) -> None:
    spoil(card.eeprom)
    for chip in card.ports:
        chip.poke(FWSM.offset, FWSM.update(chip.peek(FWSM.offset), EXT_ERR_IND=_BAD_CHECKSUM))


def _gone(card: Card, port: int) -> None:
    card.remove(port)


FAULTS_AT_BRINGUP: tuple[Fault, ...] = (
    Fault("master-never-ends", "reset", "STATUS", "8.2.3.1.2", "STATUS.GIO stays 1 after CTRL.GIO_DIS",
          _stuck(STATUS.GIO, 1)),
    Fault("reset-never-ends", "reset", "CTRL", "8.2.3.1.1", "CTRL.RST and LRST do not clear themselves", _endless_reset),
    Fault("eeprom-never-read", "eeprom", "EEC", "8.2.3.2.1", "EEC.ARD stays 0: the chip does not load its EEPROM",
          _stuck(EEC.ARD, 0)),
    Fault("eeprom-absent", "eeprom", "EEC", "8.2.3.2.1", "EEC.PRES is 0: no EEPROM", _stuck(EEC.PRES, 0)),
    Fault("eeprom-bad-checksum", "eeprom", "FWSM", "8.2.3.4.10", "FWSM.EXT_ERR_IND is 1: the EEPROM's checksum is wrong",
          _bad_checksum),
    Fault("eeprom-read-never-ends", "eeprom", "EERD", "8.2.3.2.2", "EERD.DONE stays 0", _stuck(EERD.DONE, 0)),
    Fault("dma-never-ready", "reset", "RDRXCTL", "8.2.3.8.8", "RDRXCTL.DMAIDONE stays 0", _stuck(RDRXCTL.DMAIDONE, 0)),
    Fault("semaphore-held", "any", "SWSM", "8.2.3.4.9", "SWSM.SMBI always reads 1: another has the semaphore",
          _stuck(SWSM.SMBI, 1)),
    Fault("firmware-semaphore-held", "any", "SWSM", "8.2.3.4.9",
          "SWSM.SWESMBI stays 0: firmware has the semaphore", _stuck(SWSM.SWESMBI, 0)),
    Fault("firmware-holds-mac", "any", "SW_FW_SYNC", "8.2.3.4.11",
          "SW_FW_SYNC.FW_MAC stays 1: firmware has the MAC's registers", _stuck(SW_FW_SYNC.FW_MAC, 1)),
    Fault("rx-path-never-stops", "queues", "SECRXSTAT", "8.2.3.12.6", "SECRXSTAT.SECRX_RDY stays 0 after SECRXCTRL.RX_DIS",
          _stuck(SECRXSTAT.SECRX_RDY, 0)),
    Fault("rx-queue-never-starts", "queues", "RXDCTL", "8.2.3.8.6", "RXDCTL.ENABLE of queues 0 to 7 stays 0",
          _every_queue(RXDCTL, 0)),
    Fault("tx-queue-never-starts", "queues", "TXDCTL", "8.2.3.9.10", "TXDCTL.ENABLE of queues 0 to 7 stays 0",
          _every_queue(TXDCTL, 0)),
    Fault("link-never-up", "link", "LINKS", "8.2.3.22.20", "LINKS.UP stays 0", _stuck(LINKS.UP, 0)),
    Fault("pulled-out", "any", "STATUS", "8.2.3.1.2", "every register reads all ones", _gone),
)  # fmt: skip
