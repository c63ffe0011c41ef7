# SPDX-License-Identifier: BSD-3-Clause
"""What a capture says of a packet stays true on its way: its time, which may be 0, and its length on the wire."""

import struct
import time

import numpy as np
import pytest

from dataplane import App, Pipeline
from dataplane.apps import L2Fwd, PcapDump, Tee
from dataplane.apps.counter import Sink
from dataplane.apps.trial import Trial
from dataplane.byhand import receive_packets, send
from dataplane.errors import ConfigError
from dataplane.files.pcapfile import PcapReader, PcapWriter
from dataplane.pmd import probe

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
FRAME = bytes([2, 0, 0, 0, 0, 1]) + bytes(6) + b"\x08\x00" + bytes(range(46))


@pytest.fixture
def capture(tmp_path):
    """Write records (seconds, captured bytes, original length) to in.pcap; returns its path."""

    def write(*records, fcs=0):
        body = b"".join(struct.pack("<IIII", at, 0, len(data), wire) + data for at, data, wire in records)
        link = struct.pack("<I", 1 | (1 << 26 | fcs // 2 << 28 if fcs else 0))
        (tmp_path / "in.pcap").write_bytes(HEADER[:20] + link + body)
        return tmp_path / "in.pcap"

    return write


def said(path):
    """(time, captured, original) of each record."""
    return [(r.timestamp_ns, len(r.data), r.original_length) for r in PcapReader(path)]


def pass_through(source, tmp_path, app=None):
    """The records of a file that a pipeline wrote from `source`, through `app` if it is given."""
    with probe(f"pcap:{source}") as rx, probe(f"pcap:>{tmp_path}/out.pcap") as tx:
        Pipeline(rx.rx() >> app >> tx.tx() if app else rx.rx() >> tx.tx()).run(seconds=20)
    return said(tmp_path / "out.pcap")


def test_the_time_0_is_a_time(capture, tmp_path):
    path = capture((0, FRAME, 60), (1, FRAME, 60), (0, FRAME, 60))
    assert said(path) == pass_through(path, tmp_path) == [(0, 60, 60), (10**9, 60, 60), (0, 60, 60)]
    with probe(f"pcap:{path}") as port:
        port.rx()
        port.start()
        assert [packet.timestamp_ns for packet in receive_packets(port.rx())] == [0, 10**9, 0]


def test_the_time_0_goes_through_pcapdump_and_by_hand(tmp_path):
    with Trial(PcapDump(tmp_path / "dump.pcap")) as trial:
        trial.push([FRAME], timestamp_ns=0)
        trial.push([FRAME])
    with PcapWriter(tmp_path / "writer.pcap") as writer:
        writer.write(FRAME, 0)
        writer.write(FRAME)
    with probe(f"pcap:>{tmp_path}/port.pcap") as port:
        port.tx()
        port.start()
        send(port.tx(), [FRAME], timestamp_ns=0)
        send(port.tx(), [FRAME])
    for name in ("dump", "writer", "port"):
        (first, *_), (second, *_) = said(tmp_path / f"{name}.pcap")
        assert first == 0 and abs(second - time.time_ns()) < 60 * 10**9, name


@pytest.mark.parametrize("options", ["", ",speed=original", ",preload=on"])
def test_a_capture_that_begins_at_0_is_replayed(capture, options):
    path = capture((0, FRAME, 60), (0, FRAME, 60))
    with probe(f"pcap:{path}{options}") as port, probe("null:") as null:
        assert Pipeline(port.rx() >> null.tx()).run(seconds=20).packets == 2


@pytest.mark.parametrize("long", [False, True], ids=["one segment", "several"])
def test_the_original_length_travels_with_the_packet(capture, tmp_path, long):
    data = FRAME * 50 if long else FRAME
    path = capture((1, data, 9000), (2, data, len(data)), (3, data, 0))  # the last says what cannot be
    kept = [(10**9, len(data), 9000), (2 * 10**9, len(data), len(data)), (3 * 10**9, len(data), len(data))]
    assert pass_through(path, tmp_path) == kept
    assert pass_through(path, tmp_path, L2Fwd()) == kept
    with probe(f"pcap:{path}") as port:
        port.rx()
        port.start()
        got = []
        while not port.done:
            got += receive_packets(port.rx())
    assert [packet.original_length for packet in got] == [9000, len(data), len(data)]


class Resize(App):
    """Makes packets longer or shorter."""

    def __init__(self, by):
        self.by = by

    def process(self, burst):
        for packet in burst:
            content = bytes(packet)
            packet.data = content + bytes(self.by) if self.by > 0 else content[: self.by]


@pytest.mark.parametrize("by", [4, -4, -20])
def test_a_packet_that_an_app_resizes(capture, tmp_path, by):
    path = capture((1, FRAME, 1500), (2, FRAME, 60))
    assert pass_through(path, tmp_path, Resize(by)) == [
        (10**9, 60 + by, 1500 + by),
        (2 * 10**9, 60 + by, 60 + by),
    ]


def test_a_snap_length_on_top(capture, tmp_path):
    path = capture((1, FRAME, 1500), (2, FRAME, 60))
    with probe(f"pcap:{path}") as rx, probe(f"pcap:>{tmp_path}/out.pcap,snaplen=20") as tx:
        Pipeline(rx.rx() >> PcapDump(tmp_path / "dump.pcap", snaplen=30) >> tx.tx()).run(seconds=20)
    assert said(tmp_path / "out.pcap") == [(10**9, 20, 1500), (2 * 10**9, 20, 60)]
    assert said(tmp_path / "dump.pcap") == [(10**9, 30, 1500), (2 * 10**9, 30, 60)]


def test_copies_and_rings_keep_it(capture, tmp_path):
    path = capture((0, FRAME, 1500))
    tee = Tee()
    with probe(f"pcap:{path}") as rx, probe("ring:record") as ring:
        ring.rx(), ring.tx()
        ring.start()
        copy = PcapDump(tmp_path / "copy.pcap")
        Pipeline(rx.rx() >> tee >> ring.tx(), tee["copy"] >> copy >> Sink()).run(seconds=20)
        (packet,) = receive_packets(ring.rx())
    assert (packet.timestamp_ns, packet.original_length) == (0, 1500)
    assert said(tmp_path / "copy.pcap") == [(0, 60, 1500)]


def test_an_fcs_that_is_taken_off_is_in_neither_length(capture, tmp_path):
    path = capture((1, FRAME + b"FCS!", 64), (2, FRAME, 1504), (3, FRAME, 62), fcs=4)
    assert [(kept, wire) for _, kept, wire in pass_through(path, tmp_path)] == [
        (60, 60),
        (60, 1500),
        (58, 58),
    ]


def test_mbufs_are_used_again_without_what_they_knew(capture, tmp_path):
    path = capture(*[(0, FRAME, 1500)] * 200, *[(7, FRAME, 60)] * 200)
    assert pass_through(path, tmp_path) == [(0, 60, 1500)] * 200 + [(7 * 10**9, 60, 60)] * 200
    with probe("null:") as null, probe(f"pcap:>{tmp_path}/null.pcap") as tx:
        Pipeline(null.rx() >> tx.tx()).run(count=300)
    assert {(kept, wire) for _, kept, wire in said(tmp_path / "null.pcap")} == {(64, 64)}
    assert np.ptp([at for at, *_ in said(tmp_path / "null.pcap")]) < 60 * 10**9


def test_the_writer_takes_lengths_that_make_sense(tmp_path):
    with PcapWriter(tmp_path / "out.pcap") as writer:
        writer.write(FRAME, 1, original_length=70000)
        writer.write(FRAME, 1, original_length=60)
        for wrong in (59, 1 << 32, -1):
            with pytest.raises(ConfigError, match=f"original_length={wrong}"):
                writer.write(FRAME, 1, original_length=wrong)
    assert [wire for *_, wire in said(tmp_path / "out.pcap")] == [70000, 60]
