# SPDX-License-Identifier: BSD-3-Clause
"""PcapDump: files that other readers read, rotation, and what happens when the disk is full."""

import resource
import signal
import time
from pathlib import Path

import pytest
from scapy.utils import RawPcapReader

from dataplane.apps.pcapdump import PcapDump
from dataplane.apps.trial import Trial
from dataplane.errors import ConfigError, PcapError

FRAMES = [bytes((number + at) % 256 for at in range(60 + number % 90)) for number in range(500)]
STAMP = 1_700_000_000_123_456_789


def read(path):
    """[(bytes, seconds, fraction, length on the wire)] as scapy reads them."""
    with RawPcapReader(str(path)) as reader:
        return [(data, meta.sec, meta.usec, meta.wirelen) for data, meta in reader]


@pytest.mark.parametrize(("nanosecond", "fraction"), [(True, 123_456_789), (False, 123_456)])
@pytest.mark.parametrize("segment", [2048, 33])
def test_the_file_holds_every_frame_and_they_pass_on(tmp_path, nanosecond, fraction, segment):
    with Trial(PcapDump(tmp_path / "a.pcap", nanosecond=nanosecond), segment=segment) as trial:
        trial.push(FRAMES, timestamp_ns=STAMP)
        assert trial.out["out"] == FRAMES
    assert read(tmp_path / "a.pcap") == [(frame, 1_700_000_000, fraction, len(frame)) for frame in FRAMES]
    assert trial.app.frames == 500 and trial.app.files == [tmp_path / "a.pcap"]


def test_frames_without_a_timestamp_get_the_time(tmp_path):
    before = time.time()
    with Trial(PcapDump(tmp_path / "a.pcap")) as trial:
        trial.push(FRAMES[:40])
    stamps = [seconds + fraction / 1e9 for _, seconds, fraction, _ in read(tmp_path / "a.pcap")]
    assert before - 0.01 <= min(stamps) <= max(stamps) <= time.time() + 0.01
    assert stamps == sorted(stamps)


def test_snaplen_cuts_what_is_kept_and_says_what_was(tmp_path):
    with Trial(PcapDump(tmp_path / "a.pcap", snaplen=64), segment=50) as trial:
        trial.push(FRAMES)
        assert trial.out["out"] == FRAMES
    assert [(data, wire) for data, _, _, wire in read(tmp_path / "a.pcap")] == [
        (frame[:64], len(frame)) for frame in FRAMES
    ]


@pytest.mark.parametrize("count", [1, 32, 100, 500, 501])
def test_count_ends_the_file_and_not_the_traffic(tmp_path, count):
    with Trial(PcapDump(tmp_path / "a.pcap", count=count)) as trial:
        trial.push(FRAMES)
        assert trial.app.full == (count <= 500)
        assert trial.out["out"] == FRAMES
    assert [data for data, *_ in read(tmp_path / "a.pcap")] == FRAMES[:count]


def test_packets_end_here_when_nothing_follows(tmp_path):
    with Trial(PcapDump(tmp_path / "a.pcap"), unconnected=("out",)) as trial:
        trial.push(FRAMES)
    assert len(read(tmp_path / "a.pcap")) == 500


@pytest.mark.parametrize("limit", [1024, 5000, 20_000])
def test_no_file_grows_beyond_rotate_bytes(tmp_path, limit):
    with Trial(PcapDump(tmp_path / "a.pcap", rotate_bytes=limit)) as trial:
        trial.push(FRAMES)
        assert trial.out["out"] == FRAMES
    files = sorted(tmp_path.iterdir())
    assert files == trial.app.files and files[0].name == "a-00001.pcap"
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) <= limit and min(sizes[:-1]) > limit - 166
    assert [data for path in files for data, *_ in read(path)] == FRAMES
    assert trial.app.frames == 500


def test_a_frame_above_rotate_bytes_has_a_file_of_its_own(tmp_path):
    frames = [bytes(1500), bytes(60), bytes(1500)]
    with Trial(PcapDump(tmp_path / "a.pcap", rotate_bytes=1024)) as trial:
        trial.push(frames)
    assert [[len(data) for data, *_ in read(path)] for path in trial.app.files] == [[1500], [60], [1500]]


def test_rotate_seconds_begins_a_file_by_time(tmp_path):
    with Trial(PcapDump(tmp_path / "a.pcap", rotate_seconds=0.05)) as trial:
        trial.push(FRAMES[:10])
        time.sleep(0.06)
        trial.push(FRAMES[10:20])
        trial.push(FRAMES[20:30])
    assert [len(read(path)) for path in trial.app.files] == [10, 20]


def test_idle_hands_the_buffer_on_so_that_a_live_file_can_be_followed(tmp_path):
    with Trial(PcapDump(tmp_path / "a.pcap")) as trial:
        trial.push(FRAMES[:3])
        time.sleep(0.11)
        trial.idle()
        assert len(read(tmp_path / "a.pcap")) == 3


def test_a_full_disk_is_an_error_and_leaves_whole_records(tmp_path):
    """A file size limit stands for the full disk: write() takes a part, then fails."""
    trial = Trial(PcapDump(tmp_path / "a.pcap"), keep=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    frames = FRAMES * 40
    try:
        trial.push(frames)
        error = trial.fault
        trial.push(FRAMES)  # the packets still pass
        trial.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(error, PcapError)
    kept = [data for data, *_ in read(tmp_path / "a.pcap")]
    assert kept == frames[: len(kept)] and 5000 < len(kept) < 10_000
    assert str(tmp_path / "a.pcap") in str(error) and f"{len(kept)} whole frames" in str(error)
    assert "File too large" in str(error)
    assert (tmp_path / "a.pcap").stat().st_size <= 1_000_000
    assert trial.app.frames == len(kept)
    assert trial.counts["out"][0] == len(frames) + 500


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_no_space_left_at_the_end_is_not_swallowed():
    trial = Trial(PcapDump("/dev/full"))
    trial.push(FRAMES[:5])
    with pytest.raises(PcapError, match="/dev/full failed: No space left on device"):
        trial.close()
    assert trial.app.frames == 0


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(PcapError, match=r"cannot write .*/nowhere/a.pcap: No such file or directory"):
        Trial(PcapDump(tmp_path / "nowhere" / "a.pcap"))


def test_a_next_file_that_cannot_be_made_stops_it(tmp_path):
    folder = tmp_path / "captures"
    folder.mkdir()
    trial = Trial(PcapDump(folder / "a.pcap", rotate_bytes=1024))
    (folder / "a-00002.pcap").mkdir()
    trial.push(FRAMES)
    assert isinstance(trial.fault, PcapError) and "a-00002.pcap" in str(trial.fault)
    assert trial.out["out"] == FRAMES
    trial.close()
    assert [data for data, *_ in read(folder / "a-00001.pcap")] == FRAMES[: trial.app.frames]


@pytest.mark.parametrize(
    "arguments",
    [
        {"snaplen": 0},
        {"snaplen": 262_145},
        {"count": 0},
        {"count": 1.5},
        {"rotate_bytes": 1000},
        {"rotate_seconds": 0},
        {"rotate_seconds": "1h"},
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        PcapDump(tmp_path / "a.pcap", **arguments)
    assert list(tmp_path.iterdir()) == []
