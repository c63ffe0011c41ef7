# SPDX-License-Identifier: BSD-3-Clause
"""The public names: what `dataplane` lists and loads, and the short names of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dataplane
from dataplane.apps.command.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent


def python(*words: str) -> str:
    """The output of a fresh Python, started in the checkout."""
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_dir_lists_the_public_names() -> None:
    listed = [name for name in dir(dataplane) if not name.startswith("_")]
    assert listed == sorted(dataplane.__all__)
    for name in listed:
        assert getattr(dataplane, name) is not None
    assert dir(dataplane) == dir(dataplane), "loading a name changed the list"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        dataplane.Pipelin  # noqa: B018


def test_listing_loads_nothing() -> None:
    code = (
        "import sys, dataplane; dir(dataplane); print([m for m in sys.modules if m.startswith('dataplane.')])"
    )
    assert python("-c", code).strip() == "[]"


def test_short_names_are_the_same_objects() -> None:
    """Whichever is imported first, and however deep."""
    for first, second in (("apps", "dataplane.apps"), ("dataplane.apps", "apps")):
        python("-c", f"import {first}, {second}; import apps, dataplane; assert apps is dataplane.apps")
    python(
        "-c",
        "from apps import L2Fwd\n"
        "from apps.l2fwd import L2Fwd as deep\n"
        "from pmd.virtual.null import open_port as short\n"
        "import pmd, pmd.ixgbe.pf, dataplane.pmd.virtual.null, importlib, sys\n"
        "assert L2Fwd is deep is dataplane.apps.L2Fwd\n"
        "assert short is dataplane.pmd.virtual.null.open_port\n"
        "assert pmd.probe is dataplane.probe\n"
        "assert pmd.ixgbe.pf.__spec__.name == 'dataplane.pmd.ixgbe.pf'\n"
        "assert importlib.import_module('pmd.bus.model') is sys.modules['dataplane.pmd.bus.model']\n",
    )


def test_a_short_name_that_does_not_exist_is_a_module_not_found() -> None:
    code = "try:\n import apps.nothing\nexcept ModuleNotFoundError as error:\n print(error)"
    assert "nothing" in python("-c", code)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_no_register_map(command: str) -> None:
    code = (
        "import sys\n"
        "from dataplane.apps.command.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "heavy = ('dataplane.pmd.datasheet', 'dataplane.pmd.model', 'dataplane.pmd.bus', 'numpy', 'scapy', 'rich')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    shown = python("-c", code, *filter(None, [command]), "--help")
    assert shown.startswith(f"usage: dataplane {command}")
    assert shown.splitlines()[-1] == "[]"
