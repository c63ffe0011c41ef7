# SPDX-License-Identifier: BSD-3-Clause
"""Who reads and who writes which file in this program: one file is either read, by any number, or written by one.

A file is what its device and inode say, whatever its names; one that does not exist yet is its folder and its name there.
Only regular files are claimed: FIFOs, terminals and devices carry what several send, or nothing.
"""

from __future__ import annotations

import gc
import os
import stat
import threading
import weakref
from pathlib import Path

from dataplane.errors import FileInUse
from dataplane.files.sysfs import read_text

__all__ = ["Claim", "holder"]

Identity = tuple[int, int, str]

_lock = threading.RLock()  # a collection may run `release` in the thread that has it
_claims: weakref.WeakSet[Claim] = weakref.WeakSet()


class Claim:
    """A file that is read or written from now on, until `release` or until nothing refers to the claim.

    file: its path, or the descriptor of an open file; who: whose it is, for messages; looks: it reads what is there, and may
    do so while another claim writes. Raises FileInUse, which names both sides, when another claim of this program stands
    against it; OSError when the file's folder cannot be looked at.
    """

    def __init__(
        self, file: str | int, who: str, *, path: str | None = None, writes: bool, looks: bool = False
    ) -> None:
        self.path = path if path is not None else str(file)
        self.who = who
        self.writes = writes
        self.looks = looks
        self.contested = False
        """Whether another claim has been refused because of this one."""
        self._identity: Identity | None = None
        self._take(_identify(file))

    def settle(self, file: str | int) -> None:
        """Look again what the file is: it may have been made, or opened, since. Raises FileInUse, OSError."""
        self._take(_identify(file))

    def release(self) -> None:
        """Others may have the file."""
        with _lock:
            self._identity = None
            _claims.discard(self)

    def _take(self, identity: Identity | None) -> None:
        with _lock:
            if self._rival(identity) is not None:
                gc.collect()  # a port that nothing refers to any more is still there: it and its queues refer to each other
            rival = self._rival(identity)
            if rival is None:
                self._identity = identity
                _claims.add(self)
                return
        rival.contested = True
        verb = "writes" if rival.writes else "reads"
        wish = "write" if self.writes else "read"
        same = "" if rival.path == self.path else f" as {rival.path}"
        raise FileInUse(
            f"{self.path}: {self.who} would {wish} what {rival.who} {verb}{same}: a file is read, or written by one, in a "
            "program: name another"
        )

    def _rival(self, identity: Identity | None) -> Claim | None:
        if identity is None:
            return None
        for other in _claims:
            against = self.writes or (other.writes and not self.looks)
            if against and other is not self and other._identity == identity:
                return other
        return None


def _identify(file: str | int) -> Identity | None:
    """The identity of a regular file; None for other kinds (a FIFO, a device), which several outputs may share."""
    try:
        found = os.fstat(file) if isinstance(file, int) else Path(file).stat()
    except FileNotFoundError:
        target = Path(os.path.realpath(str(file)))
        folder = target.parent.stat()
        return folder.st_dev, folder.st_ino, target.name
    return (found.st_dev, found.st_ino, "") if stat.S_ISREG(found.st_mode) else None


def holder(fd: int) -> str | None:
    """Which process has a lock on the open file: "process 1234 (dataplane)", or None if that cannot be known."""
    found = os.fstat(fd)
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    pids: list[str] = []
    # 1: FLOCK  ADVISORY  WRITE 1234 fe:01:131072 0 EOF
    for line in read_text(Path("/proc/locks")).splitlines():
        words = line.split()
        if len(words) < 8 or words[1] != "FLOCK" or words[3] != "WRITE":
            continue
        pid, (place, _, inode) = words[4], words[5].rpartition(":")
        # A process of another PID namespace is shown as 0 or -1.
        if inode == str(found.st_ino) and pid.isdigit() and pid != "0":
            # Some file systems have another device here than in stat: only the inode can be compared.
            pids.insert(0 if place == device else len(pids), pid)
    for pid in pids:
        name = read_text(Path(f"/proc/{pid}/comm"))
        return f"process {pid} ({name})" if name else f"process {pid}"
    return None
