# SPDX-License-Identifier: BSD-3-Clause
"""Replacing the pipelines of a run while its lcores poll.

First every lcore starts the new apps, between two laps of its old plan; if one of them fails, or an lcore does not
come back from a lap in time, all is undone and nothing has changed. Then one lcore after the other swaps its plan.

If lcores hand packets to each other, all of them first stop polling their sources, and hand-offs are emptied. So no lcore
waits for another one in what follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from time import monotonic

from dataplane.engine.assembly import Assembly, Change
from dataplane.engine.lcore import Call, Loop
from dataplane.engine.runnable import Runnable
from dataplane.errors import LcoreStuck

__all__ = ["replace"]

_TICK = 0.02  # s between two looks of the waiting thread, for Ctrl-C


def replace(assembly: Assembly, pipelines: Sequence[Runnable], timeout: float) -> None:
    """Let the lcores run these pipelines instead. timeout: s that a lap of an lcore may take.

    Raises GraphError and what ports and apps raise, and LcoreStuck. If that comes too late to be undone, the run is stopped.
    """
    change = assembly.propose(pipelines)
    loops = assembly.loops
    hands_off = assembly.hands_off or change.hands_off
    try:
        if hands_off:
            _hush(assembly, timeout)
    except BaseException:
        _resume(loops)
        assembly.cancel(change)
        raise
    calls = [loop.ask(partial(loop.expect, plan)) for loop, plan in zip(loops, change.plans, strict=True)]
    try:
        _wait(loops, calls, timeout)
    except BaseException:
        _resume(loops)
        begun = [loop for loop, call in zip(loops, calls, strict=True) if not loop.withdraw(call)]
        if _forgotten(begun, timeout):
            assembly.cancel(change)
        else:
            _give_up(assembly, change)
        raise
    try:
        for number, loop in enumerate(loops):
            _wait([loop], [loop.ask(partial(_swap, loop, change, number))], timeout)
    except BaseException:
        _give_up(assembly, change)
        raise
    if hands_off:
        _resume(loops)
    assembly.commit(change)


def _hush(assembly: Assembly, timeout: float) -> None:
    """Let the lcores poll no source, and wait until the hand-offs between them are empty.

    An app that goes on sending by itself is waited for `timeout` s at most: its packets are dropped as "replaced".
    """
    loops = assembly.loops
    ends = [handoff.tx for graph in assembly.graphs for handoff in graph.handoffs]
    _wait(loops, [loop.ask(partial(loop.hush, True)) for loop in loops], timeout)
    deadline = monotonic() + timeout
    before: list[int] | None = None
    while monotonic() < deadline:
        # A call is answered between two laps: packets that an app had in hand have moved on.
        for loop in loops:
            _wait([loop], [loop.ask(loop.settle)], timeout)
        now = [tx.channel.sent for tx in ends]
        if now == before and not any(tx.held for tx in ends):
            break
        before = now


def _resume(loops: Sequence[Loop]) -> None:
    """Let them poll their sources again, when each comes to it."""
    for loop in loops:
        loop.ask(partial(loop.hush, False))


def _swap(loop: Loop, change: Change, lcore: int) -> None:
    """On the lcore."""
    loop.swap()
    change.settle(lcore)


def _wait(loops: Sequence[Loop], calls: Sequence[Call], timeout: float) -> None:
    """Wait for a call on each of the loops. Raises what the first of them raises.

    Raises LcoreStuck if one has not begun within `timeout` s; one that has is waited for as long as it takes: `start` of an
    app is, too, when a run begins.
    """
    deadline = monotonic() + timeout
    for loop, call in zip(loops, calls, strict=True):
        while not call.done.wait(_TICK):
            if monotonic() > deadline and not call.taken:
                raise LcoreStuck(
                    f"an lcore has not ended a lap in {timeout:g} s, so what it runs cannot be replaced: one of "
                    f"{', '.join(map(str, loop.plan.apps))} waits for something"
                )
    for call in calls:
        if call.error is not None:
            raise call.error


def _forgotten(loops: Sequence[Loop], timeout: float) -> bool:
    """Have the apps that came stopped again. Returns whether they were, in time and without another Ctrl-C."""
    calls = [loop.ask(loop.forget) for loop in loops]
    deadline = monotonic() + timeout
    try:
        return all(call.done.wait(max(deadline - monotonic(), 0)) for call in calls)
    except KeyboardInterrupt:
        return False


def _give_up(assembly: Assembly, change: Change) -> None:
    """Some lcores may have the new plan and some the old one: end the run, which lets go of all of it."""
    for loop in assembly.loops:
        loop.stop()
    assembly.keep(change)
