# SPDX-License-Identifier: BSD-3-Clause
"""A wire whose other end is capture files."""

import os

import pytest

from dataplane.errors import ConfigError, PcapError
from dataplane.files.pcapfile import PcapReader, PcapWriter
from dataplane.pmd.datasheet import RXMPC
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.wire.pcap import PcapWire
from tests.pmd.model.rig import Port, frame


@pytest.fixture
def port():
    port = Port("a", size=1 << 20)
    port.tx_queue(n=64), port.rx_queue(n=64)
    port.write(0x05080, 0x700)  # FCTRL: everything
    return port


def write(path, frames, gap_ns=0):
    with PcapWriter(path, nanosecond=True) as file:
        for n, data in enumerate(frames):
            file.write(data, timestamp_ns=10**18 + n * gap_ns)
    return path


def test_recording(port, tmp_path):
    wire = PcapWire(port.engine, record=tmp_path / "out.pcap")
    assert port.engine.is_wire_up
    sent = [frame(60 + 11 * n) for n in range(40)]
    for data in sent:
        port.tx[0].send(data)
        port.step()
    wire.close()
    assert [record.data for record in PcapReader(tmp_path / "out.pcap")] == sent
    assert wire.recorded == 40 and not port.engine.is_wire_up


def test_playing(port, tmp_path):
    frames = [frame(60 + n) for n in range(200)]
    wire = PcapWire(port.engine, play=write(tmp_path / "in.pcap", frames))
    got = []
    for _ in range(10):
        port.step()
        got += [received.data for received in port.rx[0].take()]
    assert got == frames and wire.finished and wire.played == 200
    wire.check()


def test_what_is_in_flight_to_and_from_captures(port, tmp_path):
    """Frames under way when the wire is closed were sent, and are recorded."""
    frames = [frame(60 + n) for n in range(100)]
    netem = Netem(loss=0.2, delay_ns=50_000)
    wire = PcapWire(port.engine, tmp_path / "out.pcap", write(tmp_path / "in.pcap", frames), netem)
    got = []
    for n in range(100):
        port.tx[0].send(frame(200 + n))
        port.step(2)
        port.clock.advance_ns(1000)
        got += [received.data for received in port.rx[0].take()]
    assert wire.recorded < 60
    port.clock.advance_ns(50_000)
    port.step(4)
    got += [received.data for received in port.rx[0].take()]
    port.tx[0].send(frame(777))
    port.step(2)
    wire.close()
    out, into = wire.outward, wire.inward
    assert wire.recorded == out.delivered == 101 - out.lost and out.in_flight == 0 < out.lost
    lengths = [len(record.data) for record in PcapReader(tmp_path / "out.pcap")]
    assert len(lengths) == wire.recorded and lengths == sorted(lengths)
    assert len(got) == into.delivered == 100 - into.lost and set(got) < set(frames)


def test_a_capture_with_its_timing_does_not_wait(port, tmp_path):
    frames = [frame(1000) for _ in range(1000)]
    with pytest.raises(ConfigError, match="elastic=off needs timing=on"):
        PcapWire(port.engine, play=write(tmp_path / "in.pcap", frames, gap_ns=1000), elastic=False)
    wire = PcapWire(port.engine, play=tmp_path / "in.pcap", timing=True, elastic=False)
    while not wire.finished:
        port.clock.advance_ns(10_000)
        port.step()
    kept = 0
    while taken := len(port.rx[0].take()):
        kept += taken
        port.step(2)
    assert 500 < kept == 1000 - port.clear(RXMPC[0]) < 1000


def test_playing_short_and_impossible_frames(port, tmp_path):
    wire = PcapWire(
        port.engine, play=write(tmp_path / "in.pcap", [b"x" * 13, frame(20), frame(16000), frame(64)])
    )
    port.step(2)
    assert [received.data for received in port.rx[0].take()] == [frame(20).ljust(60, b"\0"), frame(64)]
    assert wire.skipped == 2 and wire.played == 2


