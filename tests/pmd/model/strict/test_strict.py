# SPDX-License-Identifier: BSD-3-Clause
"""The strict manner: each rule of `VIOLATIONS` broken once, and a proper bring-up that breaks none."""

import ctypes
import re
import struct

import pytest
from chip_fixtures import Chip
from strict_steps import (
    after,
    buffers,
    director,
    enabled,
    merging,
    no_filters,
    pools,
    receiving,
    reset,
    running,
    rx_ready,
    rx_ring,
    seen,
    sending,
    turn_on,
    tx_ready,
    tx_ring,
    update,
    vmdq,
    write,
)

from dataplane.errors import DatasheetViolation
from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import (
    CTRL,
    DCA_RXCTRL,
    DMATXCTL,
    EERD,
    EIMS,
    EIMS_EX,
    ETQF,
    FCBUFF,
    FDIRCMD,
    FDIRCTRL,
    FDIRM,
    FTQF,
    GCR_EXT,
    GPIE,
    HLREG0,
    IPSRXIDX,
    IPSTXIDX,
    L34TIMIR,
    LINKS,
    MRQC,
    MTA,
    MTQC,
    MTQC_64POOLS,
    PSRTYPE,
    RDBAL,
    RDH,
    RDLEN,
    RDRXCTL,
    RDT,
    RFCTL,
    RSCCTL,
    RTTDCS,
    RXCTRL,
    RXDCTL,
    RXPBSIZE,
    SRRCTL,
    STATUS,
    SW_FW_SYNC,
    TDBAH,
    TDBAL,
    TDH,
    TDLEN,
    TDT,
    TSAUXC,
    TSYNCRXCTL,
    TXDCTL,
    TXPBSIZE,
    VLNCTRL,
    VMOLR,
    VT_CTL,
)
from dataplane.pmd.model.strict.rules import VIOLATIONS
from dataplane.pmd.model.wire.port import PortWire


@pytest.fixture
def chip():
    with Chip(manner="strict") as chip:
        yield chip


ADDED = FDIRCMD.pack(LAST=1, QUEUE_EN=1) | 1

