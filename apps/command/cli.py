# SPDX-License-Identifier: BSD-3-Clause
"""Arguments, errors and exit status of the `dataplane` command.

0: the run did what was asked. 1: it did not, or an error, told in one line. 2: the arguments make no sense.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence

from dataplane.errors import DataplaneError

__all__ = ["main"]

SUBCOMMANDS = (
    "demo",
    "l2fwd",
    "pktgen",
    "pcapdump",
    "macswap",
    "vf",
    "nic",
    "bind",
    "unbind",
    "ports",
    "doctor",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: the process's) and return its exit status."""
    args = _parser().parse_args(argv)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except DataplaneError as error:
        return _complain(args, str(error))
    except BrokenPipeError:
        # Whoever read our output has gone (`dataplane ports | head -1`): nothing is left to tell, not even at exit.
        sys.stdout = None
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _complain(args, f"{name}{error.strerror or error}; run 'dataplane doctor'")
    except KeyboardInterrupt:
        return _complain(args, "interrupted before the run began")


def _complain(args: argparse.Namespace, message: str) -> int:
    if args.debug:
        traceback.print_exc()
    print(f"dataplane: {' '.join(message.split())}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dataplane",
        description="Packet processing with poll-mode drivers, on an 82599 or on the model of one.",
        epilog="PORT is what 'dataplane ports' lists: model0, af_packet:eth0, tap:NAME, pcap:FILE, null ...",
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for name in SUBCOMMANDS:
        module = importlib.import_module(f"apps.command.{name}")
        sub = commands.add_parser(name, help=module.HELP, description=module.HELP)
        # SUPPRESS: the subparser must not undo a --debug that stood before the subcommand.
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


class _Version(argparse.Action):
    """``--version``; the package's metadata are read only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> None:
        from importlib import metadata

        try:
            version = metadata.version("dataplane-pmd")
        except metadata.PackageNotFoundError:
            version = "(a source tree that is not installed)"
        print(f"dataplane {version}")
        parser.exit(0)
