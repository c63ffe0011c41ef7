# SPDX-License-Identifier: BSD-3-Clause
"""Virtual ports: null, ring and pcap, on one lcore at burst 32.

The peers' figures were recorded once on another machine (DPDK 22.11, Zen 5 at 2.6 GHz): for orientation, not a comparison
in one run. testpmd's "io" hands bursts on as they are, as these loops do.
"""

import shutil
from pathlib import Path

import pytest

from apps.l2fwd import L2Fwd
from bench import ports
from dataplane import Pipeline
from dataplane.clock import hz
from dataplane.pcapfile import PcapReader, PcapWriter
from pmd import probe

PACKETS = 3_000_000


@pytest.fixture
def opened():
    """Open and start ports by their strings; closed at the end."""
    found = []

    def start(text):
        port = probe(text)
        found.append(port)
        for ask, most in ((port.rx, port.info.max_rx_queues), (port.tx, port.info.max_tx_queues)):
            if most:
                ask(0)
        port.start()
        return port

    yield start
    for port in found:
        port.close()


@pytest.fixture
def memory_file(tmp_path):
    """A name on a file system in memory."""
    folder = Path("/dev/shm")
    if not folder.is_dir() or shutil.disk_usage(folder).free < 1 << 30:
        pytest.skip("no /dev/shm with 1 GiB to write a capture to")
    path = folder / f"dataplane-{tmp_path.name}.pcap"
    yield path
    path.unlink(missing_ok=True)


def test_null(measure, lcore, opened):
    port = opened("null:")
    measure(
        "null -> null, io, burst 32",
        "cycles/packet",
        lambda: ports.forward_cycles(port.rx(), port.tx(), 32, PACKETS),
        peer="testpmd null, io (recorded)",
        peer_value=15.7,
    )


def test_l2fwd(measure, opened):
    left, right = opened("null:"), opened("null:size=64")

    def run():
        chains = (
            left.rx() >> L2Fwd(src="02:00:00:00:00:01") >> right.tx(),
            right.rx() >> L2Fwd(src="02:00:00:00:00:02") >> left.tx(),
        )
        report = Pipeline(*chains).run(seconds=0.2)
        return report.seconds * hz() / report.packets

    measure(
        "null -> null, l2fwd both ways, burst 32",
        "cycles/packet",
        run,
        at_most=35,
        peer="DPDK l2fwd, null pair (recorded)",
        peer_value=21.7,
    )


@pytest.mark.parametrize("single", [False, True], ids=["mpmc", "spsc"])
def test_ring(measure, lcore, opened, single):
    ring, null = opened(f"ring:bench{',single=on' if single else ''}"), opened("null:")
    ports.forward_cycles(null.rx(), ring.tx(), 32, 128)
    measure(
        f"ring loop, io, {'SPSC' if single else 'MPMC'}, burst 32",
        "cycles/packet",
        lambda: ports.forward_cycles(ring.rx(), ring.tx(), 32, PACKETS),
        peer="testpmd ring loop, io, counts no bytes (recorded)",
        peer_value=1.9,
    )


@pytest.mark.parametrize(("frames", "peer"), [(10_000, 26.8), (100_000, 31.3)])
def test_pcap_replay(measure, lcore, opened, memory_file, frames, peer):
    null = opened("null:size=60")
    with PcapWriter(memory_file) as writer:
        ports.write_mpps(null.rx(), writer, 32, frames)
    loops = PACKETS // frames
    assert sum(1 for _ in PcapReader(memory_file)) >= frames

    def run():
        replay = opened(f"pcap:{memory_file},loop={loops},preload=on")
        return ports.forward_cycles(replay.rx(), null.tx(), 32, PACKETS)

    measure(
        f"pcap of {frames // 1000}k frames of 60 bytes replayed into null",
        "cycles/packet",
        run,
        at_most=22 if frames == 10_000 else None,
        peer="testpmd pcap, infinite_rx (recorded)",
        peer_value=peer,
    )


@pytest.mark.parametrize("target", ["tmpfs", "/dev/null"])
def test_pcap_write(measure, lcore, opened, memory_file, target):
    null = opened("null:size=60")

    def run():
        with PcapWriter(memory_file if target == "tmpfs" else target) as writer:
            return ports.write_mpps(null.rx(), writer, 32, PACKETS)

    measure(
        f"pcap of 60-byte frames written to {target}",
        "Mpps",
        run,
        at_least=6 if target == "tmpfs" else None,
        peer="testpmd pcap (recorded)",
        peer_value=6.4 if target == "tmpfs" else 16.0,
    )
