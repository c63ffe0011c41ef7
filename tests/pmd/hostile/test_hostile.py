# SPDX-License-Identifier: BSD-3-Clause
"""A hostile VF crashes nothing, reads and changes no byte of another function's memory, and delays no other function.

`make test-hostile ACTIONS=1000000 SEED=7` does it for longer; a run that fails prints the command that repeats it.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplane.errors import DatasheetViolation
from tests.pmd.hostile.arsenal import Action, Arsenal
from tests.pmd.hostile.siege import Siege

ACTIONS = int(os.environ.get("HOSTILE_ACTIONS") or 60_000)
SEED = int(os.environ.get("HOSTILE_SEED") or 82599)
TICK_EVERY, AUDIT_EVERY, PHASE = 16, 2_000, 150


@pytest.fixture
def siege() -> Iterator[Siege]:
    made = Siege()
    yield made
    made.close()


@pytest.fixture
def hostile(siege: Siege) -> Iterator[Arsenal]:
    made = Arsenal(siege)
    yield made
    made.close()


def actions(kinds: list[str], seed: object) -> Iterator[Action]:
    """Endless actions, in phases: each begins with a driver that comes up, and then does a few kinds of actions only.

    A mix of all kinds would reach little: with one reset among ten actions, no queue lives for long.
    """
    dice = Random(str(seed))
    while True:
        yield "come_up", dice.getrandbits(32)
        few = [*dice.sample(kinds, dice.randrange(2, 8)), "nothing", "send_a_frame", "send_a_frame"]
        for _ in range(PHASE):
            yield dice.choice(few), dice.getrandbits(32)


def besiege(siege: Siege, hostile: Arsenal, count: int, which: str = "") -> None:
    """`count` actions, with the life of the others in between. which: of several runs with one seed."""
    last: deque[Action] = deque(maxlen=40)
    done = 0
    try:
        siege.audit()
        for done, action in enumerate(
            itertools.islice(actions(hostile.kinds(), f"{SEED} {which}"), count), 1
        ):
            last.append(action)
            with suppress(DatasheetViolation):  # from a strict card, and rightly
                hostile.act(*action)
            if done % TICK_EVERY == 0:
                siege.step()
            if done % AUDIT_EVERY == 0:
                siege.audit()
                hostile.seen_nothing()
        siege.end()
        hostile.seen_nothing()
    except Exception as error:
        error.add_note(
            f"after {done:,} actions of seed {SEED} ({which}); the last: {list(last)}\n"
            f"again: make test-hostile ACTIONS={2 * done} SEED={SEED}"
        )
        raise
    domain, state = siege.chip.engine.domain_of_vf(0), siege.state
    print(
        f"{which}: {done:,} actions of seed {SEED}: {siege.ledger.sent:,} frames of others all arrived, the slowest after "
        f"{siege.ledger.slowest * 1e6:.0f} us; of the hostile VF {siege.ledger.foreign:,} frames arrived, "
        f"{siege.host.table.spoofed:,} were dropped by the spoof check, {domain.fault_count:,} accesses to memory were "
        f"blocked; {state.messages:,} messages, {state.resets:,} resets; the PF's longest round "
        f"{siege.longest_round * 1e6:.0f} us"
    )
    # It did get somewhere: else all this would show nothing.
    assert siege.ledger.foreign > count / 50
    assert domain.fault_count > count / 200
    assert min(state.messages, state.resets) > count / 200


@pytest.mark.parametrize("policy", [{}, {"spoofchk": "off"}], ids=["checked", "spoofchk off"])
@pytest.mark.timeout(60 + ACTIONS // 500)
def test_isolation(policy: dict[str, str]) -> None:
    """ACTIONS in all, half of them by a VF whose frames may have any source address."""
    with closing(Siege(policy=policy)) as siege, closing(Arsenal(siege)) as hostile:
        besiege(siege, hostile, ACTIONS // 4, str(policy))
        # By the card's clock, which others' accesses would move too.
        assert siege.longest_round < 200e-6, "a few registers for each of four VFs, and no more"
        assert siege.longest_answer < 20e-3
        with siege.watched():
            besiege(siege, hostile, ACTIONS // 4, f"{policy}, watched")


def test_isolation_on_a_strict_card() -> None:
    """Whatever it does wrong is its own fault: no access of the PF's driver or of another VF's raises."""
    with closing(Siege(manner="strict")) as siege, closing(Arsenal(siege)) as hostile, siege.watched():
        besiege(siege, hostile, max(10_000, ACTIONS // 10), "strict")


def test_isolation_on_a_card_that_runs_by_itself() -> None:
    """The same with the card and the PF's service in threads of their own: memory changes while the chip reads it."""
    with closing(Siege(threaded=True)) as siege, closing(Arsenal(siege)) as hostile, siege.watched():
        besiege(siege, hostile, 4_000, "threads")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_order(siege: Siege, hostile: Arsenal, data: st.DataObject) -> None:
    """Hypothesis shortens the failures that `test_isolation` finds in long runs. Each example begins with a reset."""
    kinds = st.sampled_from(hostile.kinds())
    script = data.draw(st.lists(st.tuples(kinds, st.integers(0, 0xFFFF_FFFF)), max_size=60))
    hostile.act("come_up", 0)
    for action in script:
        hostile.act(*action)
    siege.step()
    siege.audit()
    hostile.seen_nothing()


@pytest.mark.parametrize(("may", "harm"), [("read", "bytes of another's memory"), ("write", "was changed")])
def test_a_hole_in_the_wall_is_found(siege: Siege, hostile: Arsenal, may: str, harm: str) -> None:
    """The same run on a card whose IOMMU lets the hostile VF into 128 KiB of another's memory: it must fail."""
    blocks = siege.vfs[0].front, siege.vfs[0].back
    domain = siege.chip.engine.domain_of_vf(0)
    for block in blocks:
        domain.map(block.iova, block.size, block.address, read=may == "read", write=may == "write")
    with pytest.raises(AssertionError, match=harm):
        for done, action in enumerate(actions(hostile.kinds(), SEED)):
            hostile.act(*action)
            if done % TICK_EVERY == 0:
                siege.step()
            if done % 200 == 0:
                siege.audit()
                hostile.seen_nothing()
            assert done < 100_000
    for block in blocks:
        domain.unmap(block.iova)
