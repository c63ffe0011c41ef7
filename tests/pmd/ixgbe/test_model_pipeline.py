# SPDX-License-Identifier: BSD-3-Clause
"""Driver and threaded model under the engine: an lcore sends, forwards, receives; a card pulled out ends the run."""

import subprocess
import sys
import threading
import time

import pytest
from modelrig import pair
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dataplane import Pipeline
from dataplane.apps.counter import Sink
from dataplane.apps.l2fwd import L2Fwd
from dataplane.apps.pktgen import PktGen
from dataplane.byhand import receive, send
from dataplane.errors import DeviceGone

FLOWS = Ether(dst="02:00:00:00:00:01") / IP(dst="10.0.0.0/28") / UDP(sport=(1024, 1039))


def test_generator_wire_counter():
    """Every packet that was sent arrives; both ends count alike."""
    with pair(threaded=True) as p:
        p.right.promiscuous = True
        p.right.rx(0), p.left.tx(0)
        p.left.start(), p.right.start()
        p.left.wait_link(5), p.right.wait_link(5)
        sink = Sink()
        made = 50_000
        run = Pipeline(
            PktGen(FLOWS, size=64, count=made) >> p.left.tx(0), p.right.rx(0) >> sink, lossless=True
        )
        run.run(until=lambda: p.right.xstats()["rx_good_packets"] >= made, seconds=20)
        assert p.left.xstats()["tx_good_packets"] == p.right.xstats()["rx_good_packets"] == made
        assert p.right.xstats()["rx_missed_errors"] == p.right.xstats()["rx_errors"] == 0


def test_l2fwd_between_two_ports_of_a_card():
    """Both directions at once, the frames of one port's pool sent by the other."""
    with pair(threaded=True) as p:
        p.start()
        for port in (p.left, p.right):
            port.promiscuous = True
        sent = [bytes(Ether(dst="02:00:00:00:00:01") / IP() / UDP() / bytes(30))] * 64
        assert send(p.left.tx(0), sent) == 64
        run = Pipeline(
            p.left.rx(0) >> L2Fwd(src=p.left.mac) >> p.left.tx(0),
            p.right.rx(0) >> L2Fwd(src=p.right.mac) >> p.right.tx(0),
        )
        run.run(seconds=0.3)
        # The 64 go round and round, from one port to the other and back.
        for port in (p.left, p.right):
            assert port.xstats()["rx_good_packets"] > 64
            assert port.xstats()["rx_missed_errors"] == port.xstats()["tx_errors"] == 0


@pytest.mark.parametrize("idle", ["spin", "yield", "sleep:20ms"])
def test_a_card_pulled_out_under_an_lcore_ends_the_run(idle):
    """However seldom it polls: 65,536 polls would take 20 minutes."""
    with pair(threaded=True) as p:
        p.right.rx(0)
        p.right.start()
        puller = threading.Thread(target=lambda: (time.sleep(0.1), p.card.remove(1)))
        puller.start()
        try:
            with pytest.raises(DeviceGone, match=r"model1.*gone.*open it again"):
                Pipeline(p.right.rx(0) >> Sink()).run(seconds=20, idle=idle)
        finally:
            puller.join()


def test_polls_by_hand_notice_that_the_card_is_gone_at_once():
    with pair(threaded=True) as p:
        p.start()
        p.card.remove(1)
        with pytest.raises(DeviceGone, match=r"model1.*gone"):
            receive(p.right.rx(0), 1, timeout=5)
        p.card.remove(0)
        with pytest.raises(DeviceGone, match=r"model0.*gone"):
            send(p.left.tx(0), [bytes(60)] * 2000, timeout=5)


def test_a_generator_that_waits_for_a_card_that_is_gone_ends():
    """It tries a full queue a few times, then drops; the card is looked for by the clock."""
    with pair(threaded=True) as p:
        p.start()
        p.card.remove(0)
        with pytest.raises(DeviceGone, match=r"model0.*gone"):
            Pipeline(PktGen(FLOWS, size=64, rate="3 kpps") >> p.left.tx(0)).run(seconds=5)


def test_a_port_stopped_and_started_under_a_running_lcore():
    """The lcore polls on; it gets nothing while the port is stopped, and everything after it has started again."""
    with pair(threaded=True) as p:
        p.start()
        sink = Sink()
        run = Pipeline(p.right.rx(0) >> sink, PktGen(FLOWS, size=64, rate="50 kpps") >> p.left.tx(0)).start()
        p.right.promiscuous = True
        try:
            for _ in range(3):
                for port in (p.left, p.right):
                    port.stop()
                    time.sleep(0.01)
                    port.start()
                p.right.wait_link(5)
                before = sink.packets
                deadline = time.monotonic() + 5
                while sink.packets == before and time.monotonic() < deadline:
                    time.sleep(0.005)
                assert sink.packets > before
        finally:
            run.stop()


def test_a_program_that_never_stops_its_port_ends_well():
    script = (
        "from dataplane import pmd; from dataplane.byhand import send; p = pmd.probe('model0'); p.rx(0); p.tx(0); p.start();"
        "send(p.tx(0), [bytes(60)] * 40); print('end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert "Traceback" not in done.stderr
