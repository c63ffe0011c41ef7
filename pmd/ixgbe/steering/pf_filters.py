# SPDX-License-Identifier: BSD-3-Clause
"""The filters of a PF as objects of its port (datasheet 7.1.1): `port.macs`, `port.multicast`, `port.vlans`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import overload

from dataplane.capability import PortMacs, PortMulticast, PortVlans
from dataplane.errors import ConfigError
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device
from dataplane.pmd.ixgbe.steering.filters import Filters
from dataplane.port import format_mac, parse_own_mac

__all__ = ["PfMacs", "PfMulticast", "PfVlans"]


class PfMacs(PortMacs):
    """The unicast addresses of a PF. owner: returns the VF that an address belongs to, or None.

    The chip has 128 entries for PF and VFs together (8.2.3.7.8).
    """

    def __init__(self, port: IxgbeBase, filters: Filters, owner: Callable[[bytes], object]) -> None:
        super().__init__(port)
        self._filters, self._owner = filters, owner

    @property
    def _all(self) -> tuple[bytes, ...]:
        return self._filters.mac, *self._filters.macs

    def __len__(self) -> int:
        return len(self._all)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        return tuple(map(format_mac, self._all))[index]

    @touches_device
    def add(self, address: str) -> None:
        """Also receive frames to this unicast address, at once and over restarts, until `remove`.

        No effect if the port has it. Raises ConfigError when the chip's entries are taken, or the address is a VF's.
        """
        mac = parse_own_mac(address)
        if vf := self._owner(mac):
            raise ConfigError(
                f"{self.port.name}: {address} is the address of {vf}: give that another one first"
            )
        self._filters.add_mac(mac, self.port.started)

    @touches_device
    def remove(self, address: str) -> None:
        """Give up an address of `add`; no effect for one that was not added. Raises ConfigError for the first address."""
        mac = parse_own_mac(address)
        if mac == self._filters.mac:
            raise ConfigError(f"{self.port.name}: {address} is its first address: set mac to change it")
        self._filters.remove_mac(mac, self.port.started)


class PfMulticast(PortMulticast):
    """The multicast groups of a PF. The chip compares 12 bits of 48, so others may come along (8.2.3.7.7)."""

    def __init__(self, port: IxgbeBase, filters: Filters) -> None:
        super().__init__(port)
        self._filters = filters

    @touches_device
    def set(self, groups: Iterable[str]) -> None:
        """Receive these groups and no others. Raises ConfigError for an address that is not multicast, DeviceGone."""
        self._filters.set_multicast(groups)
        if self.port.started:
            self._filters.write_multicast()

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of the last `set`."""
        return tuple(map(format_mac, self._filters.multicast))


class PfVlans(PortVlans):
    """The VLANs of a PF (7.1.1.2). Untagged frames always pass."""

    def __init__(self, port: IxgbeBase, filters: Filters) -> None:
        super().__init__(port)
        self._filters = filters

    @touches_device
    def add(self, vid: int) -> None:
        """Receive tagged frames of VLAN `vid`, 0 to 4095. The first call enables the filter. Raises ConfigError."""
        self._change(vid, True)

    @touches_device
    def remove(self, vid: int) -> None:
        """Stop receiving tagged frames of VLAN `vid`. The first call enables the filter. Raises ConfigError."""
        self._change(vid, False)

    @property
    def ids(self) -> tuple[int, ...] | None:
        """The VLANs that are received, ascending; None: no filter, frames of every VLAN."""
        vlans = self._filters.vlans
        return None if vlans is None else tuple(sorted(vlans.copy()))

    def _change(self, vid: int, on: bool) -> None:
        first = self._filters.vlans is None
        self._filters.set_vlan(vid, on)
        if self.port.started:
            self._filters.write_vlan(vid)
            if first:
                self._filters.write_vlans()
