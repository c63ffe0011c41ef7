# SPDX-License-Identifier: BSD-3-Clause
"""The apps joined and run by an lcore, as programs join them."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.utils import RawPcapReader

from dataplane import Pipeline, apps
from dataplane.apps import Counter, Flows, L2Fwd, Latency, MacSwap, PcapDump, PktGen, Sink, Tee
from dataplane.errors import PcapError

PACKET = IP(src="1.2.3.4", dst="10.0.0.0/28") / UDP(sport=(1024, 1039))


def frames_of(path):
    with RawPcapReader(str(path)) as reader:
        return [data for data, _ in reader]


def test_generated_forwarded_captured_and_nothing_lost(tmp_path):
    generator, latency = PktGen(PACKET, count=20_000, stamp=True), Latency()
    dump = PcapDump(tmp_path / "a.pcap")
    Pipeline(generator >> L2Fwd(dst="02:00:00:00:00:07") >> MacSwap() >> latency >> dump).run()
    found = latency.summary(sent=generator.sent)
    assert (found["received"], found["lost"], found["reordered"], found["duplicates"]) == (20_000, 0, 0, 0)
    assert 0 < found["min_ns"] <= found["median_ns"] < 1e9
    flows = Flows(PACKET, size=64, trailer=True)
    expected, _ = flows.render(0, 20_000)
    captured = frames_of(tmp_path / "a.pcap")
    assert len(captured) == 20_000 == dump.frames
    for sent, frame in zip(expected[:5000], captured, strict=False):
        sent = bytes(sent)
        # The addresses swapped; behind the headers the clock and with it the UDP checksum are the sender's.
        assert frame[:12] == sent[6:12] + bytes.fromhex("020000000007")
        assert frame[12:40] == sent[12:40] and frame[42:52] == sent[42:52]


def test_a_second_run_begins_anew(tmp_path):
    dump, latency = PcapDump(tmp_path / "a.pcap", count=50), Latency()
    pipeline = Pipeline(PktGen(PACKET, count=100, stamp=True) >> latency >> dump)
    for _ in range(2):
        pipeline.run()
        assert (dump.frames, latency.received, latency.lost) == (50, 100, 0)
        assert len(frames_of(tmp_path / "a.pcap")) == 50


def test_tee_feeds_two_ends(tmp_path):
    tee, counter = Tee(), Counter()
    dump, sink = PcapDump(tmp_path / "a.pcap"), Sink()
    Pipeline(PktGen(PACKET, count=1000) >> tee >> counter >> sink, tee["copy"] >> dump).run()
    assert counter.packets == sink.packets == 1000 == dump.frames
    assert frames_of(tmp_path / "a.pcap") == [
        bytes(each) for each in Flows(PACKET, size=64).render(0, 1000)[0]
    ]


def test_an_open_edge_that_may_be_open_drops_by_name(tmp_path):
    dump = PcapDump(tmp_path / "a.pcap")
    Pipeline(PktGen(PACKET, count=10) >> dump).run()
    assert dump.frames == 10 and dump.drop_counts == {"unconnected": 10}


def test_a_capture_that_cannot_be_written_stops_the_run():
    with pytest.raises(PcapError, match="/dev/full failed: No space left on device"):
        Pipeline(PktGen(PACKET, count=100) >> PcapDump("/dev/full") >> Sink()).run()
    with pytest.raises(PcapError, match="/dev/full failed: No space left on device"):
        Pipeline(PktGen(PACKET, size=1000) >> PcapDump("/dev/full") >> Sink()).run(seconds=10)


def test_every_app_is_exported():
    for name in apps.__all__:
        assert getattr(apps, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        apps.Nothing  # noqa: B018
