# SPDX-License-Identifier: BSD-3-Clause
"""Files and descriptors.

- `pcapfile`: reads and writes classic pcap files
- `record`: a packet of a capture, whatever the format of its file
- `output`: files that a run writes, never left half done
- `closer`: closes descriptors and unmaps memory that other processes sent, in the background
- `eventfd`: signals an eventfd of another process without waiting for it
"""
