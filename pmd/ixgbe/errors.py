# SPDX-License-Identifier: BSD-3-Clause
"""Errors between a PF and its VFs, and the error of a queue whose device is gone."""

from __future__ import annotations

from typing import Any

from dataplane.errors import ConfigError, DeviceError, DeviceGone, DeviceTimeout, PortError

__all__ = [
    "FrameRefused",
    "MailboxRefused",
    "MailboxSilent",
    "PfNotUp",
    "PfWasReset",
    "VfRequestRefused",
    "SettingRefused",
    "VfsInUse",
    "queue_gone",
]


class MailboxSilent(DeviceTimeout):
    """The PF did not answer in time."""


class MailboxRefused(PortError):
    """The PF answered no. words: its answer."""

    def __init__(self, text: str, words: tuple[int, ...] = ()) -> None:
        super().__init__(text)
        self.words = words


class FrameRefused(MailboxRefused):
    """The PF refuses the largest frame that a VF wants, and has not forgotten the VF (SET_LPE).

    largest: the frame that the PF takes, bytes with FCS; 0 if it does not say.
    """

    def __init__(self, refused: MailboxRefused, largest: int) -> None:
        super().__init__(str(refused), refused.words)
        self.largest = largest


class PfWasReset(DeviceError):
    """The PF was reset while a VF waited for it: the VF's driver reinitialises."""


class PfNotUp(DeviceError):
    """No driver runs the PF of a VF, or the PF does not answer."""


class VfRequestRefused(Exception):
    """A VF asked for what it does not get; the text says why. words: what the answer has after its first word."""

    def __init__(self, why: str, words: tuple[int, ...] = ()) -> None:
        super().__init__(why)
        self.words = words


class SettingRefused(ConfigError):
    """A setting that was to be restored, and that this port cannot have. vf: the VF's number; name: the setting's."""

    def __init__(self, vf: int, name: str, why: str) -> None:
        super().__init__(why)
        self.vf, self.name = vf, name


class VfsInUse(PortError):
    """A PF that was asked to go while its VFs are in use."""


def queue_gone(queue: Any) -> DeviceGone:
    """The error of a queue whose device is gone, with the cause if the device's bus knows it."""
    try:
        queue.port.bar.check()
    except DeviceGone as error:
        return DeviceGone(f"{queue!r}: {error}")
    return DeviceGone(
        f"{queue!r}: the device is gone, its registers read all ones: probe {queue.port.name} again"
    )
