# SPDX-License-Identifier: BSD-3-Clause
"""Virtual ports: null, ring and pcap, on one lcore at burst 32: their queues in a bare loop, without the engine.

`test_peer_programs.py` has them beside DPDK's, as pipelines.
"""

import os
import shutil
from pathlib import Path

import pytest

from bench.loops import ports
from dataplane.files.pcapfile import PcapReader, PcapWriter
from dataplane.pmd import probe

SLICES, PACKETS = 20, 200_000


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
    path = folder / f"dataplane-{os.getpid()}-{tmp_path.name}.pcap"
    yield path
    path.unlink(missing_ok=True)


def test_null(measure, lcore, opened):
    port = opened("null:")
    measure(
        "null -> null, queues alone, burst 32",
        "cycles/packet",
        lambda: ports.forward_cycles(port.rx(), port.tx(), 32, PACKETS),
        slices=SLICES,
    )


@pytest.mark.parametrize("single", [False, True], ids=["mpmc", "spsc"])
def test_ring(measure, lcore, opened, single):
    ring, null = opened(f"ring:bench{',single=on' if single else ''}"), opened("null:")
    ports.forward_cycles(null.rx(), ring.tx(), 32, 128)
    measure(
        f"ring loop, queues alone, {'SPSC' if single else 'MPMC'}, burst 32",
        "cycles/packet",
        lambda: ports.forward_cycles(ring.rx(), ring.tx(), 32, PACKETS),
        slices=SLICES,
    )


@pytest.mark.parametrize("frames", [10_000, 100_000])
def test_pcap_replay(measure, lcore, opened, memory_file, frames):
    null = opened("null:size=60")
    with PcapWriter(memory_file) as writer:
        ports.write_mpps(null.rx(), writer, 32, frames)
    assert sum(1 for _ in PcapReader(memory_file)) >= frames
    replay = opened(f"pcap:{memory_file},loop=0,preload=on")
    measure(
        f"pcap of {frames // 1000}k frames of 60 bytes replayed into null, queues alone",
        "cycles/packet",
        lambda: ports.forward_cycles(replay.rx(), null.tx(), 32, PACKETS),
        slices=SLICES,
    )


@pytest.mark.parametrize("target", ["tmpfs", "/dev/null"])
def test_pcap_write(measure, lcore, opened, memory_file, target):
    null = opened("null:size=60")

    def run():
        with PcapWriter(memory_file if target == "tmpfs" else target) as writer:
            return ports.write_mpps(null.rx(), writer, 32, PACKETS)

    measure(
        f"pcap of 60-byte frames written to {target}, writer alone", "Mpps", run, more=True, slices=SLICES
    )
