# SPDX-License-Identifier: BSD-3-Clause
"""A network interface of the kernel: its address, MTU, state and link, by ioctl (linux/sockios.h, linux/if.h)."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import socket
import struct

from dataplane.errors import ConfigError, PortError
from dataplane.port import Link, format_mac, parse_mac

__all__ = ["NetDevice", "check_name"]

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCGIFMTU, _SIOCSIFMTU = 0x8921, 0x8922
_SIOCSIFHWADDR, _SIOCGIFHWADDR = 0x8924, 0x8927
_SIOCGIFINDEX, _SIOCETHTOOL = 0x8933, 0x8946
_ETHTOOL_GSET, _ETHTOOL_GLINK = 0x1, 0xA
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40
_ARPHRD_ETHER = 1


def check_name(port: str, name: str) -> str:
    """`name`, if the kernel takes it for an interface's. Raises ConfigError."""
    if len(name.encode()) > 15:
        raise ConfigError(f"{port}: {name!r} is longer than the 15 bytes an interface's name may have")
    if not re.fullmatch(r"[^\s/:]+", name) or name in (".", ".."):
        raise ConfigError(f"{port}: {name!r} is no interface's name: 'ip link' lists those there are")
    return name


class NetDevice:
    """The interface `name` of the network namespace that the caller is in now.

    port: the port string, for messages. Every verb raises PortError when the kernel refuses it.
    """

    def __init__(self, port: str, name: str) -> None:
        self.port = port
        self.name = check_name(port, name)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        """Let go of it; it stays as it is."""
        self._socket.close()

    def exists(self) -> bool:
        """Whether there is such an interface."""
        try:
            fcntl.ioctl(self._socket, _SIOCGIFINDEX, self._request(b""))
        except OSError:
            return False
        return True

    @property
    def index(self) -> int:
        """The kernel's number for it."""
        return int(struct.unpack_from("i", self._ask(_SIOCGIFINDEX, "find"))[0])

    @property
    def mac(self) -> str:
        """Its address."""
        return format_mac(self._ask(_SIOCGIFHWADDR, "read the address of")[2:8])

    @mac.setter
    def mac(self, value: str) -> None:
        self._ask(
            _SIOCSIFHWADDR,
            f"give the address {value} to",
            struct.pack("=H6s", _ARPHRD_ETHER, parse_mac(value)),
        )

    @property
    def mtu(self) -> int:
        """Bytes of payload."""
        return int(struct.unpack_from("i", self._ask(_SIOCGIFMTU, "read the MTU of"))[0])

    @mtu.setter
    def mtu(self, value: int) -> None:
        self._ask(_SIOCSIFMTU, f"set the MTU to {value} of", struct.pack("i", value))

    @property
    def flags(self) -> int:
        """IFF_*."""
        return int(struct.unpack_from("H", self._ask(_SIOCGIFFLAGS, "read the flags of"))[0])

    def check_ethernet(self) -> None:
        """Raise PortError for the loopback and for interfaces whose frames have no Ethernet header."""
        if self.flags & _IFF_LOOPBACK:
            raise PortError(
                f"{self.port}: {self.name} is the loopback, whose frames go nowhere: use one end of a pair, "
                "'ip link add A type veth peer name B'"
            )
        (family,) = struct.unpack_from("H", self._ask(_SIOCGIFHWADDR, "read the address of"))
        if family != _ARPHRD_ETHER:
            raise PortError(
                f"{self.port}: {self.name} has no Ethernet frames (its hardware type is {family}): use one that has"
            )

    def up(self) -> None:
        """Bring it up, if it is not."""
        flags = self.flags
        if not flags & _IFF_UP:
            self._ask(_SIOCSIFFLAGS, "bring up", struct.pack("H", flags | _IFF_UP))

    @property
    def link(self) -> Link:
        """The link: up when the interface is up and has a carrier; speed in Mbit/s from its driver, 0 if not known."""
        up = bool(self.flags & _IFF_UP) and self._carrier()
        return Link(up, self._speed() if up else 0)

    def _carrier(self) -> bool:
        """Asked of the driver: IFF_RUNNING follows a moment later. struct ethtool_value: the answer at 4."""
        answer = self._ethtool(struct.pack("II", _ETHTOOL_GLINK, 0))
        if answer is None:
            return bool(self.flags & _IFF_RUNNING)
        return answer[4:8] != bytes(4)

    def _speed(self) -> int:
        """Mbit/s, 0 when it is unknown. struct ethtool_cmd: speed at 12 (low) and 28 (high)."""
        answer = self._ethtool(struct.pack("I40x", _ETHTOOL_GSET))
        if answer is None:
            return 0
        (low,), (high,) = struct.unpack_from("H", answer, 12), struct.unpack_from("H", answer, 28)
        speed = int(high) << 16 | int(low)
        return 0 if speed in (0xFFFFFFFF, 0xFFFF) else speed

    def _ethtool(self, command: bytes) -> bytes | None:
        """The driver's answer to an ethtool command, None if it does not support the command."""
        room = ctypes.create_string_buffer(command, len(command))
        try:
            fcntl.ioctl(self._socket, _SIOCETHTOOL, self._request(struct.pack("P", ctypes.addressof(room))))
        except OSError:
            return None
        return room.raw

    def _request(self, argument: bytes) -> bytes:
        return struct.pack("16s24s", self.name.encode(), argument)

    def _ask(self, request: int, what: str, argument: bytes = b"") -> bytes:
        """One ioctl; returns what the kernel wrote behind the name."""
        try:
            return fcntl.ioctl(self._socket, request, self._request(argument))[16:]
        except OSError as error:
            raise PortError(
                f"{self.port}: cannot {what} {self.name}: {error.strerror}: {self._advice(error)}"
            ) from None

    def _advice(self, error: OSError) -> str:
        if error.errno == errno.ENODEV:
            return "'ip link' lists the interfaces that there are in this network namespace"
        if error.errno in (errno.EPERM, errno.EACCES):
            return f"run as root or with CAP_NET_ADMIN (this is user {os.geteuid()})"
        return "see 'dmesg' for the kernel's reason, or choose another value"
