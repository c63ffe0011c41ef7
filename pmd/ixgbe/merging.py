# SPDX-License-Identifier: BSD-3-Clause
"""Receive side coalescing (datasheet 7.11): packets of one TCP connection arrive as one large packet."""

from __future__ import annotations

from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import EITR, IVAR, PSRTYPE, RFCTL, RSCCTL, RSCDBU, limits
from dataplane.pmd.function import Bar
from dataplane.pmd.portstring import PortString

__all__ = ["Merging"]

WAIT_NS = (
    100_000  # at most: 32 KiB of full frames take 27 us at line rate, and a request must not wait for long
)
VECTOR = 0  # of every queue; it is masked, only its timer is of use


class Merging:
    """What a PF's options say about it: ``lro`` (on, off) and ``max_lro_pkt_size`` (bytes, 65535 at most)."""

    def __init__(self, bar: Bar, spec: PortString, vfs: int) -> None:
        self.bar, self.name = bar, spec.text
        self.on = spec.flag("lro", False)
        asked = "max_lro_pkt_size" in spec.options
        self.size_max = spec.integer("max_lro_pkt_size", limits.RSC_MAX)
        if asked and not self.on:
            raise ConfigError(f"{self.name}: max_lro_pkt_size is for a port that merges packets: add lro=on")
        if not 1 <= self.size_max <= limits.RSC_MAX:
            raise ConfigError(
                f"{self.name}: max_lro_pkt_size={self.size_max}: must be from one Rx buffer to {limits.RSC_MAX} bytes"
            )
        if self.on and vfs:
            raise ConfigError(
                f"{self.name}: lro=on and vfs={vfs}: the 82599 merges no packets while it has pools (datasheet 7.10): "
                f"leave one of them out"
            )

    def buffers(self, size: int) -> int:
        """8.2.3.8.13: the most Rx buffers of `size` bytes that a merged packet may have; 0 if nothing is merged.

        Raises ConfigError if max_lro_pkt_size is less than one of them.
        """
        if not self.on:
            return 0
        fitting = [count for count in limits.RSC_BUFFERS if count * size <= self.size_max]
        if not fitting:
            raise ConfigError(
                f"{self.name}: max_lro_pkt_size={self.size_max}: must be at least {size}, one Rx buffer of its mempool: "
                f"the chip counts whole ones"
            )
        return max(fitting)

    def write(self) -> None:
        """4.6.7.2: what all queues share. RDRXCTL and CRC stripping are as the receiver has them anyway."""
        if not self.on:
            return
        bar = self.bar
        bar.set(RSCDBU.RSCACKDIS)  # an ACK without data is news by itself
        bar.set(PSRTYPE[0].TCP)
        bar.update(EITR[VECTOR], INTERVAL=WAIT_NS // limits.EITR_STEP_NS)
        bar.update(RFCTL, RSC_DIS=0, NFSW_DIS=1, NFSR_DIS=1)

    def write_queue(self, index: int, buffers: int) -> None:
        """4.6.7.2: one queue, before it starts. Its vector's timer ends the wait of what is not complete (7.3.2.1)."""
        if not self.on:
            return
        first = index % 2 == 0
        fields = {"RX0": VECTOR, "RX0_VALID": 1} if first else {"RX1": VECTOR, "RX1_VALID": 1}
        self.bar.update(IVAR[index // 2], **fields)
        self.bar.update(RSCCTL[index], RSCEN=1, TS_DIS=0, MAXDESC=limits.RSC_BUFFERS.index(buffers))
