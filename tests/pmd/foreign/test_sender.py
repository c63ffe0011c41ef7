# SPDX-License-Identifier: BSD-3-Clause
"""A driver of ours in C, sender.c, sends from hugepages of every source; our driver at the wire's other end gets them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from dataplane import pmd
from dataplane.byhand import receive
from dataplane.mempool import Mempool
from dataplane.pmd.bus.model import ModelFunction, open_function
from dataplane.pmd.foreign.slot import Slots, compile_trap
from dataplane.pmd.portstring import PortString

pytestmark = pytest.mark.root  # physical addresses

SOURCE = Path(__file__).with_name("sender.c")
FREE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
FRAMES = 32


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sender")
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(folder / "sender"), str(SOURCE)]
    subprocess.run(command, check=True, timeout=60)
    return folder / "sender", compile_trap(folder)


@pytest.fixture
def hugetlbfs(tmp_path):
    subprocess.run(["mount", "-t", "hugetlbfs", "none", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def far():
    pool = Mempool(512, name="far")
    with pmd.probe("model1") as port:
        port.configure(mempool=pool)
        port.rx(0), port.tx(0)
        port.start()
        yield port


@pytest.mark.parametrize("source", ["anonymous", "private", "memfd", "segment", "FILE"])
def test_what_it_sends_arrives(source, built, hugetlbfs, far):
    if int(FREE.read_text()) < 2:
        pytest.skip("needs 2 free hugepages")
    program, trap = built
    spec = PortString("model0", "", "model0", {})
    function = open_function(spec)
    assert isinstance(function, ModelFunction)
    with function, Slots([function], trap) as slots:
        where = str(hugetlbfs / "page") if source == "FILE" else source
        driver = slots.start(
            [str(program), slots[0].address, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert driver.stdout.readline() == "sent\n", driver.communicate(timeout=10)[1]
            got, deadline = [], time.monotonic() + 20
            while len(got) < FRAMES and time.monotonic() < deadline:
                got += receive(far.rx(0), 32)
            assert [frame[14] for frame in got] == list(range(FRAMES))
            assert {len(frame) for frame in got} == {60}
            assert len(function.chip.engine.domain.mappings) == 1
        finally:
            _, said = driver.communicate("\n", timeout=20)
        assert (driver.returncode, said) == (0, "")


def test_hidden_physical_addresses_are_named(built):
    """Without CAP_SYS_ADMIN the kernel does not say them: the program goes on, and knows why nothing is sent."""
    if int(FREE.read_text()) < 1:
        pytest.skip("needs 1 free hugepages")
    program, trap = built
    with open_function(PortString("model0", "", "model0", {})) as function, Slots([function], trap) as slots:
        driver = slots.start(
            ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", str(program), slots[0].address, "memfd"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        _, said = driver.communicate(timeout=30)
    assert driver.returncode == 1
    assert "the kernel hides physical addresses: run as root" in said and "pagemap" in said
