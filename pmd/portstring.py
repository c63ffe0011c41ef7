# SPDX-License-Identifier: BSD-3-Clause
"""A port string taken apart: scheme, target, options, and the options read with the checks they need."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from dataplane.errors import ConfigError

__all__ = ["PortString"]

_YES, _NO = {"1", "on", "yes", "true"}, {"0", "off", "no", "false"}


@dataclass
class PortString:
    """``scheme:target,key=value,...``; a NIC's name has no scheme.

    text: the whole string, which is the port's name. Read options with `integer`, `number`, `flag` and `word`, then
    call `done`, which refuses options that were not read.
    """

    text: str
    scheme: str
    target: str
    options: dict[str, str]
    _known: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, scheme: str, rest: str) -> PortString:
        """``rest`` is what follows ``scheme:``. A comma in a file name stays one unless ``key=`` follows it."""
        at = re.search(r",(?=[a-z_]+=)", rest)
        target, options = (rest[: at.start()], rest[at.start() :]) if at else (rest, "")
        return cls.split_options(text, scheme, target, options)

    @classmethod
    def split_options(cls, text: str, scheme: str, target: str, options: str) -> PortString:
        """``options`` is empty or begins with a comma."""
        found: dict[str, str] = {}
        for piece in options.split(",")[1:]:
            key, equals, value = piece.partition("=")
            if not equals or not re.fullmatch(r"[a-z_]+", key) or not value:
                raise ConfigError(f"{text}: {piece!r} is no option: write ,key=value")
            if key in found:
                raise ConfigError(f"{text}: {key} is said twice")
            found[key] = value
        return cls(text, scheme, target, found)

    def integer(self, key: str, default: int) -> int:
        """A whole number, 0x... allowed. Its range is the reader's to check."""
        value = self._take(key)
        if value is None:
            return default
        try:
            return int(value, 0)
        except ValueError:
            raise ConfigError(f"{self.text}: {key}={value}: expected an integer") from None

    def number(self, key: str, default: float) -> float:
        """A number, which need not be whole. Its range is the reader's to check."""
        value = self._take(key)
        if value is None:
            return default
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise ConfigError(f"{self.text}: {key}={value}: expected a number")
        return found

    def flag(self, key: str, default: bool) -> bool:
        """on or off (1, 0, yes, no, true, false)."""
        value = self._take(key)
        if value is None:
            return default
        if value.lower() not in _YES | _NO:
            raise ConfigError(f"{self.text}: {key}={value}: expected on or off")
        return value.lower() in _YES

    def word(self, key: str, default: str, allowed: Iterable[str] = ()) -> str:
        """Any text, or one of `allowed`."""
        value, words = self._take(key), tuple(allowed)
        if value is None:
            return default
        if words and value not in words:
            raise ConfigError(f"{self.text}: {key}={value}: expected one of {', '.join(words)}")
        return value

    def done(self) -> None:
        """Raise ConfigError for an option that was not read."""
        for key in self.options:
            if key not in self._known:
                can = f"it knows {', '.join(sorted(self._known))}" if self._known else "it has no options"
                raise ConfigError(f"{self.text}: no option {key!r}: {can}")

    def _take(self, key: str) -> str | None:
        self._known.append(key)
        return self.options.get(key)
