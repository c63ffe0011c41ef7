# SPDX-License-Identifier: BSD-3-Clause
"""The other end of a VLAN, for hosts whose kernel has no VLAN interfaces.

``vlan_peer.py answer IFACE VID ADDRESS``: answers ARP and pings in that VLAN until it is killed.
"""

from __future__ import annotations

import socket
import struct
import sys
from pathlib import Path

ARP, IPV4, TAG = 0x0806, 0x0800, 0x8100
_PACKET_AUXDATA, _SOL_PACKET, _VLAN_VALID = 8, 263, 1 << 4


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    total += (data[-1] << 8) * (len(data) & 1)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def received(port: socket.socket) -> tuple[int | None, int, bytes, bytes]:
    """(VLAN or None, EtherType, source, payload) of the next frame; the kernel takes the tag out of the frame."""
    data, control, _, _ = port.recvmsg(2048, 64)
    vid = None
    for level, kind, value in control:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", value)
            vid = tci & 0xFFF if status & _VLAN_VALID else None
    kind, start = int.from_bytes(data[12:14]), 14
    if kind == TAG:
        vid, kind, start = int.from_bytes(data[14:16]) & 0xFFF, int.from_bytes(data[16:18]), 18
    return vid, kind, data[6:12], data[start:]


def answer(port: socket.socket, mac: bytes, vid: int, address: bytes) -> None:
    """ARP requests and pings in the VLAN."""
    while True:
        got, kind, source, data = received(port)
        if got != vid or source == mac:
            continue
        if kind == ARP and data[6:8] == b"\0\1" and data[24:28] == address:
            reply = data[:6] + b"\0\2" + mac + address + data[8:18]
        elif kind == IPV4 and data[9] == 1 and data[20] == 8 and data[16:20] == address:
            length = int.from_bytes(data[2:4])
            echo = b"\0\0\0\0" + data[24:length]
            echo = b"\0\0" + checksum(echo).to_bytes(2) + echo[4:]
            reply = (
                data[:12] + data[16:20] + data[12:16] + echo
            )  # the header's sum stays: addresses only changed places
        else:
            continue
        port.send(source + mac + struct.pack("!HHH", TAG, vid, kind) + reply)
        print(f"answered {kind:#06x} in VLAN {got}", flush=True)


def main(interface: str, vid: int, address: str) -> None:
    mac = bytes.fromhex(Path(f"/sys/class/net/{interface}/address").read_text().strip().replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as port:
        port.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        port.bind((interface, 0))
        print("listening", flush=True)
        answer(port, mac, vid, socket.inet_aton(address))


if __name__ == "__main__":
    assert sys.argv[1] == "answer", __doc__
    main(sys.argv[2], int(sys.argv[3]), sys.argv[4])
