# SPDX-License-Identifier: BSD-3-Clause
"""af_packet: a network interface of the kernel, through packet sockets: ``af_packet:INTERFACE``.

Rx maps a TPACKET_V3 ring: blocks that the kernel fills and hands over when they are full, or after a millisecond. Tx hands
bursts to sendmmsg, which on a veth takes 1.55 us a packet where a mapped Tx ring takes 1.62.

The local stack behind a veth leaves half a checksum and frames of up to 64 KiB to the device, with offloads as they are by
default. The socket says so in front of each frame (PACKET_VNET_HDR), and Rx does the device's part: checksums are finished,
large frames are cut to the size that their sender had in mind, VLAN tags are put back. Nothing is changed on the interface
but that it is brought up and, unless promiscuous=off, receives what is for others.

While the interface is down the port goes on: what it sends is lost and counted (tx_link_down_packets), and it receives again
when the interface is up. One that was removed, or moved to another network namespace, raises PortGone.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from typing import cast

from dataplane.errors import ConfigError, PortError
from dataplane.limits import HEADER_AND_FCS_BYTES
from dataplane.pmd.portstring import PortString
from dataplane.pmd.virtual.netdevice import NetDevice
from dataplane.pmd.virtual.packet_socket import RING_BLOCK_SIZE, RING_BLOCKS, PacketRx, PacketTx
from dataplane.pmd.virtual.port import VirtualPort
from dataplane.port import Link, PortInfo

__all__ = ["PacketPort", "open_port"]

SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP, PACKET_RX_RING = 1, 2, 5
PACKET_VERSION, PACKET_VNET_HDR, PACKET_QDISC_BYPASS, PACKET_IGNORE_OUTGOING = 10, 15, 20, 23
PACKET_MR_PROMISC = 1
TPACKET_V3 = 2
ETH_P_ALL = 3
SO_SNDBUF_BYTES = 4 << 20
RETIRE_MS = 1


class PacketPort(VirtualPort):
    """An interface of the kernel. promiscuous: whether it receives what is for others; settable at any time."""

    info = PortInfo("af_packet", max_rx_queues=1, max_tx_queues=16, max_frame=65521 + HEADER_AND_FCS_BYTES)

    def __init__(
        self, name: str, interface: str, *, promiscuous: bool = True, qdisc_bypass: bool = False
    ) -> None:
        super().__init__(name)
        self.interface = interface
        self.device = NetDevice(name, interface)
        self._promiscuous = promiscuous
        self._bypass = qdisc_bypass
        self._senders: list[socket.socket] = []
        try:
            self._index = self.device.index
            self.device.check_ethernet()
            self._mtu = self.device.mtu
            self._socket().close()  # what is not allowed shows now and not at the start
        except BaseException:
            self.device.close()
            raise

    def _socket(self) -> socket.socket:
        """A packet socket that receives nothing yet."""
        try:
            return socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        except OSError as error:
            raise PortError(
                f"{self.name}: cannot open a packet socket: {error.strerror}: run as root or with CAP_NET_RAW"
            ) from None

    def _make_rx(self, index: int) -> PacketRx:
        return PacketRx(self, index)

    def _make_tx(self, index: int) -> PacketTx:
        return PacketTx(self, index)

    def _start(self) -> None:
        self._index = self.device.index  # an interface of that name may be another by now
        self.device.up()
        try:
            for rx in self._receivers():
                rx.open(*self._receiver(), self._index)
                rx.pass_on(self._promiscuous)
            for tx in self._tx.values():
                self._senders.append(self._sender())
                cast(PacketTx, tx).open(self._senders[-1].fileno(), self._index)
        except OSError as error:
            self._stop()
            raise PortError(
                f"{self.name}: cannot set up its sockets: {error.strerror}: free some memory, or see "
                f"'ip link show {self.interface}'"
            ) from None
        except BaseException:
            self._stop()
            raise
        super()._start()

    def _receivers(self) -> list[PacketRx]:
        return [cast(PacketRx, queue) for queue in self._rx.values()]

    def _receiver(self) -> tuple[socket.socket, mmap.mmap]:
        """A socket and its ring."""
        receiver = self._socket()
        try:
            receiver.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
            receiver.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            try:
                receiver.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            except OSError as error:
                if error.errno != errno.ENOPROTOOPT:  # before Linux 4.20 each frame is looked at instead
                    raise
            size, frame = RING_BLOCK_SIZE * RING_BLOCKS, 2048
            request = struct.pack("7I", RING_BLOCK_SIZE, RING_BLOCKS, frame, size // frame, RETIRE_MS, 0, 0)
            receiver.setsockopt(SOL_PACKET, PACKET_RX_RING, request)
            if self._promiscuous:
                receiver.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, self._membership())
            ring = mmap.mmap(receiver.fileno(), size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
            receiver.bind((self.interface, ETH_P_ALL))
        except BaseException:
            receiver.close()
            raise
        return receiver, ring

    def _sender(self) -> socket.socket:
        sender = self._socket()
        try:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SO_SNDBUF_BYTES)
            if self._bypass:
                sender.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            sender.bind((self.interface, 0))
        except BaseException:
            sender.close()
            raise
        return sender

    def _membership(self) -> bytes:
        """struct packet_mreq: interface, type, length and address."""
        return struct.pack("iHH8s", self._index, PACKET_MR_PROMISC, 0, b"")

    def _stop(self) -> None:
        for rx in self._receivers():
            rx.close()
        for tx in self._tx.values():
            cast(PacketTx, tx).open(-1)
        while self._senders:
            self._senders.pop().close()

    def _close(self) -> None:
        self.device.close()

    def _counted(self) -> dict[str, int]:
        for queue in self._receivers():
            queue.count_drops()
        return super()._counted() | {"link_outages": sum(queue.outages for queue in self._receivers())}

    @property
    def promiscuous(self) -> bool:
        """Whether frames for other addresses are received; settable."""
        return self._promiscuous

    @promiscuous.setter
    def promiscuous(self, on: bool) -> None:
        if bool(on) == self._promiscuous:
            return
        for queue in self._receivers():
            if queue.socket is not None:
                verb = PACKET_ADD_MEMBERSHIP if on else PACKET_DROP_MEMBERSHIP
                queue.socket.setsockopt(SOL_PACKET, verb, self._membership())
            queue.pass_on(bool(on))
        self._promiscuous = bool(on)

    @property
    def mac(self) -> str:
        """The interface's address."""
        return self.device.mac

    @mac.setter
    def mac(self, value: str) -> None:
        self.device.mac = value

    def _set_mtu(self, value: int) -> None:
        super()._set_mtu(value)
        self.device.mtu = value

    @property
    def link(self) -> Link:
        """State of the interface."""
        return self.device.link


def open_port(spec: PortString) -> PacketPort:
    """``af_packet:INTERFACE``, with promiscuous and qdisc_bypass."""
    if not spec.target:
        raise ConfigError(
            f"{spec.text}: no interface: write af_packet:INTERFACE; 'ip link' lists those there are"
        )
    promiscuous = spec.flag("promiscuous", True)
    bypass = spec.flag("qdisc_bypass", False)
    spec.done()
    return PacketPort(spec.text, spec.target, promiscuous=promiscuous, qdisc_bypass=bypass)
