# SPDX-License-Identifier: BSD-3-Clause
"""One I/O address space for each function: a queue's DMA goes through that of the queue's pool."""

import pytest
from rig import Port, frame

from dataplane.memory.hugepage import Arena
from dataplane.pmd.datasheet import GCR_EXT, MTQC, TXDCTL
from dataplane.pmd.model.wire.port import LoopPlug

MODES = [(1, 8, 0xF), (2, 4, 0xA), (3, 2, 0x6)]  # GCR_EXT.VT_MODE, queues of a pool, MTQC


class Shared(Port):
    """A port with pools, and memory that only VF 1 can reach."""

    def __init__(self, mode, mtqc):
        super().__init__("port")
        LoopPlug(self.engine)
        self.write(GCR_EXT, mode)
        self.write(MTQC, mtqc)
        self.engine.share(3, 0b111)
        self.mine = Arena(1 << 20, hugepages="no", name="vf1")
        self.vf1 = self.engine.domain_of_vf(1)
        self.vf1.map(self.mine.iova, self.mine.size, self.mine.address, owner=self.mine)

    def faults(self):
        return [self.engine.domain.fault_count] + [self.engine.domain_of_vf(n).fault_count for n in range(3)]


def sender(port, queue, arena):
    port.arena, before = arena, port.arena
    tx = port.tx_queue(queue)
    port.arena = before
    tx.send(frame(64))
    return tx


@pytest.mark.parametrize(("mode", "queues", "mtqc"), MODES)
def test_a_queue_reaches_the_memory_of_its_pool_s_function(mode, queues, mtqc):
    port = Shared(mode, mtqc)
    first, last, next_one = queues, 2 * queues - 1, 2 * queues
    for queue in (first, last):
        tx = sender(port, queue, port.mine)
        port.step()
        assert tx.done(0) and port.faults() == [0, 0, 0, 0]
    for queue in (first - 1, next_one):  # of VF 0 and VF 2: that memory is not theirs
        tx = sender(port, queue, port.mine)
        port.step()
        assert not tx.done(0)
    assert port.faults() == [0, 1, 0, 1]
    tx = sender(port, 3 * queues, port.arena)  # behind the last VF: the PF's
    port.step()
    assert tx.done(0)


def test_a_pf_without_vfs_has_all_queues():
    port = Shared(3, 6)
    port.engine.share(0, 0)
    tx = sender(port, 2, port.arena)
    port.step()
    assert tx.done(0)
    tx = sender(port, 3, port.mine)
    port.step()
    assert not tx.done(0) and port.faults() == [1, 0, 0, 0]


def test_a_vf_that_is_no_bus_master_stands_still():
    port = Shared(2, 0xA)
    tx = sender(port, 4, port.mine)
    port.engine.share(3, 0b101)
    port.step()
    assert not tx.done(0) and port.faults() == [0, 0, 0, 0]
    port.engine.share(3, 0b111)
    port.step()
    assert tx.done(0)


def test_a_mapping_that_comes_later_is_seen():
    port = Shared(2, 0xA)
    more = Arena(1 << 20, hugepages="no", name="more")
    tx = sender(port, 5, more)
    port.step()
    assert not tx.done(0) and port.vf1.fault_count
    port.vf1.map(more.iova, more.size, more.address, owner=more)
    port.step()
    assert tx.done(0)
    port.vf1.unmap(more.iova)
    tx.send(frame(64))
    before = port.vf1.fault_count
    port.step()
    assert port.vf1.fault_count == before + 1 and "port.vf1: DMA read" in str(port.vf1.take_faults()[-1])


def test_pools_follow_the_mode():
    """GCR_EXT.VT_MODE says which pool a queue belongs to; a reset of the port ends it, not the VFs."""
    port = Shared(2, 0xA)
    tx = sender(port, 2, port.mine)  # VF 0's with 4 queues a pool, VF 1's with 2
    port.step()
    assert not tx.done(0)
    port.write(TXDCTL[2], 0)
    port.write(GCR_EXT, 3)
    tx = sender(port, 2, port.mine)
    port.step()
    assert tx.done(0)
