# SPDX-License-Identifier: BSD-3-Clause
"""Register accesses by name."""

import errno
import io
import os

import pytest
from chip_fixtures import Chip

from dataplane.pmd.datasheet import RXCTRL, RXDCTL, STATUS


@pytest.fixture
def chip():
    with Chip() as chip:
        yield chip


def test_accesses_are_kept_by_name(chip):
    trace = chip.card.trace()
    chip.bar.write(RXDCTL[3], 0x0200_0000)
    chip.bar.read(STATUS)
    lines = [str(access) for access in trace]
    assert lines == ["model0 W RXDCTL[3] = 0x02000000 (ENABLE)", "model0 R STATUS = 0x00080000 (GIO)"]
    assert str(trace) == "\n".join(lines)
    assert trace.writes("RXDCTL[3]") == [0x0200_0000]


def test_aliases_and_unknown_addresses_have_names_too(chip):
    trace = chip.card.trace()
    chip.bar.write32(0x05818, 1)
    chip.bar.read32(0x0000C)
    assert [access.name for access in trace] == ["MRQC", "unknown 0x0000c"]
    assert "unknown" in str(list(trace)[1])


def test_only_the_last_are_kept(chip):
    trace = chip.card.trace(keep=3)
    for value in range(10):
        chip.bar.write(RXCTRL, value)
    assert trace.writes("RXCTRL") == [7, 8, 9] and len(trace) == 3
    trace.clear()
    assert len(trace) == 0


def test_each_access_goes_to_a_function_and_a_file(chip):
    heard, file = [], io.StringIO()
    chip.card.trace(each=heard.append, file=file)
    chip.bar.write(RXCTRL, 1)
    assert [access.value for access in heard] == [1]
    assert file.getvalue() == "model0 W RXCTRL = 0x00000001 (RXEN)\n"


def test_a_file_that_takes_no_more_ends_the_file_only(chip, caplog):
    class Full(io.StringIO):
        def write(self, text):
            if self.tell() > 100:
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
            return super().write(text)

    file = Full()
    trace = chip.card.trace(file=file)
    for value in range(10):
        chip.bar.write(RXCTRL, value)
    assert len(trace) == 10 and len(file.getvalue().splitlines()) < 10
    (record,) = caplog.records
    assert "model0: the trace of it ends here" in record.getMessage()
    chip.bar.read(STATUS)
    assert len(trace) == 11 and len(caplog.records) == 1


def test_times_are_the_cards_and_ports_are_apart(chip):
    trace = chip.card.trace(0)
    chip.bar.read(STATUS)
    chip.bar.sleep(0.25)
    chip.card.ports[1].read(STATUS.offset)
    chip.bar.read(STATUS)
    first, second = trace
    assert 250_000_000 <= second.ns - first.ns < 250_010_000


def test_no_trace_no_record(chip):
    trace = chip.card.trace()
    chip.card.untrace()
    chip.bar.read(STATUS)
    assert len(trace) == 0
