# SPDX-License-Identifier: BSD-3-Clause
"""Hostile clients, made up by hypothesis: the server neither crashes nor hangs nor leaks, and others do not notice.

`make test-fuzz EXAMPLES=5000 SEED=7` does it for longer; a run that fails shows the steps, as few as it takes.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from rawclient import TIMEOUT, RawClient, memory
from served import Served

from dataplane.pmd.datasheet import STATUS
from tests.pmd.model.server.attacker import ARENA, IOVA, STEPS, Attacker

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 120)
SEED = int(os.environ.get("FUZZ_SEED") or 82599)
PATTERN = bytes(range(256)) * (ARENA // 256)
GROWTH = 48 << 10  # KiB that a Python process may grow by without leaking


class Neighbour:
    """A client that does nothing wrong, with memory at the IOVA where attackers have theirs."""

    def __init__(self, path: Path) -> None:
        self._fd = memory(ARENA)
        self._view = mmap.mmap(self._fd, ARENA)
        self._view[:] = PATTERN
        self.client = RawClient(path).enable()
        assert self.client.map(IOVA, ARENA, self._fd) == 0

    def check(self) -> None:
        """It is answered, and its memory is unchanged."""
        began = time.monotonic()
        assert self.client.read(7, 0) == 0x10FB8086
        assert self.client.read(0, STATUS.offset) != 0xFFFF_FFFF
        assert time.monotonic() < began + TIMEOUT / 2
        assert self._view[:] == PATTERN

    def close(self) -> None:
        self.client.close()
        self._view.close()
        os.close(self._fd)


@pytest.fixture(scope="module", params=["lenient", "strict"])
def nic(request: pytest.FixtureRequest) -> Iterator[Served]:
    # Its reports of violations go to a file: no thread reads a pipe here.
    with Served("--vfs", "1", "--manner", request.param, quiet=True) as served:
        yield served


@pytest.fixture(scope="module")
def neighbour(nic: Served) -> Iterator[Neighbour]:
    made = Neighbour(nic.path("pf1"))
    yield made
    made.close()


@pytest.mark.timeout(600 + EXAMPLES)
@pytest.mark.parametrize("function", ["pf0", "pf0.vf0"])
def test_no_client_hurts_the_server_or_another_client(
    nic: Served, neighbour: Neighbour, function: str
) -> None:
    def attack(steps: list[tuple[Any, ...]]) -> None:
        attacker = Attacker(nic.path(function))
        try:
            for step in steps:
                attacker.do(step)
        finally:
            attacker.close()
        assert nic.process.poll() is None, "the server has died"
        with RawClient(nic.path(function)) as successor:
            successor.enable()
        neighbour.check()

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(STEPS)
    def fuzz(steps: list[tuple[Any, ...]]) -> None:
        attack(steps)

    attack([("register", 0, 0), ("arm", 0, [], 3), ("deaf",)])  # what it needs once and keeps
    before = nic.use()
    fuzz()
    deadline = time.monotonic() + TIMEOUT
    while (now := nic.use()).exceeds(before, spare=8):
        assert time.monotonic() < deadline, f"{before} before, {now} after"
        time.sleep(0.05)
    assert now.memory < before.memory + GROWTH
