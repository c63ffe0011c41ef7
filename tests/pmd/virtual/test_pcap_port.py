# SPDX-License-Identifier: BSD-3-Clause
"""pcap: replay, timing, loops, damage; what is sent is in the file; a disk that fills up."""

import resource
import struct
import time

import pytest
from stopwatch import Stopwatch

from dataplane import Pipeline
from dataplane.byhand import Held, receive, receive_packets, send
from dataplane.errors import ConfigError, PcapError, PortError
from dataplane.files.pcapfile import PcapReader, PcapWriter
from dataplane.mempool import Mempool
from dataplane.pmd import probe
from tests.pmd.port_contract import PortLife, PortSends, Rig, frames, opened

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


@pytest.fixture
def capture(tmp_path):
    """Write frames to in.pcap, `gap_ns` apart; returns its path."""

    def write(sent, gap_ns=1000, nanosecond=False):
        with PcapWriter(tmp_path / "in.pcap", nanosecond=nanosecond) as writer:
            for n, frame in enumerate(sent):
                writer.write(frame, 1_700_000_000_000_000_000 + n * gap_ns)
        return tmp_path / "in.pcap"

    return write


@pytest.fixture
def play(tmp_path):
    """Open and start a pcap port that reads; closed at the end."""
    ports = []

    def start(path, options="", **config):
        port = probe(f"pcap:{path}{options}").configure(**config)
        ports.append(port)
        port.rx()
        port.start()
        return port

    yield start
    for port in ports:
        port.close()
        assert port.mempool.in_use == 0


def drained(port, most=10_000):
    got = []
    while not port.done and len(got) < most:
        got += receive(port.rx())
    return got


class TestContract(PortLife, PortSends):
    @pytest.fixture(params=["", ",nanosecond=on"], ids=["us", "ns"])
    def rig(self, request, tmp_path, capture):
        path = tmp_path / "out.pcap"
        seen = 0

        def collect(n, timeout):
            nonlocal seen
            got = [record.data for record in PcapReader(path)][seen:]
            seen += len(got)
            return got

        for port in opened(probe(f"pcap:{capture(frames(50))}>{path}{request.param}")):
            yield Rig(port, collect=collect)


@pytest.mark.parametrize("options", ["", ",preload=on", ",speed=original"])
@pytest.mark.parametrize("nanosecond", [False, True])
def test_every_record_arrives_once_with_its_timestamp(capture, play, options, nanosecond):
    sent = frames(300)
    port = play(capture(sent, nanosecond=nanosecond), options)
    got = []
    while not port.done:
        got += receive_packets(port.rx(), 7)
    assert [packet.data for packet in got] == sent
    assert [packet.timestamp_ns for packet in got] == [
        1_700_000_000_000_000_000 + n * 1000 for n in range(300)
    ]
    assert receive(port.rx()) == []
    stats = port.xstats()
    assert (stats["rx_good_packets"], stats["rx_good_bytes"]) == (300, sum(map(len, sent)))


def test_the_other_byte_order(tmp_path, play):
    path = tmp_path / "be.pcap"
    sent = frames(20)
    body = b"".join(struct.pack(">IIII", 1, 5, len(f), len(f)) + f for f in sent)
    path.write_bytes(struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1) + body)
    port = play(path)
    assert [(p.data, p.timestamp_ns) for p in receive_packets(port.rx())] == [
        (f, 1_000_000_005) for f in sent
    ]


def test_frames_end_without_the_fcs_that_the_header_announces(tmp_path, play):
    path = tmp_path / "fcs.pcap"
    sent = frames(20)
    body = b"".join(struct.pack("<IIII", 1, 5, len(f) + 4, len(f) + 4) + f + b"FCS!" for f in sent)
    path.write_bytes(HEADER[:20] + struct.pack("<I", 1 | 1 << 26 | 2 << 28) + body)
    port = play(path)
    assert PcapReader(path).fcs_length == 4
    assert drained(port) == sent


