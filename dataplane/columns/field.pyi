# SPDX-License-Identifier: BSD-3-Clause
"""Types of dataplane.columns.field."""

from typing import Any

import numpy as np

class Field:
    name: str
    offset: int
    width: int
    shift: int
    mask: int
    dtype: np.dtype[Any]
    def __init__(
        self, name: str, offset: int, width: int, *, shift: int = 0, bits: int | None = None
    ) -> None: ...
    def at(self, shift: int) -> Field: ...

def use_simd(on: bool) -> None: ...
