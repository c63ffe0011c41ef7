# SPDX-License-Identifier: BSD-3-Clause
"""Memory from the system.

- `hugepage`: Arena: memory for mempools and descriptor rings, on hugepages where there are any
- `guard`: maps memory that its owner, another process, may take away
- `mapped`: checks that an address of this process is mapped
- `memory_room`: how much memory can still be allocated
- `quota`: limits on what another process can make us hold
"""