def test_loops(port, tmp_path):
    wire = PcapWire(port.engine, play=write(tmp_path / "in.pcap", [frame(60), frame(61)]), loops=3)
    port.step(5)
    assert [len(received.data) for received in port.rx[0].take()] == [60, 61] * 3 and wire.finished


def test_original_timing(port, tmp_path):
    PcapWire(port.engine, play=write(tmp_path / "in.pcap", [frame(60)] * 4, gap_ns=1000), timing=True)
    seen = []
    for _ in range(8):
        port.step()
        seen.append(len(port.rx[0].take()))
        port.clock.advance_ns(500)
    assert seen == [1, 0, 1, 0, 1, 0, 1, 0]


def test_a_damaged_file(port, tmp_path):
    path = write(tmp_path / "in.pcap", [frame(60)] * 3)
    path.write_bytes(path.read_bytes()[:-10])
    wire = PcapWire(port.engine, play=path)
    port.step(3)
    assert wire.played == 2 and wire.finished
    with pytest.raises(PcapError, match="record 3"):
        wire.check()


@pytest.mark.parametrize("rest", [0, 24, 24 + 300 * 1516 + 100])
def test_a_file_that_is_cut_while_it_is_played(port, tmp_path, rest):
    path = write(tmp_path / "in.pcap", [frame(1500)] * 2000)
    wire = PcapWire(port.engine, play=path)
    port.step(2)
    assert 0 < wire.played < 500
    os.truncate(path, rest)
    for _ in range(200):
        port.step()
        port.rx[0].take()
    assert wire.finished and wire.played >= rest // 1516 - 1
    with pytest.raises(
        PcapError, match=f"in.pcap: record {wire.played + 1} at offset .* cut from .* to {rest} bytes"
    ):
        wire.check()


def test_a_file_is_made_when_the_port_runs(port, tmp_path):
    """The start of the port makes it, or the first frame; a wire that carried nothing leaves no file."""
    path = tmp_path / "out.pcap"
    PcapWire(port.engine, record=path).close()
    assert not path.exists()
    wire = PcapWire(port.engine, record=path)
    wire.prepare()
    assert not path.exists()
    wire.begin()
    assert path.exists()
    wire.close()
    assert list(PcapReader(path)) == []
    path.unlink()
    wire = PcapWire(port.engine, record=path)
    port.tx[0].send(frame(60))
    port.step(2)
    assert path.exists()
    wire.close()
    assert len(list(PcapReader(path))) == 1


def test_a_file_that_the_first_frame_cannot_make(port, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    wire = PcapWire(port.engine, record=folder / "out.pcap")
    folder.rmdir()
    for _ in range(3):
        port.tx[0].send(frame(60))
        port.step(2)
    assert wire.discarded == 3 and not wire.recorded
    with pytest.raises(PcapError, match=r"cannot write .*/folder/out.pcap: No such file"):
        wire.check()
    with pytest.raises(PcapError, match="cannot write"):
        wire.close()


def test_part_of_a_frame_is_played_as_it_is(port, tmp_path):
    with PcapWriter(tmp_path / "in.pcap") as file:
        file.write(frame(200), 0, original_length=1500)
    PcapWire(port.engine, play=tmp_path / "in.pcap")
    port.step()
    assert [received.data for received in port.rx[0].take()] == [frame(200)]


def test_a_full_disk(port):
    wire = PcapWire(port.engine, record="/dev/full")
    for _ in range(1200):
        port.tx[0].send(frame(1500))
        port.step()
    with pytest.raises(PcapError, match="No space left"):
        wire.check()
    assert wire.discarded > 0
    with pytest.raises(PcapError, match="No space left"):
        wire.close()


def test_one_wire_a_port(port, tmp_path):
    PcapWire(port.engine, record=tmp_path / "a.pcap")
    with pytest.raises(ConfigError, match="has a wire already"):
        PcapWire(port.engine, record=tmp_path / "b.pcap")
    assert not (tmp_path / "b.pcap").exists()
    with pytest.raises(PcapError, match="cannot read"):
        PcapWire(Port("b").engine, play=tmp_path / "missing.pcap")
