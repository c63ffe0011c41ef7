# SPDX-License-Identifier: BSD-3-Clause
"""What a driver does step by step to a strict card: each is a function of the BAR, or makes one."""

from dataplane.pmd.datasheet import (
    CTRL,
    DMATXCTL,
    FCRTH,
    FDIRCTRL,
    FTQF,
    GCR_EXT,
    GPIE,
    L34TIMIR,
    MRQC,
    MTQC,
    MTQC_32POOLS,
    PSRTYPE,
    RDBAL,
    RDLEN,
    RDRXCTL,
    RFCTL,
    RSCCTL,
    RTTDCS,
    RXCTRL,
    RXDCTL,
    RXPBSIZE,
    SRRCTL,
    TDBAL,
    TDLEN,
    TXDCTL,
    TXPBSIZE,
    VT_CTL,
)


def reset(bar):
    bar.set(CTRL.RST)
    bar.wait(CTRL.RST, 0)
    bar.sleep(0.01)


def rx_ready(bar):
    """Everything that RXEN asks for."""
    for each in RXPBSIZE:
        bar.write(each, RXPBSIZE[0].pack(SIZE=512) if each.index == 0 else 0)
    bar.update(RDRXCTL, RSCFRSTSIZE=0, CRCSTRIP=1)
    bar.update(FCRTH[0], RTH=(512 * 1024 - 0x6000) // 32)


def tx_ready(bar):
    """Everything that TE asks for."""
    for each in TXPBSIZE:
        bar.write(each, TXPBSIZE[0].pack(SIZE=160) if each.index == 0 else 0)


def pools(bar):
    """32 pools of VFs, as far as RXEN and a Tx queue look at them."""
    for register in (GPIE, GCR_EXT):
        bar.update(register, VT_MODE=2)
    vmdq(bar)


def vmdq(bar):
    """32 pools without SR-IOV: GCR_EXT.VT_MODE stays 0."""
    bar.set(RTTDCS.ARBDIS)
    bar.write(MTQC, MTQC_32POOLS)
    bar.update(MRQC, MRQE=0xA)
    bar.set(RFCTL.RSC_DIS)
    bar.set(VT_CTL.VT_ENA)


def rx_ring(bar, queue=0):
    bar.write(RDBAL[queue], 0x10_0000)
    bar.write(RDLEN[queue], 64 * 16)
    bar.update(SRRCTL[queue], DESCTYPE=1, BSIZEPACKET=2)


def tx_ring(bar, queue=0):
    bar.write(TDBAL[queue], 0x20_0000)
    bar.write(TDLEN[queue], 64 * 16)


def receiving(bar):
    rx_ready(bar)
    bar.set(RXCTRL.RXEN)


def enabled(bar):
    bar.set(RXDCTL[0].ENABLE)
    bar.wait(RXDCTL[0].ENABLE)


def merging(bar):
    """Receiver and queue are ready for RSC, and not on yet."""
    rx_ready(bar)
    bar.set(RDRXCTL.RSCACKC)
    bar.set(PSRTYPE[0].TCP)
    rx_ring(bar)
    bar.update(SRRCTL[0], BSIZEHEADER=2)
    bar.set(RSCCTL[0].RSCEN)


def no_filters(bar):
    for line in (FTQF, L34TIMIR):  # they come up with noise
        bar.write(line[0], 0)


def running(bar):
    rx_ready(bar)
    tx_ready(bar)
    rx_ring(bar)
    tx_ring(bar)
    bar.set(RXCTRL.RXEN)
    bar.set(DMATXCTL.TE)
    for enable in (RXDCTL[0].ENABLE, TXDCTL[0].ENABLE):
        bar.set(enable)
        bar.wait(enable)


def director(bar, perfect=1, **control):
    """The flow director with 64 KB of the packet buffer, and no filter yet."""
    rx_ready(bar)
    bar.update(RXPBSIZE[0], SIZE=448)
    bar.write(FDIRCTRL, FDIRCTRL.pack(PBALLOC=1, PERFECT_MATCH=perfect, **control))
    bar.wait(FDIRCTRL.INIT_DONE)


def after(*steps):
    def act(bar):
        for step in steps:
            step(bar)

    return act


def write(register, value):
    return lambda bar: bar.write(register, value)


def update(register, **values):
    return lambda bar: bar.update(register, **values)


def turn_on(field):
    return lambda bar: bar.set(field)


def seen(field):
    return lambda bar: bar.wait(field)


def buffers(**fields):
    """A receiver that runs, and a queue that is ready but for these fields of SRRCTL."""
    return after(receiving, rx_ring, update(SRRCTL[0], **fields))


def sending(*steps):
    """A transmitter that runs after these steps, and a queue that is ready."""
    return after(tx_ready, *steps, tx_ring, turn_on(DMATXCTL.TE))
