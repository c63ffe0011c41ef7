# SPDX-License-Identifier: BSD-3-Clause
"""Flow rules that are accepted, and the errors of others; a filter's bucket against the bit-serial hash."""

from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modelrig import pair

from dataplane import pmd
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.ixgbe.steering.director import Mask, bucket
from dataplane.pmd.ixgbe.steering.flow import parse_match
from tests.pmd.model.directing import KINDS, Tuple

PORTS, HOSTS = st.none() | st.integers(0, 0xFFFF), st.none() | st.ip_addresses(v=4)


@given(
    st.sampled_from(["tcp", "udp", "sctp", "other", None]), HOSTS, HOSTS, PORTS, PORTS, st.none() | st.integers(0, 4095),
    st.integers(0, 63),
)  # fmt: skip
def test_bucket(proto, src, dst, src_port, dst_port, vlan, pool):
    if proto == "other":
        src_port = dst_port = None
    if (proto, src, dst, src_port, dst_port, vlan) == (None,) * 6:
        vlan = 0
    match = parse_match(proto, src, dst, src_port, dst_port, vlan)
    expected = Tuple(
        str(src or "0.0.0.0"), str(dst or "0.0.0.0"), src_port or 0, dst_port or 0,
        KINDS.get((proto or "other").upper(), 0), vlan or 0, 0, pool,
    )  # fmt: skip
    assert bucket(match, pool) == expected.bucket() & 0x7FFF


def test_what_a_match_is_called():
    assert str(parse_match(proto="udp", src="10.0.0.0/24", dst_port=53)) == "udp 10.0.0.0/24:* -> *:53"
    assert str(parse_match(dst="10.0.0.1", vlan=5)) == "vlan 5 ip *:* -> 10.0.0.1:*"
    assert str(parse_match(ether_type=0x88F7)) == "type 0x88f7"
    assert (
        str(Mask.of(parse_match(proto="udp", src="10.0.0.0/24", dst_port=53))) == "src/24 + proto + dst_port"
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "every packet there is: say proto, src"),
        ({"src": "0.0.0.0/0"}, "every packet there is"),
        ({"proto": "icmp"}, "tells apart tcp, udp, sctp, other"),
        ({"src": "10.0.0.5/24"}, r"write 10\.0\.0\.0/24 for the network"),
        ({"dst": "router"}, "expected an IPv4 address or network"),
        ({"dst": "2001:db8::1"}, "compare IPv4 addresses only .* RSS spreads IPv6"),
        ({"proto": "tcp", "dst_port": 65536}, "dst_port=65536: must be 0 to 65535"),
        ({"proto": "other", "dst_port": 5}, "only tcp, udp and sctp have ports"),
        ({"vlan": 4096}, "must be 0 to 4095"),
        ({"ether_type": 0x0800}, "say src, dst, proto or ports"),
        ({"ether_type": 0x86DD}, "IPv6 is spread by RSS"),
        ({"ether_type": 0x8100}, "say vlan"),
        ({"ether_type": 0x100}, "must be 1536 to 65535"),
        ({"ether_type": 0x88F7, "src": "10.0.0.1"}, "ether_type goes alone"),
    ],
)
def test_what_cannot_be_said(asked, told):
    with pytest.raises(ConfigError, match=told):
        parse_match(**asked)


@contextmanager
def started(queues=4, **more):
    with pair(",rx_desc=64", **more) as p:
        p.start(queues)
        yield p.right


UDP = {"proto": "udp"}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (UDP, "say queue=N or drop=True"),
        (UDP | {"queue": 1, "drop": True}, "say queue=N or drop=True"),
        (UDP | {"queue": 4}, r"Rx queues 0 to 3\. Name more before it starts: port\.rx\(4\)"),
        (UDP | {"queue": -1}, "queue=-1"),
        (UDP | {"queue": 1, "priority": 8}, "must be 0 to 7"),
        ({"ether_type": 0x88F7, "queue": 1, "priority": 1}, "EtherType filters come before all"),
        ({"vlan": 5, "queue": 1, "priority": 1}, "does not see VLANs; and not by the flow director: it has no priorities"),
        ({"src": "10.0.0.0/8", "dst_port": 5, "queue": 1}, "not src=10.0.0.0/8.* ports of tcp and udp alone"),
    ],
)  # fmt: skip
def test_what_this_port_cannot_do(asked, told):
    with started() as port, pytest.raises(ConfigError, match=told):
        port.flows.add(**asked)
    assert list(port.flows) == []


