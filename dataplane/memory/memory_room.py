# SPDX-License-Identifier: BSD-3-Clause
"""How much memory can still be had. Asked before it is taken: what is filled beyond that ends in the OOM killer."""

from __future__ import annotations

from pathlib import Path

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
    for line in _MEMINFO.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 1 << 62  # a kernel before 3.14 does not say


def _groups() -> list[tuple[str, int]]:
    """(path, bytes left) of each limit on our memory, this process's group and those above it."""
    rooms = []
    try:
        lines = _OWN_CGROUPS.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
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
    try:
        most = (group / limit).read_text().strip()
        if most == "max":
            return None
        taken = int((group / used).read_text())
        for line in (group / "memory.stat").read_text().splitlines():
            name, value = line.split()
            if name == idle:
                taken -= int(value)
        return max(int(most) - max(taken, 0), 0)
    except (OSError, ValueError):
        return None
