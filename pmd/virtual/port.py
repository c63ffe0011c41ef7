# SPDX-License-Identifier: BSD-3-Clause
"""What all virtual ports share: xstats by DPDK's names from what their queues counted."""

from __future__ import annotations

import time
from typing import cast

from dataplane.errors import PortError
from dataplane.pmd.virtual.queue import VirtualRx, VirtualTx
from dataplane.port import Link, Port

__all__ = ["VirtualPort"]


class VirtualPort(Port):
    """A port without a NIC. Its queues are `VirtualRx` and `VirtualTx`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._since: dict[str, int] = {}

    def _start(self) -> None:
        for index in range(self.rx_queues):
            cast(VirtualRx, self.rx(index)).attach(self.mempool)
        for index in range(self.tx_queues):
            cast(VirtualTx, self.tx(index)).attach()

    def _stop(self) -> None:
        """Nothing is held between two bursts."""

    @property
    def room(self) -> tuple[int, int]:
        """None: it has no descriptors."""
        return 0, 0

    def wait_link(self, timeout: float = 10.0) -> Link:
        """Wait until the link is up, at most `timeout` s. Raises PortError when it stays down."""
        deadline = time.monotonic() + timeout
        while not (link := self.link).up:
            if time.monotonic() >= deadline:
                raise PortError(
                    f"{self.name}: its link is still down after {timeout:g} s: bring up the other end"
                )
            time.sleep(0.01)
        return link

    def xstats(self) -> dict[str, int]:
        """Counters since the port was opened or `reset_xstats`. Bytes are without FCS."""
        return {name: value - self._since.get(name, 0) for name, value in self._counted().items()}

    def reset_xstats(self) -> None:
        """Count from zero again."""
        # The queues count on while an lcore polls them: what they had is remembered and taken off.
        self._since = self._counted()

    def _counted(self) -> dict[str, int]:
        rx = {index: cast(VirtualRx, queue).counters for index, queue in sorted(self._rx.items())}
        tx = {index: cast(VirtualTx, queue).counters for index, queue in sorted(self._tx.items())}
        counted = {
            "rx_good_packets": sum(queue["packets"] for queue in rx.values()),
            "tx_good_packets": sum(queue["packets"] for queue in tx.values()),
            "rx_good_bytes": sum(queue["bytes"] for queue in rx.values()),
            "tx_good_bytes": sum(queue["bytes"] for queue in tx.values()),
            "rx_missed_errors": sum(queue["missed"] for queue in rx.values()),
            "rx_errors": sum(queue["errors"] for queue in rx.values()),
            "tx_errors": sum(queue["errors"] for queue in tx.values()),
            "tx_link_down_packets": sum(queue["link_down"] for queue in tx.values()),
            "rx_mbuf_allocation_errors": sum(queue["no_mbuf"] for queue in rx.values()),
        }
        for index, queue in rx.items():
            counted[f"rx_q{index}_packets"] = queue["packets"]
            counted[f"rx_q{index}_bytes"] = queue["bytes"]
            counted[f"rx_q{index}_errors"] = queue["errors"]
        for index, queue in tx.items():
            counted[f"tx_q{index}_packets"] = queue["packets"]
            counted[f"tx_q{index}_bytes"] = queue["bytes"]
        return counted
