# SPDX-License-Identifier: BSD-3-Clause
"""Wires in port strings: ``model0,wire=model2,loss=0.01``, or ``model0,wire=loop``: what it sends comes back to it.

``wire=tap:NAME`` leads to the kernel; ``wire=pcap:IN``, ``wire=pcap:>OUT`` and ``wire=pcap:IN>OUT`` play and record
captures, with ``timing=on`` (the original gaps) and ``loops``. ``wire=listen:PATH`` and ``wire=connect:PATH`` are the two
ends of a wire to a port of the model in another process. The wire goes
with the port that named it. Both ends may name it: the first does. Without ``wire`` the two ports of a card are joined to
each other; ``wire=none`` leaves a port without.

Options of a wire between ports: loss and corrupt (probability for each frame), delay_us, rate_mbps, seed, and elastic
(on: a sender waits while the receiver's packet buffer is full; off: frames are lost and counted, as on a real wire).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataplane.errors import ConfigError
from dataplane.pmd.model.card import Card, drop_card, get_card, hold_card
from dataplane.pmd.model.wire import LoopPlug, PortWire
from dataplane.pmd.portstring import PortString

if TYPE_CHECKING:
    from dataplane.pmd.model.wire_pcap import PcapWire
    from dataplane.pmd.model.wire_tap import TapWire

__all__ = ["plug"]


def plug(card: Card, port: int, spec: PortString) -> Callable[[], None] | None:
    """Plug the wire of a port string into port `port` of `card`; returns what pulls it out, None if there is none.

    A card at the other end that is not open yet is opened with this one's manner and thread. Raises ConfigError, and
    PortError or PcapError for a tap or a file that cannot be opened.
    """
    target = spec.word("wire", "")
    if not target:
        _patch(card)
        return None
    _unpatch(card)
    if target == "none":
        return None
    if target == "loop":
        return _loop(card, port)
    kind, _, name = target.partition(":")
    if kind == "tap":
        return _to_tap(card, port, name)
    if kind == "pcap":
        return _to_pcap(card, port, name, spec)
    if kind in ("listen", "connect"):
        return _to_process(card, port, name, spec, listens=kind == "listen")
    if not re.fullmatch(r"model\d+", target):
        raise ConfigError(
            f"{spec.text}: wire={target}: name what is at the other end: wire=model2, wire=tap:NAME, wire=pcap:FILE, "
            "wire=listen:PATH, wire=connect:PATH, wire=loop or wire=none"
        )
    options = {
        "loss": _probability(spec, "loss"),
        "corrupt": _probability(spec, "corrupt"),
        "delay_ns": _positive(spec, "delay_us") * 1000,
        "rate": _positive(spec, "rate_mbps") * 1_000_000 or None,
        "elastic": spec.flag("elastic", True),
        "seed": _positive(spec, "seed"),
    }
    index, far = divmod(int(target.removeprefix("model")), 2)
    if (index, far) == (card.index, port):
        raise ConfigError(f"{spec.text}: a wire from a port to itself is wire=loop")
    other = card if index == card.index else get_card(index, like=card)
    if far >= len(other.ports):
        raise ConfigError(f"{spec.text}: card {index} of the model has {len(other.ports)} port")
    _unpatch(other)
    return _join(card, port, other, far, options)


def _patch(card: Card) -> None:
    """A wire between the two ports of a card where neither has one; it stays until one of them is given another."""
    if len(card.ports) == 2 and all(chip.engine.wire is None for chip in card.ports):
        with card.lock:
            card.patch = PortWire(*(chip.engine for chip in card.ports))


def _unpatch(card: Card) -> None:
    if card.patch is not None:
        with card.lock:
            if card.ports[0].engine.wire is card.patch:
                card.ports[0].engine.unplug()
            card.patch = None


def _loop(card: Card, port: int) -> Callable[[], None]:
    engine = card.ports[port].engine
    with card.lock:
        LoopPlug(engine)

    def pull() -> None:
        with card.lock:
            engine.unplug()

    return pull


def _to_tap(card: Card, port: int, name: str) -> Callable[[], None]:
    from dataplane.pmd.model.wire_tap import TapWire

    with card.lock:
        wire = TapWire(card.ports[port].engine, name)
    return lambda: _close(card, wire)


def _to_pcap(card: Card, port: int, name: str, spec: PortString) -> Callable[[], None]:
    from dataplane.pmd.model.wire_pcap import PcapWire

    play, arrow, record = name.partition(">")
    if not (play or record) or (arrow and not record):
        raise ConfigError(f"{spec.text}: wire=pcap: names no file: write pcap:IN, pcap:>OUT or pcap:IN>OUT")
    with card.lock:
        wire = PcapWire(
            card.ports[port].engine,
            record or None,
            play or None,
            timing=spec.flag("timing", False),
            loops=spec.integer("loops", 1),
        )
    return lambda: _close(card, wire)


def _to_process(card: Card, port: int, name: str, spec: PortString, *, listens: bool) -> Callable[[], None]:
    from dataplane.pmd.model.wire_ends import WireEnd

    if not name:
        raise ConfigError(
            f"{spec.text}: which socket? write wire=listen:PATH at one end, wire=connect:PATH at the other"
        )
    engine = card.ports[port].engine
    return WireEnd(card.lock, engine, Path(name), listens=listens, nudge=card.nudge).close


def _close(card: Card, wire: TapWire | PcapWire) -> None:
    with card.lock:
        wire.close()


def _join(card: Card, port: int, other: Card, far: int, options: dict[str, Any]) -> Callable[[], None] | None:
    near_engine, far_engine = card.ports[port].engine, other.ports[far].engine
    known = near_engine.wire
    if isinstance(known, PortWire) and far_engine in (known.a, known.b):
        return None  # asked for from its other end already
    hold_card(other)
    try:
        with _both(card, other):
            wire = PortWire(near_engine, far_engine, **options)
    except BaseException:
        drop_card(other)
        raise

    def pull() -> None:
        with _both(card, other):
            if near_engine.wire is wire:
                near_engine.unplug()
        drop_card(other)

    return pull


def _both(card: Card, other: Card) -> ExitStack:
    """The locks of both cards, always in the same order."""
    locks = ExitStack()
    for each in sorted({id(one): one for one in (card, other)}.values(), key=lambda one: one.index):
        locks.enter_context(each.lock)
    return locks


def _probability(spec: PortString, key: str) -> float:
    text = spec.word(key, "0")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{spec.text}: {key}={text}: a probability from 0 to 1 is possible")
    return value


def _positive(spec: PortString, key: str) -> int:
    value = spec.integer(key, 0)
    if value < 0:
        raise ConfigError(f"{spec.text}: {key}={value}: it cannot be negative")
    return value
