# SPDX-License-Identifier: BSD-3-Clause
"""The settings of a PF's VFs in a TOML file, which outlives the PF's process.

It has a table for each VF, with the settings that differ from their defaults::

    [vf.1]
    mac = "02:00:00:00:00:11"
    vlan = 7
    trust = true

The file is checked as a whole before any setting takes effect. It is rewritten whenever a setting changes.
"""

from __future__ import annotations

import json
import os
import re
import threading
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.ixgbe.errors import SettingRefused
from dataplane.pmd.ixgbe.sriov.settings import SETTINGS, VfSettings, default_settings
from dataplane.pmd.ixgbe.sriov.state import VfState
from dataplane.pmd.ixgbe.sriov.table import VfTable

__all__ = ["SettingsFile"]

_HEADER = """\
# Settings of the VFs of a PF: 'dataplane vf set' rewrites this file, and drops your comments.
# One table [vf.N] for each VF N. A missing key has its default:
"""


class SettingsFile:
    """The file at `path`. name: the PF's, for error messages. vfs: how many VFs the PF has."""

    def __init__(self, path: Path, name: str, vfs: int) -> None:
        self.path, self.name, self.vfs = path, name, vfs
        self._text = ""
        self._lock = threading.Lock()  # several threads may change settings

    # ---- reading -------------------------------------------------------------------------------------------------

    def read(self) -> dict[int, VfSettings]:
        """Return the settings of each VF that the file names, none if the file is missing.

        Raises ConfigError with line and key.
        """
        try:
            self._text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError as error:
            raise ConfigError(f"{self.path}: byte {error.start} is no UTF-8: expected a TOML file") from None
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror or error}") from None
        try:
            found = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{self.path}: {error}: expected TOML, as in [vf.1] and vlan = 7 below it"
            ) from None
        for key in found:
            if key != "vf":
                raise self._wrong((key,), "unknown key, expected tables [vf.N]")
        tables = found.get("vf", {})
        if not isinstance(tables, dict):
            raise self._wrong(("vf",), "expected tables [vf.N]")
        return dict(self._settings(number, table) for number, table in tables.items())

    def _settings(self, number: str, table: object) -> tuple[int, VfSettings]:
        at = "vf", number
        if not re.fullmatch(r"0|[1-9]\d{0,3}", number) or int(number) >= self.vfs:
            raise self._wrong(at, f"{self.name} has VFs 0 to {self.vfs - 1}")
        if not isinstance(table, dict):
            raise self._wrong(at, f"expected a table [vf.{number}]")
        values: dict[str, Any] = {}
        for key, value in table.items():
            row = SETTINGS.get(key)
            if row is None:
                raise self._wrong((*at, key), f"unknown key, expected one of {', '.join(SETTINGS)}")
            if type(value) is not row.kind.plain_type:
                raise self._wrong((*at, key), f"{value!r} is no value of it, expected {row.kind.expected}")
            try:
                values[key] = row.parse(_text(value))
            except ConfigError as error:
                raise self._wrong((*at, key), str(error)) from None
        return int(number), replace(default_settings(), **values)

    def restore(self, table: VfTable, settings: Mapping[int, VfSettings]) -> None:
        """Have settings that were read take effect, all or none. Raises ConfigError, with line and key, for settings that
        this port cannot have."""
        try:
            table.restore(settings)
        except SettingRefused as error:
            raise self._wrong(("vf", str(error.vf), error.name), str(error)) from None

    def _wrong(self, key: tuple[str, ...], why: str) -> ConfigError:
        line = _line_of(self._text, key)
        return ConfigError(f"{self.path}:{line}: {'.'.join(key)}: {why}")

    # ---- writing -------------------------------------------------------------------------------------------------

    def save(self, vfs: Iterable[VfState]) -> None:
        """Rewrite the file atomically. Raises PortError if it cannot be written."""
        with self._lock:
            self._save(vfs)

    def _save(self, vfs: Iterable[VfState]) -> None:
        text = _HEADER + "".join(f"# {line}\n" for line in _lines(default_settings(), every=True))
        for state in vfs:
            if lines := _lines(state.settings):
                text += "\n".join(("", f"[vf.{state.number}]", *lines, ""))
        try:
            _replace(self.path, text)
        except OSError as error:
            raise PortError(
                f"{self.name}: {self.path} cannot be written ({error.strerror or error}): its settings hold until this PF "
                f"is closed, and are not saved"
            ) from None
        self._text = text


def _text(value: Any) -> str:
    """A plain value as `Setting.parse` takes it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _lines(settings: VfSettings, every: bool = False) -> list[str]:
    """A line of TOML for each setting that differs from its default; every: for each setting."""
    made = []
    for name, row in SETTINGS.items():
        if every or getattr(settings, name) != row.default:
            made.append(
                f"{name} = {json.dumps(row.plain(settings))}"
            )  # JSON and TOML write these values alike
    return made


def _line_of(text: str, key: tuple[str, ...]) -> int:
    """The line that sets `key`, otherwise the last line that opens a table around it, otherwise 1."""
    best, at = 0, 1
    prefix: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[([^\[\]]+)\]", line)
        said = re.match(r"\s*([\w\s.\"'-]+?)\s*=", line)
        if head:
            prefix = path = _parts(head[1])
        elif said:
            path = prefix + _parts(said[1])
        else:
            continue
        if len(path) > best and path == key[: len(path)]:
            best, at = len(path), number
    return at


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in text.split("."))


def _replace(path: Path, text: str) -> None:
    """Write a new file and rename it to `path`: after a crash one of the two is there, whole. The mode stays."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
