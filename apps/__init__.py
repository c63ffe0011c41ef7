# SPDX-License-Identifier: BSD-3-Clause
"""The apps: one a file, each imported when it is first named, so that ``from apps import L2Fwd`` loads no scapy."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.counter import Counter as Counter
    from apps.counter import Sink as Sink
    from apps.flows import Flows as Flows
    from apps.l2fwd import L2Fwd as L2Fwd
    from apps.latency import Latency as Latency
    from apps.macswap import MacSwap as MacSwap
    from apps.pcapdump import PcapDump as PcapDump
    from apps.pktgen import PktGen as PktGen
    from apps.reflect import Reflect as Reflect
    from apps.tee import Tee as Tee
    from apps.trial import Trial as Trial

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
        raise AttributeError(f"module 'apps' has no attribute {name!r}")
    return getattr(importlib.import_module(f"apps.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
