# SPDX-License-Identifier: BSD-3-Clause
"""What the model costs: Tx on one port and Rx on another, one core, only the model's own steps timed."""

import pytest

from bench import wire
from bench.loops.silicon import Pair

SLICES, ROUNDS = 10, 1000


def udp(size: int) -> bytes:
    """An IPv4 and UDP frame of `size` bytes without FCS."""
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    ether = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
    return bytes(ether / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / Raw(bytes(size - 42)))


@pytest.mark.parametrize(("size", "burst"), [(60, 32), (60, 64), (1514, 32)])
def test_model(compare, lcore, yardstick, size, burst):
    """Both directions: a packet that one port sends and another receives."""
    pair = Pair(udp(size))
    compare(
        f"model Tx + Rx, {size + 4}-byte frames, burst {burst}",
        "cycles/packet",
        lambda: sum(pair.cycles(burst, ROUNDS)),
        yardstick,
        "the yardstick",
        slices=SLICES,
    )


@pytest.mark.parametrize("size", [60, 1514])
def test_wire_between_processes(compare, lcore, size):
    """The cost of a wire's memory between processes, with both ends on one core."""
    pair, plain = Pair(udp(size), shared=True), Pair(udp(size))
    compare(
        f"model Tx + Rx by a wire between processes, {size + 4}-byte frames, burst 32",
        "cycles/packet",
        lambda: sum(pair.cycles(32, ROUNDS)),
        lambda: sum(plain.cycles(32, ROUNDS)),
        "a wire within the process",
        slices=SLICES,
    )


@pytest.mark.parametrize("both", [False, True], ids=["one way", "both ways"])
def test_wire_of_two_processes(measure, both):
    """Each with a card, our driver and a generator or a sink, on a CPU of its own if there are two."""
    measure(
        f"two processes and a wire, 64-byte frames, {'both ways together' if both else 'one way'}",
        "Mpps",
        lambda: wire.measure(both=both)[0],
        more=True,
        rounds=3,
    )
