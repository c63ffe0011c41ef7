# SPDX-License-Identifier: BSD-3-Clause
"""The mailbox: who has the memory, what each side finds of what the other has said (datasheet 7.10.2.9, 8.2.3.27, 9.4)."""

import pytest
from vf_fixtures import VfChip, take

from dataplane.pmd.datasheet import (
    CTRL,
    CTRL_EXT,
    EICR,
    EIMS,
    PFMAILBOX,
    PFMBICR,
    PFMBIMR,
    PFMBMEM,
    PVFMAILBOX,
)
from dataplane.pmd.datasheet.vf import VFMAILBOX, VFMBMEM

LAST = 33  # VFs there are, so that both words of PFMBIMR and three of PFMBICR count


@pytest.fixture(scope="module")
def shared():
    with VfChip(LAST + 1, 2) as chip:
        yield chip


@pytest.fixture
def chip(shared):
    """One card for all: each test begins with empty mailboxes."""
    for vf in range(LAST + 1):
        shared.bar.write(PFMAILBOX[vf], PFMAILBOX[0].RVFU.mask)
        shared.vf(vf).write(VFMAILBOX, 0)
        shared.vf(vf).read(VFMAILBOX)
    for register in (*PFMBICR, *PFMBIMR):
        shared.bar.write(register, 0xFFFF_FFFF)
    shared.bar.read(EICR)
    return shared


def pf_take(chip, vf):
    chip.bar.write(PFMAILBOX[vf], PFMAILBOX[vf].PFU.mask)
    return bool(chip.bar.get(PFMAILBOX[vf].PFU))


def reads(bar):
    """VFMAILBOX by its flags, as one read gives it."""
    word = bar.read(VFMAILBOX)
    return {name for name, value in VFMAILBOX.unpack(word).items() if value}


@pytest.mark.parametrize("vf", [0, 15, 16, LAST])
def test_one_memory(chip, vf):
    bar = chip.vf(vf)
    for n in range(16):
        bar.write(VFMBMEM[n], 0x1000 * vf + n)
    assert [chip.bar.read(PFMBMEM[vf, n]) for n in range(16)] == [0x1000 * vf + n for n in range(16)]
    chip.bar.write(PFMBMEM[vf, 7], 0xFEED_0000 + vf)
    assert bar.read(VFMBMEM[7]) == 0xFEED_0000 + vf
    other = chip.vf((vf + 1) % (LAST + 1))
    assert other.read(VFMBMEM[7]) != 0xFEED_0000 + vf


@pytest.mark.parametrize("vf", [0, LAST])
def test_the_locks_exclude_each_other(chip, vf):
    bar = chip.vf(vf)
    assert take(bar) and not pf_take(chip, vf)
    assert chip.bar.get(PFMAILBOX[vf].VFU) == 1
    bar.write(VFMAILBOX, 0)
    assert pf_take(chip, vf) and not take(bar)
    assert reads(bar) == {"PFU"}
    chip.bar.write(PFMAILBOX[vf], 0)
    assert take(bar)


def test_taking_twice_is_no_error_and_one_s_own_lock_stays(chip):
    bar = chip.vf(1)
    assert take(bar) and take(bar)
    pf_take(chip, 1)
    assert reads(bar) == {"VFU"}


