# SPDX-License-Identifier: BSD-3-Clause
"""What every test leaves behind as it found it: mempools, threads, lcore numbers, stages, ports."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from dataplane import machine, mempool

# A run judges a change, so the same code draws the same examples, as the walks and fuzzers take the same seeds.
# `make test-explore` draws others, and more of them.
# How long an example takes is the machine's doing, too: others use it.
TIMES = int(os.environ.get("EXPLORE_TIMES", "0"))
settings.register_profile(
    "shared", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=not TIMES
)
settings.load_profile("shared")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `EXPLORE_TIMES`, take only tests with generated examples, and give each that many times as many."""
    if not TIMES:
        return
    drawn = [item for item in items if is_hypothesis_test(getattr(item, "obj", None))]
    config.hook.pytest_deselected(items=[item for item in items if item not in drawn])
    items[:] = drawn
    for test in {getattr(item.obj, "__func__", item.obj) for item in drawn}:  # type: ignore[attr-defined]
        asked = test._hypothesis_internal_use_settings  # the decorator hypothesis.settings() sets it
        test._hypothesis_internal_use_settings = settings(asked, max_examples=TIMES * asked.max_examples)


def _held() -> dict[int, int]:
    """Mbufs in use, by mempool."""
    return {id(pool): pool.in_use for pool in mempool.pools()}


@pytest.fixture(autouse=True, scope="session")
def sockets() -> Iterator[None]:
    """Put the sockets of this process's PFs into a folder of its own: tests run in several processes, each with a model0.

    Its name is short: a socket's has at most 107 bytes, and pytest's folders are too deep for that.
    """
    with tempfile.TemporaryDirectory(prefix="dp-", dir="/tmp") as folder:
        os.environ["XDG_RUNTIME_DIR"] = folder
        yield


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    """Every mempool that is alive after a test is as full as before, new ones are full; no thread and no lcore is left."""
    held, threads, free = _held(), set(threading.enumerate()), machine.free_lcores()
    yield
    if _leaks(held, threads, free):
        gc.collect()  # ports that a test forgot, and objects that hold each other
    leaks = _leaks(held, threads, free)
    assert not leaks, "\n".join(leaks)


def _leaks(held: dict[int, int], threads: set[threading.Thread], free: int) -> list[str]:
    leaks = [
        f"{pool!r}: {pool.in_use - held.get(id(pool), 0)} mbufs were not given back"
        for pool in mempool.pools()
        if pool.in_use > held.get(id(pool), 0)
    ]
    leaks += [f"thread {thread.name} still runs" for thread in set(threading.enumerate()) - threads]
    if machine.free_lcores() != free:
        leaks.append(f"{free - machine.free_lcores()} lcore numbers were not given back")
    return leaks
