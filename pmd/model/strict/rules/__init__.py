# SPDX-License-Identifier: BSD-3-Clause
"""Rules about writes of registers, as a table. Each module holds the rules about one part of the chip."""

from dataplane.pmd.model.strict.rules import chip, filters, port, queues
from dataplane.pmd.model.strict.rules.rule import Violation, Write

__all__ = ["VIOLATIONS", "Violation", "Write"]

VIOLATIONS: tuple[Violation, ...] = (
    *queues.rule.violations,
    *port.rule.violations,
    *filters.rule.violations,
    *chip.rule.violations,
)
"""All rules, in the order in which a write is checked."""