def test_long_records_come_in_several_segments(capture, play):
    sent = [bytes(n & 0xFF for n in range(size)) for size in (2048, 2049, 9000, 60, 65535)]
    port = play(capture(sent))
    got = []
    while not port.done:
        got += receive_packets(port.rx())
    assert [packet.data for packet in got] == sent
    assert [packet.segments for packet in got] == [1, 2, 5, 1, 32]


def test_a_long_record_waits_for_mbufs(capture, play):
    sent = [bytes(9000), bytes(60)]
    port = play(capture(sent), mempool=Mempool(8))
    with Held(port.mempool, 5):
        assert receive(port.rx()) == []
        assert port.mempool.in_use == 5
    assert port.xstats()["rx_mbuf_allocation_errors"] > 0
    assert drained(port) == sent


def test_a_record_that_no_pool_could_hold_is_an_error(capture, play):
    sent = [bytes(60), bytes(60_000), bytes(61)]
    port = play(capture(sent), mempool=Mempool(8))
    assert drained(port) == [sent[0], sent[2]]
    assert port.xstats()["rx_errors"] == 1


def test_an_exhausted_mempool_loses_nothing(capture, play):
    sent = frames(100)
    port = play(capture(sent))
    assert receive(port.rx(), 10) == sent[:10]
    with Held(port.mempool):
        assert receive(port.rx()) == []
    assert drained(port) == sent[10:]
    assert port.xstats()["rx_mbuf_allocation_errors"] == 1


@pytest.mark.parametrize("options", ["", ",speed=original"])
def test_loops(capture, play, options):
    sent = frames(10)
    port = play(capture(sent), f",loop=3{options}")
    assert drained(port) == sent * 3
    port.stop()
    port.start()  # from the beginning, as often as before
    assert drained(port) == sent * 3
    port.close()
    port = play(capture(sent), f",loop=0{options}")
    assert drained(port, most=1000)[:1000] == sent * 100
    assert not port.done


def test_a_capture_without_packets_is_done_at_once(capture, play):
    for options in ("", ",loop=0", ",loop=5,speed=original"):
        port = play(capture([]), options)
        for _ in range(5):
            assert receive(port.rx()) == []
        assert port.done
        port.close()


def test_original_speed_keeps_the_gaps(capture, play):
    sent = frames(6)
    port = play(capture(sent, gap_ns=20_000_000), ",speed=original")
    arrivals = []
    watch = Stopwatch()
    while not port.done:
        arrivals += [(watch.wall, watch.own) for _ in receive(port.rx())]
    assert len(arrivals) == 6
    for n, (arrival, own) in enumerate(arrivals):
        assert n * 0.020 - 0.001 <= arrival  # never early; a busy machine may be late
        assert own < n * 0.020 + 0.5


@pytest.mark.parametrize("options", ["", ",loop=3", ",preload=on", ",speed=original"])
@pytest.mark.parametrize("tail", [b"\1\2\3", struct.pack("<IIII", 2, 0, 100, 100) + bytes(99)])
def test_damage_is_an_error_after_the_whole_records(capture, play, options, tail):
    sent = frames(40)
    path = capture(sent)
    path.write_bytes(path.read_bytes() + tail)
    port = play(path, options)
    got = []
    deadline = time.monotonic() + 5
    with pytest.raises(PcapError, match=r"record 41 at offset .* the 40 records before are whole"):
        while time.monotonic() < deadline:
            got += receive(port.rx())
    assert got == sent
    assert port.done
    port.stop()
    port.start()
    assert receive(port.rx(), 5, timeout=1) == sent[:5]


def test_a_pipeline_ends_with_its_file(capture, tmp_path):
    sent = frames(200)
    with probe(f"pcap:{capture(sent)},loop=2") as source, probe(f"pcap:>{tmp_path}/copy.pcap") as target:
        report = Pipeline(source.rx() >> target.tx()).run(seconds=30)
    assert report.packets == 400
    assert report.seconds < 20
    assert [record.data for record in PcapReader(tmp_path / "copy.pcap")] == sent * 2


