# SPDX-License-Identifier: BSD-3-Clause
"""Limits of the chip that compiled code needs. `limits.py` has the same values, and a test compares the two."""

cdef enum:
    FRAME_MAX_WITHOUT_FCS_BYTES = 15868      # 15.5 KiB with FCS: what the chip can hold of a frame (1.3)
    TX_PACKET_MIN_WITHOUT_FCS_BYTES = 17     # a shorter packet, padded by the MAC or not, is undefined (7.2.3.2.4)
    TX_SEGMENTS_MAX = 40                     # data descriptors of a packet (7.2.3.3)
