# SPDX-License-Identifier: BSD-3-Clause
"""When the link is up, and what says so (datasheet 4.6.4, 8.2.3.22)."""

import pytest
from chip_fixtures import Chip

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import (
    ANLP1,
    AUTOC,
    AUTOC2,
    EICR,
    ESDP,
    HLREG0,
    LINKS,
    LMS_1G,
    LMS_1G_AN,
    LMS_10G_PARALLEL,
    LMS_10G_SERIAL,
    LMS_KX4_AN,
    SERIAL_KR,
    SERIAL_SFI,
    SERIAL_XFI,
    SPEED_1G,
    SPEED_10G,
    STATUS,
)
from dataplane.pmd.model import Timing
from dataplane.pmd.model.wire.port import PortWire


@pytest.fixture
def chip():
    """A port with a wire to the card's other port, whose laser the test holds in its hands."""
    with Chip() as chip:
        chip.wire = PortWire(chip.chip.engine, chip.card.ports[1].engine)
        light(chip, False)
        chip.bar.sleep(0.01)
        yield chip


def light(chip, on):
    """The other end of the wire is lit, or dark; the chip has seen it."""
    chip.card.ports[1].shine(on)
    chip.chip.run()


def carrier(chip, on):
    light(chip, on)
    chip.bar.sleep(2 * Timing().link / 1e9)
    return chip.bar.get(LINKS.UP)


def test_no_link_without_a_wire_and_10g_with_one(chip):
    assert chip.bar.get(LINKS.UP) == chip.bar.get(STATUS.LINK_UP) == 0
    assert carrier(chip, True) == 1
    assert chip.bar.get(LINKS.SPEED) == SPEED_10G
    assert chip.bar.get(STATUS.LINK_UP) == 1
    assert carrier(chip, False) == 0
    assert chip.bar.get(STATUS.LINK_UP) == 0


def test_the_link_takes_its_time(chip):
    light(chip, True)
    chip.wait_ns(Timing().link - 10_000)
    assert chip.bar.get(LINKS.UP) == 0
    chip.wait_ns(20_000)
    assert chip.bar.get(LINKS.UP) == 1


@pytest.mark.parametrize(
    ("lms", "pma", "speed"),
    [
        (LMS_10G_SERIAL, SERIAL_SFI, SPEED_10G),
        (LMS_10G_SERIAL, SERIAL_XFI, SPEED_10G),
        (LMS_10G_SERIAL, SERIAL_KR, 0),
        (LMS_1G, SERIAL_SFI, SPEED_1G),
        (LMS_KX4_AN, SERIAL_SFI, 0),
        (LMS_10G_PARALLEL, SERIAL_SFI, 0),
    ],
)
def test_link_mode_decides(chip, lms, pma, speed):
    carrier(chip, True)
    other = chip.card.ports[1]
    other.write(AUTOC2.offset, AUTOC2.pack(PMA10G_SERIAL=pma))
    other.write(AUTOC.offset, AUTOC.pack(LMS=lms, RESTART_AN=1))
    chip.bar.update(AUTOC2, PMA10G_SERIAL=pma)
    chip.bar.update(AUTOC, LMS=lms, RESTART_AN=1)
    assert chip.bar.get(LINKS.UP) == 0
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == bool(speed)
    assert not speed or chip.bar.get(LINKS.SPEED) == speed


def test_only_like_speeds_make_a_link(chip):
    assert carrier(chip, True) == 1
    other = chip.card.ports[1]
    other.write(AUTOC.offset, AUTOC.pack(LMS=LMS_1G_AN, RESTART_AN=1))
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == 0 and not other.read(LINKS.offset) & LINKS.UP.mask
    chip.bar.update(AUTOC, LMS=LMS_1G, RESTART_AN=1)
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == 1
    assert chip.bar.get(LINKS.SPEED) == LINKS.SPEED.extract(other.read(LINKS.offset)) == SPEED_1G
    assert (chip.bar.get(LINKS.SYNC_1G), chip.bar.get(LINKS.ALIGN_10G)) == (1, 0)


def test_a_module_of_1_gbps_does_nothing_else(chip):
    for port in range(2):
        chip.card.insert(port, 1)
    assert carrier(chip, True) == 0
    for bar in chip.card.ports:
        bar.write(AUTOC.offset, AUTOC.pack(LMS=LMS_1G_AN, RESTART_AN=1))
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == 1 and chip.bar.get(LINKS.SPEED) == SPEED_1G
    chip.card.insert(0, 10)
    chip.card.insert(0, 1)
    chip.bar.update(AUTOC, LMS=LMS_10G_SERIAL, RESTART_AN=1)
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == 0
    with pytest.raises(ConfigError, match="10 or 1"):
        chip.card.insert(0, 40)


def test_restart_clears_itself_and_negotiation_has_a_state(chip):
    """DPDK's pipeline reset polls ANLP1.AN_STATE for anything but 0."""
    carrier(chip, True)
    chip.bar.set(AUTOC.RESTART_AN)
    assert chip.bar.get(AUTOC.RESTART_AN) == 0
    assert chip.bar.get(ANLP1.AN_STATE) != 0
    assert chip.bar.get(LINKS.UP) == 0
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == 1


def test_latched_bit_tells_of_a_loss_since_the_last_read(chip):
    carrier(chip, True)
    chip.bar.read(LINKS)
    assert chip.bar.get(LINKS.LATCHED_UP) == 1
    carrier(chip, False)
    carrier(chip, True)  # and that read LINKS
    assert chip.bar.get(LINKS.LATCHED_UP) == 1
    light(chip, False)
    light(chip, True)
    chip.wait_ns(2 * Timing().link)
    word = chip.bar[LINKS]
    assert (LINKS.UP.extract(word), LINKS.LATCHED_UP.extract(word)) == (1, 0)


def test_every_change_is_a_cause(chip):
    chip.bar.read(EICR)
    carrier(chip, True)
    assert chip.bar.get(EICR.LSC) == 1
    assert chip.bar.get(EICR.LSC) == 0
    carrier(chip, False)
    assert chip.bar.get(EICR.LSC) == 1


def test_link_can_be_disabled_and_forced(chip):
    carrier(chip, True)
    chip.bar.update(AUTOC2, LINK_DISABLE=7)
    assert chip.bar.get(LINKS.UP) == 0
    chip.bar.update(AUTOC2, LINK_DISABLE=0)
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == 1


def test_loopback_needs_no_wire(chip):
    """14.1: HLREG0.LPBK with 10G parallel and FLU."""
    chip.bar.set(HLREG0.LPBK)
    chip.bar.update(AUTOC, LMS=LMS_10G_PARALLEL, FLU=1, RESTART_AN=1)
    chip.bar.sleep(0.01)
    assert chip.bar.get(LINKS.UP) == 1


def test_sdp3_darkens_the_laser_for_the_other_end(chip):
    other = chip.card.ports[1]
    assert carrier(chip, True) == 1
    assert other.read(LINKS.offset) & LINKS.UP.mask
    chip.bar.update(ESDP, SDP3=1, DIR=1 << 3)
    chip.bar.sleep(0.01)
    assert not other.read(LINKS.offset) & LINKS.UP.mask
    chip.bar.update(ESDP, SDP3=0)
    chip.bar.sleep(0.01)
    assert other.read(LINKS.offset) & LINKS.UP.mask


def test_a_port_without_a_wire_has_no_link():
    with Chip() as chip:
        chip.bar.sleep(0.1)
        assert chip.bar.get(LINKS.UP) == 0
