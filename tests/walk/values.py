# SPDX-License-Identifier: BSD-3-Clause
"""What a walk passes: plausible values by the name of a parameter, odd ones, and whatever it has made so far."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FRAME = bytes.fromhex(
    "020000000002 020000000001 0800 4500002e00000000401100000a0000010a000002 00010002001a0000"
) + bytes(20)
INTEGERS = (0, 1, 2, 3, 7, 8, 16, 32, 63, 64, 65, 127, 255, 256, 257, 300, 1000, 2048, 4096)
EDGES = (
    -1,
    -(1 << 31),
    -(1 << 63),
    65535,
    65536,
    (1 << 24) + 1,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    1 << 63,
    1 << 64,
)
WORDS = (
    "",
    "x",
    "rx",
    "tx",
    "out",
    "copy",
    "error",
    "kept",
    "auto",
    "no",
    "packet",
    "burst",
    "even",
    "a" * 300,
    "\0",
    "ü",
    "%s{}",
)
PORTS = (
    "null:",
    "null:size=1500",
    "ring:walk",
    "ring:a>b",
    "ring:b>a,single=on",
    "pcap:",
    "model7:",
    "nonsense",
    "null:size=-1",
)


class Slow:
    """A number, an array and a sequence, each after `seconds`: the burst of the code that converts it may be over then."""

    def __init__(self, value: Any, seconds: float = 0.002) -> None:
        self.value, self.seconds = value, seconds

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        time.sleep(self.seconds)
        return np.asarray(self.value, dtype)

    def __index__(self) -> int:
        time.sleep(self.seconds)
        return 3

    def __iter__(self) -> Any:
        time.sleep(self.seconds)
        return iter((self.value, self.value))

    def __le__(self, other: Any) -> bool:
        time.sleep(self.seconds)
        return True

    __ge__ = __lt__ = __gt__ = __le__


class Liar(int):
    """A number whose operators are its own."""

    def __mod__(self, other: Any) -> int:
        return 1 << 20

    def __and__(self, other: Any) -> Any:
        return "not a number"

    def __le__(self, other: Any) -> bool:
        return True

    __ge__ = __lt__ = __gt__ = __le__

    def __len__(self) -> int:
        return 1 << 40


class Raising:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __len__(self) -> int:
        raise KeyError("no length")

    def __iter__(self) -> Any:
        raise OSError("no iterator")


class Values:
    """rng: the walk's; zoo: what it has made; folder: where its files are."""

    def __init__(self, rng: random.Random, zoo: Callable[[str | None], Any], folder: Path) -> None:
        self.rng, self.zoo, self.folder = rng, zoo, folder

    def for_parameter(self, name: str) -> Any:
        """A value for a parameter of that name: plausible, from the zoo, or odd."""
        dice = self.rng.random()
        if dice < 0.55:
            return self.plausible(name)
        return self.zoo(None) if dice < 0.75 else self.odd()

    def plausible(self, name: str) -> Any:
        """A value that follows the documentation of the parameter `name`."""
        rng, stem = self.rng, name.rstrip("0123456789_")
        if stem in ("timeout", "seconds", "patience", "duration", "interval", "until"):
            return rng.choice((0, 0.0, 0.001, 0.005, -1, float("nan")))
        if stem in ("laps", "steps", "rounds", "bursts", "count", "loops", "repeat"):
            return rng.choice((0, 1, 2, 10, 100, None))
        if stem in KINDS:
            return self.zoo(KINDS[stem])
        if stem in ("frames", "values", "objs", "packets"):
            return [
                FRAME[: rng.choice((14, 40, len(FRAME)))] * rng.choice((1, 1, 30))
                for _ in range(rng.choice((0, 1, 3, 40)))
            ]
        if stem in ("frame", "data", "content"):
            return rng.choice((FRAME, b"", bytes(1500), bytearray(FRAME), memoryview(FRAME)))
        if stem in ("addresses", "address"):
            return rng.choice(([1], [4096, 0], 4096, 1 << 47, []))
        if stem in ("path", "file", "source", "target", "record", "play", "folder"):
            return rng.choice(
                (
                    str(self.folder / f"{rng.randrange(3)}.pcap"),
                    str(self.folder / "none" / "x"),
                    str(self.folder),
                )
            )
        if stem in ("edges", "optional", "drops"):
            return rng.choice((("out",), (), tuple(f"e{n}" for n in range(rng.choice((2, 16, 17, 300))))))
        if stem in ("name", "kind", "reason", "edge", "per", "form", "gaps", "simd", "hugepages"):
            return rng.choice(WORDS)
        if stem in ("text", "spec", "string"):
            return rng.choice(PORTS)
        if stem in ("mask", "value"):
            return rng.choice(
                (
                    True,
                    1,
                    Slow(np.ones(4, bool)),
                    np.ones(rng.choice((1, 4, 32)), rng.choice("?BHIQbhiqfd")),
                    "02:00:00:00:00:01",
                )
            )
        if stem in ("lcores",):
            return rng.choice(((None,), (None, None), (), (1 << 20,)))
        if stem in ("memory", "block"):
            return self.zoo("Block")
        return rng.choice(INTEGERS)

    def odd(self) -> Any:
        """A value that no program would pass."""
        rng = self.rng
        return rng.choice(
            (
                lambda: None,
                lambda: rng.choice(EDGES),
                lambda: rng.choice(INTEGERS),
                lambda: rng.choice((1.5, float("nan"), float("inf"), -0.0, 1e300)),
                lambda: rng.choice(WORDS),
                lambda: rng.choice((b"", FRAME, bytes(70000), bytearray(3))),
                lambda: rng.choice(((), [], {}, set(), ..., object(), type, len)),
                lambda: [self.odd() for _ in range(rng.choice((1, 2, 9)))],
                lambda: Slow(rng.choice((1, np.arange(4), True))),
                Raising,
                lambda: Liar(rng.choice((0, 1, 5))),
                lambda: np.zeros(rng.choice(((4,), (4, 4), (0,), (2, 0, 3), ())), rng.choice("?BHIQbhiqfdS")),
                lambda: np.arange(64, dtype=rng.choice(("<u4", ">u4", "u8")))[:: rng.choice((-1, 2, 3))],
                lambda: lambda *arguments, **keywords: self.odd(),
                lambda: iter([1, "x", None]),
            )
        )()


# Parameters that take one of our own things, and which.
KINDS = {
    "mempool": "Mempool", "pool": "Mempool", "arena": "Arena", "ring": "Ring", "queue": "Queue", "port": "Port",
    "app": "App", "apps": "Apps", "queues": "Queues", "links": "Links", "field": "Field", "key": "Field", "one": "Field",
    "other": "Field", "pipelines": "Pipelines", "pipeline": "Pipeline", "chains": "Chain", "stage": "App", "to": "App",
    "flows": "Flows", "registers": "RegisterFile", "interrupts": "Interrupts", "clock": "Clock", "lock": "CardLock",
    "engine": "Engine", "a": "Engine", "b": "Engine", "card": "Card", "loop": "Loop", "domain": "Domain",
    "bells": "Doorbells", "wire": "Wire", "graph": "Graph", "graphs": "Graphs", "line": "Register", "register": "Register",
}  # fmt: skip
