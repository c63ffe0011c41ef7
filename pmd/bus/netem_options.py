# SPDX-License-Identifier: BSD-3-Clause
"""A wire's options in a port string, in netem's words and units: ``loss=0.1%,delay=1ms,jitter=100us,rate=1gbit``."""

from __future__ import annotations

import re

from dataplane.errors import ConfigError
from dataplane.pmd.model.netem.conditions import DISTRIBUTIONS, LIMIT_MOST, Netem
from dataplane.pmd.portstring import PortString

__all__ = ["read_netem"]

_NUMBER = r"(\d+(?:\.\d+)?)"
_SHARE = re.compile(_NUMBER + r"(%?)")
_TIME = re.compile(_NUMBER + r"(ns|us|ms|s)")
_RATE = re.compile(_NUMBER + r"([kmg]?)(?:bit|bps)", re.IGNORECASE)
_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_BITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}


def read_netem(spec: PortString) -> Netem | None:
    """Parse the impairments of a port string's wire; None: no impairment. Raises ConfigError for values out of range.

    loss, corrupt, duplicate, reorder: a percentage with its sign, or a probability from 0 to 1. delay, jitter: with ns, us,
    ms or s. rate: with bit, kbit, mbit or gbit; bps means bits per second, too, where tc counts bytes. limit: frames.
    """
    rate = spec.word("rate", "")
    given = "limit" in spec.options
    limit = spec.integer("limit", 0)
    if given and not 1 <= limit <= LIMIT_MOST:
        raise ConfigError(f"{spec.text}: limit={limit}: expected 1 to {LIMIT_MOST} frames")
    try:
        netem = Netem(
            loss=_share(spec, "loss"),
            corrupt=_share(spec, "corrupt"),
            duplicate=_share(spec, "duplicate"),
            reorder=_share(spec, "reorder"),
            delay_ns=_time(spec, "delay"),
            jitter_ns=_time(spec, "jitter"),
            distribution=spec.word("distribution", "", DISTRIBUTIONS),
            rate=_rate(spec, rate) if rate else None,
            limit=limit,
            seed=spec.integer("seed", 0),
        )
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if text.startswith(f"{spec.text}: ") else f"{spec.text}: {text}") from None
    return netem or None


def _share(spec: PortString, key: str) -> float:
    text = spec.word(key, "0")
    found = _SHARE.fullmatch(text)
    value = float(found[1]) / (100 if found[2] else 1) if found else -1.0
    if not 0.0 <= value <= 1.0:
        raise ConfigError(
            f"{spec.text}: {key}={text}: expected a percentage, as in {key}=0.1%, or a probability from 0 to 1"
        )
    return value


def _time(spec: PortString, key: str) -> int:
    text = spec.word(key, "0ns")
    found = _TIME.fullmatch(text)
    if not found:
        raise ConfigError(
            f"{spec.text}: {key}={text}: expected a time with its unit, as in {key}=1ms (ns, us, ms, s)"
        )
    return round(float(found[1]) * _NS[found[2]])


def _rate(spec: PortString, text: str) -> float:
    found = _RATE.fullmatch(text)
    if not found:
        raise ConfigError(
            f"{spec.text}: rate={text}: expected bits per second with their unit, as in rate=1gbit (bit, kbit, mbit, gbit)"
        )
    return float(found[1]) * _BITS[found[2].lower()]
