# SPDX-License-Identifier: BSD-3-Clause
"""How the programs of this folder end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

__all__ = ["ended"]


def ended(main: Callable[[], int | None]) -> NoReturn:
    """Exit with what `main` returns, None being 0. Ctrl-C, and a reader of the output that has gone, leave no traceback."""
    try:
        status = main() or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        sys.stdout = None  # type: ignore[assignment]  # or the interpreter tries again to write what is left
        status = 1
    sys.exit(status)
