# SPDX-License-Identifier: BSD-3-Clause
"""EEPROM access and the semaphores that ports and firmware share (datasheet 8.2.3.2, 8.2.3.4.9 to 11, 10.5.4)."""

from __future__ import annotations

from dataplane.pmd.datasheet import (
    EEC,
    EEMNGCTL,
    EERD,
    FACTPS,
    FWSM,
    GRC,
    RAH,
    RAL,
    SW_FW_SYNC,
    SWSM,
    RegisterRef,
)
from dataplane.pmd.datasheet import eeprom as words
from dataplane.pmd.model.registers.block import RegisterBlock, on_read, on_write

_BAD_CHECKSUM = 1  # FWSM.EXT_ERR_IND


class NvmRegisters(RegisterBlock):
    """EEC, EERD, FWSM, SWSM and SW_FW_SYNC; what a reset loads from the EEPROM."""

    def reset(self, power_up: bool) -> None:
        image = self.card.eeprom
        size = (len(image).bit_length() - 1) - 6  # words = 1 << (size + 6)
        load = [(EEC.offset, EEC.pack(PRES=1, SIZE=size))]
        if power_up:
            good = words.is_valid(image)
            load.append((FWSM.offset, FWSM.pack(FW_VALID=1, EXT_ERR_IND=0 if good else _BAD_CHECKSUM)))
            load.append((EEMNGCTL.offset, EEMNGCTL.pack(CFG_DONE0=1, CFG_DONE1=1)))
            load.append((GRC.offset, 0))
            load.append((FACTPS.offset, 0))
        mac = self.card.mac(self.chip.port)
        load.append((RAL[0].offset, int.from_bytes(mac[:4], "little")))
        load.append((RAH[0].offset, RAH[0].pack(ADDR=int.from_bytes(mac[4:], "little"), AV=1)))
        self.chip.load(load)
        self.later(self.timing.eeprom, EEC.ARD, 1)

    @on_write(EEC)
    def control(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.2.1: REQ asks for the EEPROM, GNT says that it is ours: at most one port has it."""
        wants = bool(new & EEC.REQ.mask)
        others = [port for port in self.card.ports if port is not self.chip]
        taken = any(port.peek(EEC.offset) & EEC.GNT.mask for port in others)
        if not wants:
            for port in others:  # the port that waited has it now
                if port.peek(EEC.offset) & EEC.REQ.mask:
                    port.poke(EEC.offset, port.peek(EEC.offset) | EEC.GNT.mask)
                    break
        return EEC.update(new, GNT=int(wants and not taken))

    @on_write(EERD)
    def read_word(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.2.2: START reads the word at ADDR; DONE and DATA follow. A word past the end reads all ones."""
        if not written & EERD.START.mask:
            return new
        address, image = EERD.ADDR.extract(written), self.card.eeprom
        data = image[address] if address < len(image) else 0xFFFF
        self.chip.forget(EERD.offset)
        done = EERD.pack(DONE=1, DATA=data)
        self.chip.after(self.timing.eeprom_word, EERD.offset, EERD.DONE.mask | EERD.DATA.mask, done)
        return EERD.update(new, DONE=0, DATA=0)

    @on_write(EEMNGCTL)
    def management(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.2: firmware finished its configuration of both ports before a driver came; software cannot take it back."""
        return EEMNGCTL.update(new, CFG_DONE0=1, CFG_DONE1=1)

    @on_read(SWSM)
    def semaphore(self, offset: int, value: int) -> int:
        """8.2.3.4.9: a read of SMBI takes it, for the other port too."""
        self._share(SWSM, value | SWSM.SMBI.mask)
        return value

    @on_write(SWSM, SW_FW_SYNC, FACTPS)
    def shared(self, offset: int, old: int, new: int, written: int) -> int:
        """8.2.3.4.9 and 11: one copy for both ports."""
        for port in self.card.ports:
            if port is not self.chip:
                port.poke(offset, new)
        return new

    def _share(self, register: RegisterRef, value: int) -> None:
        for port in self.card.ports:
            if port is not self.chip:
                port.poke(register.offset, value)
