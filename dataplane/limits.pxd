# SPDX-License-Identifier: BSD-3-Clause
"""Sizes of Ethernet frames (IEEE 802.3) and of bursts, for C and for Python: `dataplane.limits` has the same names.

A frame in an mbuf has no FCS; sizes on the wire, MTU limits of a port and byte counters of a MAC count it.
"""

cpdef enum:
    ETHERNET_HEADER_BYTES = 14
    FCS_BYTES = 4
    VLAN_TAG_BYTES = 4
    HEADER_AND_FCS_BYTES = 18           # what a frame is longer than its MTU
    PREAMBLE_AND_GAP_BYTES = 20         # of line time beside each frame: 7 + 1 of preamble, 12 of gap

    FRAME_MIN_WITHOUT_FCS_BYTES = 60    # a MAC pads shorter frames
    FRAME_MIN_WITH_FCS_BYTES = 64
    FRAME_STANDARD_WITH_FCS_BYTES = 1518  # a VLAN tag is not counted
    FRAME_MAX_WITH_FCS_BYTES = 9728     # jumbo frames, as far as ports and generators here go

    MTU_MIN_BYTES = 68                  # RFC 791
    MTU_STANDARD_BYTES = 1500

    BURST_MAX_PACKETS = 256             # the most packets of one `rx_burst`, `push` or `tx_burst`
