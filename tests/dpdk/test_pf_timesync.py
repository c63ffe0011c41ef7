# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's rte_eth_timesync_* on a strict card: its clock, and its stamps against those of our driver at the wire's other end.

Debian's DPDK is built without RTE_LIBRTE_IEEE1588: it marks no packet to be stamped when it leaves, and testpmd has no
ieee1588 mode. It still has the calls.
"""

from __future__ import annotations

import errno
import struct
import subprocess
import time
from pathlib import Path

import pytest

from bench import peer
from dataplane.byhand import Offload, send

SOURCE = Path(__file__).with_name("timesync.c")
LIBRARIES = ("eal", "ethdev", "mempool", "mbuf")
STAMPS = 5


def sync(number: int) -> bytes:
    head = bytes.fromhex("011b19000000") + bytes.fromhex("02000000007788f7")
    return (head + struct.pack("!BBH26sH", 0, 2, 44, b"", number)).ljust(60, b"\0")


@pytest.fixture(scope="module")
def program(installed, tmp_path_factory):
    target = tmp_path_factory.mktemp("timesync") / "timesync"
    command = [
        "gcc",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        *peer.flags("--cflags"),
        str(SOURCE),
        "-o",
        str(target),
    ]
    subprocess.run([*command, *(f"-lrte_{name}" for name in LIBRARIES)], check=True, timeout=120)
    return target


def test_its_clock_and_its_stamps(rig, program):
    rig.plug_in("model0,manner=strict,wire=model2", "model1,wire=model3")
    near = rig.port("model2")
    near.clock.stamp()
    (slot, _) = rig.slots
    words = [
        "--lcores",
        "0",
        "--in-memory",
        "--no-telemetry",
        "-m",
        "64",
        "--log-level",
        "error",
        "-a",
        slot.address,
    ]
    process = rig.slots.start([str(program), *words], stdout=subprocess.PIPE, text=True)
    try:
        said = {}
        for line in process.stdout:
            name, *numbers = line.split()
            assert name != "problem", line
            said[name] = [int(number) for number in numbers]
            if name == "ready":
                break
        passed, host = said["passed"]
        assert passed >= 50_000_000 and passed == pytest.approx(host, rel=0.2)
        assert 5_000_000_000 <= said["set"][0] < 5_100_000_000
        assert -2_000_000_000 <= said["adjusted"][0] < -1_900_000_000
        assert said["ready"] == [-errno.EINVAL] * 2  # nothing has been stamped
        ours, its = [], []
        for number in range(STAMPS):
            assert send(near.tx(0), [sync(number)], offload=Offload("stamp")) == 1
            ours.append(near.clock.tx_stamp(5.0))
            name, ns = process.stdout.readline().split()
            assert name == "stamp"
            its.append(int(ns))
            time.sleep(0.01)
        # One instant, two clocks: both count periods of 6.4 ns, and DPDK's are 60 ppb short.
        apart = [there - here for here, there in zip(ours, its, strict=True)]
        assert max(apart) - min(apart) <= 14 + 1e-7 * (ours[-1] - ours[0])
        assert process.stdout.readline() == "done\n" and process.wait(20) == 0
    finally:
        process.kill()
        process.wait(20)
