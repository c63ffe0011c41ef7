# SPDX-License-Identifier: BSD-3-Clause
"""The words of the datasheet: what a register and a field know, and what they refuse."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import (
    ALL,
    CTRL,
    EICR,
    EITR,
    LINKS,
    MRQC,
    PFMBMEM,
    PFVFLRE,
    PFVML2FLT,
    RAL,
    RDT,
    RXDCTL,
    RXPBSIZE,
    SRRCTL,
    STATUS,
    SWSM,
    TXPBTHRESH,
    VMOLR,
    AddressMap,
    Alias,
    Register,
    bit,
    bits,
    decode,
    vf,
)
from dataplane.pmd.register import RC, RO, RS, RW, SC, W1C

unhurried = settings(deadline=None)  # the machine may be busy

EVERY = [*ALL, *vf.ALL]
words = st.integers(0, 0xFFFF_FFFF)


def test_a_register_says_where_it_is() -> None:
    assert (CTRL.name, CTRL.offset, CTRL.section) == ("CTRL", 0, "8.2.3.1.1")
    assert (SRRCTL[3].name, SRRCTL[3].offset) == ("SRRCTL[3]", 0x010D4)
    assert RXDCTL[63].offset == 0x01FE8
    assert RXDCTL[64].offset == 0x0D028
    assert RXDCTL[127].offset == 0x0DFE8
    assert (EITR[23].offset, EITR[24].offset) == (0x0087C, 0x12300)
    assert (PFVFLRE[0].offset, PFVFLRE[1].offset) == (0x00600, 0x001C0)
    assert PFMBMEM[2, 5] is PFMBMEM[37]
    assert (PFMBMEM[2, 5].name, PFMBMEM[2, 5].offset) == ("PFMBMEM[2,5]", 0x13094)


def test_one_name_for_every_address_of_a_register() -> None:
    assert decode(0x00004) is CTRL
    assert decode(0x05818) is MRQC
    assert decode(0x0210C) is SRRCTL[3]
    assert decode(0x05400 + 8 * 15) is RAL[15]
    assert decode(0x0D018 + 0x40 * 3) is RDT[67]
    assert decode(0x0FFFC) is None
    assert decode(0x00001) is None
    assert VMOLR is PFVML2FLT


def test_an_index_past_the_end() -> None:
    with pytest.raises(
        IndexError, match=r"SRRCTL\[128\] does not exist: there are 128.*datasheet 8\.2\.3\.8\.7"
    ):
        SRRCTL[128]
    with pytest.raises(IndexError, match=r"SRRCTL\[-1\]"):
        SRRCTL[-1]
    with pytest.raises(IndexError, match=r"PFMBMEM\[\(0, 16\)\]"):
        PFMBMEM[0, 16]
    with pytest.raises(IndexError, match=r"CTRL\[1\]"):
        CTRL[1]
    assert CTRL[0] is CTRL


def test_an_array_has_no_address_of_its_own() -> None:
    with pytest.raises(AttributeError, match=r"there are 128 RXDCTL: say which, RXDCTL\[n\]"):
        _ = RXDCTL.offset


def test_an_unknown_field() -> None:
    with pytest.raises(
        AttributeError, match=r"RXDCTL\[3\] has no field ENABEL: it has ENABLE, SWFLSH, VME .*8\.2\.3\.8\.6"
    ):
        _ = RXDCTL[3].ENABEL
    with pytest.raises(AttributeError, match="RAL"):
        RAL[0].pack(AV=1)
    assert not hasattr(RXDCTL[3], "ENABEL")
    assert copy.copy(RXDCTL[3]).offset == RXDCTL[3].offset


def test_a_value_too_wide() -> None:
    with pytest.raises(
        ValueError, match=r"SRRCTL\[1\]\.DESCTYPE is 3 bits wide: 0x8 does not fit .*8\.2\.3\.8\.7"
    ):
        SRRCTL[1].pack(DESCTYPE=8)
    with pytest.raises(ValueError, match="is 1 bit wide"):
        CTRL.RST.insert(0, -1)


def test_fields_of_no_register() -> None:
    for wrong in (slice(3, 8), 32, slice(32, 0), -1):
        with pytest.raises(ValueError, match="no such bits"):
            bits[wrong]


def test_describe() -> None:
    assert RXDCTL[3].describe(0x0200_0000) == "RXDCTL[3] = 0x02000000 (ENABLE)"
    assert (
        SRRCTL[0].describe(0x1200_0402)
        == "SRRCTL[0] = 0x12000402 (BSIZEPACKET=2 BSIZEHEADER=4 DESCTYPE=1 DROP_EN)"
    )
    assert RXDCTL[0].describe(1) == "RXDCTL[0] = 0x00000001 (undefined 0x1)"
    assert RAL[0].describe(7) == "RAL[0] = 0x00000007"
    assert str(RXDCTL[3].ENABLE) == "RXDCTL[3].ENABLE"
    assert "8.2.3.8.6" in repr(RXDCTL[3])


def test_every_register_has_a_repr() -> None:
    """An array of registers has one too: it has no offset, which its repr must not look for."""
    for line in (*ALL, *vf.ALL):
        assert repr(line).startswith(f"<{line.name}") and line.section in repr(line)
        assert (f"[0..{line.count - 1}]" in repr(line)) == (line.count > 1)


def test_access_kinds() -> None:
    assert CTRL.bits(SC) == 1 << 26 | 1 << 3
    assert CTRL.bits(RW) == 0xFFFF_FFFF & ~CTRL.bits(SC)
    assert STATUS.bits(RO) == LINKS.bits(RO) == 0xFFFF_FFFF
    assert SWSM.SMBI.access is RS
    assert EICR.bits(W1C) == 0xFFFF_FFFF
    assert vf.VFMAILBOX.bits(RC) == 0xB0


def test_reset_values() -> None:
    assert [RXPBSIZE[n].reset for n in (0, 7)] == [0x80000, 0x80000]
    assert [TXPBTHRESH[n].reset for n in (0, 1)] == [0x96, 0]
    assert vf.VFSRRCTL[5].reset == SRRCTL[5].reset == 0x402


def test_reset_values_set_no_undefined_bit() -> None:
    for register in EVERY:
        for index in (0, register.count - 1):
            assert not register[index].reset & ~register.defined, register[index].describe(
                register[index].reset
            )


def test_like_takes_what_is_not_said() -> None:
    first = Register("FIRST", 0, "1", RO, reset=5, LOW=bits[3:0])
    second = Register("SECOND", 4, "2", like=first, HIGH=bit[31])
    third = Register("THIRD", 8, "3", RW, like=first, reset=0)
    assert (second.access, second.reset, list(second.fields)) == (RO, 5, ["LOW", "HIGH"])
    assert (third.access, third.reset) == (RW, 0)


def test_fields_do_not_overlap() -> None:
    for register in EVERY:
        taken = 0
        for name, field in register.fields.items():
            assert not taken & field.mask, f"{register.name}.{name} lies on another field"
            taken |= field.mask


@pytest.mark.parametrize("registers", [ALL, vf.ALL], ids=["PF", "VF"])
def test_one_register_at_an_address(registers: tuple[Register, ...]) -> None:
    where: dict[int, str] = {}
    for register in registers:
        for offset, index in register.addresses():
            name = f"{register.name}[{index}]"
            assert offset % 4 == 0, name
            assert offset not in where, f"{name} and {where[offset]} are both at {offset:#07x}"
            where[offset] = name
    assert max(where) < (0x20000 if registers is ALL else 0x4000)


def test_that_test_sees_a_clash() -> None:
    array = Register("ARRAY", 0x100, "1", count=4, alias=Alias(0x200, 4))
    addresses = [offset for offset, _ in array.addresses()]
    assert addresses == [0x100, 0x104, 0x108, 0x10C, 0x200, 0x204, 0x208, 0x20C]
    assert AddressMap([array]).decode(0x208) is array[2]


@unhurried
@given(st.sampled_from(EVERY), words)
def test_pack_and_unpack(register: Register, word: int) -> None:
    ref = register[register.count - 1]
    values = ref.unpack(word)
    assert ref.pack(**values) == word & ref.defined if ref.fields else values == {}
    assert ref.update(word, **values) == word
    for name, value in values.items():
        field = getattr(ref, name)
        assert field.extract(word) == value
        assert field.insert(word, value ^ (1 << field.width) - 1) == word ^ field.mask


@unhurried
@given(st.integers(0, 0x1FFFF))
def test_decode_is_the_inverse_of_the_address(offset: int) -> None:
    ref = decode(offset)
    if ref is not None:
        assert (offset, ref.index) in set(ref.register.addresses())
