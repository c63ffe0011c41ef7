# SPDX-License-Identifier: BSD-3-Clause
"""The 82599 as data: what its datasheet says, one register a line, for the driver and for the model.

Every register of the PF's BAR0 is a name of this package (``from dataplane.pmd.datasheet import CTRL, RXDCTL``),
``ALL`` lists them by offset and ``decode`` finds the one at an address.

- `registers/`: the registers of the PF's BAR0, by chapters
- `vf`: the registers of a VF's BAR0, and which PF register each one is
- `descriptors`: descriptors bit by bit
- `mailbox`: the words of messages between PF and VF
- `eeprom`: the words in the EEPROM, and their checksum
- `pci`: identity and configuration space
- `limits`: limits of the chip
- `hw82599`: descriptors for Cython and C; a test compares them with `descriptors`
- `word`: offsets of registers for Cython, in dwords; a test compares them with the registers
"""

from dataplane.pmd.datasheet.registers.fcoe import *  # noqa: F403
from dataplane.pmd.datasheet.registers.fdir import *  # noqa: F403
from dataplane.pmd.datasheet.registers.filters import *  # noqa: F403
from dataplane.pmd.datasheet.registers.general import *  # noqa: F403
from dataplane.pmd.datasheet.registers.interrupts import *  # noqa: F403
from dataplane.pmd.datasheet.registers.ipsec import *  # noqa: F403
from dataplane.pmd.datasheet.registers.link import *  # noqa: F403
from dataplane.pmd.datasheet.registers.linksec import *  # noqa: F403
from dataplane.pmd.datasheet.registers.management import *  # noqa: F403
from dataplane.pmd.datasheet.registers.nvm import *  # noqa: F403
from dataplane.pmd.datasheet.registers.pcie import *  # noqa: F403
from dataplane.pmd.datasheet.registers.rx import *  # noqa: F403
from dataplane.pmd.datasheet.registers.stats import *  # noqa: F403
from dataplane.pmd.datasheet.registers.timesync import *  # noqa: F403
from dataplane.pmd.datasheet.registers.tx import *  # noqa: F403
from dataplane.pmd.datasheet.registers.virtualization import *  # noqa: F403
from dataplane.pmd.register import *  # noqa: F403
from dataplane.pmd.register import AddressMap, Register

_MAP = AddressMap(
    {id(line): line for line in list(globals().values()) if isinstance(line, Register)}.values()  # each once
)

ALL: tuple[Register, ...] = _MAP.registers
"""Every register of the PF, by offset."""

decode = _MAP.decode
"""The register at an offset of BAR0, by its canonical name even when reached by an alias; or None."""
