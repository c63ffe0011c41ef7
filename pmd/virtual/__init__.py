# SPDX-License-Identifier: BSD-3-Clause
"""Virtual ports: they need no NIC.

- `null`: an endless source, and a sink: ``null:``
- `ring`: ports joined by rings within a process: ``ring:NAME``
- `pcap`: capture files: ``pcap:in.pcap``, ``pcap:>out.pcap``
- `tap`: an interface that the kernel makes for the port: ``tap:NAME``
- `af_packet`: an interface of the kernel, through packet sockets: ``af_packet:INTERFACE``

What they share:

- `port`: the port: its counters by DPDK's names
- `queue`: the queues: their counters, and how they take mbufs
- `packet_socket`: the queues of an af_packet port
- `offload`: does a NIC's offloads on a frame of the kernel: checksums, segments, tags
- `netdevice`: address, MTU, state and link of an interface of the kernel
"""
