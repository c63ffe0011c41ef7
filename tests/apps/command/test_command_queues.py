# SPDX-License-Identifier: BSD-3-Clause
"""`l2fwd --queues`: a port's Rx queues over several lcores: nothing lost, every flow in order, each lcore with its share."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from dataplane.apps.command.cli import main
from dataplane.byhand import receive, send
from dataplane.pmd import probe
from tests.pmd.model.reference import toeplitz

FLOWS, EACH, WINDOW = 48, 100, 256
PORT = "model0,wire=model2,manner=strict"
HELLO = bytes.fromhex("020000000001020000000002 88b5") + bytes(46)  # no IP: no hash, so it comes by queue 0


def frames() -> list[bytes]:
    """Each flow's packets are numbered; flows take turns."""
    heads = [
        bytes(
            Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
            / IP(src=f"10.1.{n}.7", dst="10.2.0.1", len=46)
            / UDP(sport=5000 + 3 * n, dport=80, len=26, chksum=0)
        )
        for n in range(FLOWS)
    ]
    return [head + number.to_bytes(18, "big") for number in range(EACH) for head in heads]


class Partner(threading.Thread):
    """The port at the other end of the wire: sends, takes what comes back, and ends the command."""

    def __init__(self, port: Any, sent: list[bytes]) -> None:
        super().__init__()
        self.port, self.sent = port, sent
        self.got: list[bytes] = []
        self.hellos = 0  # that came back

    def run(self) -> None:
        try:
            deadline = time.monotonic() + 60.0
            self._meet(deadline)
            at = 0
            while len(self.got) < len(self.sent) and time.monotonic() < deadline:
                room = WINDOW - (at - len(self.got))
                at += send(self.port.tx(0), self.sent[at : at + min(room, 32)])
                self.got += receive(self.port.rx(0), 64, timeout=0.001)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def _meet(self, deadline: float) -> None:
        """The link is up before the command forwards: until something comes back, nothing may be counted on."""
        while not self.hellos and time.monotonic() < deadline:
            send(self.port.tx(0), [HELLO])
            self.hellos += len(receive(self.port.rx(0), 32, timeout=0.05))
        while late := receive(self.port.rx(0), 32, timeout=0.2):
            self.hellos += len(late)


@pytest.mark.parametrize(("queues", "lcores"), [(2, "0,1"), (4, "0,1"), (3, "0")])
def test_one_ports_queues_over_lcores(tmp_path: Path, queues: int, lcores: str) -> None:
    if not set(map(int, lcores.split(","))) <= os.sched_getaffinity(0):
        pytest.skip(f"needs CPUs {lcores}")
    sent = frames()
    with probe("model2,manner=strict") as far:
        far.promiscuous = True
        far.rx(0), far.tx(0)
        far.start()
        partner = Partner(far, sent)
        partner.start()
        file = tmp_path / "report.json"
        words = ["l2fwd", PORT, "--queues", str(queues), "--lcores", lcores, "--json", str(file)]
        try:
            assert main(words) == 0
        finally:
            partner.join()
        far.function.card.check()
    report = json.loads(file.read_text())

    # Nothing lost, nothing twice, every flow in its order.
    assert report["drops"] == {} and len(partner.got) == len(sent)
    order = defaultdict(list)
    for data in partner.got:
        order[data[26:38]].append(int.from_bytes(data[42:60], "big"))
    assert len(order) == FLOWS and all(numbers == list(range(EACH)) for numbers in order.values())

    # Each queue has the flows that the hash says, at both counters: the chip's, and the lcore's.
    share = Counter((toeplitz(data[26:38]) & 127) % queues for data in sent)
    assert sorted(share) == list(range(queues)) and min(share.values()) > len(sent) / queues / 3
    share[0] += partner.hellos
    counted = report["ports"][PORT]
    for q in range(queues):
        assert counted[f"rx_q{q}_packets"] == report["edges"][f"{PORT}.rx({q}).out"]["packets"] == share[q]
        assert counted[f"rx_q{q}_errors"] == 0
    # An lcore sends by a Tx queue of its own.
    lanes = Counter()
    for q in range(queues):
        lanes[q % len(lcores.split(","))] += share[q]
    assert [counted[f"tx_q{n}_packets"] for n in sorted(lanes)] == [lanes[n] for n in sorted(lanes)]
    assert f"tx_q{len(lanes)}_packets" not in counted


def test_lcores_without_work_are_told(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not {0, 1} <= os.sched_getaffinity(0):
        pytest.skip("needs CPUs 0 and 1")
    assert main(["l2fwd", "null:", "--lcores", "0,1", "--seconds", "0.05"]) == 0
    assert "nothing to do for lcore 1: --queues N" in caplog.text
    caplog.clear()
    file = tmp_path / "report.json"
    words = ["l2fwd", "null:", "--lcores", "0,1", "--queues", "2", "--seconds", "0.2", "--json", str(file)]
    assert main(words) == 0
    assert not caplog.text
    edges = json.loads(file.read_text())["edges"]
    assert all(edges[f"null:.rx({q}).out"]["packets"] > 1000 for q in range(2))


def test_more_queues_than_a_port_has(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["l2fwd", f"pcap:>{tmp_path / 'out.pcap'}", "null:", "--queues", "2"]) == 1
    assert "Rx queue" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["l2fwd", "null:", "--queues", "0"])
