# SPDX-License-Identifier: BSD-3-Clause
"""The account of one function: what its clients may hold, what they have cost, and how often they are logged.

A function has an account for as long as the server runs: a client that hangs up and comes back gets no second allowance.
"""

from __future__ import annotations

import logging
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from dataplane.errors import ConfigError
from dataplane.files.closer import Closer
from dataplane.files.sysfs import read_number
from dataplane.memory.quota import Pool
from dataplane.pmd.model.server.devices import Device

__all__ = ["Account", "Limits", "ClientQuotas"]

log = logging.getLogger("dataplane")

_ADDRESSES = 64 << 40  # bytes of address space for all clients' memory: half of what a process has
_OWN_MAPS, _OWN_DESCRIPTORS = 4096, 128  # what the server needs for itself
_LINES, _LINES_A_SECOND = 8, 1.0  # of the log, for each function


@dataclass(frozen=True)
class Limits:
    """Limits of one client.

    memory: bytes of its DMA maps; enough for a guest of 64 GiB that maps all of it twice. maps: how many of these; QEMU
    makes one for each page while the guest has an IOMMU. descriptors: that the server has from it and not closed yet.
    message: bytes of data in a message; clients need at most 4 KiB.
    """

    memory: int = 128 << 30
    maps: int = 16384
    descriptors: int = 64
    message: int = 64 << 10


class ClientQuotas:
    """Limits of all clients together. functions: the number of clients. Raises ConfigError for impossible limits."""

    def __init__(self, limits: Limits, functions: int) -> None:
        self.limits = limits
        maps = read_number(Path("/proc/sys/vm/max_map_count"), 65530)
        self.memory = Pool("memory", _ADDRESSES, functions, limits.memory)
        self.maps = Pool("DMA maps", max(min(maps, 65536) - _OWN_MAPS, 0), functions, limits.maps)
        self.descriptors = Pool("descriptors", functions * limits.descriptors, functions, limits.descriptors)

    def provide(self, devices: list[Device]) -> None:
        """Raise the process's own limit of descriptors, so that no client can use up another's. Raises ConfigError."""
        vectors = sum(sum(device.irqs.values()) + max(device.irqs.values()) for device in devices)
        # A listening socket, a connection and two for doorbells for each, too.
        need = _OWN_DESCRIPTORS + vectors + len(devices) * (4 + self.limits.descriptors)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < need:
            raise ConfigError(
                f"{len(devices)} functions need {need} descriptors, and this process may have {hard}: raise the limit "
                f"(ulimit -Hn), or serve fewer VFs"
            )
        if soft != resource.RLIM_INFINITY and soft < need:
            resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


class Account:
    """One function's. cost: ns of CPU that its clients have taken, comparable with other accounts of the server."""

    def __init__(self, device: Device, pools: ClientQuotas) -> None:
        self.name, self.device, self.limits = device.name, device, pools.limits
        self.memory, self.maps = pools.memory.join(), pools.maps.join()
        self.descriptors = pools.descriptors.join()
        self.closer = Closer(device.name)
        self.cost = 0
        self.process = 0  # of the client
        self._lines, self._at, self._left_out = float(_LINES), time.monotonic(), 0

    def say(self, level: int, text: str) -> None:
        """A line in the log; of a client that causes many some are left out, and the next one says how many."""
        now = time.monotonic()
        self._lines = min(float(_LINES), self._lines + (now - self._at) * _LINES_A_SECOND)
        self._at = now
        if self._lines < 1:
            self._left_out += 1
            return
        self._lines -= 1
        more = f" ({self._left_out} lines before this one are left out)" if self._left_out else ""
        self._left_out = 0
        log.log(level, "%s: %s%s", self.name, text, more)
