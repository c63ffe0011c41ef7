# SPDX-License-Identifier: BSD-3-Clause
"""The `dataplane` command, also ``python -m dataplane``."""

from __future__ import annotations

import sys

from dataplane.apps.command.cli import main

if __name__ == "__main__":
    sys.exit(main())
