# SPDX-License-Identifier: BSD-3-Clause
"""A PF's service, twice: on a board made for it, and on the registers of the model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pmd.ixgbe.modelboard import OnModel
from tests.pmd.ixgbe.ruled import Rule, Ruled


@pytest.fixture(params=["board", "model"])
def rule(request: pytest.FixtureRequest) -> Iterator[Rule]:
    """Makes a `Ruled`."""
    made: list[OnModel] = []

    def make(*args: int, **options: int) -> Ruled:
        if request.param == "board":
            return Ruled(*args, **options)
        made.append(OnModel(*args, **options))
        return made[-1]

    yield make
    for ruled in made:
        ruled.board.close()
