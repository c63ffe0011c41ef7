# SPDX-License-Identifier: BSD-3-Clause
"""The `dataplane` command; ``python -m apps`` is the same."""

from __future__ import annotations

import sys

from apps.command.cli import main

if __name__ == "__main__":
    sys.exit(main())
