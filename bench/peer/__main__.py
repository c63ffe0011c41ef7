# SPDX-License-Identifier: BSD-3-Clause
"""``python -m bench.peer`` has Debian's DPDK on this machine, and says which it is."""

import sys

from bench import peer

try:
    peer.install()
except peer.Unavailable as reason:
    sys.exit(str(reason))
print(f"DPDK {peer.version()}")
