# SPDX-License-Identifier: BSD-3-Clause
"""What an administrator has decided about a PF's VFs, in a TOML file that outlives the PF's process.

A table a VF, and in it what differs from the default::

    [vf.1]
    mac = "02:00:00:00:00:11"
    vlan = 7
    trust = true

The file is checked as a whole before any of it holds, and written anew, at once, whenever a setting changes.
"""

from __future__ import annotations

import os
import re
import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dataplane.errors import ConfigError, PortError
from dataplane.pmd.ixgbe.sriov.policy import SETTINGS, VfPolicy, VfState
from dataplane.pmd.ixgbe.sriov.sriov import Sriov

__all__ = ["VfStateFile"]

_HEADER = """\
# Settings of the VFs of a PF: 'dataplane vf set' rewrites this file, and drops your comments.
# One table [vf.N] for each VF N. A missing key has its default:
"""
_KINDS = {bool: "true or false", int: "an integer", bytes: 'a text, as in "02:00:00:00:00:11"', str: "a text"}


class VfStateFile:
    """The file at `path`. name: the PF's, for messages; vfs: how many VFs it has."""

    def __init__(self, path: Path, name: str, vfs: int) -> None:
        self.path, self.name, self.vfs = path, name, vfs
        self._text = ""
        self._lock = threading.Lock()  # settings come from several threads

    # ---- reading -------------------------------------------------------------------------------------------------

    def read(self) -> dict[int, VfPolicy]:
        """The policy of each VF that it names; none if there is no file. Raises ConfigError that names line and key."""
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
        return dict(self._policy(number, table) for number, table in tables.items())

    def _policy(self, number: str, table: object) -> tuple[int, VfPolicy]:
        at = "vf", number
        if not re.fullmatch(r"0|[1-9]\d{0,3}", number) or int(number) >= self.vfs:
            raise self._wrong(at, f"{self.name} has VFs 0 to {self.vfs - 1}")
        if not isinstance(table, dict):
            raise self._wrong(at, f"expected a table [vf.{number}]")
        policy = VfPolicy()
        for key, value in table.items():
            if key not in SETTINGS:
                raise self._wrong((*at, key), f"unknown key, expected one of {', '.join(SETTINGS)}")
            kind = type(getattr(VfPolicy(), key))
            if type(value) is not (str if kind is bytes else kind):
                raise self._wrong((*at, key), f"{value!r} is no value of it, expected {_KINDS[kind]}")
            try:
                setattr(policy, key, policy.parse(key, _word(value)))
            except ConfigError as error:
                raise self._wrong((*at, key), str(error)) from None
        return int(number), policy

    def restore(self, sriov: Sriov, policies: Mapping[int, VfPolicy]) -> None:
        """Let policies that were read hold, all or none. Raises ConfigError for what this port cannot do."""
        with sriov.lock:
            before = [state.policy for state in sriov.vfs]
            for number, policy in policies.items():
                sriov.vfs[number].policy = policy
            try:
                for number, policy in policies.items():
                    self._checked(number, "mac", sriov.addresses.check, sriov.vfs[number], policy)
                    self._checked(number, "max_tx_rate", sriov.rates.check, policy.max_tx_rate)
            except ConfigError:
                for state, policy in zip(sriov.vfs, before, strict=True):
                    state.policy = policy
                raise

    def _checked(self, number: int, key: str, check: Callable[..., object], *what: object) -> None:
        try:
            check(*what)
        except ConfigError as error:
            raise self._wrong(("vf", str(number), key), str(error)) from None

    def _wrong(self, key: tuple[str, ...], why: str) -> ConfigError:
        line = _line_of(self._text, key)
        return ConfigError(f"{self.path}:{line}: {'.'.join(key)}: {why}")

    # ---- writing -------------------------------------------------------------------------------------------------

    def save(self, vfs: Iterable[VfState]) -> None:
        """Write it anew, whole or not at all. Raises PortError."""
        with self._lock:
            self._save(vfs)

    def _save(self, vfs: Iterable[VfState]) -> None:
        text = _HEADER + "".join(f"# {line}\n" for line in _lines(VfPolicy(), every=True))
        for state in vfs:
            if lines := _lines(state.policy):
                text += "\n".join(("", f"[vf.{state.number}]", *lines, ""))
        try:
            _replace(self.path, text)
        except OSError as error:
            raise PortError(
                f"{self.name}: {self.path} cannot be written ({error.strerror or error}): its settings hold until this PF "
                f"is closed, and are not saved"
            ) from None
        self._text = text


def _word(value: Any) -> str:
    """As `VfPolicy.parse` takes it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _lines(policy: VfPolicy, every: bool = False) -> list[str]:
    """A line of TOML for each setting, or only for those that differ from the default."""
    default, words = VfPolicy(), policy.words()
    made = []
    for name in SETTINGS:
        value = getattr(policy, name)
        if every or value != getattr(default, name):
            # No text of a setting has a quote or a backslash.
            text = str(value).lower() if isinstance(value, bool | int) else f'"{words[name]}"'
            made.append(f"{name} = {text}")
    return made


def _line_of(text: str, key: tuple[str, ...]) -> int:
    """The line that sets `key`, or the last that opens a table on the way to it; 1 if it cannot be found."""
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
    """A new file takes the place of the old one, whose mode it has; after a crash there is the one or the other."""
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
