# SPDX-License-Identifier: BSD-3-Clause
"""The goals: ratios on record, by the kind of CPU they were measured on. A row may get worse than that by 3 %, not more.

A ratio is this project's figure over that of what ran by turns with it: DPDK, another form of the same work, or the
yardstick (`yardstick.pyx`). A goal stays when a row gets faster; the run reports it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

MARGIN = 1.03

ZEN5 = "AMD Zen 5"
"""Commit 714c332, one run on a quiet machine of two virtual CPUs: the table that docs/benchmarks.md had then."""

XEON = "GenuineIntel 6/167"
"""Commit 714c332 with the yardstick, medians of three processes, on a busy machine of two virtual CPUs, on plain pages.
Where 63 VFs are busy the three differed by more than 15 %, so those rows are not on record."""

ANY = "any CPU"
"""A ratio that does not depend on it."""

RECORDED: dict[str, dict[str, float]] = {
    # Apps that are not compiled, beside the compiled one.
    "l2fwd as a plain Python function (numba), null, burst 32": {ZEN5: 1.011, XEON: 1.020},
    "macswap as a plain Python function (numba), null, burst 32": {ZEN5: 0.975, XEON: 1.079},
    "macswap in NumPy, null, burst 256": {ZEN5: 0.580, XEON: 0.567},
    # The memory of a process, beside that of Python with NumPy: 58.2 over 26.0 MiB.
    "l2fwd between two ports of the model, memory": {ANY: 2.237},
    # The memory floor and the driver beside DPDK's.
    "mempool alloc + free in bulk, burst 32": {ZEN5: 0.795, XEON: 0.715},
    "mempool alloc + free in bulk, burst 64": {ZEN5: 0.644, XEON: 0.338},
    "mbufs alloc in bulk + free packet by packet, burst 32": {ZEN5: 0.280, XEON: 0.365},
    "ring SPSC enqueue + dequeue, burst 32": {ZEN5: 0.557, XEON: 0.539},
    "ring MPMC enqueue + dequeue, burst 32": {ZEN5: 0.701, XEON: 0.727},
    "82599 rx + tx beside DPDK's driver, 64 bytes, burst 32": {ZEN5: 0.558, XEON: 0.566},
    "82599 rx + tx beside DPDK's driver, 64 bytes, burst 64": {ZEN5: 0.508, XEON: 0.291},
    "82599 rx + tx with checksums and VLAN beside DPDK's driver, one mbuf, burst 32": {
        ZEN5: 0.265,
        XEON: 0.289,
    },
    "82599 rx + tx with checksums and VLAN beside DPDK's driver, two mbufs, burst 32": {
        ZEN5: 0.484,
        XEON: 0.579,
    },
    # Pipelines beside DPDK's programs.
    "macswap, null -> null": {ZEN5: 0.315, XEON: 0.368},
    "l2fwd, both addresses, round a ring": {ZEN5: 0.754, XEON: 0.801},
    "macswap, round a ring": {ZEN5: 0.851, XEON: 0.874},
    "l2fwd, both addresses, null -> null, beside l2fwd": {ZEN5: 0.267, XEON: 0.346},
    "pcap of 10k frames of 60 bytes, replayed from memory into null": {ZEN5: 0.385, XEON: 0.303},
    "null -> pcap file on tmpfs, 60 bytes": {ZEN5: 3.285, XEON: 3.196},
    # Beside the yardstick, which no run on Zen 5 has had yet. Their goals were in cycles (60, 6, 13) and packets a second
    # (30 M). Of the model's three processes one had a yardstick that lay badly (22 cycles instead of 13).
    "model Tx + Rx, 64-byte frames, burst 32": {XEON: 4.569},
    "pktgen -> null, addresses and ports vary (a table of 4,096), checksums right, one core": {XEON: 0.695},
    "pktgen -> null, addresses and ports vary (268 million in order), checksums right, one core": {
        XEON: 0.981
    },
    "pktgen -> null, addresses and ports vary (268 million in order, TCP), checksums right, one core": {
        XEON: 0.940
    },
    "pktgen -> null, addresses and ports vary (at random), checksums right, one core": {XEON: 0.805},
    "82599 rx, 4 queues polled, 1 busy: an idle one adds": {XEON: 0.133},
    "82599 rx, 16 queues polled, 1 busy: an idle one adds": {XEON: 0.292},
    "82599 rx, 64 queues polled, 1 busy: an idle one adds": {XEON: 0.417},
    "82599 rx + tx, solo, 1 queue, each with bursts of 32": {XEON: 0.736},
    # Several queues beside one, two lcores beside one at a time. Zen 5: two rows of one run, not by turns.
    "82599 rx + tx, solo, 2 queues, each with bursts of 32": {ZEN5: 0.979, XEON: 1.014},
    "82599 rx + tx, solo, 4 queues, each with bursts of 32": {ZEN5: 1.004, XEON: 1.193},
    "82599 rx + tx, solo, 16 queues, each with bursts of 32": {ZEN5: 1.011, XEON: 1.144},
    "null l2fwd, 2 lcores at a time, a queue each": {ZEN5: 1.000, XEON: 1.003},
    # With VFs, beside a PF without or a model with one VF. Zen 5: two rows of one run, not by turns.
    "PF rx + tx, 63 VFs enabled": {ZEN5: 1.095, XEON: 1.047},
    "VF rx + tx, 63 VFs enabled": {ZEN5: 0.985, XEON: 1.018},
    "model Tx + Rx by the wire, 1 of 63 VFs busy": {ZEN5: 1.114, XEON: 1.071},
    "model Tx + Rx by the wire, 63 of 63 VFs busy": {ZEN5: 1.058},
    "model Tx + Rx by the switch, 1 of 63 VFs busy": {ZEN5: 1.152, XEON: 1.094},
    "model Tx + Rx by the switch, 63 of 63 VFs busy": {ZEN5: 1.105},
}


def kind() -> str:
    """What CPU this is, as far as ratios depend on it: its vendor, family and model (/proc/cpuinfo)."""
    text = Path("/proc/cpuinfo").read_text()
    found = {
        name: re.search(rf"^{name}\s*: *(.*)$", text, re.M) for name in ("vendor_id", "cpu family", "model")
    }
    vendor, family, model = (each[1] if each else "?" for each in found.values())
    return ZEN5 if (vendor, family) == ("AuthenticAMD", "26") else f"{vendor} {family}/{model}"


@dataclass(frozen=True)
class Goal:
    """ratio: the most that it may be, or the least where much is good. why: no row can be judged by it on this machine."""

    ratio: float
    why: str = ""


def goal_of(name: str, *, more: bool = False, cpu: str | None = None) -> Goal | None:
    """The goal of a row on that kind of CPU (None: this one's); None if the row has none.

    On a CPU that no ratio is on record of, the worst one of several others counts; one other CPU's alone says too little.
    """
    recorded = RECORDED.get(name)
    if recorded is None:
        return None
    cpu = kind() if cpu is None else cpu
    worst = min if more else max
    ratio = recorded.get(cpu, recorded.get(ANY, worst(recorded.values())))
    known = cpu in recorded or ANY in recorded or len(recorded) > 1
    why = "" if known else f"no ratio on record of this CPU ({cpu}), only of {', '.join(recorded)}"
    return Goal(ratio / MARGIN if more else ratio * MARGIN, why)
