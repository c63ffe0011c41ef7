# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.columns.native."""

from collections.abc import Callable, Sequence
from typing import Any

from dataplane.app import App

class Native(App):
    address: int
    per: str
    def __init__(
        self,
        function: Callable[..., Any] | int,
        *,
        edges: Sequence[str] = ("out",),
        optional: Sequence[str] = (),
        per: str = "packet",
        name: str | None = None,
    ) -> None: ...
