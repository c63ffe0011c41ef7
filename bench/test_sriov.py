# SPDX-License-Identifier: BSD-3-Clause
"""What VFs cost: the drivers' bursts with and without them, the model's steps with one and with many, the mailbox.

Everything runs on one lcore; 64-byte frames. Everybody sends to itself: by a plug that brings everything back while the
switch is off, or by the switch alone. A goal is a factor on an earlier row of the same run.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench import solo
from dataplane import pmd
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import PFDTXGSWC, VMTXSW, mailbox
from dataplane.pmd.datasheet.vf import VFMAILBOX, VFMBMEM
from dataplane.pmd.ixgbe.control import call

BURST, SLICES, ROUNDS = 32, 20, 500


@pytest.fixture(autouse=True)
def sockets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


class Card:
    """A PF with VFs that all run, looped back. `pf`, `vfs`: their ports."""

    def __init__(self, stack: ExitStack, vfs: int) -> None:
        self.pool = Mempool(1 << 16, name="bench-vfs")
        self.pf = pmd.probe(f"model0,thread=off,wire=loop,vfs={vfs}")
        stack.callback(self.pf.close, force=True)
        self._start(self.pf)
        self.vfs = []
        for n in range(vfs):
            call("model0", "set", vf=n, settings={"spoofchk": "off"})
            port = pmd.probe(f"model0.vf{n}")
            stack.callback(port.close)
            self._start(port)
            self.vfs.append(port)

    def _start(self, port: Any) -> None:
        port.configure(mempool=self.pool, rx_desc=512, tx_desc=512)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link(5.0)

    @property
    def engine(self) -> Any:
        return self.pf.function.chip.engine

    def go_by(self, way: str) -> None:
        """Where frames to oneself go (7.10.3.4): "wire": PFDTXGSWC.LBE off; "switch": by VMTXSW one's own come back."""
        self.pf.bar.update(PFDTXGSWC, LBE=int(way == "switch"))
        for register in VMTXSW:
            self.pf.bar.write(register, 0xFFFF_FFFF if way == "switch" else 0)

    def fill(self, port: Any) -> None:
        """A burst of frames to itself is under way."""
        solo.fill(port.tx(0), self.pool, BURST, frame(port.mac))


@contextmanager
def card(vfs: int, way: str = "wire") -> Iterator[Card]:
    with ExitStack() as stack:
        made = Card(stack, vfs)
        made.go_by(way)
        yield made


def frame(to: str) -> bytes:
    return bytes.fromhex(to.replace(":", "")) + bytes.fromhex("020000000077") + bytes(48)


rows: dict[str, float] = {}


def against(name: str, factor: float) -> dict[str, Any]:
    """The arguments of `measure` that compare with an earlier row; nothing if that one was not run."""
    if name not in rows:
        return {}
    return {"at_most": factor * rows[name], "peer": name, "peer_value": rows[name]}


# ---- drivers -----------------------------------------------------------------------------------------------------


def bursts(port: Any, engine: Any) -> float:
    """Cycles per packet of rx and tx."""
    return solo.forward_cycles(port.rx(0), port.tx(0), engine, BURST, ROUNDS)[0]


def test_pf_alone(measure, lcore):
    with pmd.probe("model0,thread=off,wire=loop") as port:
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link()
        solo.fill(port.tx(0), port.mempool, BURST, frame("ff:ff:ff:ff:ff:ff"))
        name = "PF rx + tx, no VFs"
        rows[name] = measure(
            name, "cycles/packet", lambda: bursts(port, port.function.chip.engine), slices=SLICES
        )


def test_pf_beside_vfs(measure, lcore):
    with card(63) as made:
        made.fill(made.pf)
        name = "PF rx + tx, 63 VFs enabled"
        rows[name] = measure(
            name,
            "cycles/packet",
            lambda: bursts(made.pf, made.engine),
            slices=SLICES,
            **against("PF rx + tx, no VFs", 1.1),
        )


