# SPDX-License-Identifier: BSD-3-Clause
"""Two real processes and a wire between them: nothing is lost or doubled, and one that is killed leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.pmd.model.card import Card
from dataplane.pmd.model.wire.ends import WireEnd
from tests.pmd.model.wire_raw import descriptors_open, mappings

FRAMES = int(os.environ.get("WIRE_FRAMES", "200000"))
KILLS = 20
TIMEOUT = 120  # seconds, of a machine that has a lot to do besides
ROOT = Path(__file__).resolve().parents[4]

# Each end is at most WINDOW frames ahead of what it has got, so no more than twice as many are under way: less than the ring
# holds, however long a busy machine lets an end stand still. One that took nothing for a second would lose frames.
END = textwrap.dedent("""
    import json, sys, time
    from dataplane import probe
    from dataplane.byhand import receive, send

    wire, count = sys.argv[1], int(sys.argv[2])
    WINDOW = 2000
    head = b"\\xff" * 6 + b"\\2\\0\\0\\0\\0\\1\\x88\\xb5"
    number = [head + n.to_bytes(4, "big") + bytes(42 + n % 64) for n in range(count)]
    sent, got, wrong = 0, 0, []
    with probe(f"model0,wire={wire}") as port:
        rx, tx = port.rx(0), port.tx(0)
        port.start()
        port.wait_link(60)
        print("up", flush=True)
        sys.stdin.readline()  # a light is on before the queues behind it are: what comes early is lost, as on any card
        while (sent < count or got < count) and not wrong:
            if sent < count:
                sent += send(tx, number[sent : min(sent + 64, got + WINDOW)])
            for data in receive(rx, 64):
                if data != number[got]:
                    wrong.append((got, data.hex()))
                    break
                got += 1
        print("done", flush=True)
        sys.stdin.readline()  # the other one may still be taking what we sent
        wrong += [(count, each.hex()) for each in receive(rx, 64)]
        found = {way: port.xstats()[f"{way}_good_packets"] for way in ("rx", "tx")}
    print(json.dumps({"sent": sent, "got": got, "wrong": wrong} | found))
""")

# Forks an end whenever it is asked to: importing what an end needs takes longer than all the rest.
ZYGOTE = textwrap.dedent("""
    import os, sys, time
    from pathlib import Path
    from dataplane.pmd.model.card import Card
    from dataplane.pmd.model.wire.ends import WireEnd

    path = Path(sys.argv[1])
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            with Card(1, threaded=True, index=41) as card:
                WireEnd(card.lock, card.ports[0].engine, path, listens=line.strip() == "listen")
                time.sleep(600)
        print(process, flush=True)
        os.waitpid(process, 0)
""")


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dp-wire-") as folder:
        yield Path(folder) / "a.wire"


def python(program: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait(condition, what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def test_each_frame_once_and_in_order_both_ways(path: Path) -> None:
    with (
        python(END, f"listen:{path}", str(FRAMES)) as one,
        python(END, f"connect:{path}", str(FRAMES)) as other,
    ):
        ends = (one, other)
        watchdog = threading.Timer(TIMEOUT, lambda: [end.kill() for end in ends])
        watchdog.start()
        try:
            for what in ("up\n", "done\n"):
                for end in ends:
                    assert end.stdout is not None and end.stderr is not None
                    assert end.stdout.readline() == what, end.stderr.read()
                for end in ends:
                    assert end.stdin is not None
                    end.stdin.write("go on\n")
                    end.stdin.flush()
            said = [end.communicate(timeout=TIMEOUT) for end in ends]
            assert [end.returncode for end in ends] == [0, 0], said
            expected = {"sent": FRAMES, "got": FRAMES, "wrong": [], "rx": FRAMES, "tx": FRAMES}
            assert [json.loads(out) for out, _ in said] == [expected, expected], said
        finally:
            watchdog.cancel()
            watchdog.join()
            for end in ends:
                end.kill()


def kept() -> tuple[int, int]:
    """Descriptors of this process, and mappings of a wire's memory."""
    return descriptors_open(), mappings()


@pytest.mark.parametrize("listens", [True, False])
def test_the_other_end_is_killed_and_comes_back(path: Path, listens: bool) -> None:
    """Twenty times. We listen, or connect; the other one has no time to clean up."""
    with (
        Card(1, threaded=True, index=40) as card,
        python(ZYGOTE, str(path)) as zygote,
    ):
        card.start()
        engine = card.ports[0].engine
        end = WireEnd(card.lock, engine, path, listens=listens, nudge=card.nudge)
        assert zygote.stdin is not None and zygote.stdout is not None
        before, other = None, 0
        try:
            for _ in range(KILLS):
                zygote.stdin.write("connect\n" if listens else "listen\n")
                zygote.stdin.flush()
                other = int(zygote.stdout.readline())
                wait(lambda: engine.is_wire_up, "it does not come up")
                os.kill(other, signal.SIGKILL)
                other = 0
                wait(lambda: not engine.is_wire_up, "a killed peer is not noticed")
                wait(lambda: not kept()[1], "its memory stays mapped")
                if before is None:
                    before = kept()
            wait(lambda: kept() <= before, f"{before} before, {kept()} after {KILLS} peers")
        finally:
            zygote.stdin.close()
            zygote.kill()
            if other:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(other, signal.SIGKILL)
            end.close()
