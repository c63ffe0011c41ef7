# SPDX-License-Identifier: BSD-3-Clause
"""Impairments of a wire, with the names of Linux's netem (tc-netem(8))."""

from __future__ import annotations

from dataclasses import dataclass

from dataplane.errors import ConfigError

__all__ = ["DISTRIBUTIONS", "LIMIT_MOST", "Netem"]

DISTRIBUTIONS = ("uniform", "normal")
LIMIT_MOST = 1_000_000  # frames
DELAY_MOST = 60_000_000_000  # ns
_SHARES = ("loss", "corrupt", "duplicate", "reorder")


@dataclass(frozen=True)
class Netem:
    """One setting for both directions of a wire; each direction draws for itself.

    loss, corrupt, duplicate: probability for each frame to vanish, to arrive with a flipped bit and so a wrong FCS, to
    arrive twice. delay_ns: how long a frame is under way, jitter_ns: by how much that varies: at most (distribution
    "uniform") or as the standard deviation ("normal", cut off at 0). Frames whose delays differ may overtake each other, as
    in netem. reorder: probability for each frame to be there at once while others wait for their delay. rate: bit/s of the
    line, on which a frame takes 24 bytes more than it has (FCS, preamble, gap); None: as fast as the host goes. limit:
    frames in flight, beyond which more are dropped; 0: the sender waits for the line instead. seed: of all that is drawn,
    which depends on the number of the frame and on nothing else.

    Raises ConfigError for what makes no sense.
    """

    loss: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ns: int = 0
    jitter_ns: int = 0
    distribution: str = ""
    rate: float | None = None
    limit: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for key in _SHARES:
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise ConfigError(f"{key}={getattr(self, key):g}: a probability lies between 0 and 1")
        if not 0 <= self.delay_ns <= DELAY_MOST:
            raise ConfigError(f"delay={self.delay_ns} ns: expected 0 to {DELAY_MOST // 10**9} s")
        if self.jitter_ns < 0:
            raise ConfigError(f"jitter={self.jitter_ns} ns: it cannot be negative")
        if self.reorder and not self.delay_ns:
            raise ConfigError("reorder needs a delay: frames that do not wait cannot be overtaken")
        if self.jitter_ns > self.delay_ns:
            raise ConfigError(
                f"jitter={_time(self.jitter_ns)} with delay={_time(self.delay_ns)}: a frame would arrive before "
                f"it was sent; jitter is at most the delay"
            )
        if self.distribution and self.distribution not in DISTRIBUTIONS:
            raise ConfigError(f"distribution={self.distribution}: expected one of {', '.join(DISTRIBUTIONS)}")
        if self.distribution and not self.jitter_ns:
            raise ConfigError(f"distribution={self.distribution} is that of jitter: give jitter=, too")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise ConfigError(
                f"rate={self.rate:g} bit/s carries nothing: give a positive rate, or none for no limit"
            )
        if not 0 <= self.limit <= LIMIT_MOST:
            raise ConfigError(f"limit={self.limit}: expected 1 to {LIMIT_MOST} frames")
        if self.limit and not (self.delay_ns or self.rate):
            raise ConfigError(f"limit={self.limit} needs a rate or a delay: without them no frame waits")
        if not 0 <= self.seed < 1 << 63:
            raise ConfigError(f"seed={self.seed}: expected 0 to {(1 << 63) - 1}")

    def __bool__(self) -> bool:
        """Whether it does anything to any frame."""
        return bool(any(getattr(self, key) for key in _SHARES) or self.delay_ns or self.rate is not None)

    def __str__(self) -> str:
        """In netem's words: "loss 0.1%, delay 1ms, jitter 100us"."""
        words = [f"{key} {getattr(self, key) * 100:g}%" for key in _SHARES if getattr(self, key)]
        if self.delay_ns:
            words.append(f"delay {_time(self.delay_ns)}")
        if self.jitter_ns:
            words.append(f"jitter {_time(self.jitter_ns)} {self.distribution or DISTRIBUTIONS[0]}")
        if self.rate is not None:
            words.append(f"rate {_rate(self.rate)}")
        if self.limit:
            words.append(f"limit {self.limit}")
        if self.seed:
            words.append(f"seed {self.seed}")
        return ", ".join(words)


def _time(ns: int) -> str:
    for size, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "us")):
        if ns >= size:
            return f"{ns / size:g}{unit}"
    return f"{ns}ns"


def _rate(bits: float) -> str:
    for size, unit in ((1e9, "gbit"), (1e6, "mbit"), (1e3, "kbit")):
        if bits >= size:
            return f"{bits / size:g}{unit}"
    return f"{bits:g}bit"
