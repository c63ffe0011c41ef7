# SPDX-License-Identifier: BSD-3-Clause
"""Rules about writes of registers, as a table. `VIOLATIONS` has all of them, in the order in which a write is checked.

- `rule`: the form of a rule
- `queues`: rules about queues
- `port`: rules about a port as a whole: packet buffers, pools, receiver and transmitter
- `filters`: rules about the flow director and 5-tuple filters
- `chip`: rules about reset, EEPROM, semaphores, and bits that the chip does not have
"""

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
