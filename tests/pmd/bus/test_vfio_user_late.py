# SPDX-License-Identifier: BSD-3-Clause
"""Answers that come after the client has given up: what was counted is not lost with them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from served import TIMEOUT, Served

from dataplane.byhand import receive, send
from dataplane.errors import DeviceTimeout
from dataplane.pmd import probe
from dataplane.pmd.datasheet import GPRC, STATUS
from dataplane.pmd.vfio_user import client
from dataplane.pmd.vfio_user.framing import Incoming

FRAME = bytes.fromhex("ffffffffffff02000000000188b5") + bytes(range(50))


@pytest.fixture
def nic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with Served() as served:
        yield served


def stalled(nic: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server stands still, and clients soon give up."""
    nic.process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(client, "PATIENCE", 0.05)


def goes_on(nic: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE", TIMEOUT)
    nic.process.send_signal(signal.SIGCONT)


def test_no_count_is_lost_in_a_late_answer(nic: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with probe(nic.port("pf0")) as near, probe(nic.port("pf1")) as far:
        sender, receiver = near.tx(0), far.rx(0)
        near.start()
        far.start()
        near.wait_link()
        far.wait_link()
        bar = far.function.bar(0)
        for n in range(6):
            assert send(sender, [FRAME] * 16) == 16
            assert receive(receiver, 16, timeout=TIMEOUT) == [FRAME] * 16
            stalled(nic, monkeypatch)
            for port in (near, far) if n % 2 else (far, near):
                with pytest.raises(DeviceTimeout, match="its server hangs or is overloaded"):
                    port.xstats()
                with pytest.raises(DeviceTimeout):
                    port.function.bar(0).read32(STATUS.offset)  # another question in between
            goes_on(nic, monkeypatch)
            time.sleep(0.05 * (n % 3))
        far.xstats()
        for n in range(6):
            assert send(sender, [FRAME] * (n + 1)) == n + 1
            assert receive(receiver, n + 1, timeout=TIMEOUT) == [FRAME] * (n + 1)
            stalled(nic, monkeypatch)
            for register in (GPRC, STATUS, GPRC):
                with pytest.raises(DeviceTimeout, match="its server hangs or is overloaded"):
                    bar.read32(register.offset)
            goes_on(nic, monkeypatch)
            assert bar.read32(GPRC.offset) == n + 1, "asked again, it is the answer that came late"
            assert bar.read32(GPRC.offset) == 0
        assert near.xstats()["tx_good_packets"] == 96 + 21
        seen = far.xstats()
        assert (seen["rx_good_packets"], seen["rx_good_bytes"]) == (117, 117 * len(FRAME))
        assert near.function.bar(0)[STATUS] & STATUS.GIO.mask


def test_a_read_that_was_broken_off_is_taken_up_again(nic: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a read of all counters has cleared before it timed out counts in the next one."""
    with probe(nic.port("pf0")) as near, probe(nic.port("pf1")) as far:
        sender, receiver = near.tx(0), far.rx(0)
        near.start()
        far.start()
        near.wait_link()
        far.wait_link()
        bar, real, here = far.function.bar(0), client.Connection.request, threading.get_ident()
        for after in (1, 30, 48, 60, 100, 130):
            assert send(sender, [FRAME] * 16) == 16
            assert receive(receiver, 16, timeout=TIMEOUT) == [FRAME] * 16
            left = [after]

            def request(
                self: client.Connection,
                command: int,
                body: bytes = b"",
                *rest: Any,
                left: list[int] = left,
                **more: Any,
            ) -> Incoming:
                if threading.get_ident() == here and self.name == far.function.name:
                    left[0] -= 1
                    if not left[0]:
                        raise DeviceTimeout("pf1: no answer")
                return real(self, command, body, *rest, **more)

            monkeypatch.setattr(client.Connection, "request", request)
            with pytest.raises(DeviceTimeout):
                far.xstats()
            monkeypatch.setattr(client.Connection, "request", real)
        seen = far.xstats()
        assert seen["rx_good_packets"] == seen["rx_size_65_to_127_packets"] == 96
        assert seen["rx_good_bytes"] == 96 * len(FRAME)
        assert bar[GPRC] == 0
