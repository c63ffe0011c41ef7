# SPDX-License-Identifier: BSD-3-Clause
"""A disk that fills up under PcapWriter: the file ends with a whole record, and nothing is lost without being counted."""

import errno
import resource
import signal
from contextlib import contextmanager

import pytest

from dataplane.errors import PcapError
from dataplane.files.pcapfile import PcapReader, PcapWriter


@contextmanager
def file_limit(size):
    """Limit the files that this process writes to `size` bytes, in place of a full disk (EFBIG for ENOSPC).

    The limit must end with the test's own body: pytest's report may go to a file too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("limit", [0, 10, 24, 25, 100, 5000, (1 << 20) + 70000])
def test_the_file_ends_with_a_whole_record(tmp_path, limit):
    path = tmp_path / "full.pcap"
    writer = PcapWriter(path)
    frames = [bytes([n % 251]) * (60 + n % 1400) for n in range(2000)]
    refused = None
    with file_limit(limit):
        for sent, frame in enumerate(frames):
            try:
                writer.write(frame, 1)
            except PcapError as error:
                refused = sent, str(error)
                break
        with pytest.raises(PcapError, match="File too large: it ends after"):
            writer.close()
    assert writer.error == errno.EFBIG
    assert path.stat().st_size == writer.bytes <= limit
    # Every frame the writer took is in the file or counted as lost.
    taken = refused[0] + 1 if refused else len(frames)
    assert writer.frames + writer.lost == taken
    if limit >= 24:
        assert [r.data for r in PcapReader(path)] == frames[: writer.frames]
        assert (
            writer.bytes + 16 + len(frames[writer.frames]) > limit
        )  # and it is as much as there was room for
    else:
        assert writer.bytes == writer.frames == 0


def test_flush_says_it_and_nothing_is_taken_afterwards(tmp_path):
    writer = PcapWriter(tmp_path / "full.pcap")
    with file_limit(200):
        writer.write(bytes(100), 1)
        writer.flush()
        writer.write(bytes(100), 1)
        with pytest.raises(PcapError, match="ends after 1 whole frames, 1 buffered ones are lost: make room"):
            writer.flush()
        with pytest.raises(PcapError, match="File too large"):
            writer.write(bytes(60), 1)
    assert isinstance(writer.failure(), PcapError)
    assert (writer.frames, writer.lost, writer.bytes) == (1, 1, 140)
