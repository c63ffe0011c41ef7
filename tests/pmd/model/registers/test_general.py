# SPDX-License-Identifier: BSD-3-Clause
"""Reset, status, pins and small timers (datasheet 4.2, 8.2.3.1, 8.2.3.15)."""

import pytest
from chip_fixtures import Chip

from dataplane.pmd.datasheet import (
    ALL,
    CTRL,
    CTRL_EXT,
    EEC,
    EICR,
    ESDP,
    FRTIMER,
    GPRC,
    MSCA,
    MSRWD,
    MTA,
    PFVFLRE,
    PFVFLREC,
    PVFMAILBOX,
    RAH,
    RAL,
    RC,
    RDRXCTL,
    RXCTRL,
    RXDCTL,
    STATUS,
    SWSM,
    TCPTIMER,
    TXDCTL,
    VFTA,
)
from dataplane.pmd.model import Timing


@pytest.fixture
def chip():
    with Chip() as chip:
        yield chip


@pytest.mark.parametrize("field", [CTRL.RST, CTRL.LRST])
def test_reset_clears_itself_after_its_time(chip, field):
    chip.bar.set(field)
    assert chip.bar.get(field) == 1
    chip.wait_ns(Timing().reset)
    assert chip.bar.get(field) == 0


def test_reset_reads_0_again_within_10_us(chip):
    """DPDK's driver waits no longer."""
    chip.bar.write(CTRL, CTRL.pack(RST=1, LRST=1))
    chip.bar.wait(CTRL.RST, 0, timeout=10e-6, interval=1e-6)
    assert chip.bar[CTRL] & (CTRL.RST.mask | CTRL.LRST.mask) == 0


def test_reset_puts_every_register_back_but_tables_and_what_the_card_owns(chip):
    before = {line.name: chip.stored(line[line.count - 1]) for line in ALL}
    kept = {"MTA", "VFTA", "PFMBMEM", "SWSM"}
    for line in ALL:
        if not chip.chip.has_side_effects(line[0].offset) or line.name in kept:
            chip.chip.poke(line[line.count - 1].offset, 0xFFFF_FFFF)
    chip.bar.set(CTRL.RST)
    chip.bar.sleep(0.01)
    assert chip.stored(MTA[127]) == chip.stored(VFTA[127]) == chip.stored(SWSM) == 0xFFFF_FFFF
    for line in ALL:
        if line.name in (
            "RXCTRL",
            "DMATXCTL",
            "HLREG0",
            "GPRC",
            "RXDCTL",
            "SRRCTL",
            "RXPBSIZE",
            "IVAR",
            "MRQC",
            "RETA",
        ):
            assert chip.stored(line[line.count - 1]) == line[line.count - 1].reset == before[line.name], (
                line.name
            )


def test_reset_clears_every_counter(chip):
    counters = [line for line in ALL if line[0].bits(RC) == 0xFFFF_FFFF]
    assert len(counters) > 60 and GPRC in counters
    for line in counters:
        for register in line:
            chip.chip.poke(register.offset, 1)
    chip.bar.set(CTRL.RST)
    assert [register.name for line in counters for register in line if chip.stored(register)] == []


def test_reset_loads_the_address_from_the_eeprom(chip):
    chip.bar.write(RAL[0], 0x1234)
    chip.bar.write(RAH[0], 0)
    chip.bar.set(CTRL.RST)
    low, high = chip.bar[RAL[0]], chip.bar[RAH[0]]
    address = low.to_bytes(4, "little") + (high & 0xFFFF).to_bytes(2, "little")
    assert address == chip.card.mac(0) and high & RAH[0].AV.mask
    assert address[0] & 3 == 2  # locally administered, no group


def test_reset_disables_queues_and_forgets_those_that_were_starting(chip):
    chip.bar.set(RXDCTL[5].ENABLE)
    chip.bar.wait(RXDCTL[5].ENABLE)
    chip.bar.set(TXDCTL[6].ENABLE)
    chip.bar.set(CTRL.RST)
    chip.bar.sleep(0.01)
    assert chip.bar.get(RXDCTL[5].ENABLE) == chip.bar.get(TXDCTL[6].ENABLE) == 0


def test_dma_and_eeprom_are_ready_some_time_after_reset(chip):
    chip.bar.sleep(0.01)
    chip.bar.set(CTRL.RST)
    assert chip.bar.get(RDRXCTL.DMAIDONE) == chip.bar.get(EEC.ARD) == 0
    chip.bar.sleep(0.01)
    assert chip.bar.get(RDRXCTL.DMAIDONE) == chip.bar.get(EEC.ARD) == chip.bar.get(EEC.PRES) == 1


