# SPDX-License-Identifier: BSD-3-Clause
"""The two wires to an SFP+ module, and the module's identification memory at address 0xA0 (SFF-8472, SFF-8431)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Bus", "sfp_memory"]

_WRITE_ADDRESS, _READ_ADDRESS = 0xA0, 0xA1


def sfp_memory(vendor: str = "MODEL", part: str = "", serial: str = "0001", gbps: int = 10) -> bytes:
    """256 bytes as a passive copper cable (direct attach) has them: every 82599 driver takes one; gbps=1: as a 1000BASE-SX
    module has them."""
    memory = bytearray(256)
    memory[0] = 0x03  # SFP or SFP+
    memory[1] = 0x04  # identified by this memory alone
    if gbps == 10:
        memory[2] = 0x21  # copper pigtail
        memory[8] = 0x04  # SFP+ cable technology: passive
        memory[12] = 103  # nominal rate in units of 100 Mb/s
        memory[18] = 1  # metres
        memory[60] = 0x01  # passive: SFF-8431 appendix E
    else:
        memory[2] = 0x07  # LC
        memory[6] = 0x01  # 1000BASE-SX
        memory[11] = 0x01  # 8B10B
        memory[12] = 13
        memory[16] = 55  # tens of metres of 50 um fibre
        memory[60:62] = (850).to_bytes(2, "big")  # nm
    part = part or ("DAC-1M" if gbps == 10 else "1000BASE-SX")
    memory[20:36] = vendor.ljust(16).encode("ascii")
    memory[37:40] = bytes((0x00, 0x1B, 0x21))  # an organisation whose modules drivers take without a warning
    memory[40:56] = part.ljust(16).encode("ascii")
    memory[56:60] = b"1   "
    memory[63] = sum(memory[0:63]) & 0xFF
    memory[68:84] = serial.ljust(16).encode("ascii")
    memory[84:92] = b"260101  "
    memory[95] = sum(memory[64:95]) & 0xFF
    return bytes(memory)


class Bus:
    """Both lines are open drain and pulled up: a line is low when the chip or the module pulls it.

    memory: what the module answers with, None when no module is in. `drive` takes what the chip puts on the lines;
    `clock` and `data` are what it sees there.
    """

    def __init__(self, memory: Sequence[int] | None) -> None:
        self.memory = memory
        self.clock, self.master = True, True
        self.pulled = False  # the module holds data low
        self.pointer = 0
        self._stop()

    @property
    def data(self) -> bool:
        """Whether the data line is high."""
        return self.master and not self.pulled

    def drive(self, clock: bool, data: bool) -> None:
        """The chip's side of both lines changes."""
        if self.memory is not None:
            if self.clock and clock and self.master != data:
                if data:
                    self._stop()
                else:
                    self._start()
            elif clock and not self.clock:
                self._rise(data)
            elif self.clock and not clock:
                self._fall()
        self.clock, self.master = clock, data

    def _start(self) -> None:
        self.state, self.bits, self.word, self.pulled = "address", 0, 0, False

    def _stop(self) -> None:
        self.state, self.bits, self.word, self.pulled = "idle", 0, 0, False

    def _rise(self, data: bool) -> None:
        if self.state in ("address", "pointer", "store") and self.bits < 8:
            self.word = self.word << 1 | data
            self.bits += 1
        elif self.state == "read":
            self.bits += 1
            if self.bits == 9 and data:  # the chip does not acknowledge: it wants no more
                self.state, self.pointer = "idle", (self.pointer + 1) & 0xFF

    def _fall(self) -> None:
        """Between clocks the data line may change: the module acknowledges, or shows its next bit."""
        if self.state == "idle":
            self.pulled = False
        elif self.state == "read":
            self._show()
        elif self.bits == 8 and not self.pulled:
            self._byte()
        elif self.bits == 8:
            self.pulled, self.bits, self.word = False, 0, 0
            if self.state == "reading":
                self.state = "read"
                self._show()

    def _byte(self) -> None:
        """Eight bits came: acknowledge by pulling data low for the ninth clock."""
        if self.state == "address":
            if self.word not in (_WRITE_ADDRESS, _READ_ADDRESS):
                self._stop()
                return
            self.state = "pointer" if self.word == _WRITE_ADDRESS else "reading"
        elif self.state == "pointer":
            self.pointer, self.state = self.word, "store"
        self.pulled = True  # "store": acknowledged and forgotten, the memory is write protected

    def _show(self) -> None:
        assert self.memory is not None
        if self.bits == 9:
            self.bits = 0
            self.pointer = (self.pointer + 1) & 0xFF
        self.pulled = self.bits < 8 and not self.memory[self.pointer] >> (7 - self.bits) & 1
