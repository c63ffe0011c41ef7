# SPDX-License-Identifier: BSD-3-Clause
"""Every kind of port has a capability whole, or raises one error that names the port and the ports that have it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dataplane import capability
from dataplane.capability import CAPABILITIES, Capability
from dataplane.errors import PortError
from dataplane.pmd import probe
from dataplane.port import Port

PF = {"clock", "flows", "macs", "multicast", "rates", "rss", "vlans"}
VF = {"macs", "multicast", "rss", "vlans"}
EXPECTED = {
    "null:": set(),
    "ring:a": set(),
    "pcap:{folder}/a.pcap": set(),
    "model0": PF,
    "model0,vfs=1": PF | {"vfs"},
    "model0.vf0": VF,
}
CONTRACTS = {
    "clock": capability.PortClock,
    "flows": capability.PortFlows,
    "macs": capability.PortMacs,
    "multicast": capability.PortMulticast,
    "rates": capability.PortRates,
    "rss": capability.PortRss,
    "vfs": capability.PortVfs,
    "vlans": capability.PortVlans,
}


@pytest.fixture(params=EXPECTED)
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Port, set[str]]]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "a.pcap").write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    with ExitStack() as stack:
        if request.param.endswith(".vf0"):
            stack.enter_context(probe("model0,vfs=1")).start()
        port = stack.enter_context(probe(request.param.format(folder=tmp_path)))
        yield port, EXPECTED[request.param]


def test_a_port_says_what_it_has_and_has_it(opened: tuple[Port, set[str]]) -> None:
    port, expected = opened
    assert port.capabilities == expected
    for name in expected:
        had = getattr(port, name)
        assert isinstance(had, CONTRACTS[name]) and had.port is port
        assert port.name in repr(had)
        assert getattr(port, name) is had


def test_what_a_port_lacks_is_one_error(opened: tuple[Port, set[str]]) -> None:
    port, expected = opened
    for name in set(CAPABILITIES) - expected:
        with pytest.raises(PortError) as error:
            getattr(port, name)
        text = str(error.value)
        assert text.startswith(f"{port.name} has no ") and f"port.{name}" in text
        assert len(text.replace(port.name, "")) < 200
        assert "PF" in text or "vfs=N" in text


def test_the_table_of_capabilities_is_the_contract() -> None:
    assert CAPABILITIES.keys() == CONTRACTS.keys()
    for name in CAPABILITIES:
        assert isinstance(getattr(Port, name), property)
    assert {each for each in vars(capability).values() if isinstance(each, type)} >= set(CONTRACTS.values())
    assert all(issubclass(each, Capability) for each in CONTRACTS.values())


def test_a_capability_is_a_sequence_where_it_lists_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with probe("model0") as port:
        assert tuple(port.macs) == (port.mac,) and len(port.macs) == 1 and port.mac in port.macs
        port.macs.add("02:00:00:00:00:77")
        assert port.macs[1] == "02:00:00:00:00:77" and port.macs[1:] == ("02:00:00:00:00:77",)
        rule = port.flows.add(proto="udp", drop=True)
        assert len(port.flows) == 1 and port.flows[0] is rule and list(port.flows) == [rule]
        assert port.vlans.ids is None and port.multicast.groups == ()
        port.vlans.add(7), port.vlans.add(5), port.vlans.remove(7)
        assert port.vlans.ids == (5,)
        port.multicast.set(["01:00:5e:00:00:01"])
        assert port.multicast.groups == ("01:00:5e:00:00:01",)
