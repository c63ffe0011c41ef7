# SPDX-License-Identifier: BSD-3-Clause
"""Threads that look at a PF all the time, as monitoring and administrators do, while a test has its way with it.

They harm nothing and nothing harms them: each question is answered, on a strict card too, whatever is reset meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle

from dataplane.pmd.ixgbe.pf import IxgbePort

__all__ = ["onlookers"]

PAUSE = (
    5e-3  # real seconds between two questions of a thread: their accesses move a stepped card's clock, too
)
SAMPLE = 1e-3  # and what a sleep of theirs takes


@contextmanager
def onlookers(pf: IxgbePort, ruled: int) -> Iterator[dict[str, int]]:
    """Ask for xstats, link, show and explain of every VF, and change settings of VF `ruled`, until the block ends.

    Yields how often each was answered; raises what one of them raised. On a stepped card their sleeps are short ones of real
    time: the card's clock is the test's to move, or frames under way would be late.
    """
    end = threading.Event()
    answered: dict[str, int] = {}
    wrong: list[tuple[str, BaseException]] = []
    assert pf.host is not None
    vfs = cycle(range(len(pf.host.table.vfs)))
    settings: Iterator[dict[str, str | int | bool]] = cycle(
        [{"query_rss": True, "max_tx_rate": 100}, {"query_rss": False}, {"max_tx_rate": 0}]
    )
    questions: dict[str, Callable[[], object]] = {
        "xstats": pf.xstats,
        "link": lambda: pf.link,
        "vf show": pf.vfs.show,
        "vf explain": lambda: pf.vfs.explain(next(vfs)),
        "vf set": lambda: pf.vfs.set(ruled, **next(settings)),
    }

    def ask(name: str) -> None:
        try:
            while not end.is_set():
                questions[name]()
                answered[name] = answered.get(name, 0) + 1
                end.wait(PAUSE)
        except BaseException as error:
            wrong.append((name, error))

    threads = [threading.Thread(target=ask, args=(name,), name=f"onlooker {name}") for name in questions]
    sleep = pf.bar.sleep

    def sleep_apart(seconds: float) -> None:
        me = threading.current_thread()
        if me in threads or me.name.endswith("-sample"):  # explain watches VFs in a thread of its own
            time.sleep(min(seconds, SAMPLE))
        else:
            sleep(seconds)

    if not pf.function.card.threaded:  # type: ignore[attr-defined]
        pf.bar.sleep = sleep_apart  # type: ignore[method-assign]
    for thread in threads:
        thread.start()
    try:
        yield answered
    finally:
        end.set()
        for thread in threads:
            thread.join()
        vars(pf.bar).pop("sleep", None)
    for name, error in wrong:
        error.add_note(f"raised from '{name}' in another thread, after {answered}")
        raise error
    assert answered.keys() == questions.keys(), "each was answered"
