# SPDX-License-Identifier: BSD-3-Clause
"""A function that is gone is alone: its own verbs raise DeviceGone, and nothing else of the process notices."""

from __future__ import annotations

import ctypes
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from dataplane import pmd
from dataplane.apps.command.cli import main
from dataplane.byhand import receive, send
from dataplane.errors import DataplaneError, DeviceGone
from dataplane.memory import hugepage
from dataplane.memory.hugepage import Arena, unwatch_arenas, watch_arenas
from dataplane.mempool import Mempool
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from tests.pmd.served import Served

GROUP = "01:00:5e:00:00:05"
PF_VERBS: dict[str, Callable[[IxgbePort], object]] = {
    "mac": lambda port: setattr(port, "mac", "02:00:00:00:00:09"),
    "promiscuous": lambda port: setattr(port, "promiscuous", True),
    "allmulticast": lambda port: setattr(port, "allmulticast", True),
    "multicast.set": lambda port: port.multicast.set([GROUP]),
    "vlans.add": lambda port: port.vlans.add(7),
    "vlans.remove": lambda port: port.vlans.remove(7),
    "macs.add": lambda port: port.macs.add("02:00:00:00:00:19"),
    "rss.key": lambda port: setattr(port.rss, "key", "symmetric"),
    "rss.table": lambda port: setattr(port.rss, "table", [0] * 128),
    "rss.spread": lambda port: port.rss.spread(1),
    "rss.hash_types": lambda port: setattr(port.rss, "hash_types", ["ipv4"]),
    "flows.add": lambda port: port.flows.add(proto="udp", dst_port=53, queue=0),
    "rates.set": lambda port: port.rates.set(0, 100),
    "vfs.show": lambda port: port.vfs.show(),
    "vfs.set": lambda port: port.vfs.set(0, spoofchk=False),
    "vfs.explain": lambda port: port.vfs.explain(0),
    "clock": lambda port: port.clock.read(),
    "link": lambda port: port.link,
    "wait_link": lambda port: port.wait_link(0.1),
    "poll_stats": lambda port: port.poll_stats(),
}
VF_VERBS: dict[str, Callable[[IxgbeVfPort], object]] = {
    name: PF_VERBS[name]  # type: ignore[misc]
    for name in (
        "mac",
        "promiscuous",
        "allmulticast",
        "multicast.set",
        "vlans.add",
        "vlans.remove",
        "macs.add",
        "link",
        "wait_link",
        "poll_stats",
    )
} | {"rss.key": lambda port: port.rss.key, "rss.table": lambda port: port.rss.table}


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def opened(stack: ExitStack, text: str) -> pmd.Port:
    """A port with a queue each way that runs."""
    port = pmd.probe(text)
    stack.callback(lambda: port.close(force=True) if isinstance(port, IxgbePort) else port.close())
    port.configure(rx_desc=64, tx_desc=64)
    port.rx(0), port.tx(0)
    port.start()
    return port


def all_raise(port: pmd.Port, verbs: dict[str, Callable[..., object]]) -> None:
    """Each verb, twice: what the first says must not depend on what came before."""
    for name, verb in [*verbs.items()] * 2:
        with pytest.raises(DeviceGone, match="is gone"):
            print(f"{name} does not raise, and returns {verb(port)}")


def others_go_on(stack: ExitStack) -> None:
    """Memory, and a port of another card that opens, runs, carries a frame and is closed."""
    Mempool(64, hugepages="no")
    with pmd.probe("model8,manner=strict,wire=loop") as port:
        port.configure(rx_desc=64, tx_desc=64)
        port.rx(0), port.tx(0)
        port.start()
        port.wait_link(5.0)
        port.promiscuous = True
        assert send(port.tx(0), [bytes(range(60))], timeout=5) == 1
        assert receive(port.rx(0), 1, timeout=5) == [bytes(range(60))]


def a_vf_gone_with_its_card(stack: ExitStack) -> IxgbeVfPort:
    pf = opened(stack, "model0,manner=strict,vfs=2")
    vf = opened(stack, "model0.vf1")
    pf.function.card.remove(0)  # type: ignore[attr-defined]
    return vf  # type: ignore[return-value]


def a_vf_that_its_pf_took_away(stack: ExitStack) -> IxgbeVfPort:
    pf = opened(stack, "model0,manner=strict,vfs=2")
    vf = opened(stack, "model0.vf1")
    other = opened(stack, "model1")  # the card stays
    pf.close(force=True)  # type: ignore[call-arg]
    opened(stack, "model0,vfs=1")
    assert other.started
    return vf  # type: ignore[return-value]


