# SPDX-License-Identifier: BSD-3-Clause
"""af_packet: the port contract on a veth; offloads done in software; what goes wrong."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6  # noqa: F401 - scapy then knows IPv6 frames
from scapy.layers.l2 import Ether

from dataplane.byhand import Held, receive, receive_packets, send
from dataplane.errors import ConfigError, PortError, PortGone
from dataplane.mempool import Mempool
from dataplane.pmd import probe
from tests.pmd.port_contract import PortLife, PortReceives, PortSends, Rig, frames, opened
from tests.pmd.virtual.conftest import Tapped, ip

root = pytest.mark.root


@pytest.fixture
def veth(network):
    """A pair, both ends up, in a network of their own: v0 for the port, v1 for the test."""
    ip("link add v0 type veth peer name v1")
    ip("link set v0 up")
    ip("link set v1 up")
    far = Tapped("v1")
    yield far
    far.close()


@root
class TestContract(PortLife, PortReceives, PortSends):
    @pytest.fixture(params=["", ",qdisc_bypass=on"], ids=["plain", "bypass"])
    def rig(self, veth, request):
        for port in opened(probe(f"af_packet:v0{request.param}")):
            yield Rig(port, veth.send, veth.collect)


@pytest.fixture
def port(veth):
    """The port on v0, running; closed at the end."""
    for port in opened(probe("af_packet:v0")):
        port.rx(), port.tx()
        port.start()
        yield port


@root
def test_frames_carry_the_kernels_timestamp(port, veth):
    before = time.time_ns()
    veth.send(frames(10))
    got = []
    while len(got) < 10 and time.time_ns() < before + 2 * 10**9:
        got += receive_packets(port.rx())
    stamps = [packet.timestamp_ns for packet in got]
    assert len(stamps) == 10
    assert stamps == sorted(stamps)
    assert before - 10**6 < stamps[0] <= stamps[-1] < time.time_ns() + 10**6


@root
def test_what_it_sends_it_does_not_receive(port, veth):
    assert send(port.tx(), frames(20)) == 20
    assert veth.collect(20, 2) == frames(20)
    assert receive(port.rx(), 1, timeout=0.05) == []


@root
@pytest.mark.parametrize("ethertype", [b"\x81\x00", b"\x88\xa8"])
@pytest.mark.parametrize("size", [60, 1514, 4000])
def test_a_tag_that_the_kernel_took_out_is_put_back(port, veth, ethertype, size):
    ip("link set v0 mtu 9000")
    ip("link set v1 mtu 9000")
    plain = frames(1, sizes=(size,))[0]
    tagged = plain[:12] + ethertype + b"\xe0\x07" + plain[12:]
    veth.send([tagged, plain])
    assert receive(port.rx(), 2, timeout=2) == [tagged, plain]


@root
def test_long_frames_come_in_several_segments_and_wait_for_mbufs(network):
    ip("link add v0 mtu 9000 type veth peer name v1 mtu 9000")
    ip("link set v1 up")
    for port in opened(probe("af_packet:v0").configure(mempool=Mempool(16))):
        port.rx(), port.tx()
        port.start()
        port.wait_link(2)
        far = Tapped("v1")
        sent = frames(6, sizes=(2048, 2049, 9014, 60))
        tagged = sent[2][:12] + b"\x81\x00\x00\x05" + sent[2][12:-4]
        far.send([*sent, tagged])
        with Held(port.mempool, 13):
            got = receive(port.rx(), 3, timeout=0.1)
            assert got == sent[:2]
        got += receive(port.rx(), 5, timeout=2)
        assert got == [*sent, tagged]
        assert send(port.tx(), sent, Mempool(512), segment=60, timeout=1) == 6  # 9014 bytes have 151 segments
        assert far.collect(6, 2) == sent
        far.close()


@root
def test_others_frames_only_when_promiscuous(port, veth):
    other = b"\x02\0\0\0\0\x55" + frames(1)[0][6:]
    assert port.promiscuous
    veth.send([other])
    assert receive(port.rx(), 1, timeout=2) == [other]
    port.promiscuous = False
    mine = bytes.fromhex(port.mac.replace(":", "")) + other[6:]
    veth.send([other, mine])
    assert receive(port.rx(), 2, timeout=0.2) == [mine]
    port.promiscuous = True
    veth.send([other])
    assert receive(port.rx(), 1, timeout=2) == [other]
    shown = subprocess.run(["ip", "-d", "link", "show", "v0"], capture_output=True, text=True).stdout
    assert "promiscuity 1" in shown
    port.stop()
    shown = subprocess.run(["ip", "-d", "link", "show", "v0"], capture_output=True, text=True).stdout
    assert "promiscuity 0" in shown


@root
def test_a_frame_longer_than_the_mtu_is_an_error_counted(port, veth):
    sent = frames(3, sizes=(60, 1519, 1514))
    assert send(port.tx(), [*sent, b"short"]) == 4
    assert veth.collect(2, 2) == [sent[0], sent[2]]
    stats = port.xstats()
    assert (stats["tx_good_packets"], stats["tx_good_bytes"], stats["tx_errors"]) == (2, 1574, 2)


@root
def test_what_the_kernel_drops_is_counted(port, veth):
    sent = frames(1, sizes=(1514,)) * 12_000  # more than the ring holds, and nothing polls
    veth.send(sent)
    got = 0
    while burst := receive(port.rx(), 32, timeout=0.05):
        got += len(burst)
    stats = port.xstats()
    assert stats["rx_missed_errors"] > 0
    assert got + stats["rx_missed_errors"] == 12_000
    veth.send(frames(5))
    assert receive(port.rx(), 5, timeout=2) == frames(5)


@root
def test_large_frames_of_a_local_stack_are_cut_and_their_checksums_finished(port, veth):
    ip("addr add 10.8.0.1/24 dev v1")
    ip("neigh add 10.8.0.2 lladdr 02:00:00:00:00:99 dev v1")
    client = socket.socket()
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.connect(("10.8.0.2", 4321))
    # This test is the other host's TCP: it answers the SYN and opens its window wide.
    (syn,) = receive(port.rx(), 1, timeout=2)
    syn = Ether(syn)
    assert bytes(syn) == _anew(syn)
    reply = Ether(src=syn.dst, dst=syn.src) / IP(src="10.8.0.2", dst="10.8.0.1")
    ack = syn[TCP].seq + 1
    reply /= TCP(
        sport=4321, dport=syn[TCP].sport, seq=99, ack=ack, flags="SA", window=65535, options=[("MSS", 1460)]
    )
    send(port.tx(), [bytes(reply)])
    data = os.urandom(14_600)
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            client.send(data)
            break
        except BlockingIOError:
            time.sleep(0.001)
    got = receive(port.rx(), 11, timeout=2)
    packets = [Ether(frame) for frame in got]
    assert all(len(frame) <= 1514 for frame in got)
    assert all(bytes(packet) == _anew(packet) for packet in packets)
    payload = b"".join(bytes(packet[TCP].payload) for packet in packets)
    assert payload == data
    assert port.xstats()["rx_good_packets"] == 12
    client.close()


@root
@pytest.mark.parametrize("version", [4, 6])
def test_large_datagrams_of_a_local_stack_are_cut(port, veth, version):
    Path("/proc/sys/net/ipv6/conf/v1/disable_ipv6").write_text("0")
    here, there = ("10.8.0.1", "10.8.0.2") if version == 4 else ("fd08::1", "fd08::2")
    ip(f"addr add {here}/{'24' if version == 4 else '64 nodad'} dev v1")
    ip(f"neigh add {there} lladdr 02:00:00:00:00:99 dev v1")
    data = os.urandom(10_300)
    with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT
        sender.sendto(data, (there, 7))
        sender.sendto(b"odd", (there, 7))
    got = [Ether(frame) for frame in receive(port.rx(), 40, timeout=0.3)]
    datagrams = [
        packet for packet in got if UDP in packet and packet[UDP].dport == 7
    ]  # IPv6 has its own to say
    assert [len(packet[UDP].payload) for packet in datagrams] == [1000] * 10 + [300, 3]
    assert b"".join(bytes(packet[UDP].payload) for packet in datagrams) == data + b"odd"
    for packet in datagrams:
        again = Ether(bytes(packet))
        del again[UDP].chksum, again[UDP].len
        assert bytes(again) == bytes(packet)


def _anew(packet):
    again = Ether(bytes(packet))
    del again[IP].chksum, again[TCP].chksum, again[IP].len
    return bytes(again)


@root
def test_an_interface_that_is_gone_is_an_error(port, veth):
    ip("link del v0")
    with pytest.raises(PortGone, match="v0 is no longer there"):
        receive(port.rx(), 1, timeout=2)
    with pytest.raises(PortGone, match="v0 is no longer there"):
        send(port.tx(), frames(1))
    port.stop()
    with pytest.raises(PortError, match="cannot find v0: No such device"):
        port.start()


@root
def test_a_link_that_stays_down_is_an_error(network):
    ip("link add v0 type veth peer name v1")
    with probe("af_packet:v0") as port:
        port.start()
        with pytest.raises(PortError, match=r"still down after 0\.1 s: bring up the other end"):
            port.wait_link(0.1)


@root
def test_mac_and_mtu_are_the_interfaces(veth):
    with probe("af_packet:v0") as port:
        assert port.mtu == 1500
        port.configure(mtu=2000)
        port.mac = "02:00:00:00:00:31"
        shown = subprocess.run(["ip", "link", "show", "v0"], capture_output=True, text=True).stdout
        assert "mtu 2000" in shown and "02:00:00:00:00:31" in shown
        with pytest.raises(PortError, match="cannot give the address ff:ff:ff:ff:ff:ff to v0"):
            port.mac = "ff:ff:ff:ff:ff:ff"
        assert port.link.speed == 10_000  # what veth says


@root
def test_interfaces_that_have_no_frames_are_refused(network):
    with pytest.raises(PortError, match="lo is the loopback"):
        probe("af_packet:lo")
    with pytest.raises(PortError, match="cannot find nosuch: No such device: 'ip link' lists"):
        probe("af_packet:nosuch")


@root
def test_an_ordinary_user_is_told_what_to_do(veth):
    os.seteuid(65534)
    try:
        with pytest.raises(PortError, match="Operation not permitted: run as root or with CAP_NET_RAW"):
            probe("af_packet:v0")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("af_packet:", "no interface: write af_packet:INTERFACE"),
        ("af_packet:averyveryverylongname", "longer than the 15 bytes"),
        ("af_packet:a/b", "no interface's name"),
        ("af_packet:lo,speed=1", "no option 'speed'"),
    ],
)
def test_what_makes_no_sense_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        probe(text)
