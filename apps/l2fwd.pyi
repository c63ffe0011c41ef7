# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.l2fwd."""

from dataplane.app import App

class L2Fwd(App):
    src: str | None
    dst: str | None
    def __init__(self, src: str | None = None, dst: str | None = None) -> None: ...
