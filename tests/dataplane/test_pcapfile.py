# SPDX-License-Identifier: BSD-3-Clause
"""The pcap file format: what is written is read back, by us and by scapy; foreign and damaged files are named."""

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.l2 import Ether
from scapy.utils import rdpcap, wrpcap

from dataplane.errors import ConfigError, PcapError
from dataplane.files.pcapfile import PcapReader, PcapWriter

FRAMES = [bytes([n % 256]) * (14 + n % 200) for n in range(40)]


def header(order="<", magic=0xA1B2C3D4, version=(2, 4), snaplen=65535, link_type=1):
    return struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, link_type)


def record(frame, sec=1, sub=2, order="<", length=None, wire=None):
    length = len(frame) if length is None else length
    return struct.pack(order + "IIII", sec, sub, length, wire or len(frame)) + frame


@pytest.fixture
def make(tmp_path):
    """Write bytes to a file; returns its path."""

    def write(content, name="in.pcap"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_both_orders_and_units_are_read(make, order, magic, unit):
    content = header(order, magic) + b"".join(record(f, 7, 5 + n, order) for n, f in enumerate(FRAMES))
    reader = PcapReader(make(content))
    assert [(r.timestamp_ns, r.data, r.original_length) for r in reader] == [
        (7_000_000_000 + (5 + n) * unit, f, len(f)) for n, f in enumerate(FRAMES)
    ]
    assert reader.records == len(FRAMES)
    assert reader.error() is None
    assert (reader.snaplen, reader.link_type) == (65535, 1)


@pytest.mark.parametrize("preload", [False, True])
def test_rewind_reads_it_again(make, preload):
    reader = PcapReader(make(header() + b"".join(map(record, FRAMES))), preload=preload)
    first = list(reader)
    assert list(reader) == []
    reader.rewind()
    assert list(reader) == first


def test_a_header_alone_is_an_empty_capture(make):
    assert list(PcapReader(make(header()))) == []


FOREIGN = {
    "pcapng": (b"\x0a\x0d\x0d\x0a" + bytes(40), "pcapng file: convert it"),
    "snoop": (b"snoop\0\0\0" + bytes(40), "snoop file: convert it"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "gunzip"),
    "random": (bytes(range(60, 120)), "no pcap file: it begins with 3c 3d 3e 3f at offset 0"),
    "text": (b"hi", "no pcap file"),
    "empty": (b"", "is empty"),
    "header cut": (header()[:20], "ends at offset 20, within the header of 24 bytes"),
    "version": (header(version=(2, 3)), r"version 2\.3 \(offset 4\)"),
    "version, swapped": (header(">", version=(543, 0)), r"version 543\.0"),
    "kuznetzov": (header(magic=0xA1B2CD34), "Kuznetzov"),
}


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files_are_named(make, kind, preload):
    content, message = FOREIGN[kind]
    path = make(content)
    with pytest.raises(PcapError, match=message) as caught:
        PcapReader(path, preload=preload)
    assert str(path) in str(caught.value)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(PcapError, match="No such file"):
        PcapReader(tmp_path / "missing.pcap")
    with pytest.raises(PcapError, match="Is a directory"):
        PcapReader(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(PcapError, match="not a regular file"):
            PcapReader(tmp_path / "pipe")
    finally:
        os.close(reader)


DAMAGE = {
    "header cut": (record(b"x" * 60)[:7], "ends 7 bytes into the 16 of its header"),
    "data cut": (record(b"x" * 60)[:30], "claims 60 bytes and the file ends after 14 of them"),
    "absurd": (record(b"x" * 60, length=0x7FFFFFFF), "claims 2147483647 bytes, more than"),
    "absurd but there": (record(b"", length=262145) + bytes(262145), "claims 262145 bytes, more than"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_whole_records_come_before_the_damage(make, kind):
    tail, message = DAMAGE[kind]
    whole = header() + b"".join(map(record, FRAMES))
    reader = PcapReader(make(whole + tail))
    got = []
    with pytest.raises(PcapError, match=message) as caught:
        for r in reader:
            got.append(r.data)
    assert got == FRAMES
    assert f"record {len(FRAMES) + 1} at offset {len(whole)} " in str(caught.value)
    assert f"the {len(FRAMES)} records before are whole" in str(caught.value)
    assert reader.records == len(FRAMES)
    with pytest.raises(PcapError):
        next(reader)  # it does not go on behind the damage


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.booleans(), st.sampled_from(["<", ">"]))
def test_arbitrary_bytes_end_in_records_or_an_error(tmp_path_factory, noise, with_header, order):
    path = tmp_path_factory.getbasetemp() / "noise.pcap"
    path.write_bytes((header(order) if with_header else b"") + noise)
    try:
        reader = PcapReader(path)
    except PcapError:
        assert not with_header
        return
    whole = 0
    try:
        for r in reader:
            whole += 16 + len(r.data)
    except PcapError as error:
        assert f"at offset {24 + whole} " in str(error)
    else:
        assert whole == len(noise)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.binary(min_size=14, max_size=1600), st.integers(1, 2**32 * 10**9 - 1)), max_size=20
    ),
    st.booleans(),
)
def test_what_we_write_scapy_reads_and_so_do_we(tmp_path_factory, packets, nanosecond):
    path = tmp_path_factory.getbasetemp() / "out.pcap"
    with PcapWriter(path, nanosecond=nanosecond) as writer:
        for frame, stamp in packets:
            writer.write(frame, stamp)
        assert (writer.frames, writer.bytes) == (
            len(packets),
            24 + sum(16 + len(frame) for frame, _ in packets),
        )
    assert path.stat().st_size == writer.bytes
    unit = 1 if nanosecond else 1000
    wanted = [(stamp // unit * unit, frame) for frame, stamp in packets]
    assert [(r.timestamp_ns, r.data) for r in PcapReader(path)] == wanted
    assert [bytes(p) for p in rdpcap(str(path))] == [frame for frame, _ in packets] if packets else True


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_what_scapy_writes_we_read(tmp_path, endianness, nano):
    packets = [Ether(bytes(f)) for f in FRAMES]
    for n, packet in enumerate(packets):
        packet.time = 1700000000 + n
    wrpcap(str(tmp_path / "s.pcap"), packets, endianness=endianness, nano=nano)
    reader = PcapReader(tmp_path / "s.pcap")
    assert [(r.data, r.timestamp_ns) for r in reader] == [
        (f, (1700000000 + n) * 10**9) for n, f in enumerate(FRAMES)
    ]
    assert reader.nanosecond is nano


def test_snap_length_keeps_the_length_on_the_wire(tmp_path):
    with PcapWriter(tmp_path / "snap.pcap", snaplen=20) as writer:
        for frame in FRAMES:
            writer.write(frame, 1)
    assert [(r.data, r.original_length) for r in PcapReader(tmp_path / "snap.pcap")] == [
        (f[:20], len(f)) for f in FRAMES
    ]


def test_what_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="snap length of 0"):
        PcapWriter(tmp_path / "x", snaplen=0)
    with pytest.raises(PcapError, match="No such file or directory: name a file in a folder"):
        PcapWriter(tmp_path / "missing" / "x.pcap")
    writer = PcapWriter(tmp_path / "y.pcap")
    with pytest.raises(ConfigError, match="70000 bytes"):
        writer.write(bytes(70000))
    writer.close()
    writer.close()  # twice is once
    with pytest.raises(PcapError, match="is closed"):
        writer.write(b"x" * 60)
