# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane vf show | set | explain NIC`: the VFs of a PF that runs here, in the words of ``ip link set PF vf N``.

`explain` asks a VF as well, which answers with what it knows itself.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from dataplane.apps.command.options import json_report
from dataplane.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs and their arguments. The settings, with their help, are the rows of `SETTINGS`."""
    from dataplane.pmd.ixgbe.sriov.settings import SETTINGS

    verbs = parser.add_subparsers(title="verbs", dest="verb", required=True, metavar="VERB")
    nic = argparse.ArgumentParser(add_help=False)
    nic.add_argument("nic", metavar="NIC", help="a running PF with vfs=N, as in model0 or 0000:03:00.0")
    number = argparse.ArgumentParser(add_help=False)
    number.add_argument("vf", type=_number, metavar="N", help="the VF's number, starting at 0")

    show = verbs.add_parser("show", parents=[nic], help="print settings and counters of every VF")
    _add_json(show)
    change = verbs.add_parser(
        "set",
        parents=[nic, number],
        help=f"change settings of a VF: {', '.join(row.usage for row in SETTINGS.values())}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="settings:\n" + "\n".join(_explained(row.usage, row.help) for row in SETTINGS.values()),
    )
    change.add_argument(
        "settings", nargs="+", metavar="SETTING VALUE", help=f"one or more of {', '.join(SETTINGS)}"
    )
    why = verbs.add_parser(
        "explain",
        help="find out why a VF sends or receives nothing; exit status 1 if something prevents it",
    )
    why.add_argument(
        "nic",
        metavar="NIC",
        help="a running PF with vfs=N, as in model0 or 0000:03:00.0; or a VF that a program on this machine has started, as "
        "in model0.vf0, which reports what it can see itself",
    )
    why.add_argument(
        "vf",
        type=_number,
        metavar="N",
        nargs="?",
        help="with a PF: the VF's number, starting at 0 (default: every VF)",
    )
    _add_json(why)


def _explained(usage: str, help: str) -> str:
    """A setting as a paragraph of the help."""
    return textwrap.fill(f"{help}.", 79, initial_indent=f"  {usage}: ", subsequent_indent="      ")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        nargs="?",
        const=Path("-"),
        help="also write the result as JSON to FILE. Without FILE (put --json after NIC) or with -, write the JSON to "
        "standard output and the lines to standard error",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command. Returns its exit status."""
    return {"show": _show, "set": _set, "explain": _explain}[args.verb](args)


def _show(args: argparse.Namespace) -> int:
    from dataplane.pmd.ixgbe.control import call

    report = json_report(args)
    rows: list[dict[str, Any]] = call(args.nic, "show")
    for row in rows:
        print(_line(row))
    if report is not None:
        report.write(json.dumps(rows, indent=2) + "\n")
    return 0


def _line(row: dict[str, Any]) -> str:
    """The settings as ``ip link show`` prints them, then what the VF does."""
    from dataplane.pmd.ixgbe.sriov.settings import SETTINGS

    # A PF of another version may have other settings.
    words = [setting.shown(row[name]) for name, setting in SETTINGS.items() if name in row]
    words = [each for each in words if each]
    if not row["active"]:
        words.append("not in use")
    else:
        words.append(
            f"in use, API {row['api']}, {row['rx_good_packets']} packets in, {row['tx_good_packets']} out"
        )
    if row.get("service"):
        words.append(row["service"])
    if row["refused"]:
        words.append(f"{row['refused']} requests refused ('dataplane vf explain' lists them)")
    return f"vf {row['vf']:<2} {', '.join(words)}"


def _set(args: argparse.Namespace) -> int:
    from dataplane.pmd.ixgbe.control import call

    names, values = args.settings[::2], args.settings[1::2]
    if len(names) != len(values):
        raise ConfigError(f"{names[-1]}: its value is missing: write SETTING VALUE, as in vlan 7")
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"{', '.join(sorted(twice))}: given twice")
    call(args.nic, "set", vf=args.vf, settings=dict(zip(names, values, strict=True)))
    return 0


def _explain(args: argparse.Namespace) -> int:
    """Exit status 1 when something keeps a VF that is in use from sending or receiving."""
    from dataplane.pmd.ixgbe.control import call

    report = json_report(args)
    told = call(args.nic, "explain", **({} if args.vf is None else {"vf": args.vf}))
    for answer in told.get("vfs", [told]):
        _print_answer(f"{args.nic}.vf{answer['vf']}" if "vf" in answer else args.nic, answer)
    if report is not None:
        report.write(json.dumps(told, indent=2) + "\n")
    return 0 if told["ok"] else 1


def _print_answer(name: str, answer: dict[str, Any]) -> None:
    print(f"{name}: {answer['summary']}")
    for finding in answer["findings"]:
        way = {"tx": "sending", "rx": "receiving", "both": "both ways"}[finding["way"]]
        print(f"  {finding['kind']:<7}  {way:<9}  {finding['text']}")
        if finding["mend"]:
            print(f"{'':<22}mend: {finding['mend']}")


def _number(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: expected the number of a VF, 0 or above")
    return int(text)
