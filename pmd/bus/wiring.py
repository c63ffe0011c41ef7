# SPDX-License-Identifier: BSD-3-Clause
"""Wires in port strings: ``model0,wire=model2,loss=1%``, or ``model0,wire=loop``: what it sends comes back to it.

``wire=tap:NAME`` leads to the kernel; ``wire=pcap:IN``, ``wire=pcap:>OUT`` and ``wire=pcap:IN>OUT`` play and record
captures, with ``timing=on`` (the original gaps) and ``loops``. ``wire=listen:PATH`` and ``wire=connect:PATH`` are the two
ends of a wire to a port of the model in another process. The wire goes
with the port that named it. Both ends may name it: the first does. Without ``wire`` the two ports of a card are joined to
each other; ``wire=none`` leaves a port without.

Options of every wire: elastic (on: a sender waits while the receiver's packet buffer is full; off: frames are lost and
counted, as on a real wire), and what happens to frames on their way, in netem's words (`pmd.bus.netem_options`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dataplane.errors import ConfigError
from dataplane.pmd.bus.netem_options import read_netem
from dataplane.pmd.model.card import Card, drop_card, get_card, hold_card
from dataplane.pmd.model.netem.conditions import Netem
from dataplane.pmd.model.wire.port import LoopPlug, PortWire
from dataplane.pmd.portstring import PortString

if TYPE_CHECKING:
    from dataplane.pmd.model.wire.pcap import PcapWire
    from dataplane.pmd.model.wire.tap import TapWire

__all__ = ["plug"]


class WireSettings(NamedTuple):
    """Settings that every wire has. netem: None: no impairment. elastic: whether senders stall when the receiver is full."""

    netem: Netem | None
    elastic: bool


def plug(card: Card, port: int, spec: PortString, *, elastic: bool = True) -> Callable[[], None] | None:
    """Plug the wire of a port string into port `port` of `card`; returns the function that unplugs it, None: no wire.

    elastic: used if the port string does not set it; a capture that is played flat out is elastic in any case. A
    card at the other end that is not open yet is opened with this one's manner and thread. Raises ConfigError, and PortError
    or PcapError for a tap or a file that cannot be opened.
    """
    target = spec.word("wire", "")
    if not target:
        _patch(card, elastic)
        return None
    if target == "none":
        _unpatch(card)
        return None
    kind, _, name = target.partition(":")
    timing = kind == "pcap" and spec.flag("timing", False)
    setting = WireSettings(read_netem(spec), spec.flag("elastic", elastic or (kind == "pcap" and not timing)))
    _unpatch(card)
    if target == "loop":
        return _loop(card, port, setting)
    if kind == "tap":
        return _to_tap(card, port, name, setting)
    if kind == "pcap":
        return _to_pcap(card, port, name, spec, timing, setting)
    if kind in ("listen", "connect"):
        return _to_process(card, port, name, spec, setting, listens=kind == "listen")
    if not re.fullmatch(r"model\d+", target):
        raise ConfigError(
            f"{spec.text}: wire={target}: name what is at the other end: wire=model2, wire=tap:NAME, wire=pcap:FILE, "
            "wire=listen:PATH, wire=connect:PATH, wire=loop or wire=none"
        )
    index, far = divmod(int(target.removeprefix("model")), 2)
    if (index, far) == (card.index, port):
        raise ConfigError(f"{spec.text}: a wire from a port to itself is wire=loop")
    other = card if index == card.index else get_card(index, like=card)
    if far >= len(other.ports):
        raise ConfigError(f"{spec.text}: card {index} of the model has {len(other.ports)} port")
    _unpatch(other)
    return _join(card, port, other, far, setting)


def _patch(card: Card, elastic: bool) -> None:
    """A wire between the two ports of a card where neither has one; it stays until one of them is given another."""
    if len(card.ports) == 2 and all(chip.engine.wire is None for chip in card.ports):
        with card.lock:
            card.patch = PortWire(*(chip.engine for chip in card.ports), elastic=elastic)


def _unpatch(card: Card) -> None:
    if card.patch is not None:
        with card.lock:
            if card.ports[0].engine.wire is card.patch:
                card.ports[0].engine.unplug()
            card.patch = None


def _loop(card: Card, port: int, setting: WireSettings) -> Callable[[], None]:
    engine = card.ports[port].engine
    with card.lock:
        LoopPlug(engine, setting.netem, elastic=setting.elastic)

    def pull() -> None:
        with card.lock:
            engine.unplug()

    return pull


def _to_tap(card: Card, port: int, name: str, setting: WireSettings) -> Callable[[], None]:
    from dataplane.pmd.model.wire.tap import TapWire

    with card.lock:
        wire = TapWire(card.ports[port].engine, name, setting.netem, elastic=setting.elastic)
    return lambda: _close(card, wire)


def _to_pcap(
    card: Card, port: int, name: str, spec: PortString, timing: bool, setting: WireSettings
) -> Callable[[], None]:
    from dataplane.pmd.model.wire.pcap import PcapWire

    play, arrow, record = name.partition(">")
    if not (play or record) or (arrow and not record):
        raise ConfigError(f"{spec.text}: wire=pcap: names no file: write pcap:IN, pcap:>OUT or pcap:IN>OUT")
    with card.lock:
        wire = PcapWire(
            card.ports[port].engine,
            record or None,
            play or None,
            setting.netem,
            timing=timing,
            loops=spec.integer("loops", 1),
            elastic=setting.elastic,
        )
    return lambda: _close(card, wire)


def _to_process(
    card: Card, port: int, name: str, spec: PortString, setting: WireSettings, *, listens: bool
) -> Callable[[], None]:
    from dataplane.pmd.model.wire.ends import WireEnd

    if not name:
        raise ConfigError(
            f"{spec.text}: which socket? write wire=listen:PATH at one end, wire=connect:PATH at the other"
        )
    engine = card.ports[port].engine
    return WireEnd(
        card.lock,
        engine,
        Path(name),
        listens=listens,
        nudge=card.nudge,
        netem=setting.netem,
        elastic=setting.elastic,
    ).close


def _close(card: Card, wire: TapWire | PcapWire) -> None:
    with card.lock:
        wire.close()


def _join(card: Card, port: int, other: Card, far: int, setting: WireSettings) -> Callable[[], None] | None:
    near_engine, far_engine = card.ports[port].engine, other.ports[far].engine
    known = near_engine.wire
    if isinstance(known, PortWire) and far_engine in (known.a, known.b):
        return None  # asked for from its other end already
    hold_card(other)
    try:
        with _both(card, other):
            wire = PortWire(near_engine, far_engine, setting.netem, elastic=setting.elastic)
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
