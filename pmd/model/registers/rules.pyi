# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a card's registers."""

class RuleTable:
    """The effect of an access to each dword of BAR0. The ports of a card share one."""
