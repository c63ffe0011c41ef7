# SPDX-License-Identifier: BSD-3-Clause
"""Where packets go by flow rules, on the strict model: worked out from the rules alone; over restarts; among VFs."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelrig import pair
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

from dataplane import pmd
from dataplane.byhand import receive, send
from dataplane.mempool import Mempool

QUEUES = 4
L4 = {"tcp": (TCP, 6), "udp": (UDP, 17), "sctp": (SCTP, 132), "other": (None, 47)}


def packet(
    proto="udp", src="10.0.0.1", dst="10.0.0.2", src_port=1, dst_port=2, vlan=None, to="ff:ff:ff:ff:ff:ff"
):
    kind, number = L4[proto]
    ether = Ether(dst=to, src="02:00:00:00:00:77")
    if vlan is not None:
        ether /= Dot1Q(vlan=vlan)
    rest = kind(sport=src_port, dport=dst_port) / Raw(bytes(20)) if kind else Raw(bytes(30))
    return bytes(ether / IP(src=src, dst=dst, proto=number) / rest)


def where(p, data):
    """The queue of the right port that gets it; None: none."""
    send(p.left.tx(0), [data])
    p.step()
    hit = [n for n in range(p.right.rx_queues) if receive(p.right.rx(n), 8)]
    assert len(hit) <= 1
    return hit[0] if hit else None


def matches(rule, has):
    """Whether a rule is about a packet."""
    return (
        rule.get("proto") in (None, has["proto"])
        and all(side not in rule or ip_address(has[side]) in ip_network(rule[side]) for side in ("src", "dst"))
        and all(
            side not in rule or (has["proto"] != "other" and rule[side] == has[side]) for side in ("src_port", "dst_port")
        )
        and rule.get("vlan") in (None, has["vlan"] or 0)
    )  # fmt: skip


def expected(rules, has):
    """5-tuple rules by priority, then by age; then the flow director's; else queue 0."""
    exact = [rule for rule in rules if not rule["directed"]]
    for rule in sorted(exact, key=lambda rule: -rule["priority"]):  # stable: the older first
        if matches(rule["match"], has):
            return rule["queue"]
    return next((rule["queue"] for rule in rules if rule["directed"] and matches(rule["match"], has)), 0)


HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.7.1")
host, port_number = st.sampled_from(HOSTS), st.sampled_from([53, 1000, 0x3500])
queue = st.none() | st.integers(1, QUEUES - 1)


@st.composite
def exact_rules(draw):
    fields = {
        "proto": st.sampled_from(["tcp", "udp", "sctp"]), "src": host, "dst": host, "src_port": port_number,
        "dst_port": port_number,
    }  # fmt: skip
    said = draw(st.sets(st.sampled_from(sorted(fields)), min_size=1))
    match = {name: draw(fields[name]) for name in sorted(said)}
    priority = draw(st.none() | st.integers(0, 7))
    return {
        "match": match, "queue": draw(queue), "asked": priority,
        "priority": len(match) if priority is None else priority, "directed": False,
    }  # fmt: skip


@st.composite
def directed_rules(draw):
    """Several of one form that a 5-tuple filter cannot say."""
    vlan = draw(st.booleans())
    prefix = draw(st.sampled_from([8, 24]))
    with_ports = draw(st.booleans())
    rules = []
    for _ in range(draw(st.integers(0, 4))):
        match = {"src": str(ip_network(f"{draw(host)}/{prefix}", strict=False))}
        if vlan:
            match["vlan"] = draw(st.sampled_from([0, 5, 6]))
        if with_ports:
            match |= {"proto": draw(st.sampled_from(["tcp", "udp"])), "dst_port": draw(port_number)}
        rules.append({"match": match, "queue": draw(queue), "asked": None, "directed": True})
    return rules


packets = st.fixed_dictionaries({
    "proto": st.sampled_from(sorted(L4)), "src": host, "dst": host, "src_port": port_number, "dst_port": port_number,
    "vlan": st.none() | st.sampled_from([5, 6]),
})  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.lists(exact_rules(), max_size=5),
    directed_rules(),
    st.lists(packets, min_size=1, max_size=5),
    st.booleans(),
)
def test_every_packet_goes_where_the_rules_say(exact, directed, sent, before_the_start):
    with pair(",rx_desc=8", n=1024) as p:
        rules = []

        def make():
            for rule in [*exact, *directed]:
                if all(rule["match"] != other["match"] for other in rules):
                    way = {"drop": True} if rule["queue"] is None else {"queue": rule["queue"]}
                    flow = p.right.flows.add(**rule["match"], **way, priority=rule["asked"])
                    assert flow.where.startswith("flow director" if rule["directed"] else "5-tuple")
                    rules.append(rule)

        p.right.rss.table = [0] * 128
        if before_the_start:
            make()
        p.start(QUEUES)
        make()
        for has in sent:
            assert where(p, packet(**has)) == expected(rules, has)


