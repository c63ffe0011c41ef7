# SPDX-License-Identifier: BSD-3-Clause
"""Packets from one process to another over a wire between two models: ``python -m bench.wire [--size 64] [--both]``.

Each process has a card, with our driver and a model's thread, on a CPU of its own if there are two. With --server each card
is served (``dataplane nic serve``) and its driver is a client: four processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTLE = 0.5  # seconds before anything is counted
PATIENCE = 60.0


def end(text: str, sends: bool, takes: bool, size: int, seconds: float) -> dict[str, float]:
    """One end, in this process: million packets a second that it took, and how much of a CPU it had."""
    from dataplane import Pipeline, probe
    from dataplane.apps import PktGen

    with probe(text) as port, probe("null:") as null:
        chains = []
        if sends:
            from scapy.layers.inet import IP, UDP
            from scapy.layers.l2 import Ether

            flows = Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / IP(dst="10.0.0.2") / UDP()
            chains.append(PktGen(flows, size=size) >> port.tx(0))
        if takes:
            chains.append(port.rx(0) >> null.tx(0))
        port.start()
        port.wait_link(PATIENCE)
        running = Pipeline(*chains, lossless=True).start()
        print("up", flush=True)
        sys.stdin.readline()
        first, began, spent = port.xstats(), time.perf_counter(), time.process_time()
        time.sleep(seconds)
        last, took, spent = port.xstats(), time.perf_counter() - began, time.process_time() - spent
        print("counted", flush=True)
        sys.stdin.readline()
        running.stop()
        mpps = (last["rx_good_packets"] - first["rx_good_packets"]) / took / 1e6
        return {"mpps": mpps, "cpu": spent / took}


@contextlib.contextmanager
def started(words: Sequence[str], cpu: int | None) -> Iterator[subprocess.Popen[str]]:
    """A program on that CPU."""
    pinned = ["taskset", "-c", str(cpu), *words] if cpu is not None else list(words)
    process = subprocess.Popen(pinned, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def heard(process: subprocess.Popen[str], start: str) -> str:
    """The next line of a program that begins so. Raises RuntimeError if it ends before."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(start):
            return line
    raise RuntimeError(f"{' '.join(map(str, process.args))[:100]}: ended with status {process.wait()}")


def go_on(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def measure(
    size: int = 64, *, seconds: float = 2.0, both: bool = False, server: bool = False
) -> tuple[float, list[float]]:
    """Million packets a second that arrive, in both directions together, and how much of a CPU each end had.

    size: with FCS. On a machine that does something else besides, an end has less than a whole CPU.
    """
    cpus = sorted(os.sched_getaffinity(0))
    places = cpus[:2] if len(cpus) > 1 else [None, None]
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory(prefix="dp-wire-") as folder, contextlib.ExitStack() as stack:
        ends = []
        for n, (role, cpu) in enumerate(zip(("listen", "connect"), places, strict=True)):
            wire, text = f"{role}:{folder}/wire", f"model0,wire={role}:{folder}/wire"
            if server:
                nic = [*python, "dataplane", "nic", "serve", "--dir", f"{folder}/{n}", "--ports", "1"]
                served = started([*nic, "--index", str(n), "--wire", f"pf0={wire},elastic=on"], cpu)
                heard(stack.enter_context(served), "serving")
                text = f"vfio-user:{folder}/{n}/pf0.sock"
            does = [flag for flag, on in (("--sends", both or n), ("--takes", both or not n)) if on]
            words = [
                *python,
                "bench.wire",
                "--end",
                text,
                *does,
                "--size",
                str(size),
                "--seconds",
                str(seconds),
            ]
            ends.append(stack.enter_context(started(words, cpu)))
        for each in ends:
            heard(each, "up")
        time.sleep(SETTLE)
        go_on(ends)
        for each in ends:
            heard(each, "counted")
        go_on(ends)
        found = [json.loads(heard(each, "{")) for each in ends]
        return sum(each["mpps"] for each in found), [each["cpu"] for each in found]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.wire", description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="of each frame, FCS included")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--both", action="store_true", help="both ends send and take")
    parser.add_argument(
        "--server", action="store_true", help="the cards are served, their drivers are clients"
    )
    for hidden in ("--sends", "--takes"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--end", help=argparse.SUPPRESS)
    found = parser.parse_args(words)
    if found.end:
        print(json.dumps(end(found.end, found.sends, found.takes, found.size, found.seconds)), flush=True)
    else:
        mpps, cpus = measure(found.size, seconds=found.seconds, both=found.both, server=found.server)
        print(
            f"{mpps:.2f} Mpps of {found.size} bytes; CPU: {', '.join(f'{each:.0%}' for each in cpus)}; "
            f"{mpps / max(cpus):.2f} million for a second of the busier end's CPU"
        )


if __name__ == "__main__":
    main()
