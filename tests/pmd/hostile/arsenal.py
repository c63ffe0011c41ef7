# SPDX-License-Identifier: BSD-3-Clause
"""Attacks of a hostile VF on its registers, its configuration space, its mailbox, and the memory that the chip reads.

An action is a name and a number that seeds its random choices. So a run is a list of pairs, made of one seed, and any part
of it can be repeated. The attacks go past our drivers.
"""

from __future__ import annotations

import ctypes
import itertools
import struct
from collections.abc import Callable
from random import Random

from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import mailbox, pci
from dataplane.pmd.datasheet.vf import (
    VFCTRL,
    VFMAILBOX,
    VFMBMEM,
    VFPSRTYPE,
    VFRDBAH,
    VFRDBAL,
    VFRDH,
    VFRDLEN,
    VFRDT,
    VFRXDCTL,
    VFSRRCTL,
    VFTDBAH,
    VFTDBAL,
    VFTDH,
    VFTDLEN,
    VFTDT,
    VFTDWBAH,
    VFTDWBAL,
    VFTXDCTL,
    VTEICS,
)
from tests.pmd.hostile import frames
from tests.pmd.hostile.members import STOLEN
from tests.pmd.hostile.registers import Shameless, any_register, any_word
from tests.pmd.hostile.siege import SEEN, Siege

__all__ = ["Arsenal"]

QUEUES = 4
RING = 64  # descriptors
ROOM = 1 << 18  # bytes of memory
BUFFERS = 1 << 15  # where they begin, behind the rings
BUFFER = 2048
MOST_DESCRIPTORS = 48  # filled in at a time
DATA, CONTEXT = 3 << 20, 2 << 20
CC = 1 << 39
EOP, IFCS, IC, RS, DEXT, VLE, TSE = 1 << 24, 1 << 25, 1 << 26, 1 << 27, 1 << 29, 1 << 30, 1 << 31
RING_REGISTERS = (
    VFRDBAL, VFRDBAH, VFRDLEN, VFRDH, VFRDT, VFSRRCTL, VFRXDCTL,
    VFTDBAL, VFTDBAH, VFTDLEN, VFTDH, VFTDT, VFTDWBAL, VFTDWBAH, VFTXDCTL,
)  # fmt: skip


Action = tuple[str, int]


