# SPDX-License-Identifier: BSD-3-Clause
"""Files that are written: opened late, locked, replaced whole, cut back when a disk is full, and named when they fail."""

import errno
import gc
import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from dataplane.errors import ConfigError, FileError, FileInUse
from dataplane.files.output import Lines, Output, Whole
from dataplane.files.pcapfile import PcapReader, PcapWriter

MAKERS = {
    "Output": lambda path: Output(path, "a test"),
    "Lines": lambda path: Lines(path, "a test"),
    "Whole": lambda path: Whole(path, "a test"),
    "PcapWriter": lambda path: PcapWriter(path, begin=False),
}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def full(monkeypatch, after=0, code=errno.ENOSPC):
    """From now on os.write takes `after` bytes more and then fails."""
    write, left = os.write, after

    def limited(fd, data):
        nonlocal left
        if left == 0:
            raise OSError(code, os.strerror(code))
        took = write(fd, data[: min(left, 7)])  # never all at once
        left -= took
        return took

    monkeypatch.setattr(os, "write", limited)


@pytest.mark.parametrize("kind", ["old", "new", "dangling", "fifo", "/dev/full"])
def test_naming_a_file_changes_nothing(tmp_path, make, kind):
    old = tmp_path / "old"
    old.write_text("kept")
    (tmp_path / "dangling").symlink_to("beyond")
    os.mkfifo(tmp_path / "fifo")
    before = old.stat()
    there = sorted(tmp_path.iterdir())
    named = make(tmp_path / kind)
    if hasattr(named, "prepare") and kind != "fifo":  # a FIFO is waited for
        named.prepare()
        named.prepare()
    assert sorted(tmp_path.iterdir()) == there
    assert old.read_text() == "kept" and old.stat().st_mtime_ns == before.st_mtime_ns
    del named
    gc.collect()
    make(tmp_path / kind)  # the claim is released


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nowhere/x", "No such file or directory"),
        (".", "Is a directory"),
        ("plain/x", "Not a directory"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_written_is_said_at_once(tmp_path, make, monkeypatch, path, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain").write_text("")
    with pytest.raises(FileError, match=rf"cannot write {path}: {says}: name a file in a folder"):
        make(path)


def test_a_file_has_one_writer_in_a_program(tmp_path, make):
    (tmp_path / "a").write_text("kept")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    first = make(tmp_path / "a")
    for name in ("a", "b"):
        for other in MAKERS.values():
            with pytest.raises(FileInUse, match=f"{name}: .* would write what .* writes") as caught:
                other(tmp_path / name)
            assert isinstance(caught.value, ConfigError)
            assert len(str(caught.value).replace(f"{tmp_path}/", "")) < 200
    assert (tmp_path / "a").read_text() == "kept"
    first.release() if isinstance(first, Whole) else first.close()
    make(tmp_path / "b")


def test_a_new_file_has_one_writer(tmp_path):
    (tmp_path / "link").symlink_to("new")
    first = Output(tmp_path / "new", "one")
    with pytest.raises(FileInUse, match=r"link: two would write what one writes as .*new"):
        Output(tmp_path / "link", "two")
    first.open()
    with pytest.raises(FileInUse):
        Output(tmp_path / "link", "two")
    first.close()
    with Output(tmp_path / "link", "two") as second:
        assert second.open() >= 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "new").exists()


def test_a_file_that_comes_and_goes_before_it_is_opened(tmp_path):
    path = tmp_path / "x"
    out = Output(path, "a test")
    path.write_text("of somebody else")
    out.prepare()
    path.unlink()
    path.write_text("again")
    os.write(out.open(), b"ours")
    out.close()
    assert path.read_text() == "ours"


def test_a_lock_ends_with_its_owner(tmp_path):
    path = tmp_path / "x"
    path.write_text("")
    child = os.fork()
    if child == 0:
        try:
            out = Output(path, "a child")
            out.open()
            (tmp_path / "locked").write_text("")
            threading.Event().wait(30)
        finally:
            os._exit(0)
    try:
        while not (tmp_path / "locked").exists():
            pass
        with pytest.raises(FileInUse, match=f"x: process {child} .* writes it: wait for its end"):
            Output(path, "a test").open()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    Output(path, "a test").open()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_report_that_finds_no_room_leaves_what_was_there(tmp_path, monkeypatch, code, old):
    path = tmp_path / "r.json"
    if old:
        path.write_text(old)
    report = Whole(path, "--json")
    full(monkeypatch, 20, code)
    with pytest.raises(FileError, match=f"writing {path} failed: {os.strerror(code)}: make room"):
        report.write("new" * 100)
    assert [each.name for each in tmp_path.iterdir()] == (["r.json"] if old else [])
    assert not old or path.read_text() == old


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_a_report_keeps_the_mode_of_the_old_one(tmp_path, mode):
    path = tmp_path / "r.json"
    path.write_text("old" * 100)
    path.chmod(mode)
    Whole(path, "--json").write("new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == mode
    mask = os.umask(0o27)
    try:
        Whole(tmp_path / "other", "--json").write("new")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o640


def test_a_report_where_no_file_can_be_replaced(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    path.write_text("old" * 100)

    def busy(*_):
        raise OSError(errno.EBUSY, "a mount point")

    monkeypatch.setattr(Path, "rename", busy)
    Whole(path, "--json").write("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_lines_wait_for_the_file(tmp_path):
    lines = Lines(tmp_path / "t", "--trace")
    assert lines.write("one\n") == 4 and not (tmp_path / "t").exists()
    lines.open()
    lines.write("two\n")
    assert (tmp_path / "t").read_text() == "one\ntwo\n"
    lines.close()
    lines.write("three\n")
    assert (tmp_path / "t").read_text() == "one\ntwo\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("room", [0, 3, 8, 21, 100])
def test_lines_end_with_a_whole_one_and_a_warning(tmp_path, monkeypatch, caplog, code, room):
    lines = Lines(tmp_path / "t", "--trace")
    lines.open()
    full(monkeypatch, room, code)
    with caplog.at_level(logging.WARNING):
        for n in range(100):
            assert lines.write(f"line {n}\n") == len(f"line {n}\n")
    text = "".join(f"line {n}\n" for n in range(100))[:room]
    assert (tmp_path / "t").read_text() == text[: text.rfind("\n") + 1]
    (record,) = caplog.records
    assert str(tmp_path / "t") in record.getMessage() and os.strerror(code) in record.getMessage()
    lines.close()


def test_a_writer_that_was_only_named_takes_nothing(tmp_path):
    writer = PcapWriter(tmp_path / "x.pcap", begin=False)
    with pytest.raises(FileError, match=r"x.pcap has not begun: call begin\(\)"):
        writer.write(bytes(60))
    writer.close()
    assert not (tmp_path / "x.pcap").exists()
    with pytest.raises(FileError, match="is closed"):
        writer.begin()


def test_a_writer_that_is_forgotten_writes_what_it_has(tmp_path):
    writer = PcapWriter(tmp_path / "x.pcap")
    writer.write(bytes(60), 1)
    circle = [writer]
    circle.append(circle)
    del writer, circle
    gc.collect()
    assert len(list(PcapReader(tmp_path / "x.pcap"))) == 1
