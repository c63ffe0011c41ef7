# SPDX-License-Identifier: BSD-3-Clause
"""ring: a loop, two ends, a cable; full, single, drained."""

import gc
import itertools
import threading
import time

import pytest

from dataplane.byhand import receive, receive_packets, send
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool
from dataplane.pmd import probe
from dataplane.pmd.virtual import ring
from tests.pmd.port_contract import PortLife, PortReceives, PortSends, Rig, frames, opened

_names = (f"t{n}" for n in itertools.count())


@pytest.fixture
def name():
    return next(_names)


def opened_and_started(text, rx=True, tx=True):
    port = probe(text)
    if rx:
        port.rx()
    if tx:
        port.tx()
    port.start()
    return port


@pytest.fixture(params=["", ",single=on"], ids=["mpmc", "spsc"])
def rig(request, name):
    with opened_and_started(f"ring:{name}b>{name}a{request.param},slots=2048") as far:
        for port in opened(probe(f"ring:{name}a>{name}b{request.param},slots=2048")):

            def inject(sent):
                assert send(far.tx(), sent) == len(sent)

            yield Rig(port, inject, lambda n, timeout: receive(far.rx(), n, timeout))
            far.close()  # and what it did not receive


class TestContract(PortLife, PortReceives, PortSends):
    # A ring passes on mbufs of its senders' pools: it takes no mbufs itself, so it cannot run short of them.
    test_an_exhausted_mempool_is_counted_and_survived = None

    def test_stop_gives_every_mbuf_back(self, name):
        port = opened_and_started(f"ring:{name}")
        assert send(port.tx(), frames(20)) == 20
        assert port.mempool.in_use == 20
        port.stop()
        assert port.mempool.in_use == 0
        assert port.xstats()["rx_missed_errors"] == 20
        port.close()


def test_one_port_is_a_loop(name):
    with opened_and_started(f"ring:{name}") as port:
        assert send(port.tx(), frames(30)) == 30
        assert receive(port.rx(), 32) == frames(30)


def test_two_ports_are_the_ends_of_one_ring(name):
    with (
        opened_and_started(f"ring:{name}", rx=False) as sender,
        opened_and_started(f"ring:{name}", tx=False) as receiver,
    ):
        assert send(sender.tx(), frames(30)) == 30
        assert receive(receiver.rx(), 32) == frames(30)
        # Packets in flight survive the sender and are freed with the receiver.
        assert send(sender.tx(), frames(10)) == 10
        sender.stop()
        assert receive(receiver.rx(), 5) == frames(5)
        assert sender.mempool.in_use == 5
        receiver.stop()
        assert sender.mempool.in_use == 0
        assert receiver.xstats()["rx_missed_errors"] == 5


def test_packets_in_a_ring_without_a_receiver_are_unsent(name):
    with opened_and_started(f"ring:{name}", rx=False) as sender:
        assert send(sender.tx(), frames(7)) == 7
        sender.stop()
        stats = sender.xstats()
        assert [
            stats[key] for key in ("tx_unsent_packets", "tx_good_packets", "tx_good_bytes", "tx_errors")
        ] == [7, 0, 0, 0]
        assert sender.mempool.in_use == 0


def test_a_full_ring_takes_no_more(name):
    with opened_and_started(f"ring:{name},slots=16") as port:
        assert send(port.tx(), frames(20)) == 16
        assert port.xstats()["tx_good_bytes"] == sum(map(len, frames(16)))
        assert receive(port.rx(), 32) == frames(16)
        assert send(port.tx(), frames(3)) == 3
        assert receive(port.rx(), 32) == frames(3)


def test_a_single_ring_has_one_sender_and_one_receiver(name):
    with probe(f"ring:{name},single=on") as one, probe(f"ring:{name}") as two:
        one.tx(), two.rx()
        with pytest.raises(ConfigError, match=f"ring:{name},single=on sends into ring {name} already"):
            two.tx()
        with pytest.raises(ConfigError, match="receives from ring"):
            one.rx()
        one.close()
        two.tx()  # its place is free again


def test_a_name_is_free_again_once_its_ports_are_closed(name):
    probe(f"ring:{name},slots=16").close()
    with probe(f"ring:{name},slots=32"):
        with pytest.raises(ConfigError, match="there already with other slots"):
            probe(f"ring:{name},slots=64")
        with pytest.raises(ConfigError, match="there already with other slots or single"):
            probe(f"ring:{name},single=on")
    probe(f"ring:{name},slots=64").close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ring:", "a ring has a name"),
        ("ring:>a", "a ring has a name"),
        ("ring:a>", "a ring has a name"),
        ("ring:bad,slots=17", "a ring of 17 slots: must be a power of two"),
        ("ring:bad,size=17", "no option 'size': it knows single, slots"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        probe(text)


def test_a_timestamp_does_not_outlive_its_packet():
    with probe("ring:stamps") as port:
        rx, tx, pool = port.rx(), port.tx(), Mempool(1)  # one mbuf: each packet is in the last one's
        port.start()
        stamps = []
        for stamp in (1_600_000_000_123_456_789, 0):
            assert send(tx, [bytes(60)], pool, timestamp_ns=stamp) == 1
            stamps += [packet.timestamp_ns for packet in receive_packets(rx, 1)]
        assert stamps == [1_600_000_000_123_456_789, 0]


def test_a_port_that_was_forgotten_while_it_ran_keeps_no_packets(name):
    """It had no queue, so nothing refers to it any more, and its ring is drained without it."""
    pool = Mempool(64, hugepages="no")
    forgotten = probe(f"ring:{name}")
    forgotten.start()
    del forgotten
    gc.collect()
    port = opened_and_started(f"ring:{name}")
    assert send(port.tx(), [bytes(60)] * 3, pool) == 3
    port.close()
    assert pool.in_use == 0
    probe(f"ring:{name},slots=64").close()  # nothing is left of the ring


def test_a_port_that_two_threads_start_at_once_is_started_once(name):
    pool = Mempool(64, hugepages="no")
    port = probe(f"ring:{name}")
    port.rx(), port.tx()
    threads = [threading.Thread(target=port.start) for _ in range(2)]
    with ring._lock:  # both are within start() before one can go on
        for thread in threads:
            thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert send(port.tx(), [bytes(60)] * 3, pool) == 3
    port.close()
    assert pool.in_use == 0
