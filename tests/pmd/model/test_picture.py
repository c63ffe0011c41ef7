# SPDX-License-Identifier: BSD-3-Clause
"""The state of a card as text."""

from chip_fixtures import Chip
from vf_fixtures import VfChip

from dataplane.pmd.datasheet import (
    ALL,
    DMATXCTL,
    FCTRL,
    GPRC,
    PFDTXGSWC,
    RDBAH,
    RDBAL,
    RDLEN,
    RDT,
    RXCTRL,
    RXDCTL,
    VFRE,
    VFTE,
    VT_CTL,
)
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.wire.port import PortWire


def test_a_fresh_card_says_little():
    with Chip() as chip:
        first, address, second, _ = chip.card.picture().splitlines()
        assert first == "model0: link down (no wire), Rx off, Tx off, DMA on, FCTRL none"
        assert address == "  addresses 02:82:59:90:00:00"
        assert second.startswith("model1: ") and "DMA stopped" in second  # it is not open


def test_a_running_port_shows_its_queues_and_counters():
    with Chip() as chip:
        PortWire(chip.chip.engine, chip.card.ports[1].engine)
        bar = chip.bar
        bar.write(RDBAL[5], 0x1000)
        bar.write(RDBAH[5], 0x20)
        bar.write(RDLEN[5], 128 * 16)
        bar.set(RXDCTL[5].ENABLE)
        bar.wait(RXDCTL[5].ENABLE)
        bar.write(RDT[5], 100)
        bar.set(RXCTRL.RXEN)
        bar.set(DMATXCTL.TE)
        bar.update(FCTRL, BAM=1, UPE=1)
        chip.chip.poke(GPRC.offset, 42)
        bar.sleep(0.01)
        text = chip.card.picture()
        assert "model0: link up at 10 Gb/s, Rx on, Tx on, DMA on, FCTRL UPE BAM" in text
        assert (
            "  Rx queue 5: 128 descriptors at IOVA 0x2000001000, head 0, tail 100, 100 with the chip" in text
        )
        assert "  counters GPRC 42" in text
        assert text == chip.card.picture()  # looking clears no counter


def test_wires_and_what_they_have_done_to_frames():
    with Chip() as chip:
        wire = PortWire(chip.chip.engine, chip.card.ports[1].engine, elastic=False)
        assert "  wire to model1, losing" in chip.card.picture().splitlines()
        chip.chip.engine.unplug()
        wire = PortWire(chip.chip.engine, chip.card.ports[1].engine, Netem(loss=0.5, delay_ns=1000))
        lines = chip.card.picture().splitlines()
        assert "  wire to model1, elastic, loss 50%, delay 1us" in lines
        assert lines.count("  wire from model0: sent 0") == lines.count("  wire to model0: sent 0") == 1
        assert wire.flights[0].counters == dict.fromkeys(
            (
                "sent", "delivered", "lost", "overflowed", "in_flight", "corrupted", "duplicated", "reordered", "late"
            ),
            0,
        )  # fmt: skip


def test_pools():
    with VfChip(3, queues=4) as chip:
        assert "pools" in chip.card.picture()
        chip.bar.write(VFRE[0], 0b1011)
        chip.bar.write(VFTE[1], 1 << 31)
        chip.bar.update(VT_CTL, DEF_PL=3)
        chip.bar.set(PFDTXGSWC.LBE)
        line = "  32 pools of 4 queues, 3 VFs, default pool 3, receive 0-1,3, send 63, switch on"
        assert line in chip.card.picture().splitlines()
        chip.bar.set(VT_CTL.DIS_DEF_POOL)
        assert "3 VFs, no default pool, " in chip.card.picture()


def test_looking_changes_no_register():
    with Chip() as chip:
        for line in ALL:
            chip.chip.registers.poke(line[0].offset, 1)
        before = [chip.stored(line[0]) for line in ALL]
        chip.card.picture()
        assert [chip.stored(line[0]) for line in ALL] == before


def test_a_port_that_does_not_answer():
    with Chip() as chip:
        chip.card.remove(0)
        chip.config.write16(4, 0)
        assert chip.card.picture().splitlines()[0] == "model0: pulled out"
