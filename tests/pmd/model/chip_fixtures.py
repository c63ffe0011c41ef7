# SPDX-License-Identifier: BSD-3-Clause
"""A card that is stepped, its BAR, and short names for what tests of the chip side do again and again."""

from dataplane.pmd.bus.model import ModelFunction
from dataplane.pmd.model import Card


class Chip:
    """Port 0 of a card as a driver sees it (`bar`, `config`) and as the silicon does (`chip`, `card`)."""

    def __init__(self, port=0, **options):
        self.card = Card(**options)
        self.function = ModelFunction(self.card, port)
        self.bar, self.config = self.function.bar(0), self.function.config
        self.chip = self.card.ports[port]

    def wait_ns(self, ns):
        """Exactly that much time, the delays of the chip included; no step of the data path."""
        self.card.clock.advance_ns(ns)
        self.chip.run()

    def stored(self, register):
        return self.chip.peek(register.offset)

    def close(self):
        self.function.close()
        self.card.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
