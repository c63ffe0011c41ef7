# SPDX-License-Identifier: BSD-3-Clause
"""Rules about a port as a whole: packet buffers, pools, turning receiver and transmitter on, and what stays then."""

from __future__ import annotations

from dataplane.pmd.datasheet import (
    DMATXCTL,
    EIMS,
    EIMS_EX,
    GCR_EXT,
    GPIE,
    HLREG0,
    MRQC,
    MTQC,
    POOL_QUEUES,
    POOL_QUEUES_RX,
    POOL_QUEUES_TX,
    RDRXCTL,
    RFCTL,
    RTTDCS,
    RXCTRL,
    RXPBSIZE,
    TXDCTL,
    TXPBSIZE,
    VT_CTL,
)
from dataplane.pmd.datasheet import limits as limit
from dataplane.pmd.model.strict.rules.queues import owner
from dataplane.pmd.model.strict.rules.rule import AT_RXEN, AT_TE, Rules, Write

rule = Rules()


# Only the first packet buffer of each direction: the others come up as large as the whole memory, and DPDK's driver leaves
# them so, with one traffic class and with eight.
@rule(
    "rx-buffers",
    "8.2.3.8.9, 4.6.11.3",
    "The first Rx packet buffer has 1 to 512 KiB before RXEN is set",
    RXCTRL,
    when=AT_RXEN,
)
def _rx_buffers(write: Write) -> str | None:
    kilobytes = write.get(RXPBSIZE[0].SIZE)
    if write.sets(RXCTRL.RXEN) and not 0 < kilobytes <= limit.RX_PACKET_BUFFER >> 10:
        return f"RXEN with {kilobytes} KiB in RXPBSIZE[0], of {limit.RX_PACKET_BUFFER >> 10}"
    return None


# A reset leaves HLREG0.RXCRCSTRP 1 and RDRXCTL.CRCSTRIP 0, and Linux's self-test receives with that.
@rule(
    "crc-strip",
    "8.2.3.8.8, 8.2.3.22.8",
    "RDRXCTL.CRCSTRIP is 1 only with HLREG0.RXCRCSTRP",
    RXCTRL,
    when=AT_RXEN,
)
def _crc_strip(write: Write) -> str | None:
    wrong = write.get(RDRXCTL.CRCSTRIP) and not write.get(HLREG0.RXCRCSTRP)
    return (
        "RXEN with HLREG0.RXCRCSTRP 0 and RDRXCTL.CRCSTRIP 1" if write.sets(RXCTRL.RXEN) and wrong else None
    )


# GPIE's copy is of the interrupt logic: Linux's ixgbe writes it when queues run already, before it lifts the masks.
@rule(
    "pool-mode",
    "8.2.3.5.18, 8.2.3.4.12",
    "GPIE.VT_MODE and GCR_EXT.VT_MODE agree",
    EIMS,
    EIMS_EX,
    when="when an interrupt is unmasked",
)
def _pool_mode(write: Write) -> str | None:
    if write.value and write.get(GPIE.VT_MODE) != write.get(GCR_EXT.VT_MODE):
        return f"unmasked with GPIE.VT_MODE {write.get(GPIE.VT_MODE)} and GCR_EXT.VT_MODE {write.get(GCR_EXT.VT_MODE)}"
    return None


# GCR_EXT.VT_MODE is about VFs: without SR-IOV it is 0, and MRQC and MTQC alone say which pools there are. Whichever side
# starts second is compared with the other one.
@rule("pool-layout", "8.2.3.7.12, 8.2.3.9.15, 7.10.2",
      "With VT_CTL.VT_ENA MRQC.MRQE and MTQC make the same pools, those of GCR_EXT.VT_MODE if it is not 0; else none",
      RXCTRL, TXDCTL, when="when either side starts")  # fmt: skip
def _pool_layout(write: Write) -> str | None:
    receives, sends = write.get(RXCTRL.RXEN), write.get(DMATXCTL.TE)
    if write.register.register is RXCTRL:
        starts = receives = write.sets(RXCTRL.RXEN)
        sends = sends and any(write.get(each.ENABLE) and owner(write, each.index) is None for each in TXDCTL)
    else:
        starts = write.sets(TXDCTL[write.index].ENABLE) and owner(write, write.index) is None
    if not starts:
        return None
    mrqe, mtqc, mode = write.get(MRQC.MRQE), write.peek(MTQC), write.get(GCR_EXT.VT_MODE)
    pooled = bool(write.get(VT_CTL.VT_ENA))
    said = [(f"MRQC.MRQE {mrqe:#x}", POOL_QUEUES_RX.get(mrqe))] if receives else []
    said += [(f"MTQC {mtqc:#x}", POOL_QUEUES_TX.get(mtqc))] if sends else []
    for what, queues in said:
        if (queues is not None) != pooled:
            return f"started with {what} and VT_CTL.VT_ENA {int(pooled)}"
        if pooled and mode and queues != POOL_QUEUES[mode]:
            return f"started with {what} and GCR_EXT.VT_MODE {mode}"
    if len({queues for _, queues in said}) > 1:
        return f"started with {said[0][0]} and {said[1][0]}"
    return None


@rule("pool-merging", "7.10, 7.11", "RFCTL.RSC_DIS is 1 where there are pools", RXCTRL, when=AT_RXEN)
def _pool_merging(write: Write) -> str | None:
    merges = write.get(VT_CTL.VT_ENA) and not write.get(RFCTL.RSC_DIS)
    return "RXEN with RSC_DIS 0 and VT_CTL.VT_ENA 1" if merges and write.sets(RXCTRL.RXEN) else None


@rule("rx-running", "8.2.3.8.9, 8.2.3.8.8, 8.2.3.7.12, 8.2.3.22.8",
       "Packet buffers, RDRXCTL, MRQC.MRQE and CRC stripping change only while RXEN is 0",
       RXPBSIZE, RDRXCTL, MRQC, HLREG0, when="while RXEN is 1")  # fmt: skip
def _rx_running(write: Write) -> str | None:
    masks = {
        RXPBSIZE: RXPBSIZE[0].SIZE.mask,
        RDRXCTL: RDRXCTL.bits(RDRXCTL.access),
        MRQC: MRQC.MRQE.mask,
        HLREG0: HLREG0.RXCRCSTRP.mask,
    }
    changed = write.changes(masks[write.register.register])
    return "changed while RXCTRL.RXEN is 1" if changed and write.get(RXCTRL.RXEN) else None


@rule(
    "tx-buffers",
    "8.2.3.9.13, 4.6.11.3",
    "The first Tx packet buffer has 1 to 160 KiB before TE is set",
    DMATXCTL,
    when=AT_TE,
)
def _tx_buffers(write: Write) -> str | None:
    kilobytes = write.get(TXPBSIZE[0].SIZE)
    if write.sets(DMATXCTL.TE) and not 0 < kilobytes <= limit.TX_PACKET_BUFFER >> 10:
        return f"TE with {kilobytes} KiB in TXPBSIZE[0], of {limit.TX_PACKET_BUFFER >> 10}"
    return None


@rule("arbiter", "8.2.3.9.15, 4.6.11.3", "MTQC changes only while RTTDCS.ARBDIS is 1", MTQC)
def _arbiter(write: Write) -> str | None:
    return "changed while RTTDCS.ARBDIS is 0" if write.changes(~0) and not write.get(RTTDCS.ARBDIS) else None
