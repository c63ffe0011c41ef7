# SPDX-License-Identifier: BSD-3-Clause
"""Text expressions: the same packets as scapy's, and nothing but packets."""

import socket

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from dataplane.apps.flows import Flows
from dataplane.apps.flows.expression import EXAMPLE, parse
from dataplane.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ('IP(dst="10.0.0.0/28")/UDP(sport=(1024, 1039))', IP(dst="10.0.0.0/28") / UDP(sport=(1024, 1039))),
        ("Ether(dst=['02:00:00:00:00:01'])/IP()/TCP(flags='S')",
         Ether(dst=["02:00:00:00:00:01"]) / IP() / TCP(flags="S")),
        (" IPv6(dst='::/126') / UDP(dport=[53, (80, 82)]) / 'text' ",
         IPv6(dst="::/126") / UDP(dport=[53, (80, 82)]) / "text"),
        ("Ether()/Dot1Q(vlan=(1,3))/IP(dst=('10.0.0.1','10.0.0.3'))/Raw(load=b'ab')",
         Ether() / Dot1Q(vlan=(1, 3)) / IP(dst=("10.0.0.1", "10.0.0.3")) / Raw(load=b"ab")),
        ('IP(dst=Net("10.0.0.0", "10.0.0.9"))/UDP()', IP(dst=("10.0.0.0", "10.0.0.9")) / UDP()),
    ],
)  # fmt: skip
def test_text_is_the_packet(text, packet):
    assert list(Flows(text)) == list(Flows(packet))


def test_the_example_in_the_errors_is_right():
    assert Flows(EXAMPLE).count == 16 * 16 * 2


def test_random_layers_are_allowed():
    assert Flows("IP()/UDP(sport=RandShort())").count == 65_536


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("__import__('os').system('true')", "__import__('os').system"),
        ("IP(dst=open('/etc/passwd').read())", "open('/etc/passwd').read"),
        ("IP().__class__", "IP().__class__"),
        ("[IP() for _ in (1, 2)]", "[IP() for _ in (1, 2)]"),
        ("lambda: 1", "lambda: 1"),
        ("IP(**{'dst': '1.1.1.1'})", "{'dst': '1.1.1.1'}"),
        ("IP(dst=f'{1}')", "f'{1}'"),
        ("IP()*1000000", "IP()*1000000"),
        ("UDP(sport=2**9999)", "2**9999"),
        ("IP()/eval('1')", "eval"),
        ("bind_layers(IP, UDP)", "bind_layers"),
        ("IP", "IP"),
        ("IP()/7", "7"),
        ("'a'/'b'", "'a'/'b'"),
        ("7", "7"),
        ("IP(ttl=1.5)", "1.5"),
        ("ip()/UDP()", r"ip' is not the name of a scapy layer (did you mean IP?)"),
        ("IP(destination='1.1.1.1')", "IP.destination, which does not exist (fields: version"),
        ("IP(b'raw')", "IP(b'raw')"),
        ("IP(dst='10.0.0.300')", "is no address or network for IP.dst ('10.0.0.300'"),
        ("IP(dst='10.0.0.0/40')", "is no address or network"),
        ("Ether(dst='zz')/IP()", "is no MAC address for Ether.dst"),
        ("Ether(src=['02:00:00:00:00:01', 5])", "is no MAC address for Ether.src"),
        ("Raw(load=9999999999)", "Raw.load takes a string or bytes"),
        ("IP(dst=", "at column"),
        ("", "packet expression"),
        ("TCP(flags='qq')", "refused by scapy"),
    ],
)
def test_anything_else_is_refused_by_name(text, piece):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert piece in str(caught.value)
    assert EXAMPLE in str(caught.value)


def test_deep_nesting_is_an_error_and_not_a_crash():
    with pytest.raises(ConfigError):
        parse("IP(options=" + "[" * 150 + "]" * 150 + ")" + "/UDP()" * 3000)


def test_no_name_is_looked_up(monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError(f"name service asked for {arguments}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(ConfigError, match="no address"):
        parse("IP(dst='example.org')")