def test_a_pipeline_passes_the_whole_records_on_and_raises_the_damage(capture, tmp_path):
    sent = frames(200)
    path = capture(sent)
    path.write_bytes(path.read_bytes() + b"cut")
    with probe(f"pcap:{path}") as source, probe(f"pcap:>{tmp_path}/copy.pcap") as target:
        with pytest.raises(PcapError, match="record 201 at offset"):
            Pipeline(source.rx() >> target.tx()).run(seconds=30)
        assert target.xstats()["tx_good_packets"] == 200
    assert [record.data for record in PcapReader(tmp_path / "copy.pcap")] == sent


def test_foreign_files_are_refused_at_once(tmp_path):
    path = tmp_path / "x.pcap"
    path.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(100))
    with pytest.raises(PcapError, match="pcapng"):
        probe(f"pcap:{path}")
    path.write_bytes(HEADER[:20] + struct.pack("<I", 113))
    with pytest.raises(PcapError, match=r"link type 113 \(offset 20\)"):
        probe(f"pcap:{path}")
    with pytest.raises(PcapError, match="No such file"):
        probe(f"pcap:{tmp_path}/missing.pcap")
    with pytest.raises(PcapError, match=r"cannot write .*: No such file"):
        probe(f"pcap:>{tmp_path}/missing/out.pcap")


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("", "no file: write pcap:IN"),
        ("x>", "no file behind the >"),
        ("x,speed=fast", "one of max, original"),
        ("x,loop=often", "expected an integer"),
        ("x,rate=5", "no option 'rate'"),
        ("{in}>{in}", "would write what pcap:.*in.pcap reads"),
        ("{in},loop=-1", "loop=-1"),
        (">{in}.out,snaplen=0", "snap length of 0"),
    ],
)
def test_what_makes_no_sense_is_refused(capture, rest, message):
    path = capture(frames(3))
    with pytest.raises(ConfigError, match=message):
        probe("pcap:" + rest.replace("{in}", str(path)))
    assert len(list(PcapReader(path))) == 3


def test_a_file_for_one_direction_has_no_queue_for_the_other(capture, tmp_path):
    with probe(f"pcap:{capture([])}") as port, pytest.raises(ConfigError, match="no Tx queue 0: it has none"):
        port.tx()
    with probe(f"pcap:>{tmp_path}/o.pcap") as port, pytest.raises(ConfigError, match="no Rx queue 0"):
        port.rx()


def test_what_is_sent_keeps_its_timestamp(tmp_path):
    path = tmp_path / "out.pcap"
    before = time.time_ns()
    with probe(f"pcap:>{path},nanosecond=on,snaplen=100") as port:
        port.tx()
        port.start()
        send(port.tx(), frames(5), timestamp_ns=1_600_000_000_123_456_789)
        send(port.tx(), frames(1))
        with pytest.raises(PortError):
            port.configure(mtu=100)
    records = list(PcapReader(path))
    assert [r.data for r in records[:5]] == [frame[:100] for frame in frames(5)]
    assert [r.original_length for r in records[:5]] == [len(frame) for frame in frames(5)]
    assert {r.timestamp_ns for r in records[:5]} == {1_600_000_000_123_456_789}
    assert before - 10**7 <= records[5].timestamp_ns <= time.time_ns() + 10**7


def test_a_full_disk_is_an_error_and_counted(tmp_path):
    path = tmp_path / "out.pcap"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    port = probe(f"pcap:>{path}").configure(mempool=Mempool(64))
    port.tx()
    port.start()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
        with pytest.raises(PcapError, match="File too large: it ends after"):
            for _ in range(100):
                send(port.tx(), frames(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    written = [record.data for record in PcapReader(path)]
    stats = port.xstats()
    assert written == (frames(20) * 10)[: len(written)]
    assert stats["tx_good_packets"] == len(written)
    assert stats["tx_good_bytes"] == sum(map(len, written))
    assert stats["tx_errors"] > 0
    port.close()  # the run has raised the error already
    assert port.mempool.in_use == 0


def test_close_says_what_nobody_has_heard(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    port = probe(f"pcap:>{tmp_path}/out.pcap")
    port.tx()
    port.start()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))
        with pytest.raises(PcapError, match="ends after 0 whole frames"):
            port.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert port.closed
