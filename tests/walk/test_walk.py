# SPDX-License-Identifier: BSD-3-Clause
"""Python cannot crash the interpreter: walks over every class and function, each in a process of its own.

``WALK_SEED=7 WALK_STEPS=20000`` repeats the first walk; `make test-walk` takes long ones.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEPS = int(os.environ.get("WALK_STEPS", "300"))
WALKS = int(os.environ.get("WALK_WALKS", "3"))
SEED = int(os.environ.get("WALK_SEED", "82599"))
LIMIT = 120 + STEPS  # s; a step takes a few milliseconds, on a busy machine ten times as long


@pytest.mark.timeout(LIMIT + 30)
@pytest.mark.parametrize("seed", range(SEED, SEED + WALKS))
def test_no_call_from_python_crashes_the_interpreter(seed: int, tmp_path: Path) -> None:
    """No signal, no call that does not end, nothing left behind."""
    log, errors = tmp_path / "steps", tmp_path / "errors"
    with errors.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, str(HERE / "walker.py"), str(seed), str(STEPS), str(log)],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        )
        try:
            status = child.wait(LIMIT)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGABRT)  # faulthandler says where it is
            status = child.wait(30)
    steps = log.read_text(errors="replace").splitlines() if log.exists() else []
    story = (
        f"WALK_SEED={seed} WALK_STEPS={STEPS} ended with status {status}; its last steps:\n"
        + "\n".join(line[:300] for line in steps[-25:])
        + "\nand what it said:\n"
        + errors.read_text(errors="replace")[-5000:]
    )
    print(f"walk {seed}: {STEPS} steps, status {status}")
    assert status == 0 and steps[-1] == "the end", story


def test_every_compiled_module_is_walked() -> None:
    """A new class is walked without an entry here, unless LEFT_OUT gives a reason against it."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from discover import everything, left_out\n"
        "found = everything()\n"
        "seen = {name.rpartition('.')[0] for name in [*found.classes, *found.functions]}\n"
        "for line in sys.stdin.read().split():\n"
        "    if line not in seen and not left_out(line): print(line)\n"
    )
    modules = [
        ".".join(("dataplane", *path.relative_to(ROOT / package).with_suffix("").parts))
        if package == "dataplane"
        else ".".join(("dataplane", *path.relative_to(ROOT).with_suffix("").parts))
        for package in ("dataplane", "pmd", "apps")
        for path in sorted((ROOT / package).glob("**/*.pyx"))
        if not {"pmd", "apps"} & set(path.relative_to(ROOT / package).parts)
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, str(HERE)],
        input="\n".join(modules),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Without anything that Python could name: C alone.
    assert set(done.stdout.split()) <= {
        f"dataplane.{name}"
        for name in (
            "columns.numbers", "graph.copying", "limits", "mbuf",
            *(f"pmd.ixgbe.queues.{name}" for name in ("checks", "gate", "leftover", "merged", "sendable")),
            *(f"pmd.model.classify.{name}" for name in ("director", "filter", "packet", "pools", "steer")),
            *(
                f"pmd.model.datapath.{name}"
                for name in ("assemble", "decode", "mac", "offload", "rsc", "rx", "rxq", "stamps", "switch", "tso", "tx")
            ),
            "pmd.model.state.checksum",
        )
    }  # fmt: skip
    assert len(modules) > 50


def test_the_exceptions_name_what_is_there() -> None:
    """A function that moves takes its exception along: without it a walk would wait for ever, or leave its process."""
    program = (
        "import pkgutil, sys; sys.path.insert(0, sys.argv[1])\n"
        "from discover import BOUNDED, LEFT_OUT\n"
        "for name in [*LEFT_OUT, *BOUNDED]:\n"
        "    pkgutil.resolve_name(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(HERE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