# name of the rule -> (what leads up to it, the access that breaks it)
BREAKS = [
    ("ring-base", after(receiving, rx_ring, write(RDBAL[0], 0x1040)), turn_on(RXDCTL[0].ENABLE)),
    ("ring-base", after(rx_ready, rx_ring, write(RDBAL[0], 0x1040), enabled), turn_on(RXCTRL.RXEN)),
    (
        "ring-base",
        after(tx_ready, tx_ring, turn_on(DMATXCTL.TE), write(TDBAL[0], 0x1001)),
        turn_on(TXDCTL[0].ENABLE),
    ),
    ("ring-length", after(receiving, rx_ring, write(RDLEN[0], 64 * 16 + 16)), turn_on(RXDCTL[0].ENABLE)),
    ("ring-length", after(rx_ready, rx_ring, write(RDLEN[0], 64 * 16 + 16), enabled), turn_on(RXCTRL.RXEN)),
    (
        "ring-length",
        after(tx_ready, tx_ring, turn_on(DMATXCTL.TE), write(TDLEN[0], 8200 * 16)),
        turn_on(TXDCTL[0].ENABLE),
    ),
    ("ring-moved", running, write(RDBAL[0], 0x30_0000)),
    ("ring-moved", running, write(TDLEN[0], 128 * 16)),
    ("ring-moved", running, update(SRRCTL[0], BSIZEPACKET=4)),
    ("head-written", running, write(RDH[0], 1)),
    ("head-written", running, write(TDH[0], 1)),
    ("tail-past-length", running, write(RDT[0], 64)),
    ("tail-past-length", running, write(TDT[0], 0xFFFF)),
    ("tail-past-length", after(rx_ready, rx_ring, enabled, write(RDT[0], 64)), turn_on(RXCTRL.RXEN)),
    ("tail-before-enable", rx_ring, write(RDT[0], 63)),
    ("tail-before-enable", tx_ring, write(TDT[0], 1)),
    ("queue-without-ring", after(rx_ready, turn_on(RXCTRL.RXEN)), turn_on(RXDCTL[0].ENABLE)),
    (
        "queue-without-ring",
        after(rx_ready, turn_on(RXDCTL[0].ENABLE), lambda bar: bar.wait(RXDCTL[0].ENABLE)),
        turn_on(RXCTRL.RXEN),
    ),
    (
        "queue-without-ring",
        after(rx_ready, turn_on(RXCTRL.RXEN), write(RDBAL[1], 0x1000)),
        turn_on(RXDCTL[1].ENABLE),
    ),
    ("queue-without-ring", None, turn_on(TXDCTL[0].ENABLE)),
    ("queue-with-tail", after(rx_ring, write(RDH[0], 5)), turn_on(RXDCTL[0].ENABLE)),
    ("queue-before-te", tx_ring, turn_on(TXDCTL[0].ENABLE)),
    (
        "queue-of-no-pool",
        after(tx_ready, lambda bar: tx_ring(bar, 64), turn_on(DMATXCTL.TE)),
        turn_on(TXDCTL[64].ENABLE),
    ),
    ("buffer-size", buffers(DESCTYPE=3), turn_on(RXDCTL[0].ENABLE)),
    ("buffer-size", buffers(BSIZEPACKET=0), turn_on(RXDCTL[0].ENABLE)),
    ("buffer-size", buffers(BSIZEPACKET=17), turn_on(RXDCTL[0].ENABLE)),
    ("buffer-size", buffers(DESCTYPE=2, BSIZEHEADER=0), turn_on(RXDCTL[0].ENABLE)),
    ("buffer-size", after(rx_ready, rx_ring, write(SRRCTL[0], 0), enabled), turn_on(RXCTRL.RXEN)),
    ("rx-buffers", after(rx_ready, write(RXPBSIZE[0], RXPBSIZE[0].pack(SIZE=513))), turn_on(RXCTRL.RXEN)),
    ("rx-buffers", after(rx_ready, write(RXPBSIZE[0], 0)), turn_on(RXCTRL.RXEN)),
    (
        "crc-strip",
        after(rx_ready, update(HLREG0, RXCRCSTRP=0), update(RDRXCTL, CRCSTRIP=1)),
        turn_on(RXCTRL.RXEN),
    ),
    ("pool-mode", update(GPIE, VT_MODE=2), write(EIMS, 1)),
    ("pool-mode", update(GCR_EXT, VT_MODE=1), write(EIMS_EX[0], 1)),
    ("pool-layout", after(rx_ready, pools, update(MRQC, MRQE=0xB)), turn_on(RXCTRL.RXEN)),
    ("pool-layout", sending(pools, write(MTQC, MTQC_64POOLS)), turn_on(TXDCTL[0].ENABLE)),
    ("pool-layout", after(rx_ready, vmdq, update(MRQC, MRQE=1)), turn_on(RXCTRL.RXEN)),
    ("pool-layout", after(rx_ready, vmdq, update(VT_CTL, VT_ENA=0)), turn_on(RXCTRL.RXEN)),
    ("pool-layout", sending(vmdq, write(MTQC, 0)), turn_on(TXDCTL[0].ENABLE)),
    (
        "pool-layout",
        sending(vmdq, rx_ready, update(MRQC, MRQE=0xB), turn_on(RXCTRL.RXEN)),
        turn_on(TXDCTL[0].ENABLE),
    ),
    (
        "pool-layout",
        after(
            sending(vmdq, rx_ready), turn_on(TXDCTL[0].ENABLE), seen(TXDCTL[0].ENABLE), update(MRQC, MRQE=0xB)
        ),
        turn_on(RXCTRL.RXEN),
    ),
    ("pool-merging", after(rx_ready, pools, update(RFCTL, RSC_DIS=0)), turn_on(RXCTRL.RXEN)),
    ("rx-running", running, write(RXPBSIZE[0], RXPBSIZE[0].pack(SIZE=256))),
    ("rx-running", running, update(HLREG0, RXCRCSTRP=0)),
    ("rx-running", running, update(MRQC, MRQE=1)),
    ("rx-running", running, update(RDRXCTL, CRCSTRIP=0)),
    ("tx-buffers", after(tx_ready, write(TXPBSIZE[0], TXPBSIZE[0].pack(SIZE=161))), turn_on(DMATXCTL.TE)),
    ("arbiter", None, write(MTQC, 0x9)),
    ("reset-running", running, turn_on(CTRL.RST)),
    ("reset-running", after(rx_ready, turn_on(RXCTRL.RXEN)), turn_on(CTRL.LRST)),
    ("director-memory", after(rx_ready, write(FDIRCTRL, FDIRCTRL.pack(PBALLOC=1))), turn_on(RXCTRL.RXEN)),
    ("director-memory", receiving, write(FDIRCTRL, FDIRCTRL.pack(PBALLOC=1))),
    ("director-ready", None, write(FDIRCMD, ADDED)),
    ("director-ready", director, write(FDIRCMD, ADDED | FDIRCMD.CLEARHT.mask)),
    ("director-busy", after(director, write(FDIRCMD, ADDED)), write(FDIRCMD, ADDED)),
    ("director-add", director, write(FDIRCMD, ADDED & ~FDIRCMD.LAST.mask)),
    ("director-add", director, write(FDIRCMD, ADDED | FDIRCMD.IPV6.mask)),
    ("director-add", lambda bar: director(bar, perfect=0), write(FDIRCMD, ADDED | FDIRCMD.DROP.mask)),
    ("director-masks", after(director, write(FDIRCMD, ADDED)), turn_on(FDIRM.FLEX)),
    ("director-report", lambda bar: director(bar, REPORT_STATUS=1), turn_on(RXCTRL.RXEN)),
    ("filter-reserved", after(no_filters, write(L34TIMIR[0], 3 << 21)), turn_on(FTQF[0].ENABLE)),
    ("filter-reserved", after(no_filters, turn_on(FTQF[0].ENABLE)), write(L34TIMIR[0], 3 << 21)),
    ("eeprom-busy", write(EERD, EERD.pack(START=1, ADDR=1)), write(EERD, EERD.pack(START=1, ADDR=2))),
    ("semaphore", None, write(SW_FW_SYNC, 1)),
    ("no-security", None, turn_on(IPSTXIDX.EN)),
    ("no-security", None, turn_on(IPSRXIDX.EN)),
    ("stamp-type", None, write(TSYNCRXCTL, TSYNCRXCTL.pack(TYPE=3, ENABLE=1))),
    ("no-clock-pins", None, write(TSAUXC, 1)),
    (
        "merge-receiver",
        after(merging, update(RDRXCTL, RSCACKC=0), turn_on(RXCTRL.RXEN)),
        turn_on(RXDCTL[0].ENABLE),
    ),
    ("merge-receiver", after(merging, update(RDRXCTL, RSCFRSTSIZE=8), enabled), turn_on(RXCTRL.RXEN)),
    ("merge-receiver", after(merging, update(RDRXCTL, CRCSTRIP=0), enabled), turn_on(RXCTRL.RXEN)),
    ("merge-header", after(merging, update(SRRCTL[0], BSIZEHEADER=1), enabled), turn_on(RXCTRL.RXEN)),
    ("merge-header", after(merging, update(SRRCTL[0], DESCTYPE=0), enabled), turn_on(RXCTRL.RXEN)),
    (
        "merge-header",
        after(merging, update(PSRTYPE[0], TCP=0), turn_on(RXCTRL.RXEN)),
        turn_on(RXDCTL[0].ENABLE),
    ),
    (
        "merge-size",
        after(merging, update(RSCCTL[0], MAXDESC=3), update(SRRCTL[0], BSIZEPACKET=4), enabled),
        turn_on(RXCTRL.RXEN),
    ),
    ("no-fcoe", None, turn_on(FCBUFF.VALID)),
    ("reserved-bits", None, write(RXDCTL[0], 1 << 15)),
    ("reserved-bits", None, write(VMOLR[5], 1 << 22)),
    ("reserved-bits", None, write(ETQF[2], 1 << 29)),
    ("reserved-bits", None, write(VLNCTRL, 1 << 31 | 0x8100)),
]


