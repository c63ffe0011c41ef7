# SPDX-License-Identifier: BSD-3-Clause
"""tap: the port contract with the kernel at the other end; a ping answered; what goes wrong."""

import os
import subprocess
import time

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from dataplane.byhand import receive, receive_packets, send
from dataplane.errors import ConfigError, PortError, PortGone
from dataplane.mempool import Mempool
from dataplane.pmd import probe
from tests.pmd.port_contract import PortLife, PortReceives, PortSends, Rig, frames, opened
from tests.pmd.virtual.conftest import Tapped, ip

root = pytest.mark.root


@root
class TestContract(PortLife, PortReceives, PortSends):
    @pytest.fixture(params=["", ",queues=2"], ids=["one", "two"])
    def rig(self, network, request):
        for port in opened(probe(f"tap:t0{request.param}")):
            ip("link set t0 up")
            far = Tapped("t0")
            yield Rig(port, far.send, far.collect)
            far.close()


@pytest.fixture
def tap(network):
    """Open and start a tap; closed at the end."""
    ports = []

    def start(text="tap:t0", **config):
        port = probe(text).configure(**config)
        ports.append(port)
        port.rx(), port.tx()
        port.start()
        return port

    yield start
    for port in ports:
        port.close()
        assert port.mempool.in_use == 0


@root
def test_the_interface_is_the_kernels(tap):
    port = tap(mtu=3000)
    shown = subprocess.run(["ip", "link", "show", "t0"], check=True, capture_output=True, text=True).stdout
    assert "mtu 3000" in shown
    assert port.mac in shown
    port.mac = "02:00:00:00:00:42"
    assert port.mac == "02:00:00:00:00:42"
    shown = subprocess.run(["ip", "link", "show", "t0"], check=True, capture_output=True, text=True).stdout
    assert "02:00:00:00:00:42" in shown
    assert port.link.up
    ip("link set t0 down")
    assert not port.link.up


@root
def test_the_kernel_answers_a_ping(tap):
    port = tap()
    ip("addr add 10.9.0.1/24 dev t0")
    src = "02:00:00:00:00:99"
    who = Ether(src=src, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=src, psrc="10.9.0.2", pdst="10.9.0.1")
    send(port.tx(), [bytes(who)])
    (answer,) = receive(port.rx(), 1, timeout=2)
    assert Ether(answer)[ARP].hwsrc == port.mac
    ping = (
        Ether(src=src, dst=port.mac) / IP(src="10.9.0.2", dst="10.9.0.1") / ICMP(id=7, seq=1) / (b"abc" * 100)
    )
    send(port.tx(), [bytes(ping)], segment=100)
    (answer,) = receive(port.rx(), 1, timeout=2)
    assert bytes(Ether(answer)[ICMP].payload) == bytes(ping[ICMP].payload)
    assert Ether(answer)[ICMP].type == 0


@root
def test_long_frames_come_in_several_segments(tap):
    port = tap(mtu=9000, mempool=Mempool(256))
    far = Tapped("t0")
    sent = frames(6, sizes=(2048, 2049, 4097, 9014, 60))
    before = time.time_ns()
    far.send(sent)
    got = []
    deadline = time.monotonic() + 2
    while len(got) < 6 and time.monotonic() < deadline:
        got += receive_packets(port.rx())
    assert [packet.data for packet in got] == sent
    assert [packet.segments for packet in got] == [1, 2, 3, 5, 1, 1]
    assert all(before - 10**7 < packet.timestamp_ns < time.time_ns() + 10**7 for packet in got)
    assert send(port.tx(), sent, segment=50) == 6  # the 9014 bytes have 181 segments
    assert far.collect(6, 2) == sent
    far.close()


@root
def test_a_tagged_frame_arrives_whole(tap):
    port = tap()
    far = Tapped("t0")
    plain = frames(1)[0]
    tagged = plain[:12] + b"\x81\0\0\7" + plain[12:]
    far.send([tagged])
    assert receive(port.rx(), 1, timeout=2) == [tagged]
    far.close()


@root
def test_frames_to_an_interface_that_is_down_are_counted_by_that_name(tap):
    port = tap()
    ip("link set t0 down")
    assert send(port.tx(), frames(3)) == 3
    ip("link set t0 up")
    assert send(port.tx(), [*frames(3), b"short"]) == 4
    stats = port.xstats()
    assert (stats["tx_good_packets"], stats["tx_link_down_packets"], stats["tx_errors"]) == (3, 3, 1)


@root
def test_a_deleted_interface_is_gone(tap):
    port = tap()
    ip("link del t0")
    with pytest.raises(PortGone, match="interface t0 was deleted: probe it again"):
        receive(port.rx())
    with pytest.raises(PortGone, match="interface t0 was deleted"):
        send(port.tx(), frames(1))
    port.stop()
    with pytest.raises(PortGone):
        port.start()


@root
def test_the_kernel_numbers_a_tap_and_it_goes_with_the_port(network):
    with probe("tap:test%d") as port:
        assert port.interface == "test0"
        assert "test0" in _interfaces()
        with pytest.raises(
            PortError, match="cannot make tap test0: Device or resource busy: another process"
        ):
            probe("tap:test0")
    assert "test0" not in _interfaces()


def _interfaces():
    return subprocess.run(["ip", "-o", "link"], check=True, capture_output=True, text=True).stdout


@root
def test_what_is_no_tap_is_refused(network):
    ip("link add v0 type veth peer name v1")
    with pytest.raises(
        PortError, match="Invalid argument: there is an interface of that name which is no tap"
    ):
        probe("tap:v0")


@root
def test_an_ordinary_user_is_told_what_to_do(network):
    os.seteuid(65534)
    try:
        with pytest.raises(PortError, match=r"(CAP_NET_ADMIN|run as root)"):
            probe("tap:t0")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tap:", "a tap has a name"),
        ("tap:averyveryverylongname", "longer than the 15 bytes"),
        ("tap:a/b", "no interface's name"),
        ("tap:a b", "no interface's name"),
        ("tap:x,queues=0", "queues=0: must be 1 to 256"),
        ("tap:x,speed=1", "no option 'speed'"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        probe(text)
