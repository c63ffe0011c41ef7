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
"""The fast path of commit 714c332, which was still the same (`make bench-against`): medians of five processes on a quiet
machine of two virtual CPUs, on plain pages."""

ANY = "any CPU"
"""A ratio that does not depend on it."""


@dataclass(frozen=True)
class GoalRecord:
    """ratios: by the kind of CPU. scatter: half the range of what five processes found, over their median, on XEON.

    Where memory happens to lie makes a process faster or slower for as long as it lives; its own rounds do not show it.
    busy: how far the ratio moved beside a program that kept one of two CPUs busy (the larger of two runs, one with that
    program on each CPU; medians of five processes, on XEON).
    fills_cache: its memory does, and its peer's does not: a program beside it that takes the cache away doubles the ratio.
    """

    ratios: dict[str, float]
    scatter: float = 0.0
    busy: float = 0.0
    fills_cache: bool = False


RECORDED: dict[str, GoalRecord] = {
    # Apps that are not compiled, beside the compiled one.
    "l2fwd as a plain Python function (numba), null, burst 32": GoalRecord(
        {ZEN5: 1.011, XEON: 1.024}, 0.014, 0.019
    ),
    "macswap as a plain Python function (numba), null, burst 32": GoalRecord(
        {ZEN5: 0.975, XEON: 0.993}, 0.040, 0.034
    ),
    "macswap in NumPy, null, burst 256": GoalRecord({ZEN5: 0.580, XEON: 0.568}, 0.020, 0.025),
    # The memory of a process, beside that of Python with NumPy: 58.2 over 26.0 MiB. One commit had 2.18 and 2.37 on one day.
    "l2fwd between two ports of the model, memory": GoalRecord({ANY: 2.237}, 0.042, 0.022),
    # The memory floor and the driver beside DPDK's.
    "mempool alloc + free in bulk, burst 32": GoalRecord({ZEN5: 0.795, XEON: 0.712}, 0.005, 0.01),
    "mempool alloc + free in bulk, burst 64": GoalRecord({ZEN5: 0.644, XEON: 0.327}, 0.008, 0.016),
    "mbufs alloc in bulk + free packet by packet, burst 32": GoalRecord(
        {ZEN5: 0.280, XEON: 0.370}, 0.008, 0.006
    ),
    "ring SPSC enqueue + dequeue, burst 32": GoalRecord({ZEN5: 0.557, XEON: 0.521}, 0.165, 0.022),
    "ring MPMC enqueue + dequeue, burst 32": GoalRecord({ZEN5: 0.701, XEON: 0.730}, 0.060, 0.04),
    "82599 rx + tx beside DPDK's driver, 64 bytes, burst 32": GoalRecord(
        {ZEN5: 0.558, XEON: 0.570}, 0.030, 0.006
    ),
    "82599 rx + tx beside DPDK's driver, 64 bytes, burst 64": GoalRecord(
        {ZEN5: 0.508, XEON: 0.312}, 0.066, 0.061
    ),
    "82599 rx + tx with checksums and VLAN beside DPDK's driver, one mbuf, burst 32": GoalRecord(
        {ZEN5: 0.265, XEON: 0.316}, 0.038, 0.07
    ),
    "82599 rx + tx with checksums and VLAN beside DPDK's driver, two mbufs, burst 32": GoalRecord(
        {ZEN5: 0.484, XEON: 0.584}, 0.025, 0.059
    ),
    # Pipelines beside DPDK's programs.
    "macswap, null -> null": GoalRecord({ZEN5: 0.315, XEON: 0.399}, 0.058, 0.048),
    "l2fwd, both addresses, round a ring": GoalRecord({ZEN5: 0.754, XEON: 0.915}, 0.045, 0.016),
    "macswap, round a ring": GoalRecord({ZEN5: 0.851, XEON: 0.953}, 0.049, 0.078),
    "l2fwd, both addresses, null -> null, beside l2fwd": GoalRecord({ZEN5: 0.267, XEON: 0.342}, 0.086, 0.018),
    "pcap of 10k frames of 60 bytes, replayed from memory into null": GoalRecord(
        {ZEN5: 0.385, XEON: 0.326}, 0.078, 0.083
    ),
    "null -> pcap file on tmpfs, 60 bytes": GoalRecord({ZEN5: 3.285, XEON: 3.340}, 0.115, 0.05),
    # Compared with the yardstick, which has not run on Zen 5 yet. Their goals were in cycles (60, 6, 13) and packets per
    # second (30 M).
    "model Tx + Rx, 64-byte frames, burst 32": GoalRecord({XEON: 4.641}, 0.020, 0.068),
    "pktgen -> null, addresses and ports vary (a table of 4,096), checksums right, one core": GoalRecord(
        {XEON: 0.750}, 0.028, 0.049
    ),
    "pktgen -> null, addresses and ports vary (268 million in order), checksums right, one core": GoalRecord(
        {XEON: 1.026}, 0.049, 0.019
    ),
    "pktgen -> null, addresses and ports vary (268 million in order, TCP), checksums right, one core": GoalRecord(
        {XEON: 1.004}, 0.012, 0.028
    ),
    "pktgen -> null, addresses and ports vary (at random), checksums right, one core": GoalRecord(
        {XEON: 0.906}, 0.058, 0.016
    ),
    "82599 rx, 4 queues polled, 1 busy: an idle one adds": GoalRecord({XEON: 0.174}, 0.201, 0.34),
    "82599 rx, 16 queues polled, 1 busy: an idle one adds": GoalRecord({XEON: 0.348}, 0.119, 0.072),
    "82599 rx, 64 queues polled, 1 busy: an idle one adds": GoalRecord({XEON: 0.404}, 0.053, 0.07),
    "82599 rx + tx, solo, 1 queue, each with bursts of 32": GoalRecord({XEON: 0.770}, 0.019, 0.028),
    # Several queues beside one, two lcores beside one at a time. Zen 5: two rows of one run, not by turns.
    "82599 rx + tx, solo, 2 queues, each with bursts of 32": GoalRecord(
        {ZEN5: 0.979, XEON: 1.065}, 0.013, 0.085
    ),
    "82599 rx + tx, solo, 4 queues, each with bursts of 32": GoalRecord(
        {ZEN5: 1.004, XEON: 1.188}, 0.044, 0.054
    ),
    "82599 rx + tx, solo, 16 queues, each with bursts of 32": GoalRecord(
        {ZEN5: 1.011, XEON: 1.255}, 0.034, 0.039
    ),
    "null l2fwd, 2 lcores at a time, a queue each": GoalRecord({ZEN5: 1.000, XEON: 1.003}, 0.006, 0.003),
    # With VFs, beside a PF without or a model with one VF. Zen 5: two rows of one run, not by turns.
    "PF rx + tx, 63 VFs enabled": GoalRecord({ZEN5: 1.095, XEON: 1.080}, 0.015, 0.038),
    "VF rx + tx, 63 VFs enabled": GoalRecord({ZEN5: 0.985, XEON: 0.973}, 0.007, 0.044),
    "model Tx + Rx by the wire, 1 of 63 VFs busy": GoalRecord({ZEN5: 1.114, XEON: 1.081}, 0.003, 0.003),
    "model Tx + Rx by the wire, 63 of 63 VFs busy": GoalRecord(
        {ZEN5: 1.058, XEON: 1.233}, 0.043, fills_cache=True
    ),
    "model Tx + Rx by the switch, 1 of 63 VFs busy": GoalRecord({ZEN5: 1.152, XEON: 1.089}, 0.003, 0.009),
    "model Tx + Rx by the switch, 63 of 63 VFs busy": GoalRecord(
        {ZEN5: 1.105, XEON: 1.269}, 0.058, fills_cache=True
    ),
}


