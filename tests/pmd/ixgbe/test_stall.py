# SPDX-License-Identifier: BSD-3-Clause
"""A device that does not answer for a while, as its process is stopped or overloaded: everything comes back by itself."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from stopwatch import Stopwatch

from dataplane import pmd
from dataplane.apps.command.cli import main
from dataplane.byhand import receive, send
from dataplane.errors import DeviceTimeout
from dataplane.pmd.ixgbe.errors import PfNotUp
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.sriov import service
from dataplane.pmd.vfio_user import client
from dataplane.pmd.vfio_user.framing import Receiver
from dataplane.pmd.vfio_user.messages import Command
from tests.pmd.ixgbe.fleet import fleet, until
from tests.pmd.served import TIMEOUT, Served


class Stall:
    """While `on`, accesses to a port's registers time out after `seconds`."""

    def __init__(self, port: pmd.Port, seconds: float = 0.0) -> None:
        bar = port.bar  # type: ignore[attr-defined]
        self.on, self.seconds, self.left = False, seconds, -1
        bar._read, bar._write = self._slow(bar._read), self._slow(bar._write)

    def _slow(self, access):  # type: ignore[no-untyped-def]
        def maybe(*args: int) -> int:
            if self.left >= 0:
                self.left -= 1
            if self.on or self.left == 0:
                time.sleep(self.seconds)
                raise DeviceTimeout("no answer to REGION_READ within 5 s: its server hangs or is overloaded")
            return access(*args)  # type: ignore[no-any-return]

        return maybe


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "AGAIN", 0.02)


def test_the_service_outlives_a_stall(soon: None, caplog: pytest.LogCaptureFixture) -> None:
    """`vf show` says since when, the log when it began and when it ended; nothing is read meanwhile that would wait."""
    with fleet(1) as made:
        (vf,) = made.open(0)
        stall = Stall(made.pf)
        before = made.pf.vfs.show()
        assert before[0]["service"] == ""
        stall.on = True
        made.pf.host.service.nudge()  # type: ignore[union-attr]
        until(lambda: made.pf.host.service.stalls > 3)  # type: ignore[union-attr]
        rows = made.pf.host.show()  # type: ignore[union-attr]
        assert rows[0]["service"].startswith("not served for ")
        assert "no answer to REGION_READ" in rows[0]["service"]
        assert rows[0]["mac"] == before[0]["mac"], "what it last knew"
        stall.on = False
        until(lambda: made.pf.vfs.show()[0]["service"] == "")
        vf.vlans.add(7)
        assert made.pf.vfs.show()[0]["vlans"] == [0, 7]
    assert [record.message for record in caplog.records if "served" in record.message] == [
        "model0: its VFs are not served: no answer to REGION_READ within 5 s: its server hangs or is overloaded",
        "model0: its VFs are served again",
    ]


def test_a_stall_in_the_middle_of_any_message(soon: None) -> None:
    """Wherever a round breaks off, no mailbox stays locked and the VF has its answer."""
    with fleet(1) as made:
        (vf,) = made.open(0)
        stall = Stall(made.pf)
        service = made.pf.host.service  # type: ignore[union-attr]
        for n in range(60):
            stall.left = 1 + n  # accesses from now on
            (vf.vlans.remove if n % 2 else vf.vlans.add)(10 + n % 5)
            stall.left = -1
        assert service.stalls >= 10
        assert service.trouble == ""
        assert vf.recoveries == 0


