# SPDX-License-Identifier: BSD-3-Clause
"""Buses: ways to reach a PCI function. Each implements `dataplane.pmd.function.Function` and knows no device.

The model in this process:

- `model`, `model_vf`: a port of the model, and one of its VFs
- `model_parts`: what both share: arenas in a DMA map
- `wiring`, `netem_options`: wires and their impairments in port strings

A served NIC, in another process:

- `vfio_user`: registers are messages on a socket
- `doorbells`: tails of queues on such a device, which hot loops write as on a card

A card:

- `pci`: chooses VFIO or UIO, by the kernel driver that has the card
- `vfio`, `vfio_api`: Linux VFIO, and the numbers and structs of its interface
- `uio`: UIO, for machines without an IOMMU
- `card_function`: what VFIO and UIO have in common: BARs, configuration space, VFs
- `mmio`: registers in mapped memory
"""