def test_twice():
    with started() as port:
        flow = port.flows.add(proto="udp", dst_port=53, queue=2)
        with pytest.raises(ConfigError, match=r"a rule for that already .*to queue 2.* remove it first"):
            port.flows.add(proto="udp", dst_port=53, queue=3)
        assert repr(flow) == "<Flow udp *:* -> *:53 to queue 2 by 5-tuple filter 0>"
        flow.remove()
        flow.remove()
        assert list(port.flows) == [] and "removed" in repr(flow)
        port.flows.add(proto="udp", dst_port=53, queue=3)


def test_masks_of_the_flow_director():
    with started() as port:
        first = port.flows.add(proto="udp", src="10.0.0.0/24", queue=1)
        with pytest.raises(
            ConfigError, match=r"which is src/24 \+ proto as long as there are any; this is src/16 \+ proto"
        ):
            port.flows.add(proto="udp", src="10.1.0.0/16", queue=1)
        first.remove()
        assert port.flows.add(proto="udp", src="10.1.0.0/16", queue=1).where == "flow director filter 0"


def test_full_tables():
    with started() as port:
        for n in range(8):
            port.flows.add(ether_type=0x8800 + n, queue=n % 4)
        with pytest.raises(ConfigError, match="all 8 EtherType filters are in use"):
            port.flows.add(ether_type=0x9000, queue=1)
        for n in range(128):
            port.flows.add(proto="tcp", dst_port=n, queue=n % 4)
        spilled = port.flows.add(proto="tcp", dst_port=1000, queue=1)
        assert spilled.where.startswith("flow director")
        with pytest.raises(
            ConfigError, match="all 128 are in use; and not by the flow director: all of its filters compare"
        ):
            port.flows.add(proto="tcp", src_port=1, queue=1)
        assert len(port.flows) == 8 + 128 + 1


def test_the_flow_director_grows_until_it_is_full():
    with started() as port:
        for n in range(8190):
            port.flows.add(dst=f"10.{n >> 8}.{n & 255}.0/24", queue=1)
            if n + 1 in (2046, 2047, 4095):
                expected = {2046: 448, 2047: 384, 4095: 256}[n + 1]
                assert port.bar.read32(0x03C00) >> 10 == expected, "KB that are left for packets"
        assert port.function.chip.engine.directed == 8190
        with pytest.raises(ConfigError, match=r"its 8190 filters are in use: remove some"):
            port.flows.add(dst="11.0.0.0/24", queue=1)
        port.flows[0].remove()
        port.flows.add(dst="11.0.0.0/24", queue=1)


def test_queues_are_checked_at_the_start():
    with pair() as p:
        p.right.rx(0)
        flow = p.right.flows.add(proto="udp", queue=3)
        with pytest.raises(ConfigError, match=r"rule udp .* starts with 1 Rx queues\. Name queue 3 before"):
            p.right.start()
        flow.remove()
        p.right.start()


def test_drop_takes_a_spare_queue():
    with pair(",rx_desc=8") as p:
        p.right.rx(127)
        flow = p.right.flows.add(proto="udp", drop=True)
        with pytest.raises(ConfigError, match="takes an Rx queue that is off, and all 128 are in use"):
            p.right.start()
        flow.remove()
        p.right.start()
        with pytest.raises(ConfigError, match="nothing can be dropped by rule"):
            p.right.flows.add(proto="udp", drop=True)


def test_ports_without_rules():
    with pmd.probe("null:") as port, pytest.raises(PortError, match=r"null: has no flow rules .*: the PF of"):
        port.flows.add(proto="udp", queue=1)
