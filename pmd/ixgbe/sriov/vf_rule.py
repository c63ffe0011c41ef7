# SPDX-License-Identifier: BSD-3-Clause
"""What a PF with VFs has beside its own packets: the rule over them, their service, and a socket to ask it by."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dataplane.errors import DeviceGone
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.control import ControlServer
from dataplane.pmd.ixgbe.counters import Counters
from dataplane.pmd.ixgbe.findings import NOTE, Finding, answer
from dataplane.pmd.ixgbe.messages import api_name
from dataplane.pmd.ixgbe.rates import TxRates
from dataplane.pmd.ixgbe.sriov.explain import explain
from dataplane.pmd.ixgbe.sriov.sampling import Sampler
from dataplane.pmd.ixgbe.sriov.service import VfService
from dataplane.pmd.ixgbe.sriov.settings import SETTINGS
from dataplane.pmd.ixgbe.sriov.settings_file import SettingsFile
from dataplane.pmd.ixgbe.sriov.sriov import Sriov
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.steering.pool_filters import PoolFilters
from dataplane.port import Link, format_mac

__all__ = ["VfRule"]


class VfRule:
    """A PF's VFs, from the PF's opening to its end. name: the PF's; link: reads the state of its link; counters, rates:
    its port's."""

    def __init__(
        self,
        bar: Bar,
        name: str,
        filters: PoolFilters,
        link: Callable[[], Link],
        counters: Counters,
        rates: TxRates,
        file: SettingsFile | None = None,
    ) -> None:
        self._shown: list[dict[str, Any]] = []
        self.sriov = Sriov(bar, name, filters, filters.mac, counters, rates)
        self.sampler = Sampler(self.sriov)
        self._file = file
        if file:
            file.restore(self.sriov, file.read())
            if not file.path.exists():
                file.save(self.sriov.vfs)  # a path that cannot be written is found now
        self.service = VfService(self.sriov, link)
        self.control = ControlServer(name, {"show": self.show, "set": self.set, "explain": self.explain})

    def bring_up(self, frame: int) -> None:
        """4.6.10.1: after the PF's reset, before PFRSTD. frame: the PF's largest, with FCS."""
        self.sriov.set_up(frame)
        self.service.begin()

    def start(self) -> None:
        """Serve the VFs."""
        self.service.start()

    def stop(self) -> None:
        """The PF goes: no VF sends or receives any more, and each is told."""
        self.service.stop()
        if not self.sriov.up:
            return
        with suppress(DeviceGone):
            self.sriov.go_down()
            self.sriov.ledger.collect()  # nothing is counted from now on, and a reset clears it
            self.service.farewell()

    def close(self) -> None:
        """Nobody is answered any more."""
        self.control.close()

    @property
    def in_use(self) -> list[VfState]:
        """The VFs whose drivers have begun and not gone, as of now."""
        with suppress(DeviceGone):
            self.service.see_resets()
        return self.sriov.in_use

    # ---- what may be asked from outside -----------------------------------------------------------------------------

    def set(self, vf: int, settings: dict[str, str]) -> None:
        """Settings of a VF, in the words of ``ip link set PF vf N``; all or none of them."""
        self.sriov.bar.check()  # settings of VFs that are gone with their card mean nothing
        self.sriov.change(vf, settings)
        self.service.nudge()
        if self._file:
            self._file.save(self.sriov.vfs)

    def show(self) -> list[dict[str, Any]]:
        """Every VF: settings, state, and counters by DPDK's names since the PF was opened.

        They are as they were when the device last answered, while it does not. "service" is "" or says why and for how
        long VFs are not served. Raises DeviceGone.
        """
        trouble = self.service.trouble
        if not trouble or not self._shown:  # else whoever reads a register now waits for seconds
            self.sriov.bar.check()
            self.sriov.ledger.collect()
            with self.sriov.lock:
                self._shown = [self._show(state) for state in self.sriov.vfs]
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
            "vlans": self.sriov.filters.vlans_of(n),
            **self.sriov.ledger.totals(n),
            "refused": sum(state.refusals.values()),
        }

    def explain(self, vf: int | None = None) -> dict[str, Any]:
        """Why a VF sends or receives nothing: "vf", "summary", "ok", "findings".

        vf: its number. None: every VF, in "vfs", and "ok" whether nothing keeps any of them from it; a VF that no driver
        uses is no fault then. Raises ConfigError, DeviceGone.
        """
        self.sriov.bar.check()
        if vf is not None:
            return self._explain([self.sriov.vf(vf)], idle_is_ok=False)[0]
        answers = self._explain(self.sriov.vfs, idle_is_ok=True)
        return {"ok": all(each["ok"] for each in answers), "vfs": answers}

    def _explain(self, states: list[VfState], idle_is_ok: bool) -> list[dict[str, Any]]:
        used = [state for state in states if state.active]
        seen = self.sampler.sample(used) if used and self.sriov.up else {}
        answers = []
        for state in states:
            n = state.number
            if idle_is_ok and self.sriov.up and not state.active:
                idle = [Finding(NOTE, "both", "no driver uses it")]
                answers.append({"vf": n, **answer(idle), "summary": "not in use"})
                continue
            findings = explain(self.sriov, n, self.service.counts.lines[n], seen.get(n))
            answers.append({"vf": n, **answer(findings)})
        return answers
