# SPDX-License-Identifier: BSD-3-Clause
"""The apps, one a file. Each is imported when it is first named: ``from dataplane.apps import L2Fwd`` loads no scapy.

- `counter`: Counter and Sink: counts packets, and ends them
- `l2fwd`: L2Fwd: passes every packet on, with new MAC addresses if some are given
- `macswap`: MacSwap: sends every frame back, in NumPy: the app to copy for your own
- `reflect`: Reflect: the compiled form of MacSwap
- `pktgen`: PktGen: sends the frames of a `Flows` at a given rate
- `latency`: Latency: reads the stamps of PktGen: losses, order, delays
- `pcapdump`: PcapDump: writes packets to capture files, and passes them on
- `tee`: Tee: passes every packet on, and sends copies of it elsewhere
- `trial`: Trial: runs one app by itself, for tests
- `rate`: reads a packet rate, such as "5 Mpps"
- `stamper`: writes the frames of a `Flows` into mbufs, without Python
- `flows/`: scapy's set notation as the language for traffic
- `command/`: the `dataplane` command
"""

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
