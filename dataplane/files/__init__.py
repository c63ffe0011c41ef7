# SPDX-License-Identifier: BSD-3-Clause
"""Files and descriptors.

- `pcapfile`: reads and writes classic pcap files
- `record`: a packet of a capture, whatever the format of its file
- `output`: files that a run writes, never left half done
- `sysfs`: reads the kernel's files in /sys and /proc
- `run_folder`: folders of this user's for sockets: where they are, who may write there
- `private_socket`: Unix sockets that only this user can use
- `closer`: closes descriptors and unmaps memory that other processes sent, in the background
- `eventfd`: signals an eventfd of another process without waiting for it
"""
