# SPDX-License-Identifier: BSD-3-Clause
"""Every error this project raises on purpose. A message names the cause and the next step."""

from __future__ import annotations

__all__ = [
    "AppError",
    "BurstError",
    "ConfigError",
    "DataplaneError",
    "DatasheetViolation",
    "DeviceError",
    "DeviceGone",
    "DeviceTimeout",
    "FileError",
    "FileInUse",
    "GraphError",
    "LcoreStuck",
    "MempoolError",
    "MemoryExhausted",
    "PcapError",
    "PortError",
    "PortGone",
    "check_new",
]


class DataplaneError(Exception):
    """The root of them all."""


class ConfigError(DataplaneError, ValueError):
    """What was asked for makes no sense: a malformed port string, a ring size the chip refuses, ..."""


class GraphError(ConfigError):
    """A pipeline that cannot run: an unconnected edge, a queue used twice, a cycle, ..."""


class AppError(DataplaneError):
    """An app's own Python code raised; `__cause__` has its exception."""


class BurstError(DataplaneError):
    """A burst or packet was used after `process` returned, or given a value that does not fit it."""


class LcoreStuck(DataplaneError):
    """An lcore did not stop in time after `stop`: an app has not returned."""


class MemoryExhausted(DataplaneError, MemoryError):
    """No memory of the kind that was asked for."""


class MempoolError(DataplaneError):
    """A debug mempool found a double free, a foreign mbuf or a trampled canary."""


class FileError(DataplaneError):
    """A file that cannot be read or written: names it and the cause."""


class FileInUse(FileError, ConfigError):
    """A file that this program already reads or writes, or that another process writes."""


class PcapError(FileError):
    """A capture file that is not one, ends in the middle, or cannot be written."""


class PortError(DataplaneError):
    """A port that cannot be opened or does not do what was asked."""


class PortGone(PortError):
    """A port that was there and no longer is."""


class DeviceError(PortError):
    """A NIC that does not behave."""


class DeviceTimeout(DeviceError):
    """A wait that ended: names device, field, time and datasheet section."""


class DeviceGone(DeviceError, PortGone):
    """The device reads all ones: it was pulled out, reset under us, or its server died."""


class DatasheetViolation(DeviceError):
    """The strict model: a driver did what the datasheet forbids."""

    def __init__(self, message: str, *, register: str = "", value: int = 0, section: str = "") -> None:
        super().__init__(message)
        self.register = register
        self.value = value
        self.section = section


def check_new(made: object, attribute: str) -> None:
    """Raise ConfigError in a second ``__init__`` of an object: threads, queues and memory of the first would be lost.

    attribute: one that the first ``__init__`` set.
    """
    if attribute in made.__dict__:
        raise ConfigError(f"this {type(made).__name__} is made already: make another")
