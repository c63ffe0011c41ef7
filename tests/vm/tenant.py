# SPDX-License-Identifier: BSD-3-Clause
"""``tenant.py VF TAP STATUS``: our VF driver over VFIO, and a tap behind it that has the VF's address.

The VF is taken from its kernel driver, and given back at the end. STATUS is a file with the present state, in JSON. Each
line on standard input is a list in JSON, answered with "done" or the reason why not. ["vlans.add", 5] calls a method of
the VF's port, ["mac", "02:..."] sets an attribute, and ["begin"] restarts the driver, with the MTU that may follow.
["forge", SOURCE, DESTINATION, COUNT] sends frames from the tap, and ["quit"] ends it.
"""

from __future__ import annotations

import json
import os
import select
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

from raw_frames import send

from dataplane import Pipeline
from dataplane.apps.command.system.binding import Binder
from dataplane.apps.command.system.host import Host
from dataplane.engine.running import Run, start
from dataplane.errors import DataplaneError
from dataplane.pmd import probe
from dataplane.port import Port


class Tenant:
    """Frames go both ways between the VF and the tap, unaltered."""

    def __init__(self, vf: Port, tap: Port) -> None:
        self.vf, self.tap = vf, tap
        self.run: Run | None = None
        self.begin()

    def begin(self, mtu: int = 1500) -> None:
        """Start the pipelines between VF and tap; stops those that run first. mtu: bytes."""
        self.end()
        self.vf.mtu = mtu
        self.run = start(Pipeline(self.vf.rx(0) >> self.tap.tx(0), self.tap.rx(0) >> self.vf.tx(0)))

    def end(self) -> None:
        if self.run is not None:
            self.run.stop()
        self.run = None

    def do(self, verb: str, *words: Any) -> None:
        """Do the command of a line."""
        if verb == "begin":
            self.begin(*words)
        elif verb == "forge":
            send(self.tap.interface, *words)  # type: ignore[attr-defined]
        elif callable(method := attrgetter(verb)(self.vf)):
            method(*words)
        else:
            setattr(self.vf, verb, *words)

    def status(self) -> dict[str, object]:
        """The state of the VF, for the test. Sets the tap's address to the VF's."""
        if self.tap.mac != self.vf.mac:
            self.tap.mac = self.vf.mac
        vf, session = self.vf, self.vf.session  # type: ignore[attr-defined]
        agreed = {"api": session.api, "queues": session.queues.rx, "hidden_vlan": session.queues.strip}
        return {
            "running": self.run is not None,
            "mac": vf.mac,
            "link": vf.link.up,
            "speed": vf.link.speed,
            "allmulticast": vf.allmulticast,
            **agreed,
            **vf.xstats(),
        }


def main(name: str, interface: str, file: Path) -> None:
    binder = Binder(Host())
    print(binder.bind(name, "vfio-pci"))
    serve(name, interface, file)
    print(binder.unbind(name), flush=True)


def serve(name: str, interface: str, file: Path) -> None:
    """Answer commands until ["quit"]."""
    os.nice(5)  # it polls, and the guest has one CPU
    with probe(name) as vf, probe(f"tap:{interface}") as tap:
        tenant = Tenant(vf, tap)
        print("running", flush=True)
        while True:
            tell(tenant, file)
            if not select.select([sys.stdin], [], [], 0.1)[0]:
                continue
            verb, *words = json.loads(sys.stdin.readline() or '["quit"]')
            if verb == "quit":
                break
            try:
                tenant.do(verb, *words)
                answer = "done"
            except DataplaneError as error:
                answer = f"refused: {error}"
            tell(tenant, file)  # first: who reads the answer may look at once
            print(answer, flush=True)
        tenant.end()


def tell(tenant: Tenant, file: Path) -> None:
    """Write how things stand."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(tenant.status()))
    new.rename(file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
