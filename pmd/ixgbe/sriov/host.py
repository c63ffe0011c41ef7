# SPDX-License-Identifier: BSD-3-Clause
"""The VFs' part of a PF's port, in two forms: `NoVfs`, and `VfHost` for a PF that was opened with vfs=N.

The port calls the same methods on either, at each step of its life, and asks nowhere else whether there are VFs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dataplane.errors import ConfigError, DeviceGone
from dataplane.limits import FRAME_MAX_WITH_FCS_BYTES, FRAME_STANDARD_WITH_FCS_BYTES
from dataplane.pmd.function import Bar, Function
from dataplane.pmd.ixgbe.control import ControlServer
from dataplane.pmd.ixgbe.counters import Counters
from dataplane.pmd.ixgbe.findings import NOTE, VfFinding, answer
from dataplane.pmd.ixgbe.messages import api_name
from dataplane.pmd.ixgbe.rates import TxRates
from dataplane.pmd.ixgbe.sriov.bell import Bell
from dataplane.pmd.ixgbe.sriov.explain import explain
from dataplane.pmd.ixgbe.sriov.sampling import VfSampler
from dataplane.pmd.ixgbe.sriov.service import VfService
from dataplane.pmd.ixgbe.sriov.settings import SETTINGS
from dataplane.pmd.ixgbe.sriov.settings_file import SettingsFile
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.sriov.table import VfTable
from dataplane.pmd.ixgbe.steering.filters import Filters
from dataplane.pmd.ixgbe.steering.pool_filters import PoolFilters
from dataplane.pmd.ixgbe.steering.pools import PoolLayout
from dataplane.pmd.portstring import PortString
from dataplane.port import Link, format_mac

__all__ = ["Hosting", "NoVfs", "VfHost", "host_of"]


class Hosting(ABC):
    """The differences between a PF with VFs and one without. layout: the queues of PF and VFs. filters: the port's."""

    layout: PoolLayout
    filters: Filters

    @abstractmethod
    def read_file(self, name: str, path: str) -> None:
        """Read the settings of the VFs from the file of option vf_state, "" for none, before the device is touched.

        name: the PF's, for messages. Raises ConfigError.
        """

    @abstractmethod
    def open(self, function: Function, link: Callable[[], Link], counters: Counters, rates: TxRates) -> None:
        """Begin, when the device has been reset and `filters` know its address. link: reads the link's state.

        Raises ConfigError, PortError.
        """

    @abstractmethod
    def bring_up(self, frame: int) -> None:
        """4.6.10.1: after the PF's reset, before PFRSTD. frame: the PF's largest, bytes with FCS."""

    @abstractmethod
    def longest_arriving(self, frame: int) -> int:
        """The longest frame that the chip may let in, bytes with FCS. frame: the PF's own."""

    @abstractmethod
    def start(self, enable_units: Callable[[], None]) -> None:
        """The PF runs. enable_units: enables the chip's Rx and Tx unit, if the PF has no queue for which it was done."""

    @abstractmethod
    def stop(self) -> None:
        """The PF stops: notify its VFs."""

    @abstractmethod
    def collect(self) -> None:
        """Add up counters, while the PF runs. Raises DeviceGone."""

    @abstractmethod
    def owner(self, mac: bytes) -> VfState | None:
        """The VF whose address `mac` is, or will be once it is used."""

    @property
    @abstractmethod
    def in_use(self) -> list[VfState]:
        """The VFs that a driver uses now."""

    @abstractmethod
    def close(self) -> None:
        """The PF closes: answer no more requests from other processes."""

    @abstractmethod
    def release(self, function: Function) -> None:
        """Remove the VFs from the bus, unless drivers use some. Called last, after the PF's reset."""


class NoVfs(Hosting):
    """A PF without VFs: it has all queues, and nothing is to be done."""

    def __init__(self, bar: Bar) -> None:
        self.layout, self.filters = PoolLayout.of(0), Filters(bar)

    def read_file(self, name: str, path: str) -> None:
        """Raises ConfigError if a file is given: there are no VFs whose settings it could hold."""
        if path:
            raise ConfigError(f"{name}: vf_state={path} is for a PF with VFs: open it with vfs=N, too")

    def open(self, function: Function, link: Callable[[], Link], counters: Counters, rates: TxRates) -> None:
        """Nothing to do."""

    def bring_up(self, frame: int) -> None:
        """Nothing to do."""

    def longest_arriving(self, frame: int) -> int:
        """The PF's own."""
        return frame

    def start(self, enable_units: Callable[[], None]) -> None:
        """Nothing to do: the units run if the PF has queues."""

    def stop(self) -> None:
        """Nothing to do."""

    def collect(self) -> None:
        """Nothing to do."""

    def owner(self, mac: bytes) -> VfState | None:
        """None: no VF has it."""
        return None

    @property
    def in_use(self) -> list[VfState]:
        """None are."""
        return []

    def close(self) -> None:
        """Nothing to do."""

    def release(self, function: Function) -> None:
        """Nothing to do."""