def test_rules_stay_and_go():
    with pair(",rx_desc=64") as p:
        p.right.rss.table = [0] * 128
        p.start(QUEUES)
        exact = p.right.flows.add(proto="udp", dst_port=53, queue=1)
        typed = p.right.flows.add(ether_type=0x88B5, queue=2)
        with p.right.flows.add(src="10.0.0.0/24", queue=3) as directed:
            lldp = bytes.fromhex("ffffffffffff02000000007788b5") + bytes(50)
            for again in range(3):
                assert where(p, packet(dst_port=53)) == 1
                assert where(p, lldp) == 2
                assert where(p, packet(dst_port=54)) == 3
                assert where(p, packet(src="10.0.1.1")) == 0
                p.right.stop()
                if again == 1:
                    p.right.flows.add(proto="sctp", queue=2)  # while it stands still
                p.right.start()
                p.right.wait_link(1)
            assert where(p, packet("sctp")) == 2
            assert [flow.where for flow in p.right.flows] == [
                "EtherType filter 0", "5-tuple filter 0", "5-tuple filter 1", "flow director filter 0",
            ]  # fmt: skip
        assert directed not in p.right.flows
        assert where(p, packet(dst_port=54)) == 0
        exact.remove()
        typed.remove()
        assert where(p, packet(dst_port=53)) == where(p, lldp) == 0


def test_counters():
    with pair(",rx_desc=64") as p:
        p.start(QUEUES)
        assert "rx_flow_drops" not in p.right.xstats()
        p.right.flows.add(proto="udp", dst_port=53, drop=True)
        p.right.flows.add(src="10.0.0.0/24", queue=3)
        for port in (53, 53, 54):
            where(p, packet(dst_port=port))
        where(p, packet(src="10.9.9.9"))
        for _ in range(2):
            stats = p.right.xstats()
            assert (stats["rx_flow_drops"], stats["rx_missed_errors"], stats["rx_good_packets"]) == (2, 0, 2)
            assert (stats["flow_director_matched_filters"], stats["flow_director_missed_filters"]) == (1, 1)
            p.right.stop()
            p.right.start()


def test_no_packet_is_lost_while_rules_come_and_go():
    """5-tuple filters change while packets come in; the flow director's first rule alone makes reception pause."""
    with pair(threaded=True) as p:
        p.start(2)
        p.right.flows.add(src="10.9.0.0/16", queue=1)
        frames = [packet(src_port=n) for n in range(500)]
        done = 0
        while done < len(frames):
            with (
                p.right.flows.add(proto="udp", src_port=done, queue=done // 50 % 2),
                p.right.flows.add(src="10.8.0.0/16", queue=1),
            ):
                assert len(p.cross(frames[done : done + 50])) == 50
            done += 50


@pytest.mark.parametrize("vfs", [1, 40])
def test_a_pf_with_vfs_steers_its_own_packets_alone(vfs):
    pool = Mempool(2048, hugepages="no", name="flows")
    with (
        pmd.probe(f"model0,manner=strict,thread=off,wire=model2,vfs={vfs}") as pf,
        pmd.probe("model2,thread=off") as far,
    ):
        pf.flows.add(proto="udp", dst_port=53, drop=True)
        pf.flows.add(proto="udp", src="10.0.0.0/24", drop=True)

        def start(port):
            port.configure(mempool=pool, rx_desc=64)
            port.rx(0), port.tx(0)
            port.start()

        start(pf), start(far)
        with pmd.probe("model0.vf0") as vf:
            start(vf)
            far.wait_link(1), pf.wait_link(1)

            def arrive(data):
                send(far.tx(0), [data], far.mempool)
                far.function.card.step(8)
                pf.function.card.step(8)
                return [len(receive(port.rx(0), 8)) for port in (pf, vf)]

            for has in ({"dst_port": 53}, {"src": "10.0.0.9"}):
                other = {"src": "172.16.0.1"} | has
                assert arrive(packet(to=pf.mac, **other)) == [0, 0]
                assert arrive(packet(to=vf.mac, **other)) == [0, 1]
                assert arrive(packet(**other)) == [0, 1], "of a broadcast the VF's copy is the VF's"
            assert arrive(packet(to=pf.mac, src="172.16.0.1")) == [1, 0]
            assert pf.xstats()["rx_flow_drops"] == 4
        pf.function.card.check()
    assert pool.available == pool.n
