# SPDX-License-Identifier: BSD-3-Clause
"""A PF of the strict model with its VFs, all driven by our drivers in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from stopwatch import Stopwatch

from dataplane import pmd
from dataplane.mempool import Mempool
from dataplane.pmd.ixgbe.pf import IxgbePort
from dataplane.pmd.ixgbe.vf.port import IxgbeVfPort

# Of many VFs on a busy machine one may wait for a CPU longer than a VF usually waits for its PF.
PATIENT = ",pf_wait=60"


class Fleet:
    """pf: its port; vfs: those that were opened, by number; pool: what all receive into."""

    def __init__(self, pf: IxgbePort, pool: Mempool) -> None:
        self.pf, self.pool = pf, pool
        self.vfs: dict[int, IxgbeVfPort] = {}

    def open(self, *numbers: int, options: str = "", queues: int = 1, desc: int = 64) -> list[IxgbeVfPort]:
        """Open and start VFs, several at a time: each spends its time waiting."""

        def one(number: int) -> IxgbeVfPort:
            port = pmd.probe(f"{self.pf.function.name}.vf{number}{PATIENT}{options}")
            self.vfs[number] = port
            port.configure(mempool=self.pool, rx_desc=desc, tx_desc=desc)
            port.rx(queues - 1), port.tx(queues - 1)
            port.start()
            return port

        with ThreadPoolExecutor(16) as workers:
            return list(workers.map(one, numbers))

    def close(self) -> None:
        with ThreadPoolExecutor(16) as workers:
            list(workers.map(lambda port: port.close(), self.vfs.values()))


@contextmanager
def fleet(
    vfs: int, options: str = "", *, name: str = "model0", pool: Mempool | None = None, queues: int = 1
) -> Iterator[Fleet]:
    """The PF's port, started. At the end: closed, no violation, every mbuf back."""
    with ExitStack() as stack:
        mine = pool or Mempool(16384, hugepages="no", name=f"{name}-fleet")
        pf = pmd.probe(f"{name},manner=strict,vfs={vfs}{options}")
        stack.callback(pf.close, force=True)
        pf.configure(mempool=mine, rx_desc=128, tx_desc=128)
        if queues:
            pf.rx(queues - 1), pf.tx(queues - 1)
        pf.start()
        made = Fleet(pf, mine)
        stack.callback(made.close)
        yield made
        pf.function.card.check()
    if pool is None:
        assert mine.in_use == 0


def until(what: Callable[[], object], seconds: float = 5.0) -> float:
    """Wait for something; how long it took us, see `Stopwatch.own`. AssertionError if it does not come."""
    watch = Stopwatch()
    while not what():
        assert watch.wall < seconds, "it did not come"
        time.sleep(2e-3)
    return watch.own
