# SPDX-License-Identifier: BSD-3-Clause
"""The flow rules of a PF as its user sees them: `port.flows`. `FlowTable` chooses the filters."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import overload

from dataplane.capability import PortFlows
from dataplane.errors import ConfigError
from dataplane.pmd.ixgbe.common import IxgbeBase
from dataplane.pmd.ixgbe.device_bar import touches_device
from dataplane.pmd.ixgbe.steering.flow import Flow, parse_match
from dataplane.pmd.ixgbe.steering.flows import FlowTable

__all__ = ["PfFlows"]


class PfFlows(PortFlows):
    """The rules in the order in which the chip looks: EtherType, 5-tuple, flow director (datasheet 7.1.2).

    table: keeps and writes them; changed: called after each attempt to add one.
    """

    def __init__(self, port: IxgbeBase, table: FlowTable, changed: Callable[[], None]) -> None:
        super().__init__(port)
        self._table, self._changed = table, changed

    def __len__(self) -> int:
        return len(self._table.all)

    @overload
    def __getitem__(self, index: int) -> Flow: ...
    @overload
    def __getitem__(self, index: slice) -> list[Flow]: ...
    def __getitem__(self, index: int | slice) -> Flow | list[Flow]:
        return self._table.all[index]

    @touches_device
    def add(
        self,
        *,
        queue: int | None = None,
        drop: bool = False,
        proto: str | None = None,
        src: str | IPv4Address | IPv4Network | None = None,
        dst: str | IPv4Address | IPv4Network | None = None,
        src_port: int | None = None,
        dst_port: int | None = None,
        vlan: int | None = None,
        ether_type: int | None = None,
        priority: int | None = None,
    ) -> Flow:
        """Send matching packets to an Rx queue, or drop them: ``port.flows.add(proto="udp", dst_port=53, queue=2)``.

        proto: tcp, udp, sctp, other (any but these three). src, dst: an IPv4 address or network. vlan: an identifier.
        ether_type must be the only field. A field that is left out matches any value. priority: among 5-tuple filters, 0 to
        7, the highest wins; by default the number of fields that the rule names. The rule takes effect at once and survives
        a restart, until its `remove`.

        The driver chooses the filter: EtherType (8), 5-tuple (128, whole addresses), flow director (8190, networks and
        VLANs too, all of one form). The first rule of the flow director, and each that needs more memory of the packet
        buffer, stops the reception of a running port for about 1 ms. Raises ConfigError with the cause and what to do.
        """
        if drop == (queue is not None):
            raise ConfigError(
                f"{self.port.name}: a flow goes to a queue or is dropped: say queue=N or drop=True"
            )
        match = parse_match(proto, src, dst, src_port, dst_port, vlan, ether_type)
        queues = self.port.rx_queues if self.port.started else self.port.info.max_rx_queues
        try:
            return self._table.add(match, queue, priority, queues)
        finally:
            self._changed()
