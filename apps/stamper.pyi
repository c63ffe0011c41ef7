# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.stamper."""

from dataplane.apps.flows import Flows

class Stamper:
    flows: Flows
    form: str
    longest: int
    def __init__(self, flows: Flows, form: str | None = None) -> None: ...
