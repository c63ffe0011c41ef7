# SPDX-License-Identifier: BSD-3-Clause
"""However hard a VF tries, traffic between others keeps at least 90 % of its pace, and the PF's service its time.

Pace is frames that arrive in a step of the card, so no noise of the machine is in it. The honest VF offers 10 Mpps, a third
of what the card moves: what is measured is harm, not a fair share of a full link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from dataplane.byhand import receive, send
from dataplane.pmd.datasheet import PVFGPTC, mailbox
from dataplane.pmd.datasheet.vf import VFMAILBOX, VFMBMEM, VFTDH, VFTDT
from tests.pmd.hostile.arsenal import CONTEXT, DATA, DEXT, EOP, IFCS, QUEUES, RING, RS, TSE, Arsenal
from tests.pmd.hostile.members import ETYPE
from tests.pmd.hostile.siege import HOSTILE, Siege

BEATS, STEPS, OFFERED = 300, 4, 40  # a step is 1 us: 10 Mpps
Attack = Callable[[Arsenal, Random], None]


def kind(*names: str, times: int = 20) -> Attack:
    """These actions of the arsenal, so many times a beat."""

    def attack(hostile: Arsenal, dice: Random) -> None:
        for _ in range(times):
            hostile.act(dice.choice(names), dice.getrandbits(32))

    return attack


def frames(size: int, *, source: int, to: int) -> Attack:
    """Every queue full of frames of `size` bytes, all the time. source, to: members; -1: itself, or an unknown address."""

    def attack(hostile: Arsenal, dice: Random) -> None:
        macs = [*hostile.others, hostile.siege.state.mac]
        head = ([*hostile.others, bytes.fromhex("02cc00000001")][to]) + macs[source] + b"\x88\xb5"
        where = hostile._place((head + bytes(size))[: min(size, 2048)])
        for queue in range(QUEUES):
            _fill(hostile, queue, [(where, size | DATA | DEXT | IFCS | EOP | RS | size << 46)])

    return attack


def segments(hostile: Arsenal, dice: Random) -> None:
    """The largest packets, cut into the smallest segments."""
    head = (
        bytes.fromhex("02cc00000001") + hostile.siege.state.mac + b"\x08\x00" + b"\x45" + bytes(19) + bytes(8)
    )
    where = hostile._place(head)
    pieces = 12
    total = 15000 * pieces
    context = 20 | 14 << 9, CONTEXT | DEXT | 1 << 10 | (8 << 8 | 1 << 16) << 32
    first = where, 42 | DATA | DEXT | IFCS | TSE | (total << 14) << 32
    rest = [(hostile.arena.iova + 1024 * n, 15000 | DATA | DEXT | IFCS | TSE) for n in range(pieces)]
    last = rest[-1][0], rest[-1][1] | EOP
    for queue in range(QUEUES):
        _fill(hostile, queue, [context, first, *rest[:-1], last])


def _fill(hostile: Arsenal, queue: int, descriptors: list[tuple[int, int]]) -> None:
    """The ring filled with copies of a packet's descriptors, as far as there is room."""
    head, tail = (hostile.bar.read(line[queue]) % RING for line in (VFTDH, VFTDT))
    room = (head - tail - 1) % RING
    for _ in range(room // len(descriptors)):
        for low, high in descriptors:
            hostile._put(queue + QUEUES, tail, low, high)
            tail = (tail + 1) % RING
    hostile.bar.write(VFTDT[queue], tail)


ATTACKS: dict[str, Attack] = {
    "mailbox flood": kind("flood_the_mailbox", "say_anything"),
    "every message": kind("send_a_message"),
    "the lock for ever": kind("keep_the_mailbox"),
    "resets": kind("reset", "reset_by_function_level"),
    "registers": kind("poke_a_register", "poke_anywhere", "touch_the_msix_table", "raise_interrupts"),
    "configuration space": kind("write_configuration"),
    "descriptors to anywhere": kind("write_descriptors", "give_buffers", "ring_the_bell", times=5),
    "rings of nonsense": kind("poke_a_ring", "switch_a_queue", "ring_the_bell", "change_memory"),
    "spoofed frames": frames(60, source=1, to=-1),
    "oversized frames": frames(9000, source=-1, to=-1),
    "frames to the honest": frames(60, source=-1, to=3),
    "frames to the wire": frames(60, source=-1, to=-1),
    "segments of a byte": segments,
}


TRAFFIC = [name for name in ATTACKS if "frames" in name or "segments" in name]


@pytest.fixture
def siege() -> Iterator[Siege]:
    made = Siege()
    yield made
    made.close()


def pace(siege: Siege, attack: Callable[[], None] | None) -> float:
    """Frames from one honest VF to another that arrive in a step of the card."""
    one, two = siege.vfs
    frame = two.mac + one.mac + b"\x88\xb5" + bytes([0xC0 + two.number]) * 46
    arrived = 0
    for beat in range(BEATS):
        if attack is not None:
            attack()
        send(one.port.tx(0), [frame] * OFFERED)
        for _ in range(STEPS // 2):
            siege.card.step(2)
            for member in siege.members:
                while got := receive(member.port.rx(0), 32):
                    arrived += sum(found == frame for found in got) if member is two else 0
        if beat % 10 == 0:
            siege.host.service.round()
    return arrived / (BEATS * STEPS)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_pace_of_others(siege: Siege, name: str) -> None:
    before = pace(siege, None)
    assert before == pytest.approx(OFFERED / STEPS, rel=0.01), "what is offered arrives"
    hostile, dice = Arsenal(siege), Random(1)
    hostile.act("come_up", 1)
    during = pace(siege, lambda: ATTACKS[name](hostile, dice))
    hostile.close()
    assert during >= 0.9 * before, f"{during:.2f} frames a step, {before:.2f} without it"
    siege.audit()
    if name in TRAFFIC:
        siege.host.table.counters.collect()
        assert siege.chip.peek(PVFGPTC[HOSTILE].offset) + siege.host.table.spoofed > 40 * BEATS, "it did try"


def test_half_of_a_full_link(siege: Siege) -> None:
    """Two VFs that send as fast as they can, one by a queue and one by four: pools take turns, not queues."""
    one, two = siege.vfs
    hostile, dice = Arsenal(siege), Random(1)
    hostile.act("come_up", 1)
    honest = two.mac + one.mac + ETYPE + bytes([0xC0 + two.number]) * 46
    fill = frames(60, source=-1, to=3)
    counts = {True: 0, False: 0}
    for _ in range(BEATS):
        fill(hostile, dice)
        send(one.port.tx(0), [honest] * 64)
        siege.card.step(2)
        while got := receive(two.port.rx(0), 32):
            for found in got:
                counts[found == honest] += 1
    hostile.close()
    assert counts[False] > 20 * BEATS
    assert counts[True] == pytest.approx(counts[False], rel=0.1)


def test_sixty_floods() -> None:
    """Every VF but two asks as fast as it can, what costs most: a round stays short, and an honest VF is heard."""
    siege = Siege(vfs=63)
    try:
        bars = [siege.card.ports[0].sriov.vfs[n] for n in range(63) if n not in (1, 2)]
        honest = siege.vfs[0].port
        dice = Random(2)

        def flood() -> None:
            for vf in bars:
                vf.write(VFMAILBOX.offset, VFMAILBOX.VFU.mask)
                for n, word in enumerate(
                    [mailbox.SET_MULTICAST | 30 << 16, *(dice.getrandbits(32) for _ in range(15))]
                ):
                    vf.write(VFMBMEM[n].offset, word)
                vf.write(VFMAILBOX.offset, VFMAILBOX.REQ.mask)

        for _ in range(3):
            for vf in bars:
                vf.write(VFMAILBOX.offset, VFMAILBOX.VFU.mask)
                vf.write(VFMBMEM[0].offset, mailbox.RESET)
                vf.write(VFMAILBOX.offset, VFMAILBOX.REQ.mask)
            siege.card.sleep(1e-3)
        assert sum(state.active for state in siege.host.table.vfs) == 63
        leave = siege.card.accompany(flood)
        siege.longest_round, before = 0.0, siege.host.service.messages
        for n in range(20):
            began = siege.card.now()
            honest.multicast.set([f"01:00:5e:00:00:{n:02x}"])  # type: ignore[attr-defined]
            assert siege.card.now() - began < 0.05
        leave()

        print(f"the longest round {siege.longest_round * 1e3:.2f} ms")
        assert siege.longest_round < 10e-3, "registers of 61 requests, and no more"
        assert siege.host.service.messages - before > 10 * len(bars), "they were served, too"
    finally:
        siege.close()
