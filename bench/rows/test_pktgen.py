# SPDX-License-Identifier: BSD-3-Clause
"""The generator into null on one core: frames whose addresses and ports vary, with right checksums.

Before it is timed, plain Python checks the checksums of a sample of its frames, and that the fields vary as configured.
"""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.volatile import RandIP, RandShort

from bench.sums import inspect
from dataplane import Pipeline
from dataplane.apps import PktGen
from dataplane.clock import cycles
from dataplane.pmd import probe

SLICES, LAPS = 20, 1024
SAMPLE, EVERY = 400_000, 199  # a prime: it meets every axis
ETHER = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
PORTS = {"sport": (1024, 2047), "dport": [53, 80, 443, 4789]}
VARYING = {
    "a table of 4,096": ETHER
    / IP(src="10.0.0.0/28", dst="10.1.0.0/28")
    / UDP(sport=(1024, 1027), dport=PORTS["dport"]),
    "268 million in order": ETHER / IP(src="10.0.0.0/24", dst="10.1.0.0/24") / UDP(**PORTS),
    "268 million in order, TCP": ETHER / IP(src="10.0.0.0/24", dst="10.1.0.0/24") / TCP(**PORTS),
    "at random": ETHER
    / IP(src=RandIP("10.0.0.0/8"), dst=RandIP("10.0.0.0/8"))
    / UDP(sport=RandShort(), dport=RandShort()),
}


@pytest.mark.parametrize("name", VARYING)
def test_varying(compare, lcore, yardstick, name):
    with probe("null:") as port:
        generator = PktGen(VARYING[name], size=64)
        found = inspect(generator, port.tx(), SAMPLE, EVERY)
        assert len(found) == -(-SAMPLE // EVERY) and len(set(found)) > len(found) / 2
        with Pipeline(generator >> port.tx(), burst=32).stepper() as stepper:

            def cost() -> float:
                start = cycles()
                packets = stepper.step(LAPS)
                return (cycles() - start) / packets

            compare(
                f"pktgen -> null, addresses and ports vary ({name}), checksums right, one core",
                "cycles/packet",
                cost,
                yardstick,
                "the yardstick",
                slices=SLICES,
            )
