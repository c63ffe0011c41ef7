# SPDX-License-Identifier: BSD-3-Clause
"""The end of the interpreter after scripts that clean nothing up: no line on standard error, and the status asked for.

A native app's function, and with it the script's globals, is kept by numba until modules are taken apart: then pools, ports
and arenas go last, when the globals of their own modules are gone.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEAD = """
import logging
logging.getLogger("dataplane").setLevel(logging.ERROR)  # plain pages, Python in a pipeline: not what is looked for
from dataplane import *
from dataplane.pmd import probe
from dataplane.apps import *
def each(data, length): return 0
app = Native(each)
"""

SCRIPTS = {
    "memory": """
pool, empty, arena = Mempool(64), Mempool(64), Arena(4096)
taken, view, ring = empty.take(64), memoryview(arena._map), Ring(64)""",
    "apps": "source, caught = PktGen('Ether()/IP()/UDP()'), through(app, [bytes(64)])",
    "ports": """
idle, runs = probe('null:'), probe('null:'); runs.rx(0); runs.start()
model = probe('model0,wire=loop')""",
    "a model's port that runs": "port = probe('model0,wire=loop'); port.rx(0); port.tx(0); port.start()",
    "a PF and a VF that run": """
pf = probe('model0,vfs=1,wire=loop'); pf.rx(0); pf.start()
vf = probe('model0.vf0'); vf.rx(0); vf.tx(0); vf.start()""",
    "a pipeline": "chain = Pipeline(probe('null:').rx(0) >> app >> probe('null:').tx(0))",
    "a run that is over": """
collect = Collect()
pipeline = Pipeline(Frames([bytes(64)] * 100) >> app >> collect)
pipeline.run()""",
    "a run that goes on": """
null = probe('null:')
running = Pipeline(null.rx(0) >> app >> null.tx(0)).start()""",
    "a run on a model that goes on": """
port = probe('model0,wire=loop')
running = Pipeline(PktGen('Ether()/IP()/UDP()') >> port.tx(0), port.rx(0) >> app >> Sink(), lossless=True).start()""",
    "a run with Python that goes on": """
class Mine(App):
    def process(self, burst): burst[eth.type] = 0x800
null = probe('null:')
running = Pipeline(null.rx(0) >> Mine() >> app >> null.tx(0)).start()""",
    "a stepper that is not left": """
null = probe('null:')
stepper = Pipeline(null.rx(0) >> app >> null.tx(0)).stepper()
stepper.__enter__()
stepper.step(10)""",
    "a burst that is kept": """
bursts = []
class Mine(App):
    def process(self, burst): bursts.append(burst)
pipeline = Pipeline(Frames([bytes(64)] * 100) >> Mine() >> Collect())
pipeline.run()""",
    "an error": """
port = probe('model0,wire=loop'); port.rx(0); port.start(); pool = Mempool(64)
raise SystemExit(0) from ZeroDivisionError()""",
    "objects that hold each other": """
pool = Mempool(64); port = probe('model0,wire=loop'); port.rx(0); port.start()
ring = [pool, port]; ring.append(ring); app_too = (lambda: ring)""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_nothing_is_said_at_the_end(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{HEAD}\n{script}\n"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
