# SPDX-License-Identifier: BSD-3-Clause
"""How long the chip takes for what it does by itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Timing"]


@dataclass(frozen=True)
class Timing:
    """Durations in ns. Some are longer on a card; drivers must not depend on them."""

    reset: int = 2_000  # CTRL.RST reads back 1
    eeprom: int = 2_000_000  # until EEC.ARD, after a reset
    dma_init: int = 100_000  # until RDRXCTL.DMAIDONE, after a reset
    master: int = 1_000  # until STATUS.GIO falls after CTRL.GIO_DIS
    eeprom_word: int = 2_000
    queue: int = 10_000  # until RXDCTL.ENABLE or TXDCTL.ENABLE reads back
    security: int = 1_000  # until SECRXSTAT, SECTXSTAT are ready
    flow_director: int = 10_000  # until FDIRCTRL.INIT_DONE
    flow_command: int = 2_000  # until FDIRCMD.CMD is 0 again
    link: int = 1_000_000  # from AUTOC.RESTART_AN, or from a carrier, to LINKS.UP
