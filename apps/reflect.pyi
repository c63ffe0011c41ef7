# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.reflect."""

from dataplane.app import App

class Reflect(App):
    """Swaps source and destination address; a frame too short for both stays as it is. simd: with vectors, if there are."""

    def __init__(self, *, simd: bool = True) -> None: ...
