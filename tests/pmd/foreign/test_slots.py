# SPDX-License-Identifier: BSD-3-Clause
"""A function of the model in a slot, and a program in it that takes it for a card: driver.c."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dataplane.errors import ConfigError
from dataplane.pmd.bus.model import ModelFunction
from dataplane.pmd.datasheet import CTRL, EICR, EICS, EIMS, GPRC, MAXFRS, RDBAL, RDT, STATUS, TDT, pci
from dataplane.pmd.foreign.slot import SOURCES, Slots, compile_trap
from dataplane.pmd.model.card import Card

SOURCE = Path(__file__).with_name("driver.c")
LSC = EICR.LSC.mask


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    target = tmp_path_factory.mktemp("driver") / "driver"
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True, timeout=60)
    return target


class Driver:
    """The program in a slot, and the commands that it gets."""

    def __init__(self, slots: Slots, program: Path) -> None:
        self.process = slots.start(
            [str(program), slots[0].address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, line: str) -> str:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def read(self, register, bar: int = 0) -> int:
        return int(self.ask(f"r {bar} {getattr(register, 'offset', register):x}"), 16)

    def write(self, register, value: int, bar: int = 0) -> None:
        assert self.ask(f"w {bar} {getattr(register, 'offset', register):x} {value:x}") == "ok"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def function():
    with Card(manner="strict", threaded=True) as card, ModelFunction(card, 0) as function:
        yield function


@pytest.fixture(scope="module")
def trap(tmp_path_factory):
    return compile_trap(tmp_path_factory.mktemp("trap"))


@pytest.fixture
def slots(function, trap):
    with Slots([function], trap) as slots:
        yield slots


@pytest.fixture
def driver(slots, program):
    driver = Driver(slots, program)
    yield driver
    driver.close()


def wait(condition) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_registers_have_their_side_effects(driver, function):
    assert driver.read(STATUS) == function.chip.peek(STATUS.offset)
    function.chip.poke(GPRC.offset, 7)
    assert [driver.read(GPRC), driver.read(GPRC)] == [7, 0]
    driver.write(CTRL, CTRL.RST.mask)
    assert driver.read(CTRL) & CTRL.RST.mask == 0, "it clears itself"


def test_every_form_of_address(driver, function):
    word = function.chip.peek(MAXFRS.offset)
    assert driver.ask(f"a {MAXFRS.offset:x}") == "10"
    assert function.chip.peek(MAXFRS.offset) == word


def test_tails_are_stores_into_the_register_file(driver, function):
    """No access of the card's: nothing is traced."""
    seen = []
    driver.read(STATUS)
    function.card.trace(0, each=seen.append)
    for tail in (RDT[3], TDT[2], RDT[3]):
        driver.write(tail, 5)
        assert function.chip.peek(tail.offset) == 5
    driver.write(RDBAL[3], 0x1000)
    function.card.untrace(0)
    assert [str(access).split()[2] for access in seen] == ["RDBAL[3]"]


def test_configuration_space(driver, function):
    assert driver.ask("c 0 4") == f"4 {pci.PF_82599_SFP << 16 | pci.INTEL:x}"
    assert driver.ask(f"k {pci.CACHE_LINE:x} 1 10") == "1"
    assert function.config.read8(pci.CACHE_LINE) == 0x10


def test_the_msix_bar(driver, function):
    control = 12  # of the first entry; /dev/uio0 turns the same vector on and off
    for on in (1, 0, 1):
        assert driver.ask(f"m {on}") == "4"
        wait(lambda on=on: driver.read(control, bar=4) == 1 - on)
    driver.write(control, 1, bar=4)
    assert driver.read(control, bar=4) == 1


def test_interrupts(driver, function):
    """As igb_uio hands them on: a count to be read, and on and off by what is written."""
    assert driver.ask("m 1") == "4"
    driver.write(EIMS, LSC)
    driver.write(EICS, LSC)
    assert driver.ask("i") == "1"
    assert driver.read(EICR) & LSC
    assert driver.ask("m 0") == "4"
    driver.write(EICS, LSC)
    driver.read(STATUS)
    assert driver.ask("m 1") == "4"
    assert driver.ask("i") == "1", "it fired while it was masked, and comes when it no longer is"


def test_bus_mastering_is_there_while_the_program_is(slots, program, function):
    def masters():
        return bool(function.config.read16(pci.COMMAND) & pci.COMMAND_BUS_MASTER)

    driver = Driver(slots, program)
    driver.read(STATUS)
    assert masters()
    driver.process.send_signal(signal.SIGKILL)
    wait(lambda: not masters())
    driver.close()
    again = Driver(slots, program)
    assert again.read(STATUS) == function.chip.peek(STATUS.offset)
    assert masters()
    again.close()


