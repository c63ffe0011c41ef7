# SPDX-License-Identifier: BSD-3-Clause
"""What lies in the model's EEPROM: 4096 words with a good checksum, shared by both ports (datasheet 6)."""

from __future__ import annotations

from collections.abc import Sequence

from dataplane.pmd.datasheet import eeprom as words

__all__ = ["MAC_WORDS", "WORDS", "image", "mac_of", "spoil", "stable_mac"]

WORDS = 4096

# Sections, far enough apart. SILENT: the order of sections in the EEPROM is the image builder's to choose.
_SECTIONS = {words.CORE0: 0x0100, words.CORE1: 0x0110, words.MAC0: 0x0120, words.MAC1: 0x0130}
MAC_WORDS = (
    _SECTIONS[words.CORE0] + 1,
    _SECTIONS[words.CORE1] + 1,
)  # the address of port 0 and 1: 3 words each
_FIRMWARE, _FIRMWARE_VERSION = 0x0200, 0x7  # drivers want more than 5
_SFP_LIST = 0x0300
_ETRACK = 0x8000_1234  # bit 31: the identifier is the image's own
_PBA = (0xFAFA, 0x0400)  # 0xFAFA: word 0x16 leads to the number as text
_SAN_MAC = 0x0410


def stable_mac(card: int, port: int) -> bytes:
    """A locally administered address for a port of the n-th card: the same in every run."""
    return bytes((0x02, 0x82, 0x59, 0x90, card & 0xFF, port & 0xFF))


def image(macs: Sequence[bytes], *, port_names: str = "MODEL-82599") -> list[int]:
    """The words of an EEPROM for ports with these addresses (two at most)."""
    memory = [0xFFFF] * WORDS
    memory[0 : words.CHECKSUM] = [0] * words.CHECKSUM
    for pointer in range(words.PCIE_ANALOG, words.FIRMWARE):
        memory[pointer] = 0xFFFF  # no such section
    for port, mac in enumerate(macs):
        core, mac_section = (words.CORE0, words.MAC0) if port == 0 else (words.CORE1, words.MAC1)
        _section(memory, core, [int.from_bytes(mac[at : at + 2], "little") for at in (0, 2, 4)])
        # LMS and PMA of an SFP+ board, as AUTOC and AUTOC2 take them: 10G serial, SFI.
        _section(memory, mac_section, [0x0000, 0x6000, 0x0000, 0x0002])
    memory[words.FIRMWARE] = _FIRMWARE
    # Through two pointers to the version of the firmware that passes packets on.
    memory[_FIRMWARE : _FIRMWARE + 8] = [7, 0, 0, 0, _FIRMWARE + 0x10, 0, 0, 0]
    memory[_FIRMWARE + 0x10 : _FIRMWARE + 0x18] = [7, 0, 0, 0, 0, 0, 0, _FIRMWARE_VERSION]
    memory[words.PBA_NUMBER0], memory[words.PBA_NUMBER1] = _PBA
    text = port_names.encode("ascii")
    text += b" " * (len(text) % 2)
    memory[_PBA[1]] = 1 + len(text) // 2
    for at in range(0, len(text), 2):
        memory[_PBA[1] + 1 + at // 2] = text[at] << 8 | text[at + 1]
    memory[words.SAN_MAC] = 0xFFFF
    memory[words.SFP_INIT_LIST] = _SFP_LIST
    _sfp_sequences(memory)
    memory[words.DEVICE_CAPS] = words.CAPS_ANY_SFP
    memory[words.ETRACK_LOW], memory[words.ETRACK_HIGH] = _ETRACK & 0xFFFF, _ETRACK >> 16
    memory[words.ALT_MAC] = 0xFFFF
    memory[words.CHECKSUM] = words.checksum(memory)
    return memory


def mac_of(memory: Sequence[int], port: int) -> bytes:
    """The address that a reset loads into RAL0 and RAH0."""
    at = MAC_WORDS[port]
    return b"".join(word.to_bytes(2, "little") for word in memory[at : at + 3])


def spoil(memory: list[int]) -> None:
    """Make the checksum wrong, and nothing else."""
    memory[words.CHECKSUM] ^= 0x0001


def _section(memory: list[int], pointer: int, content: Sequence[int]) -> None:
    start = _SECTIONS[pointer]
    memory[pointer] = start
    memory[start] = len(content)
    memory[start + 1 : start + 1 + len(content)] = content


def _sfp_sequences(memory: list[int]) -> None:
    """For each kind of SFP+ module, a list of (value) words that the driver plays into CORECTL: none are needed here.

    The list itself: pairs of module type and pointer, 0xFFFF at the end. Types: 0 copper cable, 1 SR, 2 LR, 3 and
    4 copper cable of port 0 and 1, 5 and 6 SR or LR of port 0 and 1.
    """
    start = _SFP_LIST + 0x40
    entry = _SFP_LIST + 1
    memory[_SFP_LIST] = 0
    for kind in range(13):
        memory[entry : entry + 2] = [kind, start]
        entry += 2
    memory[entry] = 0xFFFF
    memory[start : start + 3] = [0, 0x0000, 0xFFFF]
