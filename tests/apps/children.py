# SPDX-License-Identifier: BSD-3-Clause
"""The command as a process of its own: started, signalled, looked at, and read to its end."""

from __future__ import annotations

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "dataplane"]
PATIENCE = 40.0  # s: the machine may be busy

# An app in Python that does not return from its first burst, in place of the one of `macswap`. {body}: what it does instead.
STUCK = """
import sys, time, threading
from pathlib import Path
from dataplane import App
from dataplane.apps import reflect
mark = Path(sys.argv.pop())
class Stuck(App):
    def process(self, burst):
        mark.touch()
        {body}
reflect.Reflect = Stuck
from dataplane.__main__ import main
sys.exit(main())
"""


def complaints(err: str) -> str:
    """What standard error says beside the line about plain pages, which depends on the machine."""
    return "".join(line for line in err.splitlines(keepends=True) if "using plain pages" not in line)


def spawn(*words: str, env: dict[str, str] | None = None, **more: Any) -> subprocess.Popen[bytes]:
    """Start the command; standard output and standard error are pipes unless told otherwise."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([*COMMAND, *words], cwd=ROOT, env={**os.environ, **(env or {})}, **streams)


def spawn_stuck(body: str, *words: str, mark: Path) -> subprocess.Popen[bytes]:
    """Start `macswap` with an app that does not return; wait until it does not."""
    script = STUCK.format(body=body)
    process = subprocess.Popen(
        [sys.executable, "-c", script, "macswap", *words, str(mark)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(mark.exists, process)
    return process


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until `holds`; fails if the process ends before."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "it does not come so far"
        time.sleep(0.01)


def running(process: subprocess.Popen[bytes]) -> None:
    """Wait until its lcore polls: it answers SIGUSR1 with figures. Before the handler is there, the signal would end it."""
    assert process.stderr is not None
    wait_for(lambda: handles(process, signal.SIGUSR1), process)
    os.set_blocking(process.stderr.fileno(), False)
    said = b""

    def answered() -> bool:
        nonlocal said
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.05)
        said += process.stderr.read() or b""  # type: ignore[union-attr]
        return b" packets, " in said

    wait_for(answered, process)
    os.set_blocking(process.stderr.fileno(), True)


def handles(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether the process has a handler for that signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1], 16)
    return bool(caught >> (number - 1) & 1)


def end(process: subprocess.Popen[bytes], seconds: float = PATIENCE) -> tuple[int, str, str]:
    """Wait for its end: status, standard output, standard error (without the answers to `running`)."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
        process.wait()
    lines = (err or b"").decode().splitlines(keepends=True)
    kept = [line for line in lines if "pps now, " not in line and not line.endswith(": no run yet\n")]
    return process.returncode, (out or b"").decode(), "".join(kept)


def report_of(file: Path) -> dict[str, Any]:
    """The JSON report."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def capture(file: Path, frames: int = 100, gap_us: int = 1) -> Path:
    """A capture file of that many frames of 60 bytes, `gap_us` microseconds apart."""
    frame = bytes([2, 0, 0, 0, 0, 1]) + bytes(6) + b"\x08\x00" + bytes(46)
    times = [divmod(number * gap_us, 10**6) for number in range(frames)]
    records = b"".join(struct.pack("<IIII", 1 + s, us, 60, 60) + frame for s, us in times)
    file.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)
    return file


class Terminal:
    """A terminal of that size that a child writes to, and what it has got. A context manager."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._ours, self.theirs = pty.openpty()
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Set its size."""
        ioctl(self._ours, TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self) -> bytes:
        """The bytes written to the terminal until every process has closed it."""
        os.close(self.theirs)
        self.theirs = -1
        shown = b""
        while True:
            try:
                shown += os.read(self._ours, 65536)
            except OSError:  # Linux says EIO when the other end is closed
                return shown

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._ours)
        if self.theirs >= 0:
            os.close(self.theirs)
