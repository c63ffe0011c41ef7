# SPDX-License-Identifier: BSD-3-Clause
"""Poll-mode drivers, apps and pipelines for packets, in Python.

Programs import what they need from here; each name is loaded when it is first used. The packages `dataplane.apps` (L2Fwd,
PktGen, PcapDump, ...) and `dataplane.pmd` (ports and their drivers) hold the rest.

What users and drivers build on:

- `app`: the contract of an app: takes a burst, emits bursts
- `stage`: joins apps and queues by ``>>``
- `pipeline`: Pipeline: chains of stages that lcores run
- `port`: the control functions of every port
- `queue`: the fast path of a port: an Rx and a Tx queue
- `capability`: what only some ports have: RSS, flow rules, VFs, ...
- `byhand`: queues polled from Python, without an lcore
- `access`: header fields of one packet, for native apps
- `mbuf`, `mempool`, `ring`: packets, pools of them, and queues of them between lcores
- `clock`: the time-stamp counter, and ns since the epoch
- `machine`: numbers of lcores, and the CPUs that may be used
- `limits`: sizes of frames and bursts
- `errors`: every error that is raised on purpose
- `checkout`: the short names `apps` and `pmd` in a checkout

Folders:

- `engine/`: runs: lcores, plans, replacing, stepping
- `graph/`: chains checked and placed on lcores, hand-offs, taps
- `columns/`: header fields as NumPy columns, native apps
- `memory/`: arenas, and checks of memory
- `files/`: captures, outputs, eventfds
- `reports/`: results of a run
- `explain/`: pictures of pipelines
- `include/`: the C headers
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataplane import apps, pmd
    from dataplane.app import App, Source
    from dataplane.columns.burst import Burst, Packet
    from dataplane.columns.field import Field
    from dataplane.columns.headers import arp, eth, icmp, ip4, ip6, ip_number, mac_number, tcp, udp, vlan
    from dataplane.columns.native import Native
    from dataplane.engine.running import Run, run, start
    from dataplane.engine.stepper import Stepper
    from dataplane.errors import DataplaneError, GraphError
    from dataplane.graph.blocks import Collect, Frames, through
    from dataplane.memory.hugepage import Arena
    from dataplane.mempool import Mempool
    from dataplane.pipeline import Pipeline
    from dataplane.pmd import probe
    from dataplane.reports.stats import Accumulator, Report, Sampler
    from dataplane.ring import Ring

_HOMES = {
    "app": ("App", "Source"),
    "graph.blocks": ("Collect", "Frames", "through"),
    "columns.burst": ("Burst", "Packet"),
    "errors": ("DataplaneError", "GraphError"),
    "columns.field": ("Field",),
    "columns.headers": ("arp", "eth", "icmp", "ip4", "ip6", "ip_number", "mac_number", "tcp", "udp", "vlan"),
    "memory.hugepage": ("Arena",),
    "mempool": ("Mempool",),
    "columns.native": ("Native",),
    "pipeline": ("Pipeline",),
    "pmd": ("probe",),
    "ring": ("Ring",),
    "engine.running": ("Run", "run", "start"),
    "reports.stats": ("Accumulator", "Report", "Sampler"),
    "engine.stepper": ("Stepper",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_PACKAGES = ("apps", "pmd")

__all__ = [
    "Accumulator",
    "App",
    "Arena",
    "Burst",
    "Collect",
    "DataplaneError",
    "Field",
    "Frames",
    "GraphError",
    "Mempool",
    "Native",
    "Packet",
    "Pipeline",
    "Report",
    "Ring",
    "Run",
    "Sampler",
    "Source",
    "Stepper",
    "apps",
    "arp",
    "eth",
    "icmp",
    "ip4",
    "ip6",
    "ip_number",
    "mac_number",
    "pmd",
    "probe",
    "run",
    "start",
    "tcp",
    "through",
    "udp",
    "vlan",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(import_module(f"dataplane.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    if name in _PACKAGES:
        return import_module(f"dataplane.{name}")
    raise AttributeError(f"module 'dataplane' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(__all__) | {name for name in globals() if name.startswith("__")})
