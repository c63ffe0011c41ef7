# SPDX-License-Identifier: BSD-3-Clause
"""Identity and configuration space of the 82599 (datasheet 9.3; SR-IOV and VFs 9.4, 9.5). Offsets are in bytes.

The names of `dataplane.pmd.pci`, which hold for every PCI function, are here too.
"""

from dataplane.pmd.pci import *  # noqa: F403

INTEL = 0x8086
PF_82599_SFP = 0x10FB
VF_82599 = 0x10ED
VF_82599_HV = 0x152E  # under Hyper-V
BEFORE_EEPROM = 0x10D8  # the device id until the EEPROM has been read
PF_IDS = {
    0x10F7: "82599 KX4",
    0x10F8: "82599 combo backplane",
    0x10F9: "82599 CX4",
    0x10FB: "82599 SFP+",
    0x10FC: "82599 XAUI",
    0x1507: "82599 SFP+ EM",
    0x1514: "82599 KX4 mezzanine",
    0x1517: "82599 KR",
    0x151C: "82599 T3",
    0x1529: "82599 SFP+ FCoE",
    0x152A: "82599 backplane FCoE",
    0x154A: "82599 quad SFP+",
    0x154D: "82599 SFP+ SF2",
    0x154F: "82599 LS",
    0x1557: "82599EN SFP+",
    0x1558: "82599 quad QSFP+",
}
CLASS_ETHERNET = 0x020000
REVISION_ON_CARDS = 0x01

# Where the PF has its capabilities
PF_PM, PF_MSI, PF_MSIX, PF_PCIE, PF_VPD = 0x40, 0x50, 0x70, 0xA0, 0xE0
PF_AER, PF_SERIAL, PF_ARI, PF_SRIOV = 0x100, 0x140, 0x150, 0x160

# SR-IOV (9.4.4)
SRIOV_VFS = 64
SRIOV_STRIDE = 2
SRIOV_FIRST_VF_ARI, SRIOV_FIRST_VF_NO_ARI = 128, 384  # the first VF's routing id after the PF's
SRIOV_SUPPORTED_PAGES = 0x553  # 4 KiB, 8 KiB, 64 KiB, 256 KiB, 1 MiB, 4 MiB

# BARs
REGISTERS_SIZE = 0x20000  # the PF's registers; on a card BAR0 is larger, flash lies behind them
PF_BAR_REGISTERS, PF_BAR_IO, PF_BAR_MSIX = 0, 2, 4
IO_SIZE = 32
MSIX_SIZE, MSIX_PBA_AT = 0x4000, 0x2000
PF_VECTORS, VF_VECTORS = 64, 3
VF_REGISTERS_SIZE = 0x4000
VF_BAR_REGISTERS, VF_BAR_MSIX = 0, 3
