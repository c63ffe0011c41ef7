# SPDX-License-Identifier: BSD-3-Clause
"""What goes wrong between us and the kernel: each ends the command with one line and status 1, and soon."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

# Root without a single capability: what an ordinary user may do with the network, in a tree that only root can read.
POWERLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


def line(process) -> str:  # type: ignore[no-untyped-def]
    """The one line that a failed command ends with."""
    assert process.wait(30) == 1, process.output()
    lines = [
        text for text in process.err.read_text().splitlines() if text and "using plain pages" not in text
    ]
    assert len(lines) == 1, lines
    assert lines[0].startswith("dataplane: ")
    report = json.loads((process.out.parent / "report.json").read_text())
    assert report["ok"] is False
    assert report["error"]
    return lines[0]


@pytest.mark.parametrize(
    ("port", "says"),
    [("af_packet:nosuch0", "nosuch0"), ("tap:a-name-that-is-too-long", "a-name-that-is-too-long")],
)
def test_an_interface_that_is_not_there(net, port: str, says: str) -> None:  # type: ignore[no-untyped-def]
    here = net.namespace("here")
    assert says in line(net.dataplane(here, "macswap", port, "--seconds", "5"))


@pytest.mark.parametrize("port", ["af_packet:a0", "tap:t0", "model0,wire=tap:t0"])
def test_no_permission(net, port: str) -> None:  # type: ignore[no-untyped-def]
    here = net.namespace("here")
    net.veth(here, "a0", here, "b0")
    said = line(net.start(here, *POWERLESS, *net.command("macswap", port, "--seconds", "5")))
    assert "CAP_NET" in said or "root" in said


@pytest.mark.parametrize("kind", ["af_packet", "wire"])
def test_an_interface_that_vanishes(net, kind: str) -> None:  # type: ignore[no-untyped-def]
    here, there = net.namespace("here"), net.namespace("there")
    net.veth(here, "a0", there, "b0")
    if kind == "af_packet":
        process = net.dataplane(here, "pcapdump", "af_packet:a0", "out.pcap")
    else:
        process = net.dataplane(here, "l2fwd", "af_packet:a0", "model0,wire=tap:t0", "--no-mac-updating")
    if kind == "wire":
        process.until(lambda: "t0:" in net.sh(here, "ip -o link"), "tap")
    else:
        process.until((process.out.parent / "out.pcap").exists, "capture file")
    time.sleep(0.5)
    net.sh(here, "ip link del a0")
    assert "a0" in line(process)


def test_a_disk_that_fills_up(net, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """On a real file system: what fits stays readable."""
    here = net.namespace("here")
    disk = tmp_path / "disk"
    disk.mkdir()
    # `ip netns exec` gives the command a mount namespace of its own: the file system goes with it.
    script = f'mount -t tmpfs -o size=1m none {disk} && "$0" "$@"; status=$?; cp {disk}/out.pcap {tmp_path}; exit $status'
    words = net.command("pcapdump", "null:", str(disk / "out.pcap"))
    process = net.start(here, "sh", "-c", script, *words)
    assert "No space left" in line(process)
    from scapy.utils import RawPcapReader

    with RawPcapReader(str(tmp_path / "out.pcap")) as reader:
        frames = [data for data, _ in reader]
    assert 10_000 < len(frames) < 14_000  # 80 bytes each in 1 MiB
    assert {len(frame) for frame in frames} == {64}
