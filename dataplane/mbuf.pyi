# SPDX-License-Identifier: BSD-3-Clause
"""dataplane.mbuf has nothing for Python: its contract is mbuf.pxd."""
