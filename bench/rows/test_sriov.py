# SPDX-License-Identifier: BSD-3-Clause
"""The costs of VFs: the drivers' bursts with and without them, the model's steps with one and with many, the mailbox.

Everything runs on one lcore; 64-byte frames. Every function sends to itself: by a plug that brings everything back while the
switch is off, or by the switch alone. A row is compared with another card in the same process, by turns.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.loops import solo
from dataplane import pmd
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import PFDTXGSWC, VMTXSW, mailbox
from dataplane.pmd.datasheet.vf import VFMAILBOX, VFMBMEM
from dataplane.pmd.ixgbe.control import call

BURST, SLICES, ROUNDS = 32, 20, 500


@pytest.fixture(autouse=True)
def sockets(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


class PfWithVfs:
    """A PF with VFs that all run, looped back. `pf`, `vfs`: their ports."""

    def __init__(self, stack: ExitStack, vfs: int, name: str) -> None:
        self.pool = Mempool(1 << 16, name="bench-vfs")
        self.pf = pmd.probe(f"{name},thread=off,wire=loop,vfs={vfs}")
        stack.callback(self.pf.close, force=True)
        self._start(self.pf)
        self.vfs = []
        for n in range(vfs):
            call(name, "set", vf=n, settings={"spoofchk": "off"})
            port = pmd.probe(f"{name}.vf{n}")
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
def card(vfs: int, way: str = "wire", name: str = "model0") -> Iterator[PfWithVfs]:
    with ExitStack() as stack:
        made = PfWithVfs(stack, vfs, name)
        made.go_by(way)
        yield made


def frame(to: str) -> bytes:
    return bytes.fromhex(to.replace(":", "")) + bytes.fromhex("020000000077") + bytes(48)


# ---- drivers -----------------------------------------------------------------------------------------------------


def bursts(port: Any, engine: Any) -> float:
    """Cycles per packet of rx and tx."""
    return solo.forward_cycles(port.rx(0), port.tx(0), engine, BURST, ROUNDS)[0]


@contextmanager
def pf_alone() -> Iterator[Callable[[], float]]:
    """The cost of the bursts of a PF without VFs."""
    with pmd.probe("model1,thread=off,wire=loop") as port:
        port.configure(rx_desc=512, tx_desc=512)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link()
        solo.fill(port.tx(0), port.mempool, BURST, frame("ff:ff:ff:ff:ff:ff"))
        yield lambda: bursts(port, port.function.chip.engine)


def test_pf_alone(compare, lcore, yardstick):
    with pf_alone() as alone:
        compare("PF rx + tx, no VFs", "cycles/packet", alone, yardstick, "the yardstick", slices=SLICES)


def test_pf_beside_vfs(compare, lcore):
    with card(63) as made, pf_alone() as alone:
        made.fill(made.pf)
        compare(
            "PF rx + tx, 63 VFs enabled",
            "cycles/packet",
            lambda: bursts(made.pf, made.engine),
            alone,
            "PF rx + tx, no VFs",
            slices=SLICES,
        )


def test_vf(compare, lcore):
    """The same code, so about the same cycles. A card for each: packets of the one would pass by the other."""
    with card(63) as made, card(63, name="model1") as other:
        vf = made.vfs[7]
        made.fill(vf)
        other.fill(other.pf)
        compare(
            "VF rx + tx, 63 VFs enabled",
            "cycles/packet",
            lambda: bursts(vf, made.engine),
            lambda: bursts(other.pf, other.engine),
            "PF rx + tx, 63 VFs enabled",
            slices=SLICES,
        )


# ---- the model ---------------------------------------------------------------------------------------------------


def steps(made: PfWithVfs, busy: int) -> Callable[[], float]:
    """The cost of the model's steps while `busy` VFs have a burst under way each."""
    ports, rounds = made.vfs[:busy], max(ROUNDS // busy, 32)
    for port in ports:
        made.fill(port)
    queues = [(port.rx(0), port.tx(0)) for port in ports]
    return lambda: solo.device_cycles(queues, made.engine, BURST, rounds)


@pytest.mark.parametrize("way", ["wire", "switch"])
def test_model_with_a_vf(compare, lcore, yardstick, way):
    with card(1, way) as made:
        name = f"model Tx + Rx by the {way}, 1 of 1 VFs busy"
        compare(name, "cycles/packet", steps(made, 1), yardstick, "the yardstick", slices=SLICES)


@pytest.mark.parametrize("busy", [1, 63])
@pytest.mark.parametrize("way", ["wire", "switch"])
def test_model(compare, lcore, way, busy):
    with card(63, way) as made, card(1, way, "model1") as single:
        compare(
            f"model Tx + Rx by the {way}, {busy} of 63 VFs busy",
            "cycles/packet",
            steps(made, busy),
            steps(single, 1),
            f"model Tx + Rx by the {way}, 1 of 1 VFs busy",
            slices=SLICES,
        )


# ---- the mailbox -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", [0, 62])
def test_service(measure, asking):
    """One round of the PF's service, as its thread does them: what it takes of a CPU, not of the lcores'."""
    with card(63) as made:
        service, vfs = made.pf.host.service, [port.session.bar for port in made.vfs[:asking]]
        service.stop()  # its thread: it would answer some of them before we look

        def turn() -> float:
            for bar in vfs:
                bar.write(VFMAILBOX, VFMAILBOX.VFU.mask)
                bar.write(VFMBMEM[0], mailbox.SET_VLAN | 1 << mailbox.INFO_SHIFT)
                bar.write(VFMBMEM[1], 5)
                bar.write(VFMAILBOX, VFMAILBOX.REQ.mask)
            made.pf.function.card.clock.advance_ns(1_000_000)  # the PF lets each VF ask so often in a second
            began, answered = time.perf_counter(), service.messages
            service.round()
            took = (time.perf_counter() - began) * 1e6
            # Not all of them, when a VF's own driver is at its mailbox just then: that is another turn.
            return took if service.messages - answered == asking else math.inf

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
                (vf.vlans.add if n % 2 else vf.vlans.remove)(5)
            return (time.perf_counter() - began) / 100 * 1e6

        measure("mailbox round trip (SET_VLAN)", "us", ask, slices=5)


def test_idle_service(measure):
    """The share of a CPU that the PF's service takes while its VFs ask nothing."""
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

        measure("PF's service, idle, 63 VFs enabled", "% of a CPU", idle, slices=4)