@pytest.mark.parametrize(
    ("name", "lead_up", "break_it"), BREAKS, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(BREAKS)]
)
def test_each_rule_is_seen_broken(chip, name, lead_up, break_it):
    rule = next(rule for rule in VIOLATIONS if rule.name == name)
    reset(chip.bar)
    if lead_up is not None:
        lead_up(chip.bar)
    with pytest.raises(DatasheetViolation) as caught:
        break_it(chip.bar)
    error = caught.value
    assert error.section == rule.section and rule.section in str(error)
    assert rule.rule in str(error), str(error)
    assert error.register.partition("[")[0] in {line.name for line in rule.registers}
    assert str(error).startswith("model0: ") and error.register in str(error)


def test_every_rule_has_a_test_and_a_section():
    assert {name for name, _, _ in BREAKS} == {rule.name for rule in VIOLATIONS}
    assert all(re.fullmatch(r"\d+(\.\d+)+(, \d+(\.\d+)+)*", rule.section) for rule in VIOLATIONS)


def test_a_refused_write_changes_nothing(chip):
    with pytest.raises(DatasheetViolation):
        chip.bar.write(MTQC, 0x9)
    assert chip.bar[MTQC] == 0


def test_a_lenient_card_takes_it_all():
    for _, lead_up, break_it in BREAKS:
        with Chip() as chip:
            if lead_up is not None:
                lead_up(chip.bar)
            break_it(chip.bar)


def test_packet_buffers_as_they_come_up_are_no_offence(chip):
    reset(chip.bar)
    rx_ready(chip.bar)
    for registers in (RXPBSIZE, TXPBSIZE):
        for each in registers:
            chip.bar.write(each, each.reset)
    chip.bar.set(RXCTRL.RXEN)
    chip.bar.set(DMATXCTL.TE)


