# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane l2fwd` in a guest, between two functions of a served NIC whose wires lead to a namespace each."""

from __future__ import annotations

import json
import time
from typing import Any

from hypervisor.guest import Guest
from hypervisor.lab import Lab, soon

CARDS = ("0000:01:00.0", "0000:02:00.0")
LEFT, RIGHT = "10.8.0.1", "10.8.0.2"


class Forwarder:
    """left -- tap t0 -- CARDS[0] [l2fwd in the guest] CARDS[1] -- tap t1 -- right. The taps are made in `middle`."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.middle, self.left, self.right = (lab.net.namespace(f"{end}{name}") for end in "mlr")
        self.guest: Guest

    def plug(self) -> None:
        """The taps are there: each goes to its end."""
        for tap, namespace, address in (("t0", self.left, LEFT), ("t1", self.right, RIGHT)):
            self.lab.net.sh(self.middle, f"ip link set {tap} netns {namespace}")
            self.lab.net.plain(namespace, tap, f"{address}/24")

    def dataplane(self, *words: str) -> str:
        """The command in the guest; its output."""
        status, said = self.guest.python("-m", "dataplane", *words)
        assert status == 0, said
        return said

    def forward(self, *options: str) -> None:
        """l2fwd, in the background, until `stop`."""
        line = self.guest.python_line(
            "-m", "dataplane", "l2fwd", *CARDS, "--json", "/tmp/report.json", *options
        )
        self.guest.begin(line, "/tmp/l2fwd", "/tmp/status")
        try:
            self.ping_soon()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.guest.run('cat /tmp/l2fwd')}") from None

    def ping_soon(self) -> None:
        """Until one ping from left to right is answered; Python takes its time to start in software."""
        deadline = time.monotonic() + 240
        while True:
            try:
                self.lab.net.sh(self.left, soon(RIGHT))
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def stop(self) -> dict[str, Any]:
        """SIGINT, and the report."""
        self.guest.signal("INT", "dataplane l2fwd")
        self.ended()
        report: dict[str, Any] = json.loads(self.guest.run("cat /host/tmp/report.json"))
        return report

    def ended(self, status: str = "0") -> None:
        """It ends, with that status."""
        self.guest.until("[ -s /tmp/status ]")
        assert self.guest.run("cat /tmp/status; rm /tmp/status") == status, self.guest.run("cat /tmp/l2fwd")
