# SPDX-License-Identifier: BSD-3-Clause
"""The port of a VF on the board, without its thread: tests call `watch`, so that nothing depends on time."""

from __future__ import annotations

from typing import Any

from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort
from dataplane.pmd.ixgbe.vf.session import Wanted
from dataplane.pmd.portstring import PortString
from tests.pmd.ixgbe.fakeboard import Board, BoardFunction


class GuardedWanted(Wanted):
    """Changes only in a thread that holds the port's lock. An AssertionError otherwise."""

    _guard: Any = None

    def __setattr__(self, name: str, value: object) -> None:
        assert self._guard is None or self._guard._is_owned(), f"wanted.{name} is changed without the lock"
        object.__setattr__(self, name, value)


class VfPort(IxgbeVfPort):
    """Without its thread: tests call `watch`, so that nothing depends on time. No test may change `wanted` unlocked."""

    def __init__(self, function: BoardFunction, spec: PortString) -> None:
        super().__init__(function, spec)
        guarded = GuardedWanted(**vars(self.session.wanted))
        object.__setattr__(guarded, "_guard", self._lock)
        self.session.wanted = guarded

    def _watch_pf(self) -> None:
        return


def open_vf(board: Board, number: int = 0, options: str = "") -> VfPort:
    function = BoardFunction(board, number)
    return VfPort(function, PortString.split_options(f"{function.name}{options}", "", function.name, options))
