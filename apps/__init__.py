# SPDX-License-Identifier: BSD-3-Clause
"""The apps, one a file. Each is imported when it is first named: ``from dataplane.apps import L2Fwd`` loads no scapy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataplane.apps.counter import Counter as Counter
    from dataplane.apps.counter import Sink as Sink
    from dataplane.apps.flows import Flows as Flows
    from dataplane.apps.l2fwd import L2Fwd as L2Fwd
    from dataplane.apps.latency import Latency as Latency
    from dataplane.apps.macswap import MacSwap as MacSwap
    from dataplane.apps.pcapdump import PcapDump as PcapDump
    from dataplane.apps.pktgen import PktGen as PktGen
    from dataplane.apps.reflect import Reflect as Reflect
    from dataplane.apps.tee import Tee as Tee
    from dataplane.apps.trial import Trial as Trial

_HOMES = {
    "Counter": "counter",
    "Flows": "flows",
    "L2Fwd": "l2fwd",
    "Latency": "latency",
    "MacSwap": "macswap",
    "PcapDump": "pcapdump",
    "PktGen": "pktgen",
    "Reflect": "reflect",
    "Sink": "counter",
    "Tee": "tee",
    "Trial": "trial",
}

if __name__ == "apps":
    from dataplane.checkout import alias

    alias(__name__)

__all__ = [
    "Counter",
    "Flows",
    "L2Fwd",
    "Latency",
    "MacSwap",
    "PcapDump",
    "PktGen",
    "Reflect",
    "Sink",
    "Tee",
    "Trial",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dataplane.apps' has no attribute {name!r}")
    return getattr(importlib.import_module(f"dataplane.apps.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
