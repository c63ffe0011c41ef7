# SPDX-License-Identifier: BSD-3-Clause
"""What a driver must not do to registers, as a table. Each module holds the rules about one part of the chip."""

from dataplane.pmd.model.strict.rules import queues, port, filters, chip  # noqa: F401, I001  they fill the table, in this order
from dataplane.pmd.model.strict.rules.rule import VIOLATIONS, Violation, Write

__all__ = ["VIOLATIONS", "Violation", "Write"]
