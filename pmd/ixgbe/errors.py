# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong between a PF and its VFs, and what a queue says when its device is gone."""

from __future__ import annotations

from typing import Any

from dataplane.errors import ConfigError, DeviceError, DeviceGone, DeviceTimeout, PortError

__all__ = [
    "FrameRefused",
    "MailboxRefused",
    "MailboxSilent",
    "PfNotUp",
    "PfWasReset",
    "Refused",
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
    """The PF was reset while a VF waited for it: the VF's driver begins anew."""


class PfNotUp(DeviceError):
    """A VF whose PF is not driven by anybody, or does not answer."""


class Refused(Exception):
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
    """What a queue fails with when its device is gone; the device's bus may know the cause."""
    try:
        queue.port.bar.check()
    except DeviceGone as error:
        return DeviceGone(f"{queue!r}: {error}")
    return DeviceGone(
        f"{queue!r}: the device is gone, its registers read all ones: probe {queue.port.name} again"
    )
