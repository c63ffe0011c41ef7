# SPDX-License-Identifier: BSD-3-Clause
"""The 82599 in software: registers with their side effects, DMA through an IOMMU domain, wires."""

from dataplane.pmd.model.block import Timing
from dataplane.pmd.model.card import Card, get_card

__all__ = ["Card", "Timing", "get_card"]
