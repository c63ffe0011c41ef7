# SPDX-License-Identifier: BSD-3-Clause
"""Port strings: what can be said, and what the message is when it cannot."""

import pytest

from dataplane import pmd
from dataplane.errors import ConfigError, DeviceError
from dataplane.pmd.portstring import PortString
from dataplane.port import Port, PortInfo


class Recorder(Port):
    info = PortInfo("recorder", 0, 0)

    def __init__(self, spec, function=None):
        super().__init__(spec.text)
        self.spec, self.function = spec, function


class FakeFunction:
    name = "fake0"

    def __init__(self, vendor=0x8086, device=0x1234):
        self.vendor_id, self.device_id, self.closed = vendor, device, 0

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    for table in ("_ports", "_buses", "_drivers"):
        monkeypatch.setattr(pmd, table, dict(getattr(pmd, table)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "model",
        "modelx",
        "model0x",
        "model-1",
        "vhost:eth0",
        "model0.vf",
        "03:00",
        "0000:03:00.8",
        ":",
        "null",
    ],
)
def test_what_is_no_port_string_lists_what_is(text):
    with pytest.raises(ConfigError) as error:
        pmd.probe(text)
    for form in pmd.forms():
        assert form in str(error.value)


@pytest.mark.parametrize(
    ("text", "target", "options"),
    [
        ("x:", "", {}),
        ("x:eth0", "eth0", {}),
        ("x:a,b.pcap", "a,b.pcap", {}),
        ("x:a,b.pcap,loop=3,speed=flat", "a,b.pcap", {"loop": "3", "speed": "flat"}),
        ("x:/tmp/a:b,out=/tmp/c", "/tmp/a:b", {"out": "/tmp/c"}),
    ],
)
def test_a_scheme_hands_target_and_options_to_its_opener(text, target, options):
    pmd.register_port("x", Recorder)
    port = pmd.probe(text)
    assert (port.name, port.spec.scheme, port.spec.target, port.spec.options) == (text, "x", target, options)


@pytest.mark.parametrize("text", ["x:a,mtu=", "x:a,mtu=1,mtu=2", "x:a,b=1,c", "x:a,b=1,2=3"])
def test_malformed_options(text):
    pmd.register_port("x", Recorder)
    with pytest.raises(ConfigError, match=r"key=value|said twice"):
        pmd.probe(text)


def test_a_malformed_option_of_a_nic():
    pmd.register_bus("b", lambda spec: FakeFunction(), r"card\d", "card0")
    with pytest.raises(ConfigError, match="key=value"):
        pmd.probe("card0,promiscuous")


def test_options_are_checked_when_they_are_read():
    spec = PortString.parse("x:a,n=0x10,on=yes,bad=maybe,w=two", "x", "a,n=0x10,on=yes,bad=maybe,w=two")
    assert spec.integer("n", 1) == 16
    assert spec.integer("absent", 7) == 7
    assert spec.flag("on", False) is True
    assert spec.word("w", "one", ["one", "two"]) == "two"
    with pytest.raises(ConfigError, match="on or off"):
        spec.flag("bad", False)
    with pytest.raises(ConfigError, match="expected an integer"):
        spec.integer("w", 0)
    with pytest.raises(ConfigError, match="one of three, four"):
        spec.word("w", "three", ["three", "four"])
    spec.done()


def test_an_option_nobody_reads_is_refused_with_those_that_are_known():
    spec = PortString.parse("x:a,mtux=1", "x", "a,mtux=1")
    spec.integer("mtu", 1500)
    with pytest.raises(ConfigError, match=r"no option 'mtux': it knows mtu"):
        spec.done()


def test_a_bus_is_joined_to_the_driver_of_the_device():
    function = FakeFunction()
    pmd.register_bus("b", lambda spec: function, r"card\d", "card0")
    pmd.register_driver(0x8086, 0x1234, lambda function, spec: Recorder(spec, function))
    port = pmd.probe("card7,mtu=9000")
    assert port.function is function
    assert (port.spec.target, port.spec.options) == ("card7", {"mtu": "9000"})
    assert not function.closed


def test_a_device_without_a_driver_is_closed_again():
    function = FakeFunction(0x1AF4, 0x1000)
    pmd.register_bus("b", lambda spec: function, r"card\d", "card0")
    with pytest.raises(DeviceError, match="1af4:1000: there is no driver"):
        pmd.probe("card0")
    assert function.closed == 1


def test_a_driver_that_fails_closes_the_function():
    function = FakeFunction()

    def fails(function, spec):
        raise DeviceError("does not come up")

    pmd.register_bus("b", lambda spec: function, r"card\d", "card0")
    pmd.register_driver(0x8086, 0x1234, fails)
    with pytest.raises(DeviceError, match="does not come up"):
        pmd.probe("card0")
    assert function.closed == 1


def test_a_scheme_must_be_one():
    with pytest.raises(ConfigError, match="must be a lower-case letter"):
        pmd.register_port("No Scheme", Recorder)
