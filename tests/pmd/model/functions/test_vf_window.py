# SPDX-License-Identifier: BSD-3-Clause
"""BAR0 of VFs: each offset is the right register of the PF, for every VF and layout, and of no other VF (datasheet 9.4)."""

import ctypes

import pytest
from vf_fixtures import LAYOUTS, POOLS, VfChip, changed

from dataplane.errors import DeviceError
from dataplane.pmd.datasheet import (
    LINKS,
    PFMBMEM,
    PSRTYPE,
    PVTEICR,
    PVTIVAR,
    RDBAL,
    RDT,
    RSCCTL,
    STATUS,
    TDT,
    TDWBAL,
    TXDCTL,
    pci,
)
from dataplane.pmd.datasheet import vf as window

PATTERN = 0x5A5A_0000
READ_ONLY = {"VFSTATUS", "VFLINKS", "VFFRTIMER", "VFRXMEMWRAP"}
# What a block answers for: a pattern stored behind its back is not what a read shows, or does not stay.
LIVE = READ_ONLY | {"VFCTRL", "VFMAILBOX", "VTEICS", "VTEIMC"}


def each_register():
    return [line[n] for line in window.ALL for n in range(line.count)]


def expected(vf, register, queues):
    """The PF's address of a VF's register by the facts' own formulas, apart from the datasheet module."""
    name, n, q = register.register.name, register.index, vf * queues + register.index
    rx = (0x1000 + 0x40 * q) if q < 64 else (0xD000 + 0x40 * (q - 64))
    offset = register.offset
    if 0x1000 <= offset < 0x2000 and name not in ("VFGPRC", "VFGORC_LSB", "VFGORC_MSB", "VFMPRC"):
        return rx + offset % 0x40 if n < queues else None
    if 0x2000 <= offset < 0x3000 and name not in ("VFGPTC", "VFGOTC_LSB", "VFGOTC_MSB"):
        return 0x6000 + 0x40 * q + offset % 0x40 if n < queues else None
    if name == "VTIVAR":
        return 0x12500 + 4 * (vf * queues // 2 + n) if n < queues // 2 else None
    return {
        "VFCTRL": 0x300 + 4 * vf, "VFSTATUS": 0x8, "VFLINKS": 0x42A4, "VFFRTIMER": 0x48, "VFRXMEMWRAP": 0x3190,
        "VTEICR": 0xB00 + 4 * vf, "VTEICS": 0xC00 + 4 * vf, "VTEIMS": 0xD00 + 4 * vf, "VTEIMC": 0xE00 + 4 * vf,
        "VTEIAC": 0xF00 + 4 * vf, "VTEIAM": 0x4D00 + 4 * vf, "VTIVAR_MISC": 0x4E00 + 4 * vf,
        "VTRSCINT": 0x12000 + 4 * (2 * vf + n), "VFMBMEM": 0x13000 + 0x40 * vf + 4 * n, "VFMAILBOX": 0x4C00 + 4 * vf,
        "VFPSRTYPE": 0xEA00 + 4 * vf, "VFGPRC": 0x101C + 0x40 * vf, "VFGORC_LSB": 0x1020 + 0x40 * vf,
        "VFGORC_MSB": 0xD020 + 0x40 * vf, "VFMPRC": 0xD01C + 0x40 * vf, "VFGPTC": 0x8300 + 4 * vf,
        "VFGOTC_LSB": 0x8400 + 8 * vf, "VFGOTC_MSB": 0x8404 + 8 * vf,
    }.get(name)  # fmt: skip


@pytest.fixture(scope="module", params=LAYOUTS)
def chip(request):
    with VfChip(min(POOLS[request.param], 64), request.param) as chip:
        yield chip


def test_reads_come_from_the_right_register(chip):
    queues = chip.silicon[0].queues
    for vf in range(len(chip.silicon)):
        for register in each_register():
            if register.register.name in LIVE:
                continue
            at = expected(vf, register, queues)
            if at is None:
                assert chip.silicon[vf].read(register.offset) == 0, (vf, register)
                continue
            was = chip.chip.peek(at)
            pattern = PATTERN | vf << 8 | register.offset & 0xFF
            chip.chip.load([(at, pattern)])
            seen = chip.silicon[vf].read(register.offset)
            assert seen == pattern & ~register.bits(window.VFCTRL.access), (vf, register)
            chip.chip.load([(at, was)])


def test_writes_change_the_right_register_and_no_other(chip):
    """One walk over all registers for a few VFs: what changes is what the translation says, word for word."""
    queues = chip.silicon[0].queues
    for vf in (0, 1, len(chip.silicon) - 1):
        for register in each_register():
            name = register.register.name
            if name in ("VFMAILBOX", "VFCTRL"):
                continue
            before = chip.snapshot()
            value = 0 if name in ("VFRXDCTL", "VFTXDCTL") else 0x0000_0005
            chip.silicon[vf].write(register.offset, value)
            at = expected(vf, register, queues)
            allowed = {at} if at is not None and name not in READ_ONLY else set()
            if name == "VTEICS":
                allowed = {PVTEICR[vf].offset}
            elif name == "VTEIMC":
                allowed = {0xD00 + 4 * vf}
            assert changed(before, chip.snapshot()) <= allowed, (vf, register)


def test_no_offset_of_a_vf_reaches_another_vf_s_register(chip):
    """For each layout: the PF's words that VFs can write are disjoint."""
    queues = chip.silicon[0].queues
    seen = {}
    for vf in range(len(chip.silicon)):
        for register in each_register():
            twin = window.twin(vf, register, queues)
            if twin is None or register.register.name in READ_ONLY:
                continue
            assert twin.offset == expected(vf, register, queues), (vf, register)
            assert seen.setdefault(twin.offset, vf) == vf, (vf, register, twin)


def test_queues_beyond_the_pool_are_not_there(chip):
    queues = chip.silicon[0].queues
    bar = chip.vf(1)
    for k in range(queues, window.QUEUES):
        before = chip.snapshot()
        for line in (window.VFRDBAL, window.VFRDT, window.VFSRRCTL, window.VFTDT, window.VFTXDCTL):
            bar.write(line[k], 0x1230)
            assert bar.read(line[k]) == 0
        assert chip.snapshot() == before
        with pytest.raises(DeviceError, match=f"has no VFRDT\\[{k}\\]: its pool has {queues} queues"):
            bar.address(window.VFRDT[k].offset)


def test_offsets_without_a_register(chip):
    before = chip.snapshot()
    bar = chip.vf(0)
    known = {register.offset for register in each_register()}
    for offset in range(0, pci.VF_REGISTERS_SIZE, 4):
        if offset not in known:
            bar.write32(offset, 0xFFFF_FFFF)
            assert bar.read32(offset) == 0, hex(offset)
    assert chip.snapshot() == before


def test_tails_are_in_the_memory_that_the_engine_polls(chip):
    queues = chip.silicon[0].queues
    bar = chip.vf(2)
    for k in range(queues):
        for line, twin in ((window.VFRDT, RDT), (window.VFTDT, TDT)):
            at = bar.address(line[k].offset)
            assert at == chip.bar.address(twin[2 * queues + k].offset)
            ctypes.c_uint32.from_address(at).value = 3
            assert bar.read(line[k]) == 3 and chip.bar.read(twin[2 * queues + k]) == 3
            bar.write(line[k], 0)
    for offset in (window.VFMAILBOX.offset, window.VFSTATUS.offset, window.VFRDH[0].offset, 0x3FF0):
        with pytest.raises(DeviceError, match="cannot be mapped"):
            bar.address(offset)


@pytest.fixture
def small():
    with VfChip() as chip:
        yield chip


def test_what_all_share_is_read_only_and_a_read_has_no_side_effect(small):
    bar = small.vf(1)
    small.bar.sleep(0.01)
    assert bar.read(window.VFSTATUS) == small.bar.read(STATUS)
    small.chip.load(
        [(LINKS.offset, LINKS.pack(UP=1, SPEED=3))]
    )  # LATCHED_UP 0: the link was lost, and the register not read since
    assert bar.get(window.VFLINKS.UP) == 1 and bar.get(window.VFLINKS.SPEED) == 3
    assert small.stored(LINKS) & LINKS.LATCHED_UP.mask == 0  # that is for the PF to see
    first = bar.read(window.VFFRTIMER)
    small.wait_ns(5_000_000)
    assert 5000 <= bar.read(window.VFFRTIMER) - first < 5100
    before = small.snapshot()
    for line in (window.VFSTATUS, window.VFLINKS, window.VFFRTIMER, window.VFRXMEMWRAP):
        bar.write(line, 0xFFFF_FFFF)
    assert small.snapshot() == before


def test_registers_of_32_pools_by_hand(small):
    """A few by the numbers of the datasheet: VF 3 of 32 pools of 4 queues."""
    bar = small.vf(3)
    bar.write(window.VFRDBAL[2], 0xABCD_0080)
    bar.write(window.VFTDWBAL[3], 0x1234_5671)
    bar.write(window.VFPSRTYPE, 0x4000_0330)
    bar.write(window.VTIVAR[1], 0x8180_8180)
    bar.write(window.VFMBMEM[5], 0x0BAD_CAFE)
    bar.write(window.VFRSCCTL[0], 2)
    assert small.bar.read(RDBAL[14]) == 0xABCD_0080
    assert small.bar.read(TDWBAL[15]) == 0x1234_5671
    assert small.bar.read(PSRTYPE[3]) == 0x4000_0330
    assert small.bar.read(PVTIVAR[7]) == 0x8180_8180
    assert small.bar.read(PFMBMEM[3, 5]) == 0x0BAD_CAFE
    assert small.bar.read(RSCCTL[12]) == 2


def test_without_pools_a_vf_has_no_queues_but_the_rest(small):
    with VfChip(queues=0) as chip:
        bar = chip.vf(0)
        bar.write(window.VFTXDCTL[0], TXDCTL[0].ENABLE.mask)
        assert bar.read(window.VFTXDCTL[0]) == 0 and chip.silicon[0].queues == 0
        bar.write(window.VFMBMEM[0], 7)
        assert bar.read(window.VFMBMEM[0]) == 7
    with VfChip(vfs=20, queues=8) as chip:  # 16 pools: VF 16 has none
        assert [chip.silicon[n].queues for n in (0, 15, 16, 19)] == [8, 8, 0, 0]


def test_accesses_of_any_size(small):
    vf = small.silicon[0]
    vf.write_bytes(window.VFRDBAL[0].offset, bytes([0x80, *range(2, 9)]))
    assert vf.read_bytes(window.VFRDBAL[0].offset, 8) == bytes([0x80, *range(2, 9)])
    assert vf.read_bytes(window.VFRDBAL[0].offset + 1, 2) == b"\x02\x03"
    vf.write_bytes(window.VFRDBAL[0].offset + 2, b"\xff\xff")  # not a whole register: nothing happens
    assert vf.read(window.VFRDBAL[0].offset) == 0x0403_0280
