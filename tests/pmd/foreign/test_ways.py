# SPDX-License-Identifier: BSD-3-Clause
"""The ways of ways.c, built with each set of names that libc's headers may choose."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from dataplane.pmd.bus.model import ModelFunction
from dataplane.pmd.foreign.slot import Slots, compile_trap
from dataplane.pmd.model.card import Card

SOURCE = Path(__file__).with_name("ways.c")
BUILDS = {
    "32-bit offsets' names": [],
    "64-bit offsets' names": ["-D_FILE_OFFSET_BITS=64"],
    "fortified": ["-D_FORTIFY_SOURCE=2"],
    "optimised for size": ["-Os"],
    "not optimised": ["-O0"],
}


@pytest.fixture(scope="module")
def trap(tmp_path_factory):
    return compile_trap(tmp_path_factory.mktemp("trap"))


@pytest.mark.parametrize("build", BUILDS)
def test_every_way_to_a_device(build, trap, tmp_path):
    program = tmp_path / "ways"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", *BUILDS[build], "-o", str(program), str(SOURCE)]
    subprocess.run(command, check=True, timeout=60)
    with (
        Card(threaded=True) as card,
        ModelFunction(card, 0) as first,
        ModelFunction(card, 1) as second,
        Slots([first, second], trap) as slots,
    ):
        command = [str(program), slots[0].address]
        started = slots.start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said, _ = started.communicate(timeout=60)
    ways = re.findall(r'\{"(\w+)"', SOURCE.read_text())
    lines = said.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert [line.split()[1] for line in lines] == ways
