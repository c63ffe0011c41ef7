# SPDX-License-Identifier: BSD-3-Clause
"""Types of apps.tee."""

from dataplane.app import App
from dataplane.mempool import Mempool

class Tee(App):
    mempool: Mempool
    def __init__(self, copies: int = 1, mempool: Mempool | None = None) -> None: ...
