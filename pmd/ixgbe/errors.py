# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong between a PF and its VFs, and what a queue says when its device is gone."""

from __future__ import annotations

from typing import Any

from dataplane.errors import DeviceError, DeviceGone, DeviceTimeout, PortError

__all__ = ["MailboxRefused", "MailboxSilent", "PfNotUp", "PfWasReset", "Refused", "VfsInUse", "queue_gone"]


class MailboxSilent(DeviceTimeout):
    """The PF did not answer in time."""


class MailboxRefused(PortError):
    """The PF answered no."""


class PfWasReset(DeviceError):
    """The PF was reset while a VF waited for it: the VF's driver begins anew."""


class PfNotUp(DeviceError):
    """A VF whose PF is not driven by anybody, or does not answer."""


class Refused(Exception):
    """A VF asked for what it does not get; the text says why."""


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
