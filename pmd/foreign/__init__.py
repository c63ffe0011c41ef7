# SPDX-License-Identifier: BSD-3-Clause
"""The model's functions for other people's userspace drivers: an unmodified DPDK program takes them for cards.

with Slots(["model0", "model1"]) as slots:
    slots.start(["dpdk-testpmd", "-l", "0,1", "--in-memory", "--", "-i"]).wait()

In the process of the card:

- `slot`: Slots: functions of the model as a program sees cards bound to UIO
- `sysfs`: the files of sysfs for them, in a folder
- `service`: answers accesses to BARs and configuration space, and maps the driver's memory

The library that is preloaded into the program:

- `trap.h`: what its files share, and the requests to the card's process
- `names.c`: libc's functions that take a path
- `content.c`: libc's functions that read and write open files
- `memory.c`: what the program maps: BARs, hugepages
- `fault.c`: carries out an access to a BAR, which faults
- `decode.c`: decodes the instruction that made it
- `link.c`: the sockets to the card's process
"""
