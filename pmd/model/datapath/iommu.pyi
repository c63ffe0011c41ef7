# SPDX-License-Identifier: BSD-3-Clause
"""Types of pmd.model.datapath.iommu."""

from typing import NamedTuple

WHAT: tuple[str, ...]

class DmaFault(NamedTuple):
    function: str
    iova: int
    length: int
    direction: str
    what: str

class Domain:
    name: str
    def __init__(self, name: str = "function") -> None: ...
    def map(
        self,
        iova: int,
        size: int,
        address: int,
        *,
        read: bool = True,
        write: bool = True,
        owner: object = None,
    ) -> None: ...
    def unmap(self, iova: int) -> None: ...
    def unmap_between(self, first: int, last: int) -> None: ...
    def clear(self) -> None: ...
    def __contains__(self, iova: int) -> bool: ...
    @property
    def mappings(self) -> list[tuple[int, int, int, str]]: ...
    @property
    def fault_count(self) -> int: ...
    def take_faults(self) -> list[DmaFault]: ...