def test_vf(measure, lcore):
    """The same code, so about the same cycles."""
    with card(63) as made:
        vf = made.vfs[7]
        made.fill(vf)
        measure(
            "VF rx + tx, 63 VFs enabled",
            "cycles/packet",
            lambda: bursts(vf, made.engine),
            slices=SLICES,
            **against("PF rx + tx, 63 VFs enabled", 1.05),
        )


# ---- the model ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("busy", "vfs"), [(1, 1), (1, 63), (63, 63)])
@pytest.mark.parametrize("way", ["wire", "switch"])
def test_model(measure, lcore, way, busy, vfs):
    """So many VFs have a burst under way each."""
    with card(vfs, way) as made:
        ports = made.vfs[:busy]
        for port in ports:
            made.fill(port)
        queues, rounds = [(port.rx(0), port.tx(0)) for port in ports], ROUNDS * 2 // busy or 1
        name = f"model Tx + Rx by the {way}, {busy} of {vfs} VFs busy"
        rows[name] = measure(
            name,
            "cycles/packet",
            lambda: solo.device_cycles(queues, made.engine, BURST, rounds),
            slices=SLICES,
            **against(f"model Tx + Rx by the {way}, 1 of 1 VFs busy", 1.5) if vfs > 1 else {},
        )


# ---- the mailbox -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", [0, 62])
def test_service(measure, asking):
    """One round of the PF's service, as its thread does them: what it takes of a CPU, not of the lcores'."""
    with card(63) as made:
        service, vfs = made.pf.rule.service, [port.session.bar for port in made.vfs[:asking]]
        service.stop()  # its thread: it would answer some of them before we look

        def turn() -> float:
            for bar in vfs:
                bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
                bar.write(VFMBMEM[0], mailbox.SET_VLAN | 1 << mailbox.INFO_SHIFT)
                bar.write(VFMBMEM[1], 5)
                bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
            made.pf.function.card.clock.tick(1_000_000)  # the PF lets each VF ask so often in a second
            began, answered = time.perf_counter(), service.counts.messages
            service.round()
            took = (time.perf_counter() - began) * 1e6
            # Not all of them, when a VF's own driver is at its mailbox just then: that is another turn.
            return took if service.counts.messages - answered == asking else math.inf

        took = measure(f"PF's service, a round, {asking} of 63 VFs ask", "us", turn, slices=SLICES)
        assert took < math.inf


def test_mailbox(measure):
    """A VF asks for a VLAN and has the answer: the card in its thread, the PF's service in its own, woken by the interrupt.

    With rests in between: the PF answers 200 messages of a VF at once, and 1,000 a second.
    """
    with ExitStack() as stack:
        pf = stack.enter_context(pmd.probe("model0,vfs=1"))
        pf.start()
        vf = stack.enter_context(pmd.probe("model0.vf0"))

        def ask() -> float:
            time.sleep(0.1)
            began = time.perf_counter()
            for n in range(100):
                vf.vlan_filter(5, bool(n % 2))
            return (time.perf_counter() - began) / 100 * 1e6

        measure("mailbox round trip (SET_VLAN)", "us", ask, slices=5, at_most=200)


def test_idle_service(measure):
    """What the PF's service takes of a CPU while its VFs ask nothing."""
    with ExitStack() as stack:
        pf = stack.enter_context(pmd.probe("model0,vfs=63"))
        pf.start()
        for n in range(4):
            stack.enter_context(pmd.probe(f"model0.vf{n}"))
        (thread,) = (each for each in threading.enumerate() if each.name == "model0-vfs")
        spent = Path(f"/proc/self/task/{thread.native_id}/schedstat")

        def idle() -> float:
            before, began = int(spent.read_text().split()[0]), time.monotonic()
            time.sleep(0.2)
            return (int(spent.read_text().split()[0]) - before) / 1e7 / (time.monotonic() - began)

        measure("PF's service, idle, 63 VFs enabled", "% of a CPU", idle, slices=4, at_most=1.0)
