# SPDX-License-Identifier: BSD-3-Clause
"""Which frames arrive: a count that other traffic cannot change, and that no clock ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from hypervisor.guest import Guest

RAW_FRAMES = Path(__file__).parents[1] / "raw_frames.py"
EVERYBODY = "ff:ff:ff:ff:ff:ff"


class Arrivals:
    """Frames from `sender` (an interface where `run` runs lines of shell) that a guest's interface gets.

    Each batch has a source address of its own, and ends with a broadcast frame. RSS hashes neither kind, so both take the
    same queue: when the last frame has arrived, no others of the batch can follow.
    """

    def __init__(self, guest: Guest, interface: str, run: Callable[[str], str], sender: str) -> None:
        self.guest, self.interface, self.run, self.sender = guest, interface, run, sender
        self._batch = 0

    def of(self, destination: str, vid: int | None = None, count: int = 5) -> int:
        """How many of `count` frames arrive that are sent to a station or group, in a VLAN if `vid` says so."""
        self._batch += 1
        source, last = (f"02:00:00:be:{self._batch:02x}:{kind:02x}" for kind in (1, 2))
        # -p: not promiscuous, so the card's filters stay as they are. -Z root: the guest has no other user.
        self.guest.begin(
            f"exec tcpdump -p -l -n -e -Z root --immediate-mode -i {self.interface} ether src {source} or ether src {last}",
            "/tmp/arrivals",
            "/tmp/tcpdump.status",
        )
        self.guest.until("grep -q listening /tmp/arrivals || [ -s /tmp/tcpdump.status ]")
        send = f"{sys.executable} {RAW_FRAMES} {self.sender}"
        self.run(f"{send} {source} {destination} {count} {vid or ''} && {send} {last} {EVERYBODY} 1")
        self.guest.until(f"grep -q '{last} >' /tmp/arrivals")
        return int(self.guest.run(f"killall tcpdump; grep -c '{source} >' /tmp/arrivals || true"))
