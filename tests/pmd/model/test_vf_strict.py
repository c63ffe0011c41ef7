# SPDX-License-Identifier: BSD-3-Clause
"""What a strict card refuses a VF, and what it lets be because other drivers do it on every card."""

import pytest
from vf_fixtures import VfChip

from dataplane.errors import DatasheetViolation
from pmd.datasheet import vf as window


@pytest.fixture
def bar():
    with VfChip(queues=2, manner="strict") as chip:
        yield chip.vf(1)


BEYOND = 5  # a pool of two queues does not have it


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (window.VFRDBAL, 0x1000),
        (window.VFRDLEN, 0x400),
        (window.VFTDBAL, 0x1000),
        (window.VFTDLEN, 0x400),
        (window.VFRXDCTL, window.VFRXDCTL[0].ENABLE.mask),
        (window.VFTXDCTL, window.VFTXDCTL[0].ENABLE.mask),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_queue_beyond_the_pool_is_not_put_to_use(bar, line, value):
    with pytest.raises(DatasheetViolation, match="pool has 2 queues"):
        bar.write(line[BEYOND], value)


def test_reset_values_for_all_eight_queues_are_no_offence(bar):
    for line in (window.VFRDH, window.VFRDT, window.VFRXDCTL, window.VFTDH, window.VFTDT, window.VFTXDCTL):
        bar.write(line[BEYOND], 0)
    bar.write(window.VFSRRCTL[BEYOND], 0x402)
    assert bar.read(window.VFSRRCTL[BEYOND]) == 0
