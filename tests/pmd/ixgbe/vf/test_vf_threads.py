# SPDX-License-Identifier: BSD-3-Clause
"""Two threads change the settings of one VF's port: a refusal of one leaves the other's setting alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from dataplane.pmd.ixgbe.errors import MailboxRefused
from dataplane.pmd.ixgbe.messages import Message, Reply
from dataplane.port import parse_mac
from tests.pmd.ixgbe.ruled import Ruled
from tests.pmd.ixgbe.vf.test_vf import Open, opened, ruled
from tests.pmd.ixgbe.vf.vfport import VfPort

__all__ = ["opened", "ruled"]

GROUPS = ("01:00:5e:00:00:01", "01:00:5e:00:00:02")
OWN = ("02:00:00:00:00:51", "02:00:00:00:00:52")

VERBS: dict[str, Callable[[VfPort, int], None]] = {
    "vlans": lambda port, n: port.vlans.add(7 + n),
    "groups": lambda port, n: port.multicast.set([GROUPS[n]]),
    "macs": lambda port, n: port.macs.add(OWN[n]),
    "mac": lambda port, n: setattr(port, "mac", OWN[n]),
}
KEPT: dict[str, object] = {
    "vlans": {8},
    "groups": (parse_mac(GROUPS[1]),),
    "macs": (parse_mac(OWN[1]),),
    "mac": parse_mac(OWN[1]),
}


@pytest.mark.parametrize("what", VERBS)
def test_a_refusal_keeps_what_another_thread_has_been_granted(ruled: Ruled, opened: Open, what: str) -> None:
    """The PF refuses the first thread's request, slowly; meanwhile the second one makes its own, which is granted."""
    port, verb = opened(ruled.board), VERBS[what]
    first, asked = threading.get_ident(), threading.Event()
    ask, before = port.session.ask, getattr(port.session.wanted, what)

    def slow(message: Message) -> Reply:
        if threading.get_ident() != first:
            return ask(message)
        wanted = getattr(port.session.wanted, what)
        asked.set()
        deadline = time.monotonic() + 0.3  # as long as the second thread needs to change `wanted`, if it can
        while getattr(port.session.wanted, what) == wanted and time.monotonic() < deadline:
            time.sleep(0.01)
        raise MailboxRefused("no", (0, 0))

    port.session.ask = slow  # type: ignore[method-assign]

    def second() -> None:
        assert asked.wait(10)
        verb(port, 1)

    with ThreadPoolExecutor(1) as other:
        done = other.submit(second)
        with pytest.raises(MailboxRefused, match="no"):
            verb(port, 0)
        done.result()
    kept = getattr(port.session.wanted, what)
    port.session.ask = ask  # type: ignore[method-assign]
    assert kept != before, "the second thread's setting is asked for again after each handshake"
    assert kept == KEPT[what], "and the first one's is not"
