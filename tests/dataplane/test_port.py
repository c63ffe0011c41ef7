# SPDX-License-Identifier: BSD-3-Clause
"""The slow verbs that every port shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.errors import ConfigError, PortError
from dataplane.port import Port, PortInfo, format_mac, parse_mac
from dataplane.queue import RxQueue, TxQueue


class Plain(Port):
    info = PortInfo("plain", 2, 1, rx_desc=(64, 4096, 8), tx_desc=(64, 4096, 8))

    def __init__(self):
        super().__init__("plain:")
        self.calls = []

    def _make_rx(self, index):
        return RxQueue(self, index)

    def _make_tx(self, index):
        return TxQueue(self, index)

    def _start(self):
        self.calls.append(("start", self.rx_queues, self.tx_queues))

    def _stop(self):
        self.calls.append("stop")

    def _close(self):
        self.calls.append("close")


def test_naming_queues_is_asking_for_them():
    port = Plain()
    assert port.rx(1) is port.rx(1)
    assert repr(port.rx(1)) == "plain:.rx(1)"
    with port:
        port.start()
        port.start()
        with pytest.raises(PortError, match="name it before"):
            port.tx(0)
    assert port.calls == [("start", 2, 0), "stop", "close"]
    with pytest.raises(PortError, match="closed"):
        port.start()


@pytest.mark.parametrize("index", [-1, 2, 1.0, "0"])
def test_a_queue_that_it_does_not_have(index):
    with pytest.raises(ConfigError, match=r"it has 0\.\.1"):
        Plain().rx(index)


@pytest.mark.parametrize("length", [0, 56, 100, 4104, -64])
def test_ring_lengths_that_it_refuses(length):
    with pytest.raises(ConfigError, match="a multiple of 8 from 64 to 4096"):
        Plain().configure(rx_desc=length)


@pytest.mark.parametrize("mtu", [0, 67, 9711])
def test_mtu_limits(mtu):
    with pytest.raises(ConfigError, match=r"must be 68 .* to 9710"):
        Plain().mtu = mtu


def test_a_running_port_is_not_configured():
    port = Plain()
    port.start()
    with pytest.raises(PortError, match="stop it"):
        port.configure(rx_desc=128)
    with pytest.raises(PortError, match="stop it"):
        port.mtu = 9000
    port.stop()
    assert port.configure(mtu=9000).mtu == 9000


@given(st.binary(min_size=6, max_size=6))
def test_mac_text_round_trip(address):
    assert parse_mac(format_mac(address)) == address


@pytest.mark.parametrize(
    "text", ["", "02:00:00:00:00", "02:00:00:00:00:0g", "020000000001", "02-00-00-00-00-01"]
)
def test_no_mac(text):
    with pytest.raises(ConfigError, match="no MAC address"):
        parse_mac(text)
