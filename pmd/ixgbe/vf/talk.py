# SPDX-License-Identifier: BSD-3-Clause
"""The part of a VF's port that its capability objects use to ask the PF."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from dataplane.pmd.ixgbe.vf.session import VfSession

__all__ = ["VfTalk"]


@dataclass(frozen=True, slots=True)
class VfTalk:
    """session: the agreement with the PF, with what is wanted; lock: held while `wanted` changes and the PF is asked.

    tell: ask the PF, with `lock` held, for what is in `wanted` already. Its ``undo`` names an attribute of `wanted` and the
    value to restore when the PF refuses. Raises MailboxRefused, PfNotUp.
    """

    session: VfSession
    lock: threading.RLock
    tell: Callable[..., None]