def test_reset_of_one_port_leaves_the_other_alone(chip):
    other = chip.card.ports[1]
    other.write(RXCTRL.offset, 1)
    chip.bar.set(CTRL.RST)
    chip.bar.sleep(0.01)
    assert other.read(RXCTRL.offset) == 1


@pytest.mark.parametrize("port", [0, 1])
def test_status_tells_the_ports_apart(port):
    with Chip(port=port) as chip:
        assert chip.bar.get(STATUS.LAN_ID) == port
        assert chip.function.name == f"model{port}"


def test_master_disable(chip):
    """5.2.5.3.2: STATUS.GIO falls when no request is under way any more, and rises when masters may ask again."""
    assert chip.bar.get(STATUS.GIO) == 1
    chip.bar.set(CTRL.GIO_DIS)
    assert chip.chip.is_pending(STATUS.offset)
    chip.wait_ns(Timing().master)
    assert chip.bar.get(STATUS.GIO) == 0
    chip.bar.clear(CTRL.GIO_DIS)
    assert chip.bar.get(STATUS.GIO) == 1


def test_a_pf_reset_shows_in_every_vf_mailbox_until_pfrstd(chip):
    """8.2.3.1.3: RSTI from the reset on; PFRSTD turns it into RSTD."""
    chip.bar.set(CTRL.RST)
    words = [chip.stored(mailbox) for mailbox in PVFMAILBOX]
    assert words == [PVFMAILBOX[0].pack(RSTI=1)] * 64
    chip.bar.sleep(0.01)
    chip.bar.set(CTRL_EXT.PFRSTD)
    words = [chip.stored(mailbox) for mailbox in PVFMAILBOX]
    assert words == [PVFMAILBOX[0].pack(RSTD=1)] * 64
    assert chip.bar[PVFMAILBOX[9]] == PVFMAILBOX[0].pack(RSTD=1)
    assert chip.bar[PVFMAILBOX[9]] == 0  # RSTD is read to clear


def test_vf_reset_bits_are_cleared_through_their_partner(chip):
    for index, register in enumerate(PFVFLRE):
        chip.chip.poke(register.offset, 0xF0F0_0000)
        chip.bar.write(PFVFLREC[index], 0x3000_0000)
        assert chip.bar[register] == 0xC0F0_0000


def test_free_running_timer_counts_microseconds(chip):
    before = chip.bar[FRTIMER]
    chip.bar.sleep(0.5)
    assert 500_000 <= chip.bar[FRTIMER] - before <= 500_010


def test_pins_read_the_board_unless_they_are_outputs(chip):
    """8.2.3.1.4: SDP2 is high while a module is in."""
    assert chip.bar.get(ESDP.SDP2) == 1
    chip.bar.update(ESDP, SDP2=0, DIR=1 << 2)
    assert chip.bar.get(ESDP.SDP2) == 0
    chip.bar.update(ESDP, SDP3=1, DIR=0)
    assert chip.bar.get(ESDP.SDP3) == 0  # an input that is not driven
    with Chip(sfp=False) as empty:
        assert empty.bar.get(ESDP.SDP2) == 0


def test_mdio_without_a_phy_ends_at_once_and_reads_ones(chip):
    chip.bar.write(MSCA, MSCA.pack(OP=3, DEV_TYPE=1, ADDR=2, START=1))
    assert chip.bar.get(MSCA.START) == 0
    assert chip.bar.get(MSRWD.READ) == 0xFFFF


def test_tcp_timer_finishes_and_raises_its_cause(chip):
    chip.bar.write(TCPTIMER, TCPTIMER.pack(DURATION=7, ENABLE=1, KICK=1))
    chip.bar.sleep(0.0069)
    assert (chip.bar.get(TCPTIMER.FINISH), chip.bar.get(EICR.TCP_TIMER)) == (0, 0)
    chip.bar.sleep(0.0002)
    assert (chip.bar.get(TCPTIMER.FINISH), chip.bar.get(EICR.TCP_TIMER)) == (1, 1)
    chip.bar.write(TCPTIMER, TCPTIMER.pack(DURATION=7, ENABLE=1, KICK=1))
    chip.bar.write(TCPTIMER, 0)
    chip.bar.sleep(0.02)
    assert chip.bar[TCPTIMER] == chip.bar[EICR] == 0
