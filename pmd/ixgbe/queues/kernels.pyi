# SPDX-License-Identifier: BSD-3-Clause
def widths() -> list[str]:
    """The names of the kernels that this CPU can run, the narrowest first."""