class VfHost(Hosting):
    """A PF with VFs: their settings and states, their service, and a socket for requests from other processes."""

    table: VfTable
    service: VfService
    filters: PoolFilters

    def __init__(self, bar: Bar, vfs: int) -> None:
        self.bar, self.layout = bar, PoolLayout.of(vfs)
        self.filters = PoolFilters(bar, self.layout)
        self._file: SettingsFile | None = None
        self._shown: list[dict[str, Any]] = []

    def read_file(self, name: str, path: str) -> None:
        """Raises ConfigError, with line and key, for a file with an error."""
        if path:
            self._file = SettingsFile(Path(path), name, self.layout.vfs)
            self._file.read()

    def open(self, function: Function, link: Callable[[], Link], counters: Counters, rates: TxRates) -> None:
        """Take the settings from the file, and answer requests. Raises ConfigError, PortError."""
        name = function.name
        self.table = VfTable(self.bar, name, self.filters, self.filters.mac, counters, rates)
        self.sampler = VfSampler(self.table)
        if self._file:
            self._file.restore(self.table, self._file.read())
            if not self._file.path.exists():
                self._file.save(self.table.vfs)  # a path that cannot be written is an error now, not later
        self.service = VfService(self.table, link)
        self.service.bell = Bell(function, self.bar)
        self.control = ControlServer(name, {"show": self.show, "set": self.set, "explain": self.explain})

    def bring_up(self, frame: int) -> None:
        """4.6.10.1: pools and switching on; forget the messages of before the reset."""
        self.table.set_up(frame)
        self.service.begin()

    def longest_arriving(self, frame: int) -> int:
        """With jumbo frames any VF may raise the limit of the port (SET_LPE)."""
        return FRAME_MAX_WITH_FCS_BYTES if frame > FRAME_STANDARD_WITH_FCS_BYTES else frame

    def start(self, enable_units: Callable[[], None]) -> None:
        """Serve the VFs. The units are theirs, too, whether or not the PF has queues."""
        enable_units()
        self.service.start()

    def stop(self) -> None:
        """Close the gates of all VFs and notify them: they have no link until the PF starts again."""
        self.service.stop()
        if not self.table.up:
            return
        with suppress(DeviceGone):
            self.table.go_down()
            self.table.ledger.collect()  # nothing is counted from now on, and a reset clears it
            self.service.farewell()

    def collect(self) -> None:
        """Read the VFs' counters, if the last read is a second ago."""
        self.table.ledger.collect(older_than=1.0)

    def owner(self, mac: bytes) -> VfState | None:
        """The VF whose address that is."""
        return self.table.addresses.owner(mac)

    def close(self) -> None:
        """Remove the socket."""
        self.control.close()

    def release(self, function: Function) -> None:
        """VFs that drivers use stay, without a PF."""
        if not self.table.in_use:
            function.set_vfs(0)

    @property
    def in_use(self) -> list[VfState]:
        """VFs whose drivers have begun, and have not reset them since."""
        with suppress(DeviceGone):
            self.service.see_resets()
        return self.table.in_use

    # ---- requests -------------------------------------------------------------------------------------------------

    def set(self, vf: int, settings: dict[str, str]) -> None:
        """Change settings of VF number `vf`, all or none, by name and in the words of ``ip link set PF vf N``.

        Raises ConfigError, DeviceGone, and PortError if the settings file cannot be written.
        """
        self.table.bar.check()
        self.table.change(vf, settings)
        self.service.nudge()
        if self._file:
            self._file.save(self.table.vfs)

    def show(self) -> list[dict[str, Any]]:
        """A row for each VF: settings, state, and counters by DPDK's names since the PF was opened.

        While the device does not answer, the rows are those of its last answer. "service" is "", or why and for how long
        VFs have not been served. Raises DeviceGone.
        """
        trouble = self.service.trouble
        if not trouble or not self._shown:  # a read of a register could wait for seconds now
            self.table.bar.check()
            self.table.ledger.collect()
            with self.table.lock:
                self._shown = [self._show(state) for state in self.table.vfs]
        return [row | {"service": trouble} for row in self._shown]

    def _show(self, state: VfState) -> dict[str, Any]:
        n = state.number
        settings = {name: row.plain(state.settings) for name, row in SETTINGS.items()}
        return {
            "vf": n,
            **settings,
            "mac": format_mac(state.mac or state.own_mac),
            "active": state.active,
            "api": api_name(state.api) if state.active else "",
            "vlans": self.table.filters.vlans_of(n),
            **self.table.ledger.totals(n),
            "refused": sum(state.refusals.values()),
        }

    def explain(self, vf: int | None = None) -> dict[str, Any]:
        """Why a VF sends or receives nothing: "vf", "summary", "ok", "findings".

        vf: its number; None for all: each in "vfs", and "ok" for all together, where a VF without a driver is no problem.
        Raises ConfigError, DeviceGone.
        """
        self.table.bar.check()
        if vf is not None:
            return self._explain([self.table.vf(vf)], idle_is_ok=False)[0]
        answers = self._explain(self.table.vfs, idle_is_ok=True)
        return {"ok": all(each["ok"] for each in answers), "vfs": answers}

    def _explain(self, states: list[VfState], idle_is_ok: bool) -> list[dict[str, Any]]:
        used = [state for state in states if state.active]
        seen = self.sampler.sample(used) if used and self.table.up else {}
        answers = []
        for state in states:
            n = state.number
            if idle_is_ok and self.table.up and not state.active:
                idle = [VfFinding(NOTE, "both", "no driver uses it")]
                answers.append({"vf": n, **answer(idle), "summary": "not in use"})
                continue
            findings = explain(self.table, n, self.service.dialogs[n], seen.get(n))
            answers.append({"vf": n, **answer(findings)})
        return answers


def host_of(spec: PortString, bar: Bar) -> Hosting:
    """The host of 0 to 63 VFs, as option vfs asks for. Raises ConfigError."""
    vfs = spec.integer("vfs", 0)
    return VfHost(bar, vfs) if vfs else NoVfs(bar)