class Arsenal:
    """The hostile VF of a siege. `act` does one thing."""

    def __init__(self, siege: Siege) -> None:
        self.siege, self.function = siege, siege.function
        self.vf, self.config = siege.function.vf, siege.function.config
        self.bar = Shameless(siege.function.bar(0))
        self.msix = siege.function.bar(pci.VF_BAR_MSIX)
        self.arena = Arena(ROOM, hugepages="no", name="hostile")
        self.function.dma_map(self.arena)
        self.memory = (ctypes.c_uint8 * ROOM).from_address(self.arena.address)
        noise = Random(1)
        self.memory[:] = bytes(noise.choices(range(0x80), k=ROOM))
        self.targets = [target for member in siege.members for target in member.targets()]
        self.others = [member.mac for member in siege.members]
        # Those that it asks for. The address of a host outside it would get, and that host's frames too (docs/sriov.md).
        self.wanted = [member.mac for member in siege.members if member is not siege.far]
        self.tails = [self.bar.address(line[q].offset) for q in range(QUEUES) for line in (VFRDT, VFTDT)]
        self.next = 0  # the buffer that the next frame is made in
        self._kinds: dict[str, Callable[[Random], None]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def kinds(self) -> list[str]:
        """The names of the actions."""
        return list(self._kinds)

    def act(self, kind: str, number: int) -> None:
        """Do the action `kind`. number: the seed of its random choices."""
        self._kinds[kind](Random(number))

    def close(self) -> None:
        del self.memory
        self.function.dma_unmap(self.arena)

    def seen_nothing(self) -> None:
        """AssertionError if bytes of others have come into its memory."""
        found = STOLEN.search(ctypes.string_at(self.arena.address, ROOM))
        assert not found, (
            f"the hostile VF has another's bytes at {found and found.start():#x}: {found and found[0].hex()}"
        )

    # ---- registers ------------------------------------------------------------------------------------------------

    def do_poke_a_register(self, dice: Random) -> None:
        self.bar.write(any_register(dice), any_word(dice))

    def do_poke_a_ring(self, dice: Random) -> None:
        self.bar.write(dice.choice(RING_REGISTERS)[dice.randrange(8)], any_word(dice))

    def do_poke_anywhere(self, dice: Random) -> None:
        at = dice.randrange(pci.VF_REGISTERS_SIZE + 64)
        self.vf.write_bytes(at, dice.randbytes(dice.choice((1, 2, 4, 4, 8, 16))))

    def do_peek_anywhere(self, dice: Random) -> None:
        """It must not read the content of another function's mailbox."""
        for at in (dice.randrange(pci.VF_REGISTERS_SIZE + 64), any_register(dice).offset):
            assert self.vf.read_bytes(at & ~3, 4) != SEEN.to_bytes(4, "little"), (
                f"the mailbox of another at {at:#x}"
            )
            self.vf.read_bytes(at, dice.choice((1, 2, 4, 8)))

    def do_touch_the_msix_table(self, dice: Random) -> None:
        self.msix.write32(dice.randrange(0, 1 << 14, 4), any_word(dice))
        self.msix.read32(dice.randrange(0, 1 << 14, 4))

    def do_raise_interrupts(self, dice: Random) -> None:
        for _ in range(dice.randrange(20)):
            self.bar.write(VTEICS, dice.getrandbits(32))

    # ---- configuration space ----------------------------------------------------------------------------------------

    def do_write_configuration(self, dice: Random) -> None:
        """What the host set is soon put back: without bus mastering nothing else of this would do anything."""
        self.config.write(dice.randrange(pci.SIZE), dice.randbytes(dice.choice((1, 2, 4, 4, 64))))
        self.config.read(dice.randrange(pci.SIZE), dice.choice((1, 2, 4)))
        if dice.random() < 0.5:
            self.config.write16(pci.COMMAND, pci.COMMAND_BUS_MASTER)

    def do_reset_by_function_level(self, dice: Random) -> None:
        self.config.write16(pci.PF_PCIE + pci.PCIE_DEVICE_CONTROL, pci.DEVICE_CONTROL_FLR)
        if dice.random() < 0.9:
            self.config.write16(pci.COMMAND, pci.COMMAND_BUS_MASTER)

    def do_reset(self, dice: Random) -> None:
        for _ in range(dice.choice((1, 1, 1, 10))):
            self.bar.write(VFCTRL, VFCTRL.RST.mask)

    # ---- the mailbox --------------------------------------------------------------------------------------------------

    def do_send_a_message(self, dice: Random) -> None:
        """By the rules of the mailbox; of every type, with words that make sense or none."""
        self.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
        if dice.random() < 0.8:
            self.bar.read(VFMAILBOX)  # whether it has the memory; it continues either way
        for n, word in enumerate(frames.message(dice, self.wanted)):
            self.bar.write(VFMBMEM[n], word)
        self.bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)

    def do_flood_the_mailbox(self, dice: Random) -> None:
        for _ in range(dice.randrange(30)):
            self.do_send_a_message(dice)

    def do_say_anything(self, dice: Random) -> None:
        self.bar.write(VFMAILBOX, dice.getrandbits(8))

    def do_keep_the_mailbox(self, dice: Random) -> None:
        for _ in range(dice.choice((1, 5, 40))):
            self.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask | dice.choice((0, VFMAILBOX.REQ.mask)))

    def do_scribble_in_the_mailbox(self, dice: Random) -> None:
        for n in range(mailbox.WORDS):
            self.bar.write(VFMBMEM[n], any_word(dice))

    def do_come_up(self, dice: Random) -> None:
        """As a driver would, so that its queues work: reset, RESET, version, frame size."""
        self.config.write16(pci.COMMAND, pci.COMMAND_BUS_MASTER)
        self.bar.write(VFCTRL, VFCTRL.RST.mask)
        self.siege.step()
        self.bar.read(VFMAILBOX)
        for words in (
            [mailbox.RESET],
            [mailbox.API_NEGOTIATE, dice.choice((0, 2, 3, 4, 7, 8))],
            [mailbox.SET_LPE, 1518],
        ):
            self.bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
            self.bar.read(VFMAILBOX)
            for n, word in enumerate(words):
                self.bar.write(VFMBMEM[n], word)
            self.bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
            self.siege.step()
        self.bar.write(VFMAILBOX, VFMAILBOX.ACK.mask)
        for queue in range(QUEUES):
            self._set_up(queue, dice)
        self.bar.write(VFPSRTYPE, dice.choice((0, 0x2000_1330, 0x4000_1330)))

    # ---- queues -----------------------------------------------------------------------------------------------------

    def do_set_up_a_queue(self, dice: Random) -> None:
        self._set_up(dice.randrange(QUEUES), dice)

    def do_switch_a_queue(self, dice: Random) -> None:
        line = dice.choice((VFRXDCTL, VFTXDCTL))[dice.randrange(QUEUES)]
        self.bar.write(line, dice.choice((0, line.ENABLE.mask, line.ENABLE.mask | dice.getrandbits(25))))

    def do_ring_the_bell(self, dice: Random) -> None:
        """The tail, by its register or in memory, where it should be or not."""
        tail = dice.choice((dice.randrange(RING), RING, 0xFFFF, 0xFFFF_FFFF, dice.getrandbits(32)))
        if dice.random() < 0.5:
            self.bar.write(dice.choice((VFRDT, VFTDT))[dice.randrange(QUEUES)], tail)
        else:
            ctypes.c_uint32.from_address(dice.choice(self.tails)).value = tail

    def do_write_descriptors(self, dice: Random) -> None:
        """For sending: of every kind, pointing everywhere; then perhaps the tail behind them."""
        queue = dice.randrange(QUEUES)
        at = self.bar.read(VFTDH[queue]) % RING
        count = dice.randrange(1, MOST_DESCRIPTORS)
        for n in range(count):
            self._put(queue + QUEUES, (at + n) % RING, *self._descriptor(dice))
        self.bar.write(VFTDT[queue], (at + count) % RING)

    def do_give_buffers(self, dice: Random) -> None:
        """For receiving, pointing everywhere."""
        queue = dice.randrange(QUEUES)
        for n in range(RING):
            self._put(queue, n, self._where(dice, 2048), dice.choice((0, 0, 0, dice.getrandbits(64))))
        self.bar.write(VFRDT[queue], dice.randrange(RING))

    def do_send_a_frame(self, dice: Random) -> None:
        """A whole frame: true, spoofed, tagged, too long, too short; unicast or broadcast. Its body may be anywhere."""
        frame = frames.frame(dice, self.siege.state.mac or bytes(6), self.others)
        cuts = [*range(0, len(frame), BUFFER), len(frame)]
        stolen = dice.random() < 0.3 and 64 < len(frame) <= BUFFER
        if stolen:
            cuts.insert(1, dice.randrange(18, 64))
        queue = dice.randrange(QUEUES)
        at = self.bar.read(VFTDT[queue]) % RING
        for start, end in itertools.pairwise(cuts):
            where = self._where(dice, end - start) if stolen and start else self._place(frame[start:end])
            command = (
                DATA
                | DEXT
                | IFCS
                | (EOP | RS if end == len(frame) else 0)
                | (CC if dice.random() < 0.9 else 0)
            )
            self._put(queue + QUEUES, at, where, end - start | command | len(frame) << 46)
            at = (at + 1) % RING
        if len(cuts) > 1:
            self.bar.write(VFTDT[queue], at)

    def do_juggle_lengths(self, dice: Random) -> None:
        """A packet of several descriptors whose lengths change while the chip looks at them."""
        queue = dice.randrange(QUEUES)
        at = self.bar.read(VFTDT[queue]) % RING
        places = [(at + n) % RING for n in range(8)]
        for n, place in enumerate(places):
            command = DATA | DEXT | IFCS | CC | (EOP | RS if n == 7 else 0) | (480 << 46)
            self._put(queue + QUEUES, place, self._buffer(dice), 60 | command)
        self.bar.write(VFTDT[queue], (at + 8) % RING)
        for _ in range(50):
            start = ((queue + QUEUES) * RING + dice.choice(places)) * 16 + 8
            self.memory[start : start + 2] = dice.choice((b"\x10\x00", b"\x00\x3c"))

    def do_change_memory(self, dice: Random) -> None:
        """Rings, buffers, anything: while the chip works on it."""
        at = dice.randrange(ROOM - 64)
        self.memory[at : at + 64] = bytes(dice.choices(range(0x80), k=64))

    def do_nothing(self, dice: Random) -> None:
        """The card works on what was asked of it."""
        self.siege.run(dice.randrange(1, 3))

    # ---- pieces -----------------------------------------------------------------------------------------------------

    def _set_up(self, queue: int, dice: Random) -> None:
        """Rx and Tx queue `queue` on a ring in its memory or, now and then, in another's; ENABLE comes last (4.6.7)."""
        for lines, place in (
            ((VFRDBAL, VFRDBAH, VFRDLEN, VFRDH, VFRDT, VFRXDCTL), queue),
            ((VFTDBAL, VFTDBAH, VFTDLEN, VFTDH, VFTDT, VFTXDCTL), queue + QUEUES),
        ):
            low, high, length, head, tail, control = (line[queue] for line in lines)
            ring = (
                self.arena.iova + place * RING * 16
                if dice.random() < 0.9
                else self._where(dice, RING * 16) & ~0x7F
            )
            self.bar.write(control, 0)
            self.siege.card.step(12)
            for register, word in (
                (low, ring & 0xFFFF_FFFF),
                (high, ring >> 32 & 0xFFFF_FFFF),
                (length, RING * 16),
                (head, 0),
                (tail, 0),
            ):
                self.bar.write(register, word)
            if control.register is VFRXDCTL:
                sizes = VFSRRCTL[queue].pack(BSIZEPACKET=dice.choice((1, 2, 2, 16)), DESCTYPE=1)
                self.bar.write(VFSRRCTL[queue], sizes)
            self.bar.write(control, control.ENABLE.mask)
        self.bar.write(VFTDWBAL[queue], self._where(dice, 4) & 0xFFFF_FFFC | 1 if dice.random() < 0.1 else 0)
        self.siege.card.step(12)
        for n in range(RING):
            self._put(queue, n, self._buffer(dice), 0)
        self.bar.write(VFRDT[queue], RING - 1)

    def _put(self, ring: int, at: int, low: int, high: int) -> None:
        start = (ring * RING + at) * 16
        self.memory[start : start + 16] = struct.pack("<QQ", low & (1 << 64) - 1, high & (1 << 64) - 1)

    def _place(self, data: bytes) -> int:
        """Bytes in its own memory: the IOVA."""
        self.next = (self.next + 1) % ((ROOM - BUFFERS) // BUFFER)
        start = BUFFERS + self.next * BUFFER
        self.memory[start : start + len(data)] = data
        return self.arena.iova + start

    def _buffer(self, dice: Random) -> int:
        return self.arena.iova + BUFFERS + dice.randrange((ROOM - BUFFERS) // BUFFER) * BUFFER

    def _where(self, dice: Random, size: int) -> int:
        """An address: its own, at the edge of its own, another's, or none."""
        kind = dice.random()
        if kind < 0.4:
            return self._buffer(dice)
        if kind < 0.5:
            return self.arena.iova + ROOM - dice.randrange(2 * size)
        if kind < 0.55:
            return self.arena.iova - dice.randrange(2 * size)
        if kind < 0.9:
            return dice.choice(self.targets) + dice.choice((0, 0, -8, dice.randrange(4096)))
        return dice.choice(
            (0, (1 << 64) - dice.randrange(1, 64), 1 << 63, self.arena.address, dice.getrandbits(64))
        )

    def _descriptor(self, dice: Random) -> tuple[int, int]:
        """The two quadwords of a Tx descriptor."""
        kind, where = dice.random(), self._where(dice, 2048)
        if kind < 0.1:
            return dice.getrandbits(64), dice.getrandbits(64)
        if kind < 0.3:
            return self._context(dice)
        length = dice.choice(
            (0, 1, 16, 17, 60, 64, 128, 1514, 1515, 9000, 15868, 0xFFFF, dice.getrandbits(16))
        )
        command = dice.choice((EOP, EOP, EOP, 0)) | dice.choice((IFCS, IFCS, 0)) | dice.choice((RS, 0))
        if kind < 0.45:
            return where, length | command | dice.choice((0, IC, VLE)) | dice.getrandbits(
                8
            ) << 16 | dice.getrandbits(32) << 32
        command |= DATA | DEXT | dice.choice((0, 0, 0, VLE, TSE))
        total = length if dice.random() < 0.7 else dice.getrandbits(18)
        options = dice.getrandbits(6) << 8 | dice.choice((0, 1 << 4, 1 << 7, 1 << 7))
        return where, length | command | (options | total << 14 & 0xFFFF_FFFF) << 32

    def _context(self, dice: Random) -> tuple[int, int]:
        """Header lengths, VLAN, MSS: right ones, and any."""
        if dice.random() < 0.5:
            low = (
                dice.choice((20, 40, 60, 511)) | dice.choice((14, 18, 127)) << 9 | dice.getrandbits(16) << 16
            )
            mss, header = dice.choice((0, 1, 8, 64, 1460, 9000, 0xFFFF)), dice.choice((0, 8, 20, 255))
            return low, CONTEXT | DEXT | dice.getrandbits(4) << 9 | (
                dice.getrandbits(1) << 4 | header << 8 | mss << 16
            ) << 32
        return dice.getrandbits(64), dice.getrandbits(64) & ~DATA | CONTEXT | DEXT