def a_vf_of_a_server_that_was_killed(stack: ExitStack) -> IxgbeVfPort:
    nic = stack.enter_context(Served("--vfs", "2", quiet=True))
    opened(stack, nic.port("pf0", ",vfs=2"))
    vf = opened(stack, nic.port("pf0.vf1"))
    nic.stop(signal.SIGKILL)
    return vf  # type: ignore[return-value]


VF_ENDS = [a_vf_gone_with_its_card, a_vf_that_its_pf_took_away, a_vf_of_a_server_that_was_killed]


@pytest.mark.parametrize("end", VF_ENDS)
def test_a_vf_that_is_gone_is_alone(stack: ExitStack, end: Callable[[ExitStack], IxgbeVfPort]) -> None:
    vf = end(stack)
    others_go_on(stack)
    before = vf.xstats()
    all_raise(vf, VF_VERBS)
    assert vf.xstats() == before, "the last that it told"
    others_go_on(stack)
    vf.close()


def a_card_pulled_out(stack: ExitStack) -> tuple[str, IxgbePort]:
    pf = opened(stack, "model0,manner=strict,vfs=2")
    pf.function.card.remove(0)  # type: ignore[attr-defined]
    return "model0", pf  # type: ignore[return-value]


def a_server_that_was_killed(stack: ExitStack) -> tuple[str, IxgbePort]:
    nic = stack.enter_context(Served("--vfs", "2", quiet=True))
    name = nic.port("pf0")
    pf = opened(stack, f"{name},vfs=2")
    nic.stop(signal.SIGKILL)
    return name, pf  # type: ignore[return-value]


@pytest.mark.parametrize("end", [a_card_pulled_out, a_server_that_was_killed])
def test_every_verb_of_a_pf_that_is_gone_says_so(
    stack: ExitStack, end: Callable[[ExitStack], tuple[str, IxgbePort]], capsys: pytest.CaptureFixture[str]
) -> None:
    """No figure is made of all ones, and nothing that is set seems to hold; the commands say it in a line."""
    name, pf = end(stack)
    all_raise(pf, PF_VERBS)
    assert all(count < 1 << 30 for count in pf.xstats().values())
    for command in (["show", name], ["set", name, "0", "spoofchk", "off"], ["explain", name, "0"]):
        assert main(["vf", *command]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert "is gone" in said.err
    others_go_on(stack)


def test_a_stopped_port_says_so_too(stack: ExitStack) -> None:
    """A setting that would hold from the next start on: there will be none."""
    pf = opened(stack, "model0,manner=strict,vfs=1")
    pf.stop()
    pf.function.card.remove(0)  # type: ignore[attr-defined]
    all_raise(pf, {name: verb for name, verb in PF_VERBS.items() if name != "wait_link"})


class Odd:
    """A watcher that raises the error it was given."""

    def __init__(self, error: Exception) -> None:
        self.error, self.told = error, 0

    def arena_opened(self, arena: Arena) -> None:
        self.told += 1
        raise self.error

    arena_closing = arena_opened


class Even:
    def __init__(self) -> None:
        self.open: set[int] = set()

    def arena_opened(self, arena: Arena) -> None:
        self.open.add(arena.iova)

    def arena_closing(self, arena: Arena) -> None:
        ctypes.string_at(arena.address, arena.size)
        self.open.discard(arena.iova)


def test_a_device_that_is_there_and_cannot_reach_memory_refuses_it(caplog: pytest.LogCaptureFixture) -> None:
    """Unlike one that is gone: packets of that memory could be sent through it. The other watchers stay as they were."""
    first, odd, second = Even(), Odd(DataplaneError("no room in the map")), Even()
    with Arena(4096, hugepages="no"):
        with pytest.raises(DataplaneError, match="no room"):
            watch_arenas(odd)
        told = odd.told
        Arena(4096, hugepages="no").close()
        assert odd.told == told, "who could not begin to watch is told of nothing"
    watch_arenas(first)
    hugepage._watchers.append(odd)
    watch_arenas(second)
    try:
        known = set(first.open)
        with pytest.raises(DataplaneError, match="no room"):
            Arena(4096, hugepages="no")
        assert first.open == second.open == known
        assert "stays mapped" in caplog.text, "it does not let go either: nobody else may get that memory"
    finally:
        for each in (first, second, odd):
            unwatch_arenas(each)
