# SPDX-License-Identifier: BSD-3-Clause
"""Memory from the system: `hugepage` (Arena), `guard` for memory that another process may take away, `mapped` checks
addresses, `memory_room` and `quota` check sizes.
"""