def kind() -> str:
    """The kind of this CPU, as far as ratios depend on it: vendor, family and model (/proc/cpuinfo)."""
    text = Path("/proc/cpuinfo").read_text()
    found = {
        name: re.search(rf"^{name}\s*: *(.*)$", text, re.M) for name in ("vendor_id", "cpu family", "model")
    }
    vendor, family, model = (each[1] if each else "?" for each in found.values())
    return ZEN5 if (vendor, family) == ("AuthenticAMD", "26") else f"{vendor} {family}/{model}"


@dataclass(frozen=True)
class Goal:
    """ratio: the most that it may be, or the least where much is good. scatter: how far processes' ratios lie apart, as a
    part of them. busy: how far another busy program moves them. why: no row can be judged by it on this machine.
    fills_cache: nor beside other programs."""

    ratio: float
    scatter: float = 0.0
    busy: float = 0.0
    why: str = ""
    fills_cache: bool = False


def goal_of(name: str, *, more: bool = False, cpu: str | None = None) -> Goal | None:
    """The goal of a row on that kind of CPU (None: this one's); None if the row has none.

    On a CPU that no ratio is on record of, the worst one of several others counts; one other CPU's alone says too little.
    """
    record = RECORDED.get(name)
    if record is None:
        return None
    recorded = record.ratios
    cpu = kind() if cpu is None else cpu
    worst = min if more else max
    ratio = recorded.get(cpu, recorded.get(ANY, worst(recorded.values())))
    known = cpu in recorded or ANY in recorded or len(recorded) > 1
    why = "" if known else f"no ratio on record of this CPU ({cpu}), only of {', '.join(recorded)}"
    goal = ratio / MARGIN if more else ratio * MARGIN
    return Goal(goal, record.scatter, record.busy, why, record.fills_cache)
