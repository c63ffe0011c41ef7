# SPDX-License-Identifier: BSD-3-Clause
"""Arguments, errors and exit status of the `dataplane` command.

0: the run did what was asked. 1: it did not, or an error, printed as one line. 2: the arguments are wrong.
"""

from __future__ import annotations

import argparse
import importlib
import os
import resource
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout

from dataplane.apps.command.terminal.streams import complain
from dataplane.errors import DataplaneError
from dataplane.files.output import is_standard_output

__all__ = ["COMMANDS", "main"]

# What the list of commands says of each: its module is imported only when it is named.
COMMANDS = {
    "demo": "send packets across two 82599s in software into a capture file, and between two VFs; without card or root",
    "l2fwd": "forward between ports, in pairs",
    "pktgen": "send traffic generated from a scapy expression",
    "pcapdump": "write what a port receives to a pcap file",
    "macswap": "send back what a port receives, with source and destination MAC swapped",
    "vf": "show the virtual functions of a running PF, change their settings, find out why one is silent",
    "nic": "serve an 82599 in software to other processes and virtual machines, or run a program with its own driver on one",
    "bind": "bind cards to vfio-pci (or a UIO driver), so that programs can drive them",
    "unbind": "return cards to the kernel's driver",
    "ports": "list the ports of this machine: model ports, served NICs, network interfaces, 82599s and their kernel driver",
    "doctor": "check this machine, and print the command that fixes each problem",
}


ADDRESS_SPACE = 320 << 20  # bytes; 200 MiB were measured, with scapy


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: the process's) and return its exit status."""
    words = sys.argv[1:] if argv is None else argv
    debug = "--debug" in words
    if too_little := _too_little(words):
        return _complain(debug, too_little)
    try:
        args = _parser(words).parse_args(words)
        with _voice(args):
            status: int = args.run(args)
        sys.stdout.flush()
        return status
    except DataplaneError as error:
        return _complain(debug, str(error))
    except BrokenPipeError:
        # The reader of the output has gone (`dataplane ports | head -1`): print nothing more, not even at exit.
        sys.stdout = None
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _complain(debug, f"{name}{error.strerror or error}; run 'dataplane doctor'")
    except KeyboardInterrupt:
        return _complain(debug, "interrupted before the run began")
    except Exception as error:
        if not _limited(error):
            raise
        root: BaseException = error
        while (cause := root.__cause__ or root.__context__) is not None:
            root = cause  # NumPy makes a page of advice of it
        reason = str(root) or "out of memory"
        return _complain(debug, f"{reason}: this process may have too little memory ('ulimit -a', --debug)")


def _too_little(words: Sequence[str]) -> str:
    """The message about a limit on address space (RLIMIT_AS) that is too low to load the modules, "" if it is high enough.

    `main` checks it before the imports: an allocation that fails inside NumPy or OpenSSL prints their own lines and goes on.
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or not any(word in COMMANDS for word in words):
        return ""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's library takes tens of MiB for each thread
    if limit >= ADDRESS_SPACE:
        return ""
    return (
        f"the limit on this process's address space is {limit >> 20} MiB, but loading its modules requires "
        f"{ADDRESS_SPACE >> 20} MiB: raise it ('ulimit -v unlimited')"
    )


def _voice(args: argparse.Namespace) -> AbstractContextManager[object]:
    """Where the command speaks: standard output, or standard error if one of its files is standard output."""
    files = (getattr(args, name, None) for name in ("file", "json", "trace", "findings"))
    taken = any(file is not None and is_standard_output(file) for file in files)
    return redirect_stdout(sys.stderr) if taken else nullcontext()


def _limited(error: Exception) -> bool:
    """Whether an unexpected error is likely one of a limit: modules that cannot be loaded whole fail in any way."""
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "start new thread" in str(error)
    ):
        return True
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _complain(debug: bool, message: str) -> int:
    if debug:
        traceback.print_exc()
    complain(message)
    return 1


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of these words. Only the command that they name has its arguments."""
    named = next((word for word in words if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="dataplane",
        description="Process packets with poll-mode drivers, on an 82599 or on a model of it.",
        epilog="'dataplane ports' lists values for PORT: model0, af_packet:eth0, tap:NAME, pcap:FILE, null: ...",
    )
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        sub = commands.add_parser(name, help=what, description=what)
        if name != named:
            continue
        module = importlib.import_module(f"dataplane.apps.command.{name}")
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
