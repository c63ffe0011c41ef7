# SPDX-License-Identifier: BSD-3-Clause
"""Code that exists once: each kind below is in one file, its home, and other files call it.

A row has a pattern that finds such code, and the files in which it may be. Each file beside the home has its reason.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILES = [
    path
    for top in ("dataplane", "pmd", "apps")
    for path in sorted((ROOT / top).rglob("*"))
    if path.suffix in (".py", ".pyx", ".pxd", ".h", ".c") and path.is_file()
]


class Kind(NamedTuple):
    """what: for the message. pattern: a regular expression. homes: path -> the reason."""

    what: str
    pattern: str
    homes: dict[str, str]


SYSFS = "dataplane/files/sysfs.py"
RUN_FOLDER = "dataplane/files/run_folder.py"
SOCKET = "dataplane/files/private_socket.py"
KINDS = (
    Kind(
        "reading a file of the kernel",
        r"\.read_text\(",
        {
            SYSFS: "the home",
            "pmd/ixgbe/sriov/settings_file.py": "a file of the administrator's",
            "apps/command/system/served.py": "nic.json, which a server of ours writes",
        },
    ),
    Kind(
        "reading a link of the kernel",
        r"\breadlink\(|\.resolve\(\)\.name",
        {
            SYSFS: "the home",
            "pmd/foreign/names.c": "readlink as other programs call it",
            "dataplane/files/eventfd.pyx": "the kind of a descriptor that this process has",
            "apps/command/system/served.py": "the folder that a server has open",
        },
    ),
    Kind("where run folders are", r"environ.*XDG_RUNTIME_DIR|Path\(f?\"/(run|tmp)/dataplane", {RUN_FOLDER: "the home"}),
    Kind("making a folder for this user alone", r"\.mkdir\(mode=|\.mkdir\(0o7", {RUN_FOLDER: "the home"}),
    Kind("whether a folder is this user's", r"st_uid\b.*[!=]=", {RUN_FOLDER: "the home"}),
    Kind("who is at the other end of a socket", r"SO_PEERCRED", {SOCKET: "the home"}),
    Kind("the mode of a socket", r"\bumask\(|chmod\(.*0o600", {SOCKET: "the home"}),
)  # fmt: skip


def places(pattern: str) -> set[str]:
    """The files with code that matches."""
    return {str(path.relative_to(ROOT)) for path in FILES if re.search(pattern, path.read_text())}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.what)
def test_it_is_in_its_home_only(kind: Kind) -> None:
    found = places(kind.pattern)
    assert not found - set(kind.homes), (
        f"{kind.what}: {sorted(found - set(kind.homes))}: call what the home has"
    )
    assert not set(kind.homes) - found, f"no more there: {sorted(set(kind.homes) - found)}"