def test_show_does_not_wait_for_a_round_that_hangs(soon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SLOW", 0.05)
    with fleet(1) as made:
        made.open(0)
        made.pf.vfs.show()
        stall = Stall(made.pf, seconds=1.0)
        stall.on = True
        made.pf.host.service.nudge()  # type: ignore[union-attr]
        until(lambda: made.pf.host.service.trouble)  # type: ignore[union-attr]
        watch = Stopwatch()
        assert "the device does not answer" in made.pf.host.show()[0]["service"]  # type: ignore[union-attr]
        assert watch.own < 0.5
        stall.on = False


def test_a_server_that_is_stopped_and_goes_on(
    soon: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGSTOP, as a debugger does it: VFs are served again, counters and packets go on."""
    with (
        Served("--vfs", "1") as nic,
        pmd.probe(nic.port("pf0", ",vfs=1")) as pf,
        pmd.probe(nic.port("pf1")) as far,
    ):
        assert isinstance(pf, IxgbePort)
        assert pf.host is not None
        service = pf.host.service
        pf.start()
        far.rx(0)
        far.start()
        with pmd.probe(nic.port("pf0.vf0")) as vf:
            vf.tx(0)
            vf.start()
            vf.wait_link(TIMEOUT)
            pf.vfs.show()
            monkeypatch.setattr(client, "PATIENCE", 0.1)
            nic.process.send_signal(signal.SIGSTOP)
            service.nudge()
            until(lambda: service.stalls > 1, TIMEOUT)
            assert main(["vf", "show", nic.port("pf0")]) == 0
            assert "not served for" in capsys.readouterr().out
            monkeypatch.setattr(client, "PATIENCE", TIMEOUT)
            nic.process.send_signal(signal.SIGCONT)
            until(lambda: service.trouble == "", TIMEOUT)
            until(lambda: vf.link.up, TIMEOUT)
            frame = bytes.fromhex("ffffffffffff") + bytes.fromhex(vf.mac.replace(":", "")) + bytes(48)
            assert send(vf.tx(0), [frame], timeout=5) == 1
            assert receive(far.rx(0), 1, timeout=TIMEOUT) == [frame]
            vf.vlans.add(5)
            assert main(["vf", "show", nic.port("pf0")]) == 0
            assert "not served" not in capsys.readouterr().out


def test_a_mailbox_that_the_pf_keeps_is_waited_for() -> None:
    """VFMAILBOX.VFU stays 0: for as long as the VF has patience it tries again, and then it says that the PF is not up."""
    with pmd.probe("model0,manner=strict,vfs=1") as pf:
        assert isinstance(pf, IxgbePort)
        pf.start()
        assert pf.host is not None
        boxes = pf.host.service.boxes
        locked = boxes.lock
        end = threading.Event()

        def keep() -> None:
            while not end.wait(1e-3):
                locked(0)

        for patience, frees in ((1, None), (20, 0.8)):
            end.clear()
            boxes.unlock = boxes.lock = lambda v: False  # type: ignore[assignment, method-assign]
            keeper = threading.Thread(target=keep)
            keeper.start()
            try:
                if frees is None:
                    watch = Stopwatch()
                    with pytest.raises(PfNotUp, match=r"its PF is not up for 1 s \(VFMAILBOX.VFU still 0"):
                        pmd.probe(f"model0.vf0,pf_wait={patience}")
                    assert watch.own < 6
                else:
                    threading.Timer(frees, end.set).start()
                    threading.Timer(frees + 0.1, lambda: _free(boxes)).start()
                    pmd.probe(f"model0.vf0,pf_wait={patience}").close()
            finally:
                end.set()
                keeper.join()
                _free(boxes)


def _free(boxes) -> None:  # type: ignore[no-untyped-def]
    for name in ("lock", "unlock"):
        vars(boxes).pop(name, None)
    boxes.unlock(0)


def test_a_message_that_was_taken_by_half_is_sent_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next message would be read as its rest, and no later one could be parsed."""
    monkeypatch.setattr(client, "PATIENCE", 0.05)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    def connect(connection: client.Connection) -> None:
        connection._socket.close()
        connection._socket = ours

    monkeypatch.setattr(client.Connection, "_connect", connect)
    monkeypatch.setattr(client.Connection, "_agree", lambda self: _Said())
    connection = client.Connection(str(tmp_path / "s"), "nic0")
    with theirs:
        body, sent = os.urandom(300_000), 0
        for _ in range(3):
            with suppress(DeviceTimeout):
                connection.post(Command.REGION_WRITE, body)
                sent += 1
        monkeypatch.setattr(client, "PATIENCE", TIMEOUT)
        got: list[int] = []
        receiver = Receiver(theirs, 1 << 20)
        theirs.setblocking(False)

        def read() -> None:
            while not got or got[-1] != -1:
                message = receiver.receive()
                if message is None:
                    time.sleep(1e-3)
                    continue
                got.append(len(message.body) if len(message.body) != 4 else -1)
                message.close()

        reader = threading.Thread(target=read)
        reader.start()
        connection.post(Command.REGION_WRITE, bytes(4))
        reader.join(TIMEOUT)
        assert sent < 3, "it did stand still"
        assert set(got[:-1]) == {300_000}
        assert sent <= len(got) - 1 <= sent + 1, "one at most was taken by half"
        connection.close()


class _Said:
    def number(self, name: str, default: int) -> int:
        return default