@pytest.mark.parametrize("vf", [0, 15, 16, LAST])
def test_a_request_and_its_way_to_the_pf(chip, vf):
    bar, icr, bit = chip.vf(vf), PFMBICR[vf // 16], vf % 16
    take(bar)
    bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
    assert reads(bar) == set()  # REQ reads 0, and VFU has fallen
    assert [chip.bar.read(each) for each in PFMBICR] == [1 << bit if n == vf // 16 else 0 for n in range(4)]
    assert chip.bar.read(icr) == 1 << bit  # a read does not clear it
    assert chip.bar.read(EICR) == EICR.MAILBOX.mask
    chip.bar.write(icr, 1 << bit)
    assert chip.bar.read(icr) == 0
    bar.write(VFMAILBOX, VFMAILBOX.ACK.mask)
    assert chip.bar.read(icr) == 1 << 16 + bit
    assert chip.bar.read(EICR) == EICR.MAILBOX.mask


def test_req_with_vfu_keeps_the_memory(chip):
    """Drivers that hold the memory until the answer is there write both."""
    bar = chip.vf(2)
    take(bar)
    bar.write(VFMAILBOX, VFMAILBOX.REQ.mask | VFMAILBOX.VFU.mask)
    assert reads(bar) == {"VFU"} and chip.bar.read(PFMBICR[0]) == 1 << 2


def test_clearing_one_cause_leaves_the_others(chip):
    for vf in (3, 4):
        chip.vf(vf).write(VFMAILBOX, VFMAILBOX.REQ.mask | VFMAILBOX.ACK.mask)
    chip.bar.write(PFMBICR[0], 1 << 3)
    assert chip.bar.read(PFMBICR[0]) == 1 << 4 | 1 << 19 | 1 << 20


@pytest.mark.parametrize(("said", "found"), [("STS", "PFSTS"), ("ACK", "PFACK")])
def test_what_the_pf_says_is_read_once(chip, said, found):
    vf = LAST
    pf_take(chip, vf)
    chip.bar.write(PFMAILBOX[vf], getattr(PFMAILBOX[vf], said).mask)
    assert chip.bar.read(PFMAILBOX[vf]) == 0  # the word is written whole: PFU has fallen, STS and ACK read 0
    bar = chip.vf(vf)
    assert reads(bar) == {found}
    assert reads(bar) == set()
    assert reads(chip.vf(0)) == set()


def test_a_request_does_not_take_what_the_pf_has_said(chip):
    bar = chip.vf(0)
    chip.bar.write(PFMAILBOX[0], PFMAILBOX[0].STS.mask | PFMAILBOX[0].ACK.mask)
    bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
    assert reads(bar) == {"PFSTS", "PFACK"}


def test_a_vf_cannot_write_the_pf_s_flags(chip):
    bar = chip.vf(0)
    bar.write(VFMAILBOX, 0xFFFF_FFFF & ~VFMAILBOX.VFU.mask)
    assert reads(bar) == set() and chip.bar.read(PFMAILBOX[0]) == 0
    chip.bar.write(PFMAILBOX[0], PFMAILBOX[0].VFU.mask)
    assert reads(bar) == set()


def test_memory_taken_by_force(chip):
    """RVFU: the VF is stuck. Its requests go, those of its neighbours stay."""
    bar = chip.vf(5)
    for vf in (5, 6):
        take(chip.vf(vf))
        chip.vf(vf).write(VFMAILBOX, VFMAILBOX.REQ.mask | VFMAILBOX.ACK.mask | VFMAILBOX.VFU.mask)
    assert not pf_take(chip, 5)
    chip.bar.write(PFMAILBOX[5], PFMAILBOX[5].RVFU.mask)
    assert reads(bar) == set() and reads(chip.vf(6)) == {"VFU"}
    assert chip.bar.read(PFMBICR[0]) == 1 << 6 | 1 << 22
    assert pf_take(chip, 5)
    chip.bar.write(PFMAILBOX[5], 0)
    take(bar)
    chip.bar.write(PFMAILBOX[5], PFMAILBOX[5].RVFU.mask | PFMAILBOX[5].PFU.mask)  # both in one write
    assert chip.bar.read(PFMAILBOX[5]) == PFMAILBOX[5].PFU.mask


@pytest.mark.parametrize("vf", [0, 31, 32, LAST])
def test_masked_requests_wait(chip, vf):
    chip.bar.write(PFMBIMR[vf // 32], 0xFFFF_FFFF & ~(1 << vf % 32))
    chip.vf(vf).write(VFMAILBOX, VFMAILBOX.REQ.mask)
    assert chip.bar.read(EICR) == 0 and chip.bar.read(PFMBICR[vf // 16]) == 1 << vf % 16
    chip.bar.write(PFMBIMR[vf // 32], 0xFFFF_FFFF)
    assert chip.bar.read(EICR) == EICR.MAILBOX.mask
    chip.bar.write(PFMBIMR[vf // 32], 0xFFFF_FFFF)  # no bit rises: no new cause
    assert chip.bar.read(EICR) == 0


def test_a_request_is_an_interrupt_of_the_pf(chip):
    chip.bar.write(EIMS, EICR.MAILBOX.mask)
    fired = chip.chip.interrupts.count(0)
    chip.vf(9).write(VFMAILBOX, VFMAILBOX.REQ.mask)
    assert chip.chip.interrupts.count(0) == fired + 1


def test_reset_in_progress_and_done():
    """RSTI from a reset of the PF until PFRSTD, in all mailboxes; RSTD is read once (7.10.2.9, 8.2.3.1.3)."""
    with VfChip(3, ready=False) as chip:
        for n in range(3):
            assert reads(chip.vf(n)) == {"RSTI"} and reads(chip.vf(n)) == {"RSTI"}
        chip.bar.set(CTRL_EXT.PFRSTD)
        assert reads(chip.vf(0)) == {"RSTD"} and reads(chip.vf(0)) == set()
        chip.bar.set(CTRL_EXT.DRV_LOAD)  # PFRSTD is written back as it was: nothing is done again
        assert reads(chip.vf(0)) == set() and reads(chip.vf(1)) == {"RSTD"}
        take(chip.vf(0))
        pf_take(chip, 1)
        chip.bar.write(PFMAILBOX[2], PFMAILBOX[2].STS.mask)
        chip.vf(0).write(VFMBMEM[3], 0x77)
        chip.bar.write(CTRL, CTRL.RST.mask)
        assert all(chip.stored(each) == PVFMAILBOX[0].RSTI.mask for each in PVFMAILBOX)
        assert chip.bar.read(PFMAILBOX[1]) == 0 and chip.bar.read(CTRL_EXT) & CTRL_EXT.PFRSTD.mask == 0
        assert chip.vf(0).read(VFMBMEM[3]) == 0x77  # the memory stays
        chip.bar.set(CTRL_EXT.PFRSTD)
        assert reads(chip.vf(2)) == {"RSTD"}
