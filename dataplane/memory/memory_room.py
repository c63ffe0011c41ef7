# SPDX-License-Identifier: BSD-3-Clause
"""How much memory can still be had. Asked before it is taken: what is filled beyond that ends in the OOM killer."""

from __future__ import annotations

from pathlib import Path

from dataplane.files.sysfs import read_number, read_text

__all__ = ["available"]

_MEMINFO = Path("/proc/meminfo")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def available() -> tuple[int, str]:
    """Bytes of plain memory that this process can take, and the limit's name: the machine, or a control group."""
    rooms = [(_machine(), "the machine")]
    rooms += [(room, f"control group {path}") for path, room in _groups()]
    return min(rooms)


def _machine() -> int:
    """MemAvailable: what is free, and what the kernel can free (caches)."""
    for line in read_text(_MEMINFO).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 1 << 62  # a kernel before 3.14 does not say


def _groups() -> list[tuple[str, int]]:
    """(path, bytes left) of each limit on our memory, this process's group and those above it."""
    rooms = []
    for line in read_text(_OWN_CGROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, limit, used, idle = _CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            root, limit, used = _CGROUPS / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            idle = "total_inactive_file"
        else:
            continue
        group = root / path.lstrip("/")
        while True:
            room = _left(group, limit, used, idle)
            if room is not None:
                rooms.append((f"/{group.relative_to(root)}".replace("/.", "/"), room))
            if group == root:
                break
            group = group.parent
    return rooms


def _left(group: Path, limit: str, used: str, idle: str) -> int | None:
    """Bytes that a group has left, None without a limit. Inactive page cache does not count as used."""
    most, taken = read_number(group / limit, -1), read_number(group / used, -1)
    if most < 0 or taken < 0:
        return None  # "max", or a group without these files
    for line in read_text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == idle and value.isdigit():
            taken -= int(value)
    return max(most - max(taken, 0), 0)
