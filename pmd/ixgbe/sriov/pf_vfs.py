# SPDX-License-Identifier: BSD-3-Clause
"""The VFs of a PF as a program asks for them: `port.vfs`, the same three requests as ``dataplane vf``."""

from __future__ import annotations

from typing import Any

from dataplane.capability import PortVfs
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device
from dataplane.pmd.ixgbe.sriov.host import VfHost

__all__ = ["PfVfs"]


class PfVfs(PortVfs):
    """Show, set and explain. host: what answers."""

    def __init__(self, port: IxgbeBase, host: VfHost) -> None:
        super().__init__(port)
        self._host = host

    @touches_device
    def show(self) -> list[dict[str, Any]]:
        """A row for each VF: its settings, state and counters, as ``dataplane vf show`` prints them. Raises DeviceGone."""
        return self._host.show()

    @touches_device
    def set(self, vf: int, **settings: str | int | bool) -> None:
        """Change settings of VF number `vf`, all or none, by the names of `SETTINGS`: ``set(1, vlan=7, trust=True)``.

        Their values are those of ``ip link set PF vf N``; True and False mean on and off. Raises ConfigError, DeviceGone.
        """
        on_off = {True: "on", False: "off"}
        words = {
            name: on_off[value] if isinstance(value, bool) else str(value) for name, value in settings.items()
        }
        self._host.set(vf, words)

    @touches_device
    def explain(self, vf: int | None = None) -> dict[str, Any]:
        """Why VF number `vf` sends or receives nothing: "ok", "summary", and "findings" with kind, way, text and mend.

        vf: None for all VFs: each in "vfs", and "ok" for all that are in use. Raises ConfigError, DeviceGone.
        """
        return self._host.explain(vf)
