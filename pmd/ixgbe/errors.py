# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong between a PF and its VFs."""

from __future__ import annotations

from dataplane.errors import DeviceError, DeviceTimeout, PortError

__all__ = ["MailboxRefused", "MailboxSilent", "PfNotUp", "PfWasReset", "VfsInUse"]


class MailboxSilent(DeviceTimeout):
    """The PF did not answer in time."""


class MailboxRefused(PortError):
    """The PF answered no."""


class PfWasReset(DeviceError):
    """The PF was reset while a VF waited for it: the VF's driver begins anew."""


class PfNotUp(DeviceError):
    """A VF whose PF is not driven by anybody, or does not answer."""


class VfsInUse(PortError):
    """A PF that was asked to go while its VFs are in use."""
