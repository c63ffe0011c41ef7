# SPDX-License-Identifier: BSD-3-Clause
"""The function's I/O address space: what DMA may touch, and what happens elsewhere."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataplane.errors import ConfigError
from dataplane.pmd.model.datapath.iommu import Domain
from tests.pmd.model.rig import frame, pair, peek

PAGE = 4096


@pytest.fixture
def memory():
    return ctypes.create_string_buffer(16 * PAGE)


def test_map_and_unmap(memory):
    domain = Domain("f")
    address = ctypes.addressof(memory)
    domain.map(0x10000, PAGE, address)
    domain.map(0x8000, PAGE, address + PAGE, write=False)
    assert domain.mappings == [(0x8000, PAGE, address + PAGE, "r"), (0x10000, PAGE, address, "rw")]
    domain.unmap(0x10000)
    assert domain.mappings == [(0x8000, PAGE, address + PAGE, "r")]
    with pytest.raises(ConfigError, match="no mapping starts at IOVA 0x10000"):
        domain.unmap(0x10000)


@pytest.mark.parametrize(
    ("iova", "size"), [(0x0F001, PAGE), (0x10FFF, 1), (0x0F000, 3 * PAGE), (0x10000, PAGE), (0x10100, 8)]
)
def test_no_overlap(memory, iova, size):
    domain = Domain("f")
    domain.map(0x10000, PAGE, ctypes.addressof(memory))
    with pytest.raises(ConfigError, match="overlaps"):
        domain.map(iova, size, ctypes.addressof(memory))


@pytest.mark.parametrize(
    ("iova", "size", "options"),
    [(0x1000, 0, {}), (2**64 - PAGE, 2 * PAGE, {}), (0x1000, PAGE, {"read": False, "write": False})],
)
def test_no_nonsense(memory, iova, size, options):
    with pytest.raises(ConfigError, match="cannot map"):
        Domain("f").map(iova, size, ctypes.addressof(memory), **options)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(30)), st.data())
def test_ranges_stay_in_order(order, data):
    memory = ctypes.create_string_buffer(PAGE)
    domain, there = Domain("f"), set()
    for n in order:
        domain.map(n * PAGE * 2, PAGE, ctypes.addressof(memory))
        there.add(n)
        if data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(there)))
            domain.unmap(gone * PAGE * 2)
            there.discard(gone)
    assert [iova for iova, *_ in domain.mappings] == [n * PAGE * 2 for n in sorted(there)]


def test_many_mappings_are_found(memory):
    """Every buffer in a range of its own, none next to another in host memory."""
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    a.engine.domain.unmap(a.arena.iova)
    a.engine.domain.map(tx.ring.iova, tx.ring.size, tx.ring.address)
    for n in range(16):
        a.engine.domain.map(0x5000_0000 + n * 0x2000, 256, tx.room.address + (15 - n) * 2048)
    for n in range(16):
        ctypes.memmove(tx.room.address + (15 - n) * 2048, frame(100 + n), 100 + n)
        tx.put(0x5000_0000 + n * 0x2000, 100 + n | 0x2B300000 | (100 + n) << 46)
    tx.bell()
    a.step()
    b.step()
    assert [got.data for got in rx.take()] == [frame(100 + n) for n in range(16)]
    assert a.engine.domain.fault_count == 0


@pytest.mark.parametrize("cut", [1, 13, 14, 60, 99])
def test_data_over_a_boundary(cut):
    """A buffer whose parts are neighbours for the device and far apart in the host."""
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    text = frame(100)
    iova = 0x6000_0000
    a.engine.domain.map(iova, cut, tx.room.address)
    a.engine.domain.map(iova + cut, 200, tx.room.address + 4096)
    ctypes.memmove(tx.room.address, text[:cut], cut)
    ctypes.memmove(tx.room.address + 4096, text[cut:], 100 - cut)
    tx.put(iova, 100 | 0x2B300000 | 100 << 46)
    tx.bell()
    b.engine.domain.map(iova, cut, rx.room.address)
    b.engine.domain.map(iova + cut, 4096, rx.room.address + 8192)
    ctypes.memmove(rx.ring.address, iova.to_bytes(8, "little"), 8)
    a.step()
    b.step()
    assert peek(rx.room, cut) + peek(rx.room, 100 - cut, 8192) == text
    assert a.engine.domain.fault_count == b.engine.domain.fault_count == 0


def test_descriptor_ring_over_a_boundary():
    a, b = pair()
    tx, rx = a.tx_queue(n=8), b.rx_queue(n=8)
    for port, queue in ((a, tx), (b, rx)):
        port.engine.domain.unmap(port.arena.iova)
        port.engine.domain.map(queue.ring.iova, 40, queue.ring.address)  # within the third descriptor
        port.engine.domain.map(queue.ring.iova + 40, queue.ring.size - 40, queue.ring.address + 40)
        port.engine.domain.map(queue.room.iova, queue.room.size, queue.room.address)
    for n in range(20):
        tx.send(frame(64 + n))
        a.step()
        b.step()
        assert [got.data for got in rx.take()] == [frame(64 + n)]
        assert tx.done((tx.tail - 1) % 8)
    assert a.engine.domain.take_faults() == b.engine.domain.take_faults() == []


def test_tx_data_fault():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    at = tx.put(0xDEAD0000, 100 | 0x2B300000 | 100 << 46)
    tx.send(frame(64))
    a.step()
    b.step()
    assert [got.data for got in rx.take()] == [frame(64)], "the queue goes on behind the packet that is lost"
    assert tx.done(at)
    (fault,) = a.engine.domain.take_faults()
    assert (fault.iova, fault.length, fault.direction, fault.what) == (
        0xDEAD0000,
        100,
        "read",
        "Tx data queue 0",
    )
    assert "0xdead0000" in str(fault) and "a: DMA read of 100 bytes" in str(fault)
    assert a.engine.domain.take_faults() == [] and a.engine.domain.fault_count == 1


def test_rx_data_fault():
    a, b = pair()
    a.tx_queue()
    rx = b.rx_queue()
    ctypes.memmove(rx.ring.address, (0xBAD0000).to_bytes(8, "little"), 8)
    a.tx[0].send(frame(64))
    a.step()
    b.step()
    (fault,) = b.engine.domain.take_faults()
    assert (fault.iova, fault.length, fault.direction, fault.what) == (
        0xBAD0000,
        64,
        "write",
        "Rx data queue 0",
    )
    assert rx.raw(0)[1] & 1, "posted writes: the device does not learn of it"


def test_read_only_memory_is_not_written():
    a, b = pair()
    a.tx_queue()
    rx = b.rx_queue()
    before = peek(rx.room, 64)
    b.engine.domain.unmap(b.arena.iova)
    b.engine.domain.map(rx.ring.iova, rx.ring.size, rx.ring.address)
    b.engine.domain.map(rx.room.iova, rx.room.size, rx.room.address, write=False)
    a.tx[0].send(frame(64))
    a.step()
    b.step()
    assert peek(rx.room, 64) == before
    assert [fault.direction for fault in b.engine.domain.take_faults()] == ["write"]


def test_unmapped_ring_stalls_the_queue_once():
    a, b = pair()
    tx, rx = a.tx_queue(), b.rx_queue()
    tx.send(frame(64))
    a.engine.domain.unmap(a.arena.iova)
    for _ in range(5):
        a.step()
        b.step()
    (fault,) = a.engine.domain.take_faults()
    assert fault.what == "Tx descriptor fetch queue 0" and fault.iova == tx.ring.iova
    assert rx.take() == []
    a.engine.domain.map(a.arena.iova, a.arena.size, a.arena.address)
    a.step()
    b.step()
    assert [got.data for got in rx.take()] == [frame(64)], "and goes on when the memory is back"


def test_old_faults_are_forgotten_but_counted():
    a, _ = pair()
    tx = a.tx_queue(n=128)
    for n in range(100):
        tx.put(0xDEAD0000 + n * 256, 100 | 0x2B300000 | 100 << 46)
    tx.bell()
    a.step(3)
    faults = a.engine.domain.take_faults()
    assert [fault.iova for fault in faults] == [0xDEAD0000 + n * 256 for n in range(36, 100)]
    assert a.engine.domain.fault_count == 100
