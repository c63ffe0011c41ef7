# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts (network namespaces) that only `dataplane l2fwd` joins, offloads as they are by default: ping and TCP."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.pmd.virtual.conftest import CLONE_NEWNET, _libc, ip, new_network

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

MEGABYTES = 256
SERVER = """
import hashlib, socket
with socket.create_server((ADDRESS, 5001), family=socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET) as server:
    print("ready", flush=True)
    peer, _ = server.accept()
    digest, total = hashlib.sha256(), 0
    while piece := peer.recv(1 << 20):
        digest.update(piece)
        total += len(piece)
    print(total, digest.hexdigest())
"""
CLIENT = """
import hashlib, os, socket
digest = hashlib.sha256()
with socket.create_connection((ADDRESS, 5001), timeout=60) as peer:
    piece = os.urandom(1 << 20)
    for n in range(MEGABYTES):
        piece = piece[1000:] + piece[:1000]
        digest.update(piece)
        peer.sendall(piece)
print(MEGABYTES << 20, digest.hexdigest())
"""


class Host:
    """A network namespace to run programs in."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.path = f"/proc/{os.getpid()}/fd/{fd}"

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: _libc.setns(self.fd, CLONE_NEWNET),
        )

    def run(self, *words: str, timeout: float = 60) -> str:
        process = self.start(*words)
        out, _ = process.communicate(timeout=timeout)
        assert process.returncode == 0, out
        return out

    def python(self, program: str, address: str, megabytes: int = MEGABYTES) -> subprocess.Popen:
        values = f"ADDRESS, MEGABYTES = {address!r}, {megabytes}\n"
        return self.start(sys.executable, "-c", values + program)


@pytest.fixture
def hosts(network):
    """Two hosts, 10.7.0.1 and 10.7.0.2; the far ends A and B of their only links are in the network we are in."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(2):
            with new_network() as fd:
                stack.callback(os.close, fd)
                found.append(Host(fd))
        for number, (host, end) in enumerate(zip(found, "AB", strict=True), 1):
            ip(f"link add {end} type veth peer name eth0 netns {host.path}")
            ip(f"link set {end} up")
            host.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6")
            host.run("ip", "addr", "add", f"10.7.0.{number}/24", "dev", "eth0")
            host.run("ip", "addr", "add", f"fd07::{number}/64", "dev", "eth0", "nodad")
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "link", "set", "eth0", "up")
        yield found


@contextlib.contextmanager
def l2fwd(tmp_path, *words):
    """`dataplane l2fwd` between A and B while the block runs; yields a dict that has its report afterwards."""
    report = {}
    target = tmp_path / "l2fwd.json"
    words = ("-m", "dataplane", "l2fwd", "af_packet:A", "af_packet:B", "--json", str(target), *words)
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield report
        assert process.poll() is None, process.stdout.read()
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, out
    report.update(json.loads(target.read_text()))


def transfer(sender, receiver, address, megabytes=MEGABYTES):
    server = receiver.python(SERVER, address, megabytes)
    assert server.stdout.readline() == "ready\n"
    client = sender.python(CLIENT, address, megabytes)
    sent, _ = client.communicate(timeout=150)
    received, _ = server.communicate(timeout=20)
    assert client.returncode == 0, sent
    assert received == sent
    assert received.startswith(str(megabytes << 20))


def wait_until_reachable(host, address):
    deadline = time.monotonic() + 20
    while host.start("ping", "-c", "1", "-W", "1", address).wait():
        assert time.monotonic() < deadline, f"{address} cannot be reached"


def test_a_thousand_pings_and_256_megabytes(hosts, tmp_path):
    left, right = hosts
    with l2fwd(tmp_path) as report:
        wait_until_reachable(left, "10.7.0.2")
        out = left.run("ping", "-q", "-c", "1000", "-i", "0.002", "10.7.0.2")
        assert re.search(r"1000 packets transmitted, 1000 received", out), out
        transfer(left, right, "10.7.0.2")
    stats = report["ports"]["af_packet:A"]
    assert stats["rx_good_bytes"] > MEGABYTES << 20
    assert stats["rx_errors"] == stats["tx_errors"] == 0


@pytest.mark.parametrize("words", [(), ("--no-mac-updating",)], ids=["updating", "plain"])
def test_ipv6_and_the_other_way(hosts, tmp_path, words):
    left, right = hosts
    with l2fwd(tmp_path, *words):
        wait_until_reachable(right, "fd07::1")
        transfer(right, left, "fd07::1", megabytes=32)
        transfer(left, right, "10.7.0.2", megabytes=32)