def test_a_program_that_is_killed_leaves_a_card_as_after_a_reset(slots, program, function):
    driver = Driver(slots, program)
    driver.write(MAXFRS, 9000 << 16)
    assert function.chip.peek(MAXFRS.offset) == 9000 << 16
    driver.close()
    wait(lambda: function.chip.peek(MAXFRS.offset) == MAXFRS.reset)


def test_what_a_strict_card_forbids_is_told_and_done_all_the_same(driver, slots, function):
    driver.write(RDBAL[0], 0x1234)
    assert function.chip.peek(RDBAL[0].offset) & ~0x7F == 0x1200
    driver.write(0x0000C, 1)
    assert [finding.section for finding in slots.findings][-1] == "8.2.2"


def test_hugepages_are_in_the_device_s_reach_while_they_are_mapped(driver, function):
    if os.geteuid() != 0:
        pytest.skip("needs root: physical addresses")
    driver.read(STATUS)
    if driver.ask("p") != "mapped":
        pytest.skip("needs 1 free hugepages")
    ((iova, size, address, rights),) = function.chip.engine.domain.mappings
    assert (size, rights) == (2 << 20, "rw") and iova % size == 0
    assert ctypes.c_uint32.from_address(address).value == 0xCAFEF00D
    assert driver.ask("go on") == "unmapped"
    assert function.chip.engine.domain.mappings == []


def test_the_end_of_the_slots_ends_the_program_with_a_word(slots, program):
    driver = Driver(slots, program)
    driver.read(STATUS)
    slots.close()
    driver.process.stdin.write("r 0 8\n")
    _, said = driver.process.communicate(timeout=10)
    assert driver.process.returncode == 70 and "the card's process has gone" in said


def test_no_compiler(function, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ConfigError, match="install gcc"):
        Slots([function])


@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_the_trap_has_no_warnings(level, tmp_path):
    command = [
        "gcc",
        "-std=gnu11",
        level,
        "-Wall",
        "-Wextra",
        "-Wshadow",
        "-Werror",
        "-fPIC",
        "-shared",
        "-U_FORTIFY_SOURCE",
    ]
    subprocess.run([*command, "-o", str(tmp_path / "trap.so"), *map(str, SOURCES)], check=True, timeout=60)


def test_the_slots_sockets_are_their_owner_s_alone(slots):
    sockets = [slots.root / "card" / slots[0].address / "socket", slots.root / "dev" / "uio0"]
    assert [oct(path.stat().st_mode & 0o777) for path in sockets] == ["0o600", "0o600"]
    assert slots.root.stat().st_mode & 0o077 == 0


def test_the_trap_is_made_once_for_programs_that_start_before_their_slots(function, tmp_path):
    trap = compile_trap(tmp_path)
    with Slots([function], trap) as slots:
        assert slots.environment["LD_PRELOAD"] == str(trap)


def test_what_it_says_last_fits_its_room(trap, tmp_path):
    """A folder whose path is longer than the message may be."""
    root = tmp_path
    for _ in range(4):
        root /= "f" * 200
    (root / "dev").mkdir(parents=True)
    (root / "dev/uio0").touch()
    done = subprocess.run(
        ["cat", "/dev/uio0"],
        env={"LD_PRELOAD": str(trap), "DATAPLANE_SLOTS": str(root)},
        capture_output=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 70
    assert done.stderr.startswith(b"dataplane: ") and done.stderr.endswith(b"f\n") and len(done.stderr) == 511


def test_the_shell_s_tools_see_what_they_would_see_on_a_machine(slots):
    script = """set -e
        ls -lL /sys/class/uio/uio0/ /sys/bus/pci/devices > /dev/null
        od -A n -t x1 -N 4 /sys/bus/pci/devices/*/config; head -c 4 /sys/bus/pci/devices/*/config | od -A n -t x1
        cd /sys/bus/pci/devices/0000:01:00.0; pwd -P; find . -name map1; cat uio/uio0/maps/map1/name
        echo 0000:01:00.0 > driver/unbind; test ! -e driver; test ! -e /sys/class/uio/uio0"""
    started = slots.start(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, _ = started.communicate(timeout=30)
    assert (started.returncode, said.splitlines()) == (
        0,
        [" 86 80 fb 10"] * 2 + ["/sys/devices/pci0000:00/0000:01:00.0", "./uio/uio0/maps/map1", "BAR4"],
    )
