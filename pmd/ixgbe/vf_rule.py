# SPDX-License-Identifier: BSD-3-Clause
"""What a PF with VFs has beside its own packets: the rule over them, their service, and a socket to ask it by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from dataplane.errors import DeviceGone
from dataplane.pmd.datasheet import (
    PVFGORC_LSB,
    PVFGORC_MSB,
    PVFGOTC_LSB,
    PVFGOTC_MSB,
    PVFGPRC,
    PVFGPTC,
)
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.control import ControlServer
from dataplane.pmd.ixgbe.explain import as_lines, explain, sample, summary
from dataplane.pmd.ixgbe.messages import api_name
from dataplane.pmd.ixgbe.policy import VfState
from dataplane.pmd.ixgbe.pool_filters import PoolFilters
from dataplane.pmd.ixgbe.sriov import Sriov
from dataplane.pmd.ixgbe.vf_service import VfService
from dataplane.port import Link, format_mac

__all__ = ["VfRule"]


class VfRule:
    """A PF's VFs, from the PF's opening to its end. name: the PF's; link: reads the state of its link; xstats: its
    port's counters."""

    def __init__(
        self,
        bar: Bar,
        name: str,
        filters: PoolFilters,
        link: Callable[[], Link],
        xstats: Callable[[], Mapping[str, int]],
    ) -> None:
        self.xstats = xstats
        self._shown: list[dict[str, Any]] = []
        self.sriov = Sriov(bar, name, filters, filters.mac)
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

    def show(self) -> list[dict[str, Any]]:
        """Every VF: settings, state and counters; as they were when the device last answered, while it does not.

        "service" is "" or says why and for how long VFs are not served. Raises DeviceGone.
        """
        trouble = self.service.trouble
        if not trouble or not self._shown:  # else whoever reads a register now waits for seconds
            self.sriov.bar.check()
            with self.sriov.lock:
                self._shown = [self._show(state) for state in self.sriov.vfs]
        return [row | {"service": trouble} for row in self._shown]

    def _show(self, state: VfState) -> dict[str, Any]:
        bar, n, policy = self.sriov.bar, state.number, state.policy
        return {
            "vf": n,
            "mac": format_mac(state.mac or state.own_mac),
            "vlan": policy.vlan,
            "qos": policy.qos,
            "spoofchk": policy.spoofchk,
            "trust": policy.trust,
            "state": policy.state,
            "max_tx_rate": policy.max_tx_rate,
            "query_rss": policy.query_rss,
            "active": state.active,
            "api": api_name(state.api) if state.active else "",
            "vlans": self.sriov.filters.vlans_of(n),
            "rx_packets": bar.read(PVFGPRC[n]),
            "rx_bytes": bar.read(PVFGORC_LSB[n]) | (bar.read(PVFGORC_MSB[n]) & 0xF) << 32,
            "tx_packets": bar.read(PVFGPTC[n]),
            "tx_bytes": bar.read(PVFGOTC_LSB[n]) | (bar.read(PVFGOTC_MSB[n]) & 0xF) << 32,
            "refused": sum(state.refusals.values()),
        }

    def explain(self, vf: int) -> dict[str, Any]:
        """Why a VF sends or receives nothing. Raises DeviceGone."""
        self.sriov.bar.check()
        state = self.sriov.vf(vf)
        seen = sample(self.sriov, state, port=self.xstats) if self.sriov.up else None
        findings = explain(self.sriov, vf, self.service.counts.lines[vf], seen)
        return {"summary": summary(findings), "findings": as_lines(findings)}
