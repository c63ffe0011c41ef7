# SPDX-License-Identifier: BSD-3-Clause
"""Sizes and limits of the chip (datasheet 1.3, 7.1, 7.2). `dataplane.limits` has those of Ethernet."""

DESCRIPTOR_SIZE = 16

# A descriptor ring: lengths in descriptors (8.2.3.8.3, 8.2.3.9.7), its base aligned in bytes (8.2.3.8.1)
RING_MULTIPLE = 8
RING_ALIGN = 128
RING_MIN = 8
RING_MAX = 8192
TX_CACHE = 40  # Tx descriptors the chip holds of a queue: PTHRESH + WTHRESH stay within it

RX_QUEUES = TX_QUEUES = 128
TX_QUEUES_PLAIN = 64  # without pools and traffic classes only queues 0..63 transmit
RSS_QUEUES = 16
QUEUE_STATS = 16
POOLS = VFS = 64
TRAFFIC_CLASSES = 8
MSIX_VECTORS = 64

RX_ADDRESSES = 128
MULTICAST_HASHES = 4096
VLANS = 4096
VLAN_SLOTS = 64
FIVE_TUPLES = 128
ETYPE_FILTERS = 8
RETA_SIZE = 128
RSS_KEY_SIZE = 40

RX_PACKET_BUFFER = 512 << 10
TX_PACKET_BUFFER = 160 << 10

RX_BUFFER_UNIT = 1 << 10  # SRRCTL.BSIZEPACKET
RX_BUFFER_MAX = 16 << 10
RX_HEADER_UNIT = 64  # SRRCTL.BSIZEHEADER
# Receive side coalescing (7.11): buffers of a merged packet by RSCCTL.MAXDESC; bytes in all of them; connections at a time
RSC_BUFFERS = (1, 4, 8, 16)
RSC_MAX = 65535
RSC_HEADER_MIN = 128
RSC_CONTEXTS = 32
TX_BUFFER_MAX = 15872  # 15.5 KiB in one descriptor (7.2.3.2)
TX_SEGMENTS_MAX = 40
TX_PACKET_MIN_WITHOUT_FCS_BYTES = 17  # a shorter packet, padded by the MAC or not, is undefined (7.2.3.2.4)
TSO_PAYLOAD_MAX = 256 << 10

FRAME_MAX_WITHOUT_FCS_BYTES = 15872 - 4  # 15.5 KiB with FCS: what the chip can hold of a frame (1.3)
PAUSE_RTH_MARGIN = 0x6000  # FCRTH.RTH = RXPBSIZE - this, flow control or not (8.2.3.3.4)

EITR_STEP_NS = 2048
