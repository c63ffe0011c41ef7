# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces, and processes in them, for tests that put the kernel's own network stack at the ends of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A process in a namespace, with its output in files."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.command = command
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=folder, env=environment()
            )

    def output(self) -> str:
        return self.out.read_text() + self.err.read_text()

    def wait(self, timeout: float = 60) -> int:
        return self.process.wait(timeout)

    def stop(self, how: signal.Signals = signal.SIGINT, timeout: float = 20) -> int:
        """Ask it to end, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.wait(timeout)

    def until(self, condition: Callable[[], bool], what: str, timeout: float = 20) -> None:
        """Wait for something that this process brings about."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None:
                pytest.fail(f"{self.command} ended before {what}:\n{self.output()}")
            if time.monotonic() > deadline:
                pytest.fail(f"{self.command}: no {what} after {timeout} s:\n{self.output()}")
            time.sleep(0.02)


class Net:
    """Namespaces named for this test; all of them, and all processes in them, end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = f"dp{os.getpid()}"
        self.namespaces: list[str] = []
        self.running: list[Running] = []

    def namespace(self, name: str) -> str:
        full = f"{self.prefix}{name}"
        self.ip("netns", "add", full)
        self.namespaces.append(full)
        self.sh(full, "ip link set lo up")
        # Keep the kernel's own frames (router solicitations, multicast reports) out of the tests' traffic.
        self.sh(full, "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
        return full

    def ip(self, *words: str) -> str:
        return _checked(["ip", *words])

    def sh(self, namespace: str, line: str) -> str:
        """Run a line of shell in a namespace; fails the test unless it exits with 0."""
        return _checked(["ip", "netns", "exec", namespace, "sh", "-c", line])

    def veth(self, here: str, name: str, there: str, peer: str) -> None:
        """A pair of interfaces, up, with frames as on a wire: no offloads that leave checksums and segments to hardware."""
        self.ip("link", "add", name, "netns", here, "type", "veth", "peer", "name", peer, "netns", there)
        for namespace, interface in ((here, name), (there, peer)):
            self.plain(namespace, interface)

    def plain(self, namespace: str, interface: str, address: str = "") -> None:
        self.sh(namespace, f"ethtool -K {interface} tx off tso off gso off gro off >/dev/null")
        if address:
            self.sh(namespace, f"ip addr add {address} dev {interface}")
        self.sh(namespace, f"ip link set {interface} up")

    def start(self, namespace: str, *command: str) -> Running:
        folder = self.folder / f"run{len(self.running)}"
        folder.mkdir()
        process = Running(["ip", "netns", "exec", namespace, *command], folder)
        self.running.append(process)
        return process

    def dataplane(self, namespace: str, *words: str) -> Running:
        """The command, with its JSON report in the folder of the process."""
        return self.start(namespace, *self.command(*words))

    def command(self, *words: str) -> list[str]:
        """How the command is called; its JSON report goes to report.json."""
        return [sys.executable, "-m", "dataplane", *words, "--json", "report.json"]

    def report(self, process: Running) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((process.out.parent / "report.json").read_text())
        return found

    def close(self) -> None:
        for process in self.running:
            if process.process.poll() is None:
                process.process.kill()
                process.wait(10)
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "del", namespace], check=False)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _checked(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
