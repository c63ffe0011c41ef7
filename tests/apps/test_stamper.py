# SPDX-License-Identifier: BSD-3-Clause
"""The loop without Python writes the same frames as numpy does from the same program."""

import pytest
from flow_packets import packets
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from scapy.volatile import RandShort

from dataplane.apps.flows import Flows
from dataplane.apps.pktgen import PktGen
from dataplane.apps.stamper import Stamper
from dataplane.apps.trial import Trial
from dataplane.errors import ConfigError
from dataplane.mempool import Mempool

INNER = Ether() / IP(src="1.1.1.1", dst=["2.2.2.2", "3.3.3.0/30"]) / UDP(sport=(1, 3))

POOL = Mempool(256, debug=True)  # one for all: it takes longer to make than to use

PACKETS = {
    "one": (IP() / UDP(), "table"),
    "addresses and ports": (IP(dst="10.0.0.0/24") / UDP(sport=(1024, 1039), dport=[53, 80, 443]), "odometer"),
    "wide": (IPv6(dst=["::1", "2001:db8::/120"], fl=(7, 9)) / TCP(seq=(0xFFFFFFF0, 0xFFFFFFFF)), "odometer"),
    "bits": (Dot1Q(vlan=(1, 50), prio=(0, 7)) / IP(frag=(0, 3), ttl=[1, 255]), "odometer"),
    "random": (IP(dst="10.0.0.0/30", id=RandShort()) / UDP(sport=RandShort(), dport=(1, 3)), "odometer"),
    "tunnel": (IP(src="9.9.9.9") / UDP(sport=(5, 99)) / VXLAN(vni=(1, 3)) / INNER, "odometer"),
    "mixed": (
        [IP(dst="10.0.0.0/30") / UDP(), IP() / ICMP(type=[0, 8, 13], id=(0, 2)), Raw(b"raw" * 20)],
        "table",
    ),
    "many and mixed": ([IP(dst="10.0.0.0/8") / UDP(), IP() / TCP()], "walk"),
    "layouts": (IP(dst="10.0.0.0/14") / UDP() / Raw(load=[b"a", b"bc" * 40, b"d"]), "walk"),
}


def rendered(flows, count):
    frames, lengths = flows.render(0, count)
    return [bytes(frame[:length]) for frame, length in zip(frames, lengths, strict=True)]


def sent(flows, count, form=None, burst=32):
    generator = PktGen(flows, count=count, stamp=flows.trailer, form=form, burst=burst, mempool=POOL)
    with Trial(generator, n=1) as trial:
        trial.poll(count + 1)
        assert trial.done
        return trial.out["out"]


@pytest.mark.parametrize("name", PACKETS)
def test_equals_numpy(name):
    packet, form = PACKETS[name]
    flows = Flows(packet)
    count = min(2 * flows.count + 5, 3000)  # past the end of a short cycle
    assert sent(flows, count, form) == rendered(flows, count)


def test_the_cheapest_form_that_fits_is_chosen():
    ports = UDP(sport=(1, 60_000))
    assert Stamper(Flows(IP(dst="10.0.0.0/28") / UDP(sport=(1, 4096)))).form == "table"
    assert Stamper(Flows(IP(dst="10.0.0.0/28") / ports)).form == "odometer"
    assert Stamper(Flows(IP() / ports, size=1518)).form == "odometer"  # 92 MB of table
    assert Stamper(Flows(IP() / UDP(), trailer=True)).form == "odometer"
    assert Stamper(Flows([IP(dst="10.0.0.0/28") / ports, IP()])).form == "walk"


@given(packets(), st.integers(1, 64), st.booleans())
@settings(max_examples=25, deadline=None)
def test_equals_numpy_for_any_packet(packet, burst, trailer):
    flows = Flows(packet, trailer=trailer)
    count = min(flows.count + 3, 200)
    forms = ["walk"] + ["odometer"] * (len(flows.program.templates) == 1) + ["table"] * (not trailer)
    for form in forms:
        frames = sent(flows, count, form, burst)
        if trailer:  # the clock differs: compare what is before it, checksums apart
            frames = [frame[:14] + frame[-16:-8] for frame in frames]
            assert frames == [frame[:14] + frame[-16:-8] for frame in rendered(flows, count)], form
        else:
            assert frames == rendered(flows, count), form


@pytest.mark.parametrize("name", ["one", "addresses and ports", "bits", "random", "mixed"])
def test_every_form_that_fits_writes_the_same(name):
    flows = Flows(PACKETS[name][0])
    expected = rendered(flows, 700)
    forms = ["walk"] + ["table"] * (flows.count < 65_536) + ["odometer"] * (name != "mixed")
    for form in forms:
        assert sent(flows, 700, form, burst=7) == expected, form


@pytest.mark.parametrize("name", [name for name in PACKETS if name != "layouts"])
def test_trailer_has_the_sequence_and_leaves_every_checksum_right(name):
    flows = Flows(PACKETS[name][0], trailer=True, shortest=64)
    for number, frame in enumerate(sent(flows, 200)):
        assert frame[-16:-8] == b"dpla" + number.to_bytes(4, "big")
        assert int.from_bytes(frame[-8:], "big") > 0
        parsed = Ether(frame)
        layer = parsed
        while layer:
            for field in ("chksum", "cksum"):
                if field in layer.fields:
                    layer.delfieldval(field)
            layer = layer.payload
        assert bytes(parsed) == frame


def test_a_form_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="form 'odometer' does not fit"):
        Stamper(Flows([IP(), IP() / UDP()]), "odometer")
    with pytest.raises(ConfigError, match="does not fit"):
        Stamper(Flows(IP()), "magic")
    with pytest.raises(ConfigError, match="too many for a table"):
        Stamper(Flows(IP(dst="10.0.0.0/8")), "table")
