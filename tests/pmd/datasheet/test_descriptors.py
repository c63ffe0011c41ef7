# SPDX-License-Identifier: BSD-3-Clause
"""Descriptors: the C header and the Python constants say the same, the layouts are the datasheet's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd import datasheet
from dataplane.pmd.datasheet import descriptors as d

unhurried = settings(deadline=None)  # the machine may be busy

FOLDER = Path(datasheet.__file__).parent
PREFIXES = ("RXD_", "TXD_", "TXC_")


def bits(width: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << width) - 1)


def python_constants() -> dict[str, int]:
    return {name: value for name, value in vars(d).items() if name.startswith(PREFIXES)}


def header_constants() -> dict[str, int]:
    """Every ``#define HW_NAME value`` of the header; a value is a number, hexadecimal or decimal, or a shift."""
    values = {}
    for name, text in re.findall(r"^#define HW_(\w+_\w+) +(.+)$", (FOLDER / "hw82599.h").read_text(), re.M):
        plain = re.sub(r"\b(0x[0-9A-F]+|\d+)u\b", r"\1", text.strip())
        shift = re.fullmatch(r"\((\d+) << (\d+)\)", plain)
        values[name] = int(shift[1]) << int(shift[2]) if shift else int(plain, 0)
    return values


def test_header_and_python_agree() -> None:
    header = header_constants()
    assert len(header) > 80
    assert header == python_constants()


def test_the_pxd_declares_the_whole_header() -> None:
    declared = set(re.findall(r"\bHW_(\w+)", (FOLDER / "hw82599.pxd").read_text()))
    assert declared == set(header_constants())


def test_shifts_fit_masks() -> None:
    values = python_constants()
    for name, shift in values.items():
        mask = values.get(name.replace("_SHIFT", "_MASK"))
        if name.endswith("_SHIFT") and mask is not None:
            assert mask & -mask == 1 << shift, name


def test_flags_of_a_word_do_not_overlap() -> None:
    values = python_constants()
    words = {
        "status": [f"RXD_{kind}_" for kind in ("STAT", "ERR")],
        "command": ["TXD_CMD_", "TXD_MAC_", "TXD_LEN_MASK", "TXD_DTYP_MASK"],
        "upper": ["TXD_STAT_", "TXD_IDX_MASK", "TXD_CC", "TXD_POPTS_", "TXD_PAYLEN_MASK"],
    }
    for word, prefixes in words.items():
        taken = 0
        for name, value in values.items():
            if any(name.startswith(prefix) for prefix in prefixes):
                assert not taken & value, f"{name} lies on another flag of {word}"
                taken |= value


def test_words_as_drivers_write_them() -> None:
    """The numbers that poll-mode drivers put on the wire for a plain packet of 60 bytes."""
    simple = d.TxData(0x1122, 60, d.TXD_CMD_EOP | d.TXD_CMD_IFCS | d.TXD_CMD_RS, total=60)
    assert simple.pack() == (0x1122).to_bytes(8, "little") + (0x2B30003C).to_bytes(4, "little") + (
        60 << 14
    ).to_bytes(4, "little")
    context = d.TxContext(14, 20, 0, d.TXC_TUCMD_IPV4 | d.TXC_TUCMD_TCP, 1, 20, 1460)
    words = [int.from_bytes(context.pack()[at : at + 4], "little") for at in (0, 4, 8, 12)]
    assert words == [14 << 9 | 20, 0, 0x20200C00, 1460 << 16 | 20 << 8 | 1 << 4]


def test_a_written_back_packet() -> None:
    done = d.RxWriteback.unpack(
        bytes.fromhex("31 01 00 00  78 C1 CC 51  63 00 00 00  3C 00 64 20".replace(" ", ""))
    )
    assert done.rss_type == d.RXD_RSS_TCP_IPV4
    assert done.packet_type == d.RXD_PTYPE_IPV4 | d.RXD_PTYPE_TCP | d.RXD_PTYPE_IPV4_EX
    assert done.rss_hash == 0x51CCC178
    assert done.status == d.RXD_STAT_DD | d.RXD_STAT_EOP | d.RXD_STAT_L4CS | d.RXD_STAT_IPCS
    assert (done.length, done.vlan) == (60, 0x2064)


