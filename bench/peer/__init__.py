# SPDX-License-Identifier: BSD-3-Clause
"""The peers of the benchmarks: DPDK's programs and drivers as Debian ships them, measured in the same run as ours.

- `testpmd`, `l2fwd`: DPDK's programs, at a terminal and between two null ports
- `child`, `peer.c`: the process in which net_ixgbe and the model take turns, and the loops that it runs
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dataplane.memory.hugepage import free_hugepages
from dataplane.pmd.foreign.slot import compile_trap

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dpdk-dev", "libdpdk-dev", "pkg-config")
HUGEPAGES = 192
_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
_SYSFS = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
_LIBRARIES = ("eal", "ethdev", "mempool", "mbuf", "ring")


class Unavailable(Exception):
    """Why there is no peer to compare with."""


def installed() -> bool:
    """Whether testpmd and what one compiles against libdpdk with are there."""
    found = shutil.which("dpdk-testpmd") and shutil.which("pkg-config")
    return bool(found) and not subprocess.run(["pkg-config", "--exists", "libdpdk"], timeout=60).returncode


def install() -> None:
    """Have Debian's DPDK on this machine. Raises Unavailable."""
    if installed():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"no DPDK, and it takes root and apt-get to fetch it: install {' '.join(PACKAGES)}")
    for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", "-qq", *words],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        if done.returncode:
            raise Unavailable(f"DPDK cannot be fetched: apt-get {words[0]}: {done.stderr.strip()[-300:]}")


def version() -> str:
    """Of DPDK, as pkg-config says."""
    return _output("pkg-config", "--modversion", "libdpdk").strip()


@contextmanager
def hugepages(wanted: int = HUGEPAGES) -> Iterator[None]:
    """Have so many free hugepages of 2 MiB meanwhile. Raises Unavailable."""
    if free_hugepages() >= wanted:
        yield
        return
    before = _read(_HUGEPAGES)
    target = before + _read(_SYSFS / "surplus_hugepages") - free_hugepages() + wanted
    try:
        with suppress(PermissionError):
            _HUGEPAGES.write_text(str(target))
        if free_hugepages() < wanted:
            raise Unavailable(
                f"DPDK needs {wanted} free hugepages of 2 MiB, and {free_hugepages()} are free: "
                f"sudo sysctl vm.nr_hugepages={target}"
            )
        yield
    finally:
        with suppress(PermissionError):
            _HUGEPAGES.write_text(str(before))


def ready(*, fetch: bool) -> None:
    """Raises Unavailable unless DPDK can run here, where there are hugepages. fetch: install it first if need be."""
    if os.geteuid() != 0:
        raise Unavailable("DPDK's driver takes physical addresses, which only root may see")
    if fetch:
        install()
    elif not installed():
        raise Unavailable(f"no DPDK: 'make test-dpdk' installs it ({' '.join(PACKAGES)})")


def flags(*which: str) -> list[str]:
    """The flags of libdpdk from pkg-config. which: options such as --cflags."""
    return _output("pkg-config", *which, "libdpdk").split()


def build(folder: Path) -> Path:
    """Compile peer.c against the machine's libdpdk."""
    target = folder / "peer.so"
    source, libraries = str(Path(__file__).with_name("peer.c")), [f"-lrte_{name}" for name in _LIBRARIES]
    _output(
        "gcc",
        "-O3",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        *flags("--cflags"),
        source,
        "-o",
        str(target),
        *libraries,
    )
    return target


class Peer:
    """DPDK and the model in a process of their own, on one CPU; see child.py for what can be asked of it."""

    def __init__(self, folder: Path, cpu: int, *, full: bool = False) -> None:
        library, trap = build(folder), compile_trap(folder)
        self.log = folder / "dpdk.log"
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.peer.child"],
                cwd=ROOT, env={**os.environ, "LD_PRELOAD": str(trap)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        try:
            self.ask("open", str(library), cpu, full)
        except BaseException:
            self.close()
            raise

    def ask(self, name: str, *words: object) -> Any:
        """Call the child's method `name`; returns its answer. Raises RuntimeError with its log."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([name, *words]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"DPDK's process ended:\n{self.log.read_text()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{answer['error']}\n{self.log.read_text()[-2000:]}")
        return answer["result"]

    @contextmanager
    def under_way(self, n: int, frame: bytes, wanted: bytes | None = None) -> Iterator[None]:
        """n copies of a frame go round; at the end they have all come back, as `wanted` (None: as they were)."""
        self.ask("fill", n, frame.hex())
        yield
        seen = bytes.fromhex(self.ask("look", n))
        if seen != (wanted or frame):
            raise RuntimeError(f"{seen.hex()} came round instead of {(wanted or frame).hex()}")
        taken = self.ask("drain")
        if taken != n:
            raise RuntimeError(f"{taken} of {n} packets came back")

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def _read(path: Path) -> int:
    return int(path.read_text())


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stderr}")
    return done.stdout
