# SPDX-License-Identifier: BSD-3-Clause
"""Capture files that change while they are read: cut short, grown, still written. Whole records, then a named end."""

import os
import struct
import subprocess
import sys

import pytest

from dataplane import Pipeline
from dataplane.byhand import receive
from dataplane.errors import FileInUse, PcapError
from dataplane.files.pcapfile import PcapReader, PcapWriter
from dataplane.pmd import probe
from tests.pmd.port_contract import frames

SIZE = 1000
RECORD = 16 + SIZE
MANY = 3000  # records: several buffers of the reader


@pytest.fixture
def path(tmp_path):
    with PcapWriter(tmp_path / "in.pcap") as writer:
        for n in range(MANY):
            writer.write(n.to_bytes(4, "big") * (SIZE // 4), n)
    return tmp_path / "in.pcap"


def numbers(read):
    """The numbers of the records that `read` gives, and the error that ends it."""
    got = []
    try:
        for data in read:
            assert data == data[:4] * (SIZE // 4)
            got.append(int.from_bytes(data[:4], "big"))
    except PcapError as error:
        return got, str(error)
    return got, ""


def by_reader(path, cut):
    reader = PcapReader(path)
    for n, record in enumerate(reader):
        if n == 10:
            cut()
        yield record.data


def by_port(path, cut, options=""):
    with probe(f"pcap:{path}{options}") as port:
        port.rx()
        port.start()
        for n in range(10**6):
            if n == 5:
                cut()
            yield from receive(port.rx(), 1)
            if port.done:
                return


READERS = {
    "reader": by_reader,
    "port": by_port,
    "port, original": lambda path, cut: by_port(path, cut, ",speed=original"),
}


@pytest.mark.parametrize("rest", [0, 10, 24, 24 + 400 * RECORD, 24 + 2500 * RECORD, 24 + 2500 * RECORD + 500])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_cut_while_it_is_read(path, reader, rest):
    got, error = numbers(READERS[reader](path, lambda: os.truncate(path, rest)))
    assert got == list(range(len(got)))
    assert len(got) >= max(1, rest // RECORD - 1)
    assert f"{path}: record {len(got) + 1} at offset {24 + len(got) * RECORD} is gone" in error
    assert f"the file was cut from {24 + MANY * RECORD} to {rest} bytes while it was read" in error


def test_a_pipeline_on_a_file_that_is_cut_ends_with_the_error(path, tmp_path):
    with probe(f"pcap:{path}") as source, probe(f"pcap:>{tmp_path}/copy.pcap") as target:
        os.truncate(path, 24 + 100 * RECORD)
        with pytest.raises(PcapError, match="is gone: the file was cut"):
            Pipeline(source.rx() >> target.tx()).run(seconds=30)
        report = target.xstats()
    copied = list(PcapReader(tmp_path / "copy.pcap"))
    assert len(copied) == report["tx_good_packets"] >= 100


def test_a_file_cut_between_two_rounds(path):
    reader = PcapReader(path)
    assert len(list(reader)) == MANY
    os.truncate(path, 24 + RECORD)
    reader.rewind()
    got, error = numbers(record.data for record in reader)
    assert got == [0] and "record 2 at offset 1040 is gone" in error


def test_preloaded_files_may_go(path):
    reader = PcapReader(path, preload=True)
    path.write_bytes(b"")
    assert len(list(reader)) == MANY


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_file_that_grows_while_it_is_read(path, rounds):
    reader = PcapReader(path)
    whole = path.read_bytes()
    for _ in range(rounds):
        seen = sum(1 for _ in reader)
        with path.open("ab") as file:
            file.write(whole[24 : 24 + 5 * RECORD])
        assert sum(1 for _ in reader) == 5  # its end was where it was
        assert seen % 5 == 0
        reader.rewind()


def test_a_file_that_another_process_still_writes(tmp_path):
    """Its last record is on its way, which is no damage as long as the writer is there."""
    file = tmp_path / "live.pcap"
    script = (
        "import sys, time\n"
        "from dataplane.files.output import Output\n"
        "out = Output(sys.argv[1], 'a test')\n"
        "import os; os.write(out.open(), bytes.fromhex(sys.argv[2])); print('there', flush=True); sys.stdin.read()\n"
    )
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    record = struct.pack("<IIII", 1, 0, 60, 60) + bytes(60)
    half = header + record * 3 + record[:40]
    words = [sys.executable, "-c", script, str(file), half.hex()]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "there\n"
        assert len(list(PcapReader(file))) == 3
        with probe(f"pcap:{file}") as source, probe("null:") as null:
            assert Pipeline(source.rx() >> null.tx()).run(seconds=20).packets == 3
        with pytest.raises(FileInUse, match=f"process {writer.pid} "):
            PcapWriter(file)
        writer.communicate(timeout=20)
    assert file.read_bytes() == half
    with pytest.raises(PcapError, match="record 4 at offset 252 claims 60 bytes and the file ends after 24"):
        list(PcapReader(file))


def test_what_was_written_so_far_can_be_looked_at(tmp_path):
    file = tmp_path / "out.pcap"
    writer = PcapWriter(file)
    for n, frame in enumerate(frames(5)):
        writer.write(frame)
        writer.flush()
        assert [record.data for record in PcapReader(file)] == frames(n + 1)
    reader = PcapReader(file)
    writer.close()
    with pytest.raises(FileInUse, match="a PcapWriter would write what a PcapReader reads"):
        PcapWriter(file)
    assert len(list(reader)) == 5
    reader.close()
    PcapWriter(file).close()
    assert list(PcapReader(file)) == []


def test_a_forgotten_port_holds_no_file(tmp_path):
    port = probe(f"pcap:>{tmp_path}/out.pcap")
    port.tx()
    port.start()
    del port  # it and its queue refer to each other
    with probe(f"pcap:>{tmp_path}/out.pcap") as port:
        port.tx()
        port.start()
