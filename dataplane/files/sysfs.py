# SPDX-License-Identifier: BSD-3-Clause
"""Read what Linux says in /sys and /proc: texts, numbers, links, and which process has a device open.

The one reader of these files: each is one attribute, may be missing (no such device, another kernel), or may exist and
refuse to be read (EINVAL for the speed of an interface that is down, EACCES for another user). All are answered with the
caller's default, so that a caller never handles an OSError.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["device_users", "entries", "link_name", "read_number", "read_text"]

PROC = Path("/proc")


def read_text(path: Path, default: str = "") -> str:
    """The text of a file without white space around it; `default` if it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return default


def read_number(path: Path, default: int = 0) -> int:
    """The number in a file, decimal or hexadecimal ("0x8086"); `default` if it cannot be read or has no number in it."""
    text = read_text(path)
    return int(text, 0) if re.fullmatch(r"0x[0-9a-fA-F]+|-?(0|[1-9]\d*)", text) else default


def link_name(path: Path) -> str:
    """The name of a link's target (a device's driver, its IOMMU group); "" if the link does not exist."""
    return path.resolve().name if path.exists() else ""


def entries(folder: Path, pattern: str = "*") -> list[Path]:
    """The files and folders in `folder` that match `pattern`, by name; empty if the folder cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.match(pattern))
    except OSError:
        return []


def device_users(nodes: Iterable[str | Path], proc: Path = PROC) -> Iterator[tuple[int, str]]:
    """The processes that have device files open, as far as this user may see.

    nodes: the device files, as in "/dev/vfio/17". proc: the folder of processes. Yields (process, device file).
    """
    wanted = [str(node) for node in nodes]
    for folder in sorted(proc.glob("[0-9]*/fd")):
        opened = {_target(file) for file in entries(folder)}  # empty for other users' processes
        for node in wanted:
            if node in opened:
                yield int(folder.parent.name), node


def _target(link: Path) -> str:
    """The target of a link, "" if the link is gone: a process may close files during the search."""
    try:
        return str(link.readlink())
    except OSError:
        return ""
