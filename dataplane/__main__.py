# SPDX-License-Identifier: BSD-3-Clause
"""The `dataplane` command, also ``python -m dataplane``."""

from __future__ import annotations

import logging
import sys


def main() -> int:
    """Run the command with the process's arguments and return its exit status.

    Signals and standard streams come first, before anything is loaded that takes time or memory.
    """
    from dataplane.apps.command.terminal import signals, streams

    signals.begin()
    streams.guard()
    logging.getLogger().addHandler(logging.NullHandler())  # drop what other libraries log
    streams.log_to_stderr(logging.WARNING)
    try:
        from dataplane.apps.command import cli

        status = cli.main()
    except SystemExit as ended:  # argparse: --help, --version, arguments that make no sense
        status = ended.code if isinstance(ended.code, int) else 0
    except (ImportError, MemoryError) as error:
        streams.complain(f"{error or 'out of memory'}: the command cannot be loaded")
        status = 1
    if why := streams.failure():
        streams.complain(f"{why}: what was printed there is lost")
        status = status or 1
    signals.end()
    return status


if __name__ == "__main__":
    sys.exit(main())