def test_bring_up_by_the_book_and_restart_break_no_rule(chip):
    for _ in range(2):
        chip.bar.set(CTRL.GIO_DIS)
        chip.bar.wait(STATUS.GIO, 0)
        reset(chip.bar)
        chip.bar.set(RTTDCS.ARBDIS)
        chip.bar.write(MTQC, 0)
        chip.bar.clear(RTTDCS.ARBDIS)
        chip.bar.write(DCA_RXCTRL[0], chip.bar[DCA_RXCTRL[0]] & ~DCA_RXCTRL[0].RESERVED1.mask)
        running(chip.bar)
        chip.bar.write(RDT[0], 63)
        chip.card.check()
        chip.bar.clear(RXCTRL.RXEN)
        for enable in (RXDCTL[0].ENABLE, TXDCTL[0].ENABLE):
            chip.bar.clear(enable)
            chip.bar.wait(enable, 0)


def test_no_access_for_10_ms_after_a_reset(chip):
    chip.bar.set(CTRL.RST)
    chip.bar.read(STATUS)
    with pytest.raises(DatasheetViolation, match=r"read of LINKS 0\.\d+ ms after a reset.*4\.6\.3\.2"):
        chip.bar.read(LINKS)
    chip.bar.sleep(0.009)
    with pytest.raises(DatasheetViolation, match=r"write of MTA\[0\] 9\.\d+ ms after a reset"):
        chip.bar.write(MTA[0], 0)
    chip.bar.sleep(0.001)
    chip.bar.write(MTA[0], 0)


@pytest.mark.parametrize("offset", [0x0000C, 0x1FFFC, 0x20000])
def test_an_address_without_register(chip, offset):
    with pytest.raises(DatasheetViolation, match=r"no register there \(datasheet 8\.2\.2\)"):
        chip.bar.write32(offset, 0)
    assert chip.bar.read32(offset) == 0  # no rule forbids a read


def test_a_known_slip_of_another_driver_is_let_be(chip):
    chip.bar.write32(0x0AA00, 0)
    with pytest.raises(DatasheetViolation, match="no register there"):
        chip.bar.write32(0x0AA00, 1)


def test_sizes_other_than_dwords(chip):
    for access in (lambda: chip.chip.read_bytes(0, 2), lambda: chip.chip.write_bytes(2, b"\0\0\0\0")):
        with pytest.raises(DatasheetViolation, match=r"aligned dwords \(datasheet 8\.1\.1\)"):
            access()


def test_tables_come_up_with_noise_until_software_clears_them():
    """4.6.3: their contents are undefined after power-up; a lenient card is kind."""
    with Chip(manner="strict") as strict, Chip() as lenient:
        assert strict.bar[MTA[17]] not in (0, 0xFFFF_FFFF)
        assert lenient.bar[MTA[17]] == 0


def test_what_the_data_path_saw_is_raised_at_the_next_access_or_by_check(chip):
    PortWire(chip.chip.engine, chip.card.ports[1].engine)
    reset(chip.bar)
    running(chip.bar)
    chip.bar.wait(LINKS.UP)
    chip.chip.registers.poke(TDT[0].offset, 500)  # as a driver stores it, past the seam
    chip.card.step()
    with pytest.raises(DatasheetViolation, match="tail 500 is beyond") as caught:
        chip.bar.read(STATUS)
    assert caught.value.register == "TDT[0]"
    chip.chip.registers.poke(TDT[0].offset, 600)
    chip.card.step()
    with pytest.raises(DatasheetViolation, match="tail 600"):
        chip.card.check()


@pytest.mark.parametrize(("mapped", "register"), [(False, "TDBAL[0]"), (True, "TDT[0]")])
def test_dma_outside_the_map_is_raised(chip, mapped, register):
    PortWire(chip.chip.engine, chip.card.ports[1].engine)
    ring = Arena(4096, hugepages="no")
    reset(chip.bar)
    rx_ready(chip.bar)
    tx_ready(chip.bar)
    chip.bar.write(TDBAL[0], ring.iova & 0xFFFF_FFFF)
    chip.bar.write(TDBAH[0], ring.iova >> 32)
    chip.bar.write(TDLEN[0], 64 * 16)
    if mapped:
        chip.function.dma_map(ring)
    # One data descriptor of 64 bytes at IOVA 0x1000, which is not mapped.
    ctypes.memmove(ring.address, struct.pack("<QII", 0x1000, 0x2B30_0000 | 64, 64 << 14), 16)
    chip.bar.set(DMATXCTL.TE)
    chip.bar.set(TXDCTL[0].ENABLE)
    chip.bar.wait(TXDCTL[0].ENABLE)
    chip.bar.wait(LINKS.UP)
    chip.bar.write(TDT[0], 1)
    chip.card.step()
    with pytest.raises(DatasheetViolation, match="is outside the map") as caught:
        chip.card.check()
    assert caught.value.register == register
    chip.card.check()  # told once
    chip.function.dma_unmap(ring)
    ring.close()
