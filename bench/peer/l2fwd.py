# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's l2fwd, built from Debian's source of the version that is installed, between two null ports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tarfile
from pathlib import Path

from bench.peer import Unavailable, flags
from bench.peer.testpmd import cpu_seconds
from dataplane.clock import hz

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "dpdk"
_SOURCES = "deb-src http://deb.debian.org/debian bookworm main\n"
_PERIOD = 1  # seconds between two prints of its counters, the shortest it has


def build() -> Path:
    """The program, made when it is asked for first. Raises Unavailable."""
    version = _run("dpkg-query", "-W", "-f", "${Version}", "dpdk-dev")
    program = CACHE / f"l2fwd-{version}"
    if not program.exists():
        source = _source(version)
        _run("gcc", "-O3", "-o", str(program), str(source), *flags("--cflags"), *flags("--libs"))
    return program


def _source(version: str) -> Path:
    """examples/l2fwd/main.c of that version, by apt-get, with lists of its own."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (CACHE / "sources.list").write_text(_SOURCES)
    apt = [
        "apt-get", "-qq", "-o", f"Dir::Etc::sourcelist={CACHE / 'sources.list'}", "-o", "Dir::Etc::sourceparts=-",
        "-o", f"Dir::State::lists={CACHE / 'lists'}",
    ]  # fmt: skip
    _run(*apt, "update")
    _run(*apt, "source", "--download-only", f"dpdk={version}")
    with tarfile.open(next(CACHE.glob("dpdk_*.orig.tar.*"))) as archive:
        member = next(each for each in archive if each.name.endswith("examples/l2fwd/main.c"))
        found = archive.extractfile(member)
        assert found is not None
        (CACHE / "l2fwd.c").write_bytes(found.read())
    return CACHE / "l2fwd.c"


def _run(*command: str) -> str:
    done = subprocess.run(
        command, cwd=CACHE if CACHE.exists() else None, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        raise Unavailable(f"DPDK's l2fwd: {' '.join(command[:3])} ... failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


class L2fwd:
    """On one CPU; it stands still between two calls of `cost`."""

    def __init__(self, cpu: int) -> None:
        ports = [word for n in range(2) for word in ("--vdev", f"net_null{n},size=64")]
        self._process = subprocess.Popen(
            [
                str(build()), "-l", str(cpu), "--in-memory", "--no-telemetry", "--no-pci", "-m", "64", *ports,
                "--", "-p", "3", "-q", "2", "-T", str(_PERIOD),
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._said: list[str] = []
        self._printed()
        self._process.send_signal(signal.SIGSTOP)

    def cost(self) -> float:
        """Cycles of its CPU time a packet, over a period."""
        self._process.send_signal(signal.SIGCONT)
        self._printed()  # at once: its time has passed meanwhile
        began, first = self._printed()
        ended, last = self._printed()
        self._process.send_signal(signal.SIGSTOP)
        return (ended - began) * hz() / (last - first)

    def _printed(self) -> tuple[float, int]:
        """(CPU seconds, packets sent) when it prints its counters next."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line)
            found = re.search(r"Total packets sent: +(\d+)", line)
            if found:
                return cpu_seconds(self._process.pid), int(found[1])
        raise RuntimeError(f"l2fwd ended:\n{''.join(self._said[-30:])}")

    def close(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.communicate()
