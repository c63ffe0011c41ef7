# SPDX-License-Identifier: BSD-3-Clause
"""A dual-port 82599: what its ports share, and how it starts, runs and stops.

    with Card(manner="strict") as card:
        card.ports[0].write(CTRL.offset, CTRL.pack(RST=1))
        card.sleep(0.01)

A card runs in a thread of its own (`start`; real time), or its caller steps it (`step`, `sleep`; virtual time).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from dataplane.errors import ConfigError, DatasheetViolation, DeviceError, check_new
from dataplane.pmd.datasheet.vf import decode
from dataplane.pmd.model.chip import Chip
from dataplane.pmd.model.config.pf import PfConfig
from dataplane.pmd.model.datapath.engine import Engine, Wire
from dataplane.pmd.model.functions.vf import VirtualFunction
from dataplane.pmd.model.interrupts.pf import Interrupts
from dataplane.pmd.model.picture import picture
from dataplane.pmd.model.registers.controller import Controller, step_all
from dataplane.pmd.model.registers.eeprom import image, mac_of, stable_mac
from dataplane.pmd.model.registers.i2c import sfp_memory
from dataplane.pmd.model.registers.rules import RuleTable
from dataplane.pmd.model.registers.timing import Timing
from dataplane.pmd.model.registers.trace import Trace, TracedAccess, Writable
from dataplane.pmd.model.runner import Runner
from dataplane.pmd.model.shared import CardLock, Clock, RegisterFile
from dataplane.pmd.model.strict.pf import Strict
from dataplane.pmd.model.strict.vf import VfStrict
from dataplane.port import parse_mac

__all__ = ["Card", "get_card"]

MANNERS = ("lenient", "strict")
_STEP_NS = 1_000  # virtual time that a step takes
_SLEEP_STEPS = 16  # how often the card runs while its caller sleeps


class Card:
    """`ports` 82599 ports (1 or 2) with one EEPROM, one set of semaphores, one lock and one clock.

    macs: addresses as text; by default locally administered ones made from `index`. manner: "lenient" behaves as silicon
    would, "strict" raises DatasheetViolation from the access that breaks a rule. threaded: run in a thread of its own, in
    real time. sfp: whether each port has a module. names: of the ports, in messages. report: called by a strict card with
    each violation, which is then not raised. Raises ConfigError for wrong arguments.
    """

    def __init__(
        self,
        ports: int = 2,
        macs: Sequence[str] | None = None,
        *,
        manner: str = "lenient",
        threaded: bool = False,
        index: int = 0,
        timing: Timing | None = None,
        sfp: bool = True,
        names: Sequence[str] | None = None,
        report: Callable[[DatasheetViolation], None] | None = None,
    ) -> None:
        check_new(self, "ports")
        if ports not in (1, 2):
            raise ConfigError(f"an 82599 with {ports} ports: it has 1 or 2")
        if manner not in MANNERS:
            raise ConfigError(f"manner={manner!r}: expected one of {', '.join(MANNERS)}")
        if macs is not None and len(macs) != ports:
            raise ConfigError(f"{len(macs)} MAC addresses for {ports} ports: give one for each")
        self.index, self.manner, self.threaded = index, manner, threaded
        self.timing = timing or Timing()
        addresses = [parse_mac(mac) for mac in macs] if macs else [stable_mac(index, n) for n in range(ports)]
        self.addresses = addresses
        self.eeprom = image(addresses)
        self.lock, self.clock = CardLock(), Clock(not threaded)
        self.names = list(names or (f"model{2 * index + n}" for n in range(ports)))
        self.report = report
        self._companions: list[Callable[[], object]] = []  # called while a caller waits on a stepped card
        self._sfp = [sfp_memory(serial=f"{index:02}{n:02}") if sfp else None for n in range(ports)]
        self._speeds = [10] * ports
        self._rules = RuleTable()
        self.ports: list[Chip] = []
        self._runner: Runner | None = None
        self.patch: Wire | None = None  # the wire between its two ports, until another is plugged in
        self._users: list[object] = []  # the parts that open functions drive; None for a wire's end
        self.closed = False
        for port in range(ports):
            self.ports.append(self._make(port, ports))
        for chip in self.ports:  # the blocks look at both ports
            chip.general.power_up()

    def _make(self, port: int, ports: int) -> Chip:
        name = self.names[port]
        registers = RegisterFile()
        interrupts = Interrupts(registers, self.clock)
        engine = Engine(name, registers, interrupts, self.clock)
        chip = Chip(name, port, registers, interrupts, self.lock, engine, self._rules)
        check: Callable[[VirtualFunction], VfStrict] | None = None
        if self.manner == "strict":
            chip.strict = Strict(chip, self)
            chip.record_violations(True)
            check = lambda vf: VfStrict(chip, vf, self)  # noqa: E731  it needs a type
        chip.config = PfConfig(port, ports, self.mac(port), lambda what: self._config_changed(chip, what))
        chip.add_blocks(self, self.timing, check)
        return chip

    # ---- what the blocks ask ----------------------------------------------------------------------------------

    def mac(self, port: int) -> bytes:
        """The address of a port, from the EEPROM."""
        return mac_of(self.eeprom, port)

    def lan_id(self, port: int) -> int:
        """STATUS.LAN_ID."""
        return port

    def sfp(self, port: int) -> bytes | None:
        """The identification memory of the module in a port; None: the cage is empty."""
        return self._sfp[port]

    def module_speed(self, port: int) -> int:
        """Gbit/s of the module in a port."""
        return self._speeds[port]

    def insert(self, port: int, gbps: int) -> None:
        """Plug a module of 10 or 1 Gbit/s into a port, in place of the one that is in. Raises ConfigError."""
        if gbps not in (10, 1):
            raise ConfigError(f"speed={gbps}: must be 10 or 1 (Gbit/s)")
        with self.lock:
            if gbps != self._speeds[port]:
                self._speeds[port] = gbps
                self._sfp[port] = sfp_memory(serial=f"{self.index:02}{port:02}", gbps=gbps)
                chip = self.ports[port]
                chip.general.plug_module()
                chip.link.evaluate()

    def set_clock_ppm(self, port: int, ppm: float) -> None:
        """Make the crystal of a port's IEEE 1588 clock too fast by `ppm` 1e-6, too slow if negative. Raises ConfigError."""
        self.ports[port].timesync.set_ppm(ppm)

    def restore_eeprom(self) -> None:
        """Restore the EEPROM to its first content."""
        self.eeprom[:] = image(self.addresses)

    def _config_changed(self, chip: Chip, what: str) -> None:
        """A write to configuration space had a consequence (datasheet 4.2.1, 5.2, 9.3)."""
        config = chip.config
        with self.lock:
            if what == "flr" or (what == "power" and config.power_state == 0):
                config.reset()
                chip.sriov.refresh()  # its VFs are gone before its registers are reset
                chip.link.drop()
                chip.general.restart()
            ari, locked = (
                self.ports[0].config.sriov.ari,
                any(port.config.sriov.enabled for port in self.ports),
            )
            for port in self.ports:
                port.config.sriov.follow(ari, locked)
            chip.set_power(chip.gone, not config.memory_enabled)
            chip.sriov.refresh()

    # ---- life -------------------------------------------------------------------------------------------------

    def step(self, n: int = 1, budget: int = 32) -> int:
        """Run `n` steps. In a step each port moves up to `budget` packets in each direction. Returns how many moved."""
        return step_all(self.ports, n, budget, _STEP_NS)

    def sleep(self, seconds: float) -> None:
        """Wait. A stepped card runs meanwhile, and its clock advances by that time."""
        if self.threaded:
            time.sleep(seconds)
            return
        ns = max(int(seconds * 1e9), 1)
        steps = min(_SLEEP_STEPS, -(-ns // _STEP_NS))
        step_all(self.ports, steps, 32, ns // steps)
        self.clock.advance_ns(ns - ns // steps * steps)
        for work in tuple(self._companions):
            work()

    def accompany(self, work: Callable[[], object]) -> Callable[[], None] | None:
        """Call `work` at each `sleep` of a stepped card. Returns a function that ends this; None for a card in real time."""
        if self.threaded:
            return None
        self._companions.append(work)
        return lambda: self._companions.remove(work)

    def now(self) -> float:
        """Seconds by the card's clock."""
        return self.clock.now_ns / 1e9

    def start(self) -> None:
        """Run in a thread of its own, unless it runs already."""
        if self._runner is None and self.threaded:
            self._runner = Runner(self)
            self._runner.start()

    def nudge(self) -> None:
        """Wake the card if it rests: there may be work."""
        if self._runner is not None:
            self._runner.nudge()

    def listen(self, eventfd: int, on: bool) -> None:
        """Let a client wake the card by this eventfd after it has written a tail; off: no longer.

        Raises ConfigError if it is not an eventfd, OSError if the kernel has no room for another.
        """
        if self._runner is not None:
            self._runner.listen(eventfd, on)

    def hear(self, every: bool) -> None:
        """every: `nudge` is called after each write from now on, so an idle card may rest longer.

        The card still polls the tails of clients that do not wake it. Drivers in this process do not call `nudge`: while one
        of them has a function of the card, `every` has no effect.
        """
        if self._runner is not None:
            self._runner.told = every and not any(part is not None for part in self._users)

    @property
    def moved(self) -> int:
        """Packets that its ports have moved since `start`; 0 while it does not run in its thread."""
        return self._runner.packets if self._runner is not None else 0

    def stop(self) -> None:
        """End the thread."""
        if self._runner is not None:
            self._runner.stop()
            self._runner = None

    def close(self) -> None:
        """Stop, and close every eventfd. The memory is freed with its last user."""
        if not self.closed:
            self.closed = True
            self.stop()
            for chip in self.ports:
                chip.interrupts.disconnect()

    def __enter__(self) -> Card:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "threaded" if self.threaded else "stepped"
        return f"<Card {self.index}: {len(self.ports)} ports, {self.manner}, {state}>"

    # ---- for tests and tools ----------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise DatasheetViolation for what the data path found since the last access, and for DMA outside the map.

        Does nothing on a lenient card.
        """
        with self.lock:
            for chip in self.ports:
                if chip.strict is not None:
                    chip.strict.faults()
                    chip.strict.offences()
                    for vf in chip.sriov.vfs:
                        if vf.strict is not None:
                            vf.strict.look()

    def trace(
        self,
        port: int = 0,
        *,
        keep: int = 4096,
        each: Callable[[TracedAccess], None] | None = None,
        file: Writable | None = None,
    ) -> Trace:
        """Record the accesses to a port's registers from now on, until `untrace`."""
        chip = self.ports[port]
        chip.trace = Trace(chip.name, lambda: chip.clock.now_ns, keep=keep, each=each, file=file)
        found: Trace = chip.trace
        return found

    def trace_vf(
        self,
        port: int,
        vf: int,
        *,
        keep: int = 4096,
        each: Callable[[TracedAccess], None] | None = None,
        file: Writable | None = None,
    ) -> Trace:
        """Record the accesses to BAR0 of the VF of that number, whenever it exists."""
        chip = self.ports[port]
        name = f"{chip.name}.vf{vf}"
        made = Trace(name, lambda: chip.clock.now_ns, keep=keep, each=each, file=file, find=decode)
        with self.lock:
            sriov = chip.sriov
            sriov.tracers[vf] = made
            for function in sriov.vfs[vf : vf + 1]:
                function.trace = made
        return made

    def untrace(self, port: int = 0) -> None:
        """Record no more."""
        self.ports[port].trace = None

    def picture(self) -> str:
        """The state of all ports in a few lines, to find mistakes. Changes nothing."""
        return picture(self.ports)

    def remove(self, port: int = 0) -> None:
        """Surprise removal: every register reads all ones, DMA stops, and the VFs are gone."""
        with self.lock:
            self.ports[port].sriov.pull_out()
            self.ports[port].set_power(True, self.ports[port].asleep)


# ---- the cards of this process: model0 and model1 are card 0's, model2 and model3 card 1's, and so on -------------

_cards: dict[int, Card] = {}
_cards_lock = threading.Lock()


def get_card(index: int = 0, *, like: Card | None = None, **options: object) -> Card:
    """The process's card of that number. The first call makes it, with these options (see `Card`).

    like: a card that gives defaults for `threaded` and `manner`; without it a new card is threaded. Raises ConfigError if
    the card exists with other options.
    """
    with _cards_lock:
        card = _cards.get(index)
        if card is None or card.closed:
            made = (
                {"threaded": like.threaded, "manner": like.manner} if like is not None else {"threaded": True}
            )
            card = _cards[index] = Card(index=index, **(made | options))  # type: ignore[arg-type]
        for key, value in options.items():
            if key in ("manner", "threaded") and getattr(card, key) != value:
                raise ConfigError(
                    f"card {index} of the model is open with {key}={getattr(card, key)}: close its ports before it "
                    f"gets {key}={value}"
                )
        return card


def find_card(index: int) -> Card | None:
    """The process's card of that number, or None."""
    with _cards_lock:
        card = _cards.get(index)
        return None if card is None or card.closed else card


def hold_card(card: Card, part: Controller | VirtualFunction | None = None) -> None:
    """Note a user of the card: the driver of `part`, or a wire (None). Raises DeviceError if `part` has a driver already."""
    with _cards_lock:
        if part is not None and any(part is used for used in card._users):
            raise DeviceError(
                f"{part.name} is open already, and a port has one driver: use the port that is open, or close it first"
            )
        card._users.append(part)
        if part is not None:
            card.hear(False)
    card.start()


def drop_card(card: Card, part: Controller | VirtualFunction | None = None) -> None:
    """Note that a user has closed. The last one closes the card, if `get_card` made it."""
    with _cards_lock:
        card._users.remove(part)
        last = not card._users and _cards.get(card.index) is card
        if last:
            del _cards[card.index]
    if last:
        card.close()
