# SPDX-License-Identifier: BSD-3-Clause
"""Queues that are taken apart while an lcore polls them, and queues of a port that pools share."""

import random
import time
from collections.abc import Iterator

import pytest
from fakenic import FakeFunction

from dataplane import Frames, Pipeline, start
from dataplane.apps.counter import Sink
from dataplane.byhand import receive, send
from dataplane.mempool import Mempool
from dataplane.pmd.datasheet import RDH, RDT, TDH, TDT
from dataplane.pmd.datasheet.descriptors import TXD_CC, TXD_CMD_EOP, TXD_CMD_RS
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.portstring import PortString


class Rig:
    def __init__(self, options: str, shared: bool = False) -> None:
        self.nic = FakeFunction()
        self.pool = Mempool(1024, hugepages="no", debug=True)
        self.port = IxgbePort(self.nic, PortString.split_options(f"fake0{options}", "", "fake0", options))
        self.port.shared = shared
        self.port.configure(mempool=self.pool)
        self.port.rx(0), self.port.tx(0)
        self.port.start()


@pytest.fixture
def rig() -> Iterator[object]:
    made = []

    def make(options: str = "", shared: bool = False) -> Rig:
        made.append(Rig(options, shared))
        return made[-1]

    yield make
    for one in made:
        one.port.close()
        assert one.pool.available == one.pool.n
        one.pool.check()


def frame(number: int, size: int = 60) -> bytes:
    return random.Random(number).randbytes(size)


def test_a_paused_queue_moves_nothing(rig):
    one = rig()
    rx, tx = one.port.rx(0), one.port.tx(0)
    one.nic.receive(frame(1))
    rx.pause(), tx.pause()
    assert receive(rx) == []
    assert send(tx, [frame(2)]) == 0
    assert one.nic.transmit() == []
    rx.resume(), tx.resume()
    assert receive(rx) == [frame(1)]
    assert send(tx, [frame(2)]) == 1
    assert [data for data, _, _ in one.nic.transmit()] == [frame(2)]


def test_queues_are_replaced_under_an_lcore_that_polls_them(rig):
    """During the pause no thread uses them: detached and attached again and again, and no mbuf is lost or freed twice."""
    one = rig(",rx_desc=64,tx_desc=64")
    port = one.port
    rx, tx = port.rx(0), port.tx(0)
    run = start(
        Pipeline(rx >> Sink(), name="in"),
        Pipeline(Frames([frame(7)]) >> tx, name="out"),
    )
    try:
        rounds, end = 0, time.monotonic() + 1.0
        while rounds < 100 and time.monotonic() < end:
            rx.pause(), tx.pause()
            rx.detach(), tx.detach()
            for register in (RDH[0], RDT[0], TDH[0], TDT[0]):
                port.bar.write(register, 0)
            port._start_queues()
            rx.resume(), tx.resume()
            rounds += 1
            time.sleep(1e-3)
    finally:
        run.stop()
    assert rounds > 10


@pytest.mark.parametrize("length", [8, 64])
def test_a_shared_port_names_a_context_with_every_packet(rig, length):
    one = rig(f",tx_desc={length}", shared=True)
    tx = one.port.tx(0)
    for n in range(3 * length):
        assert send(tx, [frame(n)]) == 1
        ((data, descriptor, _),) = one.nic.transmit()
        assert data == frame(n)
        assert descriptor.options == TXD_CC
        assert descriptor.context == 0
        assert not descriptor.command & ~(TXD_CMD_EOP | TXD_CMD_RS | 1 << 25)
    plain = one.nic.contexts[0]
    assert (plain.mac_length, plain.vlan) == (14, 0)


@pytest.mark.parametrize(("length", "segments"), [(8, 4), (16, 10)])
def test_the_largest_packets_of_a_short_shared_ring_all_leave(rig, length, segments):
    one = rig(f",tx_desc={length}", shared=True)
    tx = one.port.tx(0)
    sent = [frame(n, segments * 50 if n % 2 else 60) for n in range(40)]
    for data in sent:
        assert send(tx, [data], segment=50) == 1
        assert [got for got, _, _ in one.nic.transmit()] == [data]
    assert send(tx, [frame(1, (segments + 1) * 50)], segment=50) == 1
    assert one.nic.transmit() == []
    assert one.port.xstats()["tx_errors"] == 1
