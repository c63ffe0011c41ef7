# SPDX-License-Identifier: BSD-3-Clause
"""What one scenario stands on: served NICs, guests that have their functions, namespaces at the other ends of the wires."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netns import Net

from hypervisor.guest import ROOT, Guest
from hypervisor.packages import Machinery
from hypervisor.rulers import Ruler

TRANSFER = ROOT / "tests/system/transfer.py"


class Nic:
    """`dataplane nic serve` in a process of its own, in `namespace` if its wires lead to taps there."""

    def __init__(
        self,
        folder: Path,
        *,
        wires: dict[str, str],
        vfs: int = 0,
        strict: bool = False,
        namespace: str = "",
        options: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self._out = folder, folder / "output"
        command = [sys.executable, "-m", "dataplane", "nic", "serve", "--dir", str(folder), "--vfs", str(vfs)]
        for port, end in wires.items():
            # Elastic: what a guest under emulation is too slow for must not be lost where every frame is counted.
            waits = "" if end == "none" else ",elastic=on"
            command += ["--wire", f"{port}{'-' if end in ('pf0', 'pf1') else '='}{end}{waits}"]
        command += options
        if strict:
            command += ["--manner", "strict", "--findings", str(folder / "findings")]
        if namespace:
            command = ["ip", "netns", "exec", namespace, *command]
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        deadline = time.monotonic() + 60
        while "serving" not in self.output():
            assert self.process.poll() is None and time.monotonic() < deadline, (
                f"no NIC is served:\n{self.output()}"
            )
            time.sleep(0.05)

    def socket(self, function: str) -> Path:
        """Of "pf0", "pf0.vf3"."""
        return self.folder / f"{function}.sock"

    def output(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def findings(self) -> list[str]:
        """The findings of the strict manner so far, one line each."""
        file = self.folder / "findings"
        return file.read_text().splitlines() if file.exists() else []

    def close(self) -> None:
        """End it as Ctrl-C does. AssertionError if it does not end, or not well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            raise AssertionError(f"the served NIC does not end:\n{self.output()}") from None
        assert status == 0, f"the served NIC ended with {status}:\n{self.output()}"


class Lab:
    """Everything of a scenario, ended in the right order. kernel: of the guests."""

    def __init__(self, machinery: Machinery, kernel: str) -> None:
        self.machinery, self.kernel = machinery, kernel
        # Sockets have names of at most 107 bytes: pytest's folders are too deep for them.
        self.folder = Path(tempfile.mkdtemp(prefix="dpvm"))
        self.net = Net(self.folder)
        self.nics: list[Nic] = []
        self.guests: list[Guest] = []
        self.rulers: list[Ruler] = []

    def nic(self, **options: Any) -> Nic:
        """Serve a NIC; the options of `Nic`."""
        nic = Nic(self.folder / f"nic{len(self.nics)}", **options)
        self.nics.append(nic)
        return nic

    def guest(self, **options: Any) -> Guest:
        """Start a guest; the options of `Guest`."""
        name = f"guest{len(self.guests)}"
        guest = Guest(self.machinery, self.folder / name, kernel=self.kernel, name=name, **options)
        self.guests.append(guest)
        return guest

    def ruler(self, *ports: str) -> Ruler:
        """Start our PF driver for these ports."""
        ruler = Ruler(*ports)
        self.rulers.append(ruler)
        return ruler

    def story(self) -> str:
        """The ends of all consoles and outputs, and the last findings, for the report of a failure."""
        parts = [f"--- {guest.name} ({guest.kernel})\n{guest.tail()}" for guest in self.guests]
        parts += [
            f"--- {nic.folder.name}\n{nic.output()[-4000:]}\n" + "\n".join(nic.findings[-20:])
            for nic in self.nics
        ]
        return "\n".join(parts)

    def keep(self, where: Path) -> None:
        """Copy consoles and outputs away, before they go with the lab."""
        where.mkdir(parents=True, exist_ok=True)
        for file in self.folder.rglob("*"):
            if file.suffix in (".console", ".qemu") or file.name in ("output", "findings", "out", "err"):
                shutil.copy(file, where / f"{file.parent.name}-{file.name}")

    def close(self) -> None:
        """Close the rulers, which the others must survive; then guests, NICs and the network. Then raise the first error."""
        complaints: list[BaseException] = []
        for thing in (*reversed(self.rulers), *reversed(self.guests), *reversed(self.nics), self.net):
            try:
                thing.close()
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                complaints.append(error)
        shutil.rmtree(self.folder, ignore_errors=True)
        if complaints:
            raise complaints[0]


def pings(target: str, *options: str, count: int = 5) -> str:
    """Shell: pings, none of which may be lost. Each is a ping of its own: of several at once, those count as lost that are
    answered later than two round trips after the last.
    """
    one = " ".join(["ping -q -c 1 -W 5", *options, target])
    return f"for n in $(seq {count}); do {one} >/tmp/ping$$ || {{ cat /tmp/ping$$; exit 1; }}; done"


def patient_ping(target: str, seconds: int = 60) -> str:
    """Shell: one ping that is answered, within so many seconds. A ping that hears of an error ends early."""
    return f"for n in $(seq {seconds // 5}); do {soon(target)} >/tmp/ping$$ && exit 0; done; cat /tmp/ping$$; exit 1"


def soon(target: str) -> str:
    """Shell: pings five times a second until one is answered, for 5 s. Status 0 as soon as one is."""
    return f"/bin/ping -q -c 1 -i 0.2 -w 5 {target}"


def transfer(lab: Lab, guest: Guest, namespace: str, host: str, guest_address: str, megabytes: int) -> None:
    """TCP both ways between a guest and a namespace of the host, whose checksums must agree. Addresses are of both ends."""
    # To the guest.
    guest.begin(guest.python_line(str(TRANSFER), "serve", "5001"), "/tmp/served")
    guest.until("grep -q listening /tmp/served")
    client = lab.net.start(
        namespace, sys.executable, str(TRANSFER), "send", guest_address, "5001", str(megabytes)
    )
    assert client.wait(120) == 0, client.output()
    guest.until("[ $(wc -l < /tmp/served) = 2 ]")
    assert digest(guest.run("cat /tmp/served")) == digest(client.output())
    # From the guest.
    server = lab.net.start(namespace, sys.executable, str(TRANSFER), "serve", "5002")
    server.until(lambda: "listening" in server.output(), "listening socket")
    status, said = guest.python(str(TRANSFER), "send", host, "5002", str(megabytes), timeout=120)
    assert status == 0, said
    assert server.wait(60) == 0, server.output()
    assert digest(server.output()) == digest(said)


def tcp(lab: Lab, source: str, target: str, address: str, megabytes: int) -> None:
    """TCP from one namespace of the host to another, whose checksums must agree."""
    server = lab.net.start(target, sys.executable, str(TRANSFER), "serve", "5004")
    server.until(lambda: "listening" in server.output(), "listening socket")
    client = lab.net.start(source, sys.executable, str(TRANSFER), "send", address, "5004", str(megabytes))
    assert client.wait(120) == 0, client.output()
    assert server.wait(60) == 0, server.output()
    assert digest(server.output()) == digest(client.output())


def digest(text: str) -> str:
    """The SHA-256 that either end of a transfer prints."""
    found = re.findall(r"\b[0-9a-f]{64}\b", text)
    assert len(found) == 1, text
    return str(found[0])
