# SPDX-License-Identifier: BSD-3-Clause
"""What lies in the EEPROM: 16-bit words by address, and the checksum over them (datasheet 6)."""

from __future__ import annotations

from collections.abc import Sequence

# Words
PCIE_ANALOG, PHY_CONFIG, OPTION_ROM, PCIE_GENERAL = 0x03, 0x04, 0x05, 0x06
PCIE_CONFIG0, PCIE_CONFIG1, CORE0, CORE1 = 0x07, 0x08, 0x09, 0x0A
MAC0, MAC1, CSR0, CSR1 = 0x0B, 0x0C, 0x0D, 0x0E
FIRMWARE = 0x0F
PBA_NUMBER0, PBA_NUMBER1 = 0x15, 0x16
SAN_MAC, SFP_INIT_LIST, DEVICE_CAPS, ETRACK_LOW, ETRACK_HIGH, ALT_MAC = 0x28, 0x2B, 0x2C, 0x2D, 0x2E, 0x37
CHECKSUM = 0x3F

CAPS_ANY_SFP, CAPS_NO_CROSSTALK_WORKAROUND = 1 << 0, 1 << 7  # in DEVICE_CAPS

SUM = 0xBABA
ABSENT = (0x0000, 0xFFFF)  # a pointer or a length that means: no such section


def words_summed(words: Sequence[int]) -> int:
    """The sum of everything that the checksum covers, without the checksum word itself.

    That is words 0x00..0x3E, and the sections that the pointers 0x03..0x0E lead to: a length, then as many
    words. FIRMWARE is a pointer too, but its section is not summed. ValueError when a section runs past the
    end.
    """
    total = sum(words[:CHECKSUM])
    for pointer in range(PCIE_ANALOG, FIRMWARE):
        start = words[pointer]
        if start in ABSENT:
            continue
        length = words[start] if start < len(words) else 0
        if length in ABSENT and start < len(words):
            continue
        if start + length >= len(words):
            raise ValueError(
                f"EEPROM word {pointer:#04x} leads to {length} words at {start:#06x}, "
                f"past the end of its {len(words)}"
            )
        total += sum(words[start + 1 : start + 1 + length])
    return total & 0xFFFF


def checksum(words: Sequence[int]) -> int:
    """The value of word 0x3F that makes the sum of all words 0xBABA."""
    return SUM - words_summed(words) & 0xFFFF


def is_valid(words: Sequence[int]) -> bool:
    """Whether the checksum word is right."""
    return words[CHECKSUM] == checksum(words)