def test_dd_is_where_each_kind_has_it() -> None:
    assert d.RxWriteback(status=d.RXD_STAT_DD).pack()[8] == 1
    assert d.RxLegacy(0, status=d.RXD_STAT_DD).pack()[12] == 1
    assert d.TxData(0, 1, done=1).pack()[12] == 1
    assert d.TxLegacy(0, 1, done=1).pack()[12] == 1
    assert d.RxRead(0x1000).pack()[8] == 0, "a header address with bit 0 would look like DD"


def test_what_does_not_fit() -> None:
    for wrong in (
        d.TxData(0, 1 << 16),
        d.TxData(0, 1, total=1 << 18),
        d.TxContext(mac_length=128),
        d.TxContext(ip_length=512),
        d.RxWriteback(packet_type=1),
        d.RxWriteback(header_length=1024),
    ):
        with pytest.raises(ValueError, match="does not fit"):
            wrong.pack()


def test_reserved_kind() -> None:
    data = bytearray(d.TxData(0, 60).pack())
    data[10] = 0x10
    with pytest.raises(ValueError, match=r"DTYP 1 is reserved .*7\.2\.3\.2"):
        d.unpack_tx(bytes(data))


@unhurried
@given(bits(64), bits(64))
def test_rx_read(packet: int, header: int) -> None:
    assert d.RxRead.unpack(d.RxRead(packet, header).pack()) == (packet, header)


@unhurried
@given(
    st.builds(
        d.RxWriteback,
        bits(4),
        bits(13).map(lambda kinds: kinds << 4),
        bits(4),
        bits(10),
        bits(1),
        bits(32),
        bits(32),
        bits(16),
        bits(16),
    )
)
def test_rx_writeback(done: d.RxWriteback) -> None:
    assert d.RxWriteback.unpack(done.pack()) == done


@unhurried
@given(st.binary(min_size=16, max_size=16))
def test_every_written_back_word_has_a_meaning(data: bytes) -> None:
    assert d.RxWriteback.unpack(data).pack() == data
    assert d.RxLegacy.unpack(data).pack() == data


command = st.sets(
    st.sampled_from(
        [d.TXD_CMD_EOP, d.TXD_CMD_IFCS, d.TXD_CMD_RS, d.TXD_CMD_VLE, d.TXD_CMD_TSE, d.TXD_MAC_1588]
    )
).map(sum)
options = st.sets(st.sampled_from([d.TXD_CC, d.TXD_POPTS_IXSM, d.TXD_POPTS_TXSM, d.TXD_POPTS_IPSEC])).map(sum)
tucmd = st.sets(st.sampled_from([d.TXC_TUCMD_SNAP, d.TXC_TUCMD_IPV4, d.TXC_TUCMD_TCP])).map(sum)
legacy = st.sets(
    st.sampled_from([d.TXD_CMD_EOP, d.TXD_CMD_IFCS, d.TXD_CMD_IC, d.TXD_CMD_RS, d.TXD_CMD_VLE])
).map(sum)


@unhurried
@given(
    st.one_of(
        st.builds(d.TxData, bits(64), bits(16), command, bits(3), options, bits(18), bits(1)),
        st.builds(d.TxContext, bits(7), bits(9), bits(16), tucmd, bits(3), bits(8), bits(16)),
        st.builds(d.TxLegacy, bits(64), bits(16), legacy, bits(8), bits(8), bits(16), bits(1)),
    )
)
def test_tx(descriptor: d.TxData | d.TxContext | d.TxLegacy) -> None:
    data = descriptor.pack()
    assert len(data) == d.SIZE
    assert d.unpack_tx(data) == descriptor
