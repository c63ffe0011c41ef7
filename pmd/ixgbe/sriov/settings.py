# SPDX-License-Identifier: BSD-3-Clause
"""The settings of a VF, in the words of ``ip link set PF vf N``: a row for each, and nowhere else a list of them.

The checks, the registers, ``port.vfs``, `dataplane vf set` and `show` with their help, and the settings file go through the
rows. So a new setting is a new row here, and a method of `VfTable` if it is in a register. A test compares the table in
docs/sriov.md with the rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from dataplane.errors import ConfigError
from dataplane.port import format_mac, parse_mac

__all__ = ["SETTINGS", "Setting", "VfSettings", "default_settings", "row_of", "rows_of", "setting"]

# IEEE 802.1Q 9.6: 4095 is reserved. It is not taken from the datasheet's package, whose import would slow `--help` down.
VLAN_LAST = 4094
_ON, _OFF = ("on", "1", "true"), ("off", "0", "false")


# ---- kinds of values -------------------------------------------------------------------------------------------------


class ValueKind(ABC):
    """How the values of a setting are read and printed. A plain value is one that JSON and TOML have: bool, int or str."""

    plain_type: type = str
    expected = "a text"  # the type that a file must have, for its errors

    @abstractmethod
    def parse(self, name: str, text: str) -> Any:
        """The value that `text` means, for setting `name`. Raises ConfigError with what is allowed."""

    def plain(self, value: Any) -> bool | int | str:
        """The value as JSON and TOML have it."""
        return value  # type: ignore[no-any-return]

    def shown(self, name: str, plain: Any) -> str:
        """The text of `dataplane vf show` for a plain value; "" for nothing."""
        return f"{name} {plain}"


class OnOff(ValueKind):
    """True or False."""

    plain_type, expected = bool, "true or false"

    def parse(self, name: str, text: str) -> bool:
        """True for on, 1, true; False for off, 0, false."""
        if text.lower() not in _ON + _OFF:
            raise ConfigError(f"{name} {text}: expected on or off")
        return text.lower() in _ON

    def shown(self, name: str, plain: Any) -> str:
        """Always printed: the default is no reason to hide it."""
        return f"{name} {'on' if plain else 'off'}"


@dataclass(frozen=True)
class Number(ValueKind):
    """An integer from 0 to `most`; 0 is the absence of what is set. unit: printed behind it."""

    most: int
    unit: str = ""
    plain_type, expected = int, "an integer"

    def parse(self, name: str, text: str) -> int:
        """The integer, decimal or with 0x."""
        try:
            number = int(text, 0)
        except ValueError:
            raise ConfigError(f"{name} {text}: expected an integer") from None
        if not 0 <= number <= self.most:
            raise ConfigError(f"{name} {text}: must be 0 to {self.most}")
        return number

    def shown(self, name: str, plain: Any) -> str:
        """The number and its unit, nothing for 0."""
        return f"{name} {plain}{self.unit}" if plain else ""


@dataclass(frozen=True)
class Choice(ValueKind):
    """One of several words."""

    words: tuple[str, ...]

    def parse(self, name: str, text: str) -> str:
        """The word itself."""
        if text not in self.words:
            raise ConfigError(f"{name} {text}: expected one of {', '.join(self.words)}")
        return text


class UnicastMac(ValueKind):
    """A unicast MAC address as bytes; b"" leaves the choice to the PF, and ``ip`` writes that as zeros."""

    expected = 'a text, as in "02:00:00:00:00:11"'

    def parse(self, name: str, text: str) -> bytes:
        """The 6 bytes, b"" for zeros."""
        mac = parse_mac(text)
        if mac[0] & 1:
            raise ConfigError(f"{name} {text}: a multicast address cannot be a VF's own")
        return mac if any(mac) else b""

    def plain(self, value: Any) -> str:
        """Six pairs of hex digits with colons."""
        return format_mac(value or bytes(6))

    def shown(self, name: str, plain: Any) -> str:
        """As ``ip link show`` prints an address."""
        return f"link/ether {plain}"


# ---- rows ------------------------------------------------------------------------------------------------------------


class Enforcer(Protocol):
    """What the rows call: `VfTable`. vf: its number. All methods are called with the table's lock held.

    `check_...` raises ConfigError for settings that this port cannot have. `apply_...` puts the settings that the VF has now
    into effect; while the PF is down only tables are changed, and its start writes the registers.
    """

    def check_mac(self, vf: int, settings: VfSettings) -> None: ...
    def check_vlan(self, vf: int, settings: VfSettings) -> None: ...
    def check_max_tx_rate(self, vf: int, settings: VfSettings) -> None: ...
    def apply_mac(self, vf: int) -> None: ...
    def apply_vlan(self, vf: int) -> None: ...
    def apply_max_tx_rate(self, vf: int) -> None: ...
    def apply_spoofchk(self, vf: int) -> None: ...
    def apply_trust(self, vf: int) -> None: ...
    def apply_state(self, vf: int) -> None: ...


Check = Callable[[Enforcer, int, "VfSettings"], None]
Apply = Callable[[Enforcer, int], None]


@dataclass(frozen=True)
class Setting:
    """One row. `setting` makes it from a field of `VfSettings`, which adds name and default."""

    kind: ValueKind
    value: str  # stands for the value in help and documents: "VID"
    help: str  # its effect, in whole sentences
    check: Check | None  # called before the setting changes
    apply: Apply | None  # called after it has changed
    restart: bool  # a driver that uses the VF must reinitialise to notice
    again: bool  # the same value, set again, overrides what the VF has chosen meanwhile
    name: str = ""
    default: Any = None

    def parse(self, text: str) -> Any:
        """The value that `text` means. Raises ConfigError."""
        return self.kind.parse(self.name, text)

    def plain(self, settings: VfSettings) -> bool | int | str:
        """This setting as JSON and TOML have it."""
        return self.kind.plain(getattr(settings, self.name))

    def text(self, settings: VfSettings) -> str:
        """This setting as `parse` takes it."""
        plain = self.plain(settings)
        return ("on" if plain else "off") if isinstance(plain, bool) else str(plain)

    def shown(self, plain: Any) -> str:
        """The text of `dataplane vf show` for a plain value; "" for nothing."""
        return self.kind.shown(self.name, plain)

    @property
    def usage(self) -> str:
        """As in ``vlan VID``."""
        return f"{self.name} {self.value}"


def setting(
    default: Any,
    kind: ValueKind,
    value: str,
    help: str,
    *,
    check: Check | None = None,
    apply: Apply | None = None,
    restart: bool = False,
    again: bool = False,
) -> Any:
    """A field of `VfSettings`, and its row: see the attributes of `Setting`."""
    row = Setting(kind, value, help, check, apply, restart, again)
    return field(default=default, metadata={"row": row})


@dataclass(frozen=True)
class VfSettings:
    """The settings of one VF. Only its PF's administrator changes them; they outlive the drivers that use the VF."""

    mac: bytes = setting(
        b"",
        UnicastMac(),
        "LLADDR",
        "Sets the VF's address. Only a trusted VF may change it. Without this setting the PF chooses an address, and the VF "
        "may change to any address that is not in use on this port",
        check=lambda table, vf, settings: table.check_mac(vf, settings),
        apply=lambda table, vf: table.apply_mac(vf),
        restart=True,
        again=True,
    )
    vlan: int = setting(
        0,
        Number(VLAN_LAST),
        "VID",
        "Sets a port VLAN. The chip tags what the VF sends, and drops frames that the VF tags itself",
        check=lambda table, vf, settings: table.check_vlan(vf, settings),
        apply=lambda table, vf: table.apply_vlan(vf),
        restart=True,
    )
    qos: int = setting(
        0,
        Number(7),
        "0..7",
        "Sets the priority in the tag of the port VLAN",
        apply=lambda table, vf: table.apply_vlan(vf),
        restart=True,
    )
    max_tx_rate: int = setting(
        0,
        Number(10_000, "Mbps"),
        "MBIT",
        "Limits what all its queues together send, in Mbit/s. 0: no limit",
        check=lambda table, vf, settings: table.check_max_tx_rate(vf, settings),
        apply=lambda table, vf: table.apply_max_tx_rate(vf),
    )
    spoofchk: bool = setting(
        True,
        OnOff(),
        "on/off",
        "Drops frames with a source address or a VLAN that is not the VF's. Default: on",
        apply=lambda table, vf: table.apply_spoofchk(vf),
    )
    trust: bool = setting(
        False,
        OnOff(),
        "on/off",
        "Allows the VF to receive all multicast frames, to change an address that was set, and to share an address with "
        "another VF",
        check=lambda table, vf, settings: table.check_mac(vf, settings),
        apply=lambda table, vf: table.apply_trust(vf),
        restart=True,
    )
    query_rss: bool = setting(
        False,
        OnOff(),
        "on/off",
        "Allows the VF to read the RSS key and table",
    )
    state: str = setting(
        "auto",
        Choice(("auto", "enable", "disable")),
        "auto/enable/disable",
        "Sets its link: that of the port, or off",
        apply=lambda table, vf: table.apply_state(vf),
        restart=True,
    )

    @property
    def port_vlan(self) -> bool:
        """Whether the PF tags the VF's frames, and accepts no tag from the VF."""
        return bool(self.vlan or self.qos)


def rows_of(kind: type[VfSettings]) -> dict[str, Setting]:
    """The rows of `VfSettings`, or of a subclass that adds some, by name."""
    found = {}
    for each in fields(kind):
        row: Setting = each.metadata["row"]
        values = {name: getattr(row, name) for name in Setting.__dataclass_fields__}
        found[each.name] = Setting(**values | {"name": each.name, "default": each.default})
    return found


SETTINGS = rows_of(VfSettings)


def default_settings() -> VfSettings:
    """The settings of a VF of which nothing was set."""
    return VfSettings()


def row_of(name: str) -> Setting:
    """The row of that name. Raises ConfigError with the names of all."""
    if name not in SETTINGS:
        raise ConfigError(f"{name}: expected one of {', '.join(SETTINGS)}")
    return SETTINGS[name]
