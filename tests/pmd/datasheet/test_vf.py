# SPDX-License-Identifier: BSD-3-Clause
"""A VF's window on the PF's registers (datasheet 9.4), and the words of the mailbox."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.pmd.datasheet import RXDCTL, STATUS, mailbox, vf
from dataplane.pmd.register import RegisterRef

unhurried = settings(deadline=None)  # the machine may be busy

pools = st.sampled_from([2, 4, 8])


def address(number: int, register: RegisterRef, queues: int) -> int | None:
    behind = vf.twin(number, register, queues)
    return behind and behind.offset


def test_twins_by_hand() -> None:
    assert address(5, vf.VFMAILBOX, 2) == 0x04C14
    assert address(5, vf.VFCTRL, 2) == 0x00314
    assert address(3, vf.VFMBMEM[15], 2) == 0x130FC
    assert vf.twin(9, vf.VFSTATUS, 2) is STATUS
    assert address(9, vf.VFLINKS, 2) == 0x042A4
    assert address(9, vf.VTEIAM, 2) == 0x04D24
    assert address(31, vf.VFPSRTYPE, 4) == 0x0EA7C
    assert address(2, vf.VFGORC_LSB, 2) == 0x010A0
    assert address(2, vf.VFGORC_MSB, 2) == 0x0D0A0
    assert address(2, vf.VFGOTC_MSB, 2) == 0x08414
    assert address(2, vf.VFMPRC, 2) == 0x0D09C
    assert vf.twin(1, vf.VTEITR[0], 2) is None


@pytest.mark.parametrize(("queues", "first"), [(2, 14), (4, 28), (8, 56)])
def test_queues_of_a_pool(queues: int, first: int) -> None:
    assert [vf.twin(7, vf.VFRXDCTL[k], queues) for k in range(queues)] == [
        RXDCTL[first + k] for k in range(queues)
    ]
    assert all(vf.twin(7, vf.VFRXDCTL[k], queues) is None for k in range(queues, vf.QUEUES))
    vectors = [address(7, vf.VTIVAR[i], queues) for i in range(4)]
    assert vectors == [0x12500 + 4 * (first // 2 + i) if i < queues // 2 else None for i in range(4)]


@unhurried
@given(pools, st.data())
def test_no_vf_sees_anothers_registers(queues: int, data: st.DataObject) -> None:
    vfs = st.integers(0, 128 // queues - 1)
    one, other = data.draw(vfs), data.draw(vfs)
    line, rule = data.draw(st.sampled_from(list(vf.TWINS.values())))
    names = [register for register, found in vf.TWINS.items() if found == (line, rule)]
    mine = {address(one, ref, queues) for name in names for ref in name} - {None}
    theirs = {address(other, ref, queues) for name in names for ref in name} - {None}
    assert mine
    if rule is vf.SHARED or one == other:
        assert mine == theirs
    else:
        assert not mine & theirs


def test_twins_have_the_same_fields() -> None:
    for register, (twin, _) in vf.TWINS.items():
        assert (register.fields, register.access) == (twin.fields, twin.access)


def test_decode() -> None:
    assert vf.VFSTATUS.offset == STATUS.offset, "Bar.check reads it of PF and VF alike"
    assert vf.decode(0x002FC) is vf.VFMAILBOX
    assert vf.decode(0x01028 + 7 * 0x40) is vf.VFRXDCTL[7]
    assert vf.decode(0x03FFC) is None


def test_mailbox_words() -> None:
    mac = bytes.fromhex("025566778899")
    assert mailbox.mac_words(mac) == (0x77665502, 0x9988)
    assert mailbox.words_mac(*mailbox.mac_words(mac)) == mac
    assert mailbox.words_mac(0x77665502, 0xDEAD9988) == mac, "the upper half of word 2 is no part of it"
    assert mailbox.describe(0x80000001) == "RESET ACK"
    assert mailbox.describe(0x60010004) == "SET_VLAN info=1 NACK CTS"
    assert mailbox.describe(0x00000042) == "type 0x0042"
    assert (mailbox.RESET_ACK, mailbox.RESET_NACK) == (0x80000001, 0x40000001)
    assert mailbox.API_NAMES[mailbox.API_1_3] == "1.3"
    assert (mailbox.API_1_0, mailbox.API_2_0, mailbox.API_1_1, mailbox.API_1_3, mailbox.API_1_7) == (
        0,
        1,
        2,
        4,
        8,
    )
