# SPDX-License-Identifier: BSD-3-Clause
"""Check that the machine can run the tests with DPDK's programs, and make their rigs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dpdkrig import Rig

from bench import peer
from tests.dpdk import suites
from tests.system.debs import Unavailable

TIMEOUT = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.root)
            item.add_marker(pytest.mark.dpdk)
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="session")
def installed() -> Iterator[None]:
    """DPDK, and hugepages for it."""
    try:
        with peer.hugepages():
            if suites.chosen():
                suites.root_of(suites.chosen())
            else:
                peer.ready(fetch=False)
            yield
    except (peer.Unavailable, Unavailable) as reason:
        pytest.skip(f"needs root, hugepages and DPDK: {reason}")


@pytest.fixture
def rig(installed: None) -> Iterator[Rig]:
    made = Rig()
    try:
        yield made
        assert not made.violations(), "\n".join(made.violations())
    finally:
        made.close()
