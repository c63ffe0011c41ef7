# SPDX-License-Identifier: BSD-3-Clause
"""5-tuple and EtherType filters, one register set each (datasheet 7.1.2.3, 7.1.2.5, 8.2.3.7.16 to 22)."""

from __future__ import annotations

from ipaddress import IPv4Network

from dataplane.pmd.datasheet import (
    DAQF,
    ETQF,
    ETQS,
    FTQF,
    FTQF_OTHER,
    FTQF_SCTP,
    FTQF_TCP,
    FTQF_UDP,
    L34TIMIR,
    SAQF,
    SDPQF,
)
from dataplane.pmd.function import Bar
from dataplane.pmd.ixgbe.steering.flow import Match

__all__ = ["clear_tuple", "clear_type", "write_tuple", "write_type"]

_PROTOCOLS = {"tcp": FTQF_TCP, "udp": FTQF_UDP, "sctp": FTQF_SCTP, "other": FTQF_OTHER}
_RESERVED = 0x40  # 8.2.3.7.20: bits 19:13 of L34TIMIR are written so


def write_tuple(bar: Bar, n: int, match: Match, queue: int, priority: int, pool: int | None) -> None:
    """8.2.3.7.16 to 20: filter n. Enabled last: half a filter must not match. pool: None without pools."""
    ports = (match.src_port or 0).to_bytes(2, "big") + (match.dst_port or 0).to_bytes(2, "big")
    bar.write(FTQF[n], 0)
    bar.write(SAQF[n], _as_sent(match.src))
    bar.write(DAQF[n], _as_sent(match.dst))
    bar.write(SDPQF[n], int.from_bytes(ports, "little"))
    bar.write(L34TIMIR[n], L34TIMIR[n].pack(RX_QUEUE=queue, RESERVED=_RESERVED, SIZE_BP=1))
    bar.write(
        FTQF[n],
        FTQF[n].pack(
            PROTOCOL=_PROTOCOLS[match.proto] if match.proto else 0,
            PRIORITY=priority,
            POOL=pool or 0,
            SRC_MASK=match.src is None,
            DST_MASK=match.dst is None,
            SPORT_MASK=match.src_port is None,
            DPORT_MASK=match.dst_port is None,
            PROTOCOL_MASK=match.proto is None,
            POOL_MASK=pool is None,
            ENABLE=1,
        ),
    )


def clear_tuple(bar: Bar, n: int) -> None:
    """8.2.3.7.19: filter n is off."""
    bar.write(FTQF[n], 0)


def write_type(bar: Bar, n: int, ether_type: int, queue: int | None, stamps: bool = False) -> None:
    """8.2.3.7.21, 22: filter n. It names a queue, and leaves a packet in the pool that it is for.

    queue: None for any; stamps: what matches is looked at for PTP messages.
    """
    bar.write(ETQS[n], 0 if queue is None else ETQS[n].pack(RX_QUEUE=queue, QUEUE_EN=1))
    bar.write(ETQF[n], ETQF[n].pack(ETYPE=ether_type, IEEE1588=stamps, FILTER_EN=1))


def clear_type(bar: Bar, n: int) -> None:
    """8.2.3.7.21: filter n is off."""
    bar.write(ETQF[n], 0)
    bar.write(ETQS[n], 0)


def _as_sent(network: IPv4Network | None) -> int:
    """An address as it lies in the packet."""
    return 0 if network is None else int.from_bytes(network.network_address.packed, "little")
