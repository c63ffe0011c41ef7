# SPDX-License-Identifier: BSD-3-Clause
"""Where kernels and testpmd of different versions differ, and the suites that run them must not."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from dpdkrig import QueueCounts

from tests.dpdk import suites
from tests.system.debs import Unavailable
from tests.vm.hypervisor.packages import Machinery

STREAM = "  ------- Forward Stats for RX Port= 0/Queue= {} -> TX Port= 1/Queue= {} -------\n  RX-packets: {}  TX: 0\n"


class FakeTestpmd:
    """Answers as testpmd does. maps: whether it has `set stat_qmap`; counted: by its streams; chip: by the chip."""

    def __init__(self, maps: bool) -> None:
        self.maps, self.counted, self.chip = maps, dict[int, int](), dict[int, int]()

    def ask(self, command: str) -> str:
        if command.startswith("set stat_qmap"):
            return "" if self.maps else "Bad arguments\n"
        assert command == "show fwd stats all"
        return "".join(STREAM.format(queue, queue, count) for queue, count in self.counted.items())

    def xstats(self, port: int) -> dict[str, int]:
        assert self.maps, "a testpmd that cannot map has no such counters"
        return {f"rx_q{queue}_packets": self.chip.get(queue, 0) for queue in range(4)}


@pytest.mark.parametrize("maps", [True, False])
def test_packets_of_each_queue_with_a_testpmd_that_can_map_counters_and_one_that_cannot(maps: bool) -> None:
    testpmd: Any = FakeTestpmd(maps)
    counts = QueueCounts(testpmd, 4)
    assert counts() == {}
    testpmd.counted = testpmd.chip = {0: 3, 2: 1}
    assert counts() == {0: 3, 2: 1}
    testpmd.chip = {0: 4}
    if maps:
        with pytest.raises(AssertionError, match="the chip counted"):
            counts()
    else:
        assert counts() == {0: 3, 2: 1}


@pytest.mark.parametrize("image", ["boot/vmlinuz-6.1.0", "usr/lib/modules/7.3.4/vmlinuz"])
def test_the_kernel_is_found_where_its_package_has_it(tmp_path: Path, image: str) -> None:
    (tmp_path / image).parent.mkdir(parents=True)
    (tmp_path / image).touch()
    made = Machinery((), tmp_path, {"k": tmp_path}, {"gone": "Debian's archive gives no kernel"})
    assert made.image("k") == tmp_path / image
    with pytest.raises(Unavailable, match="gives no kernel"):
        made.image("gone")


def test_a_suite_that_is_not_known_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATAPLANE_DPDK", "woody")
    with pytest.raises(Unavailable, match="DPDK=woody: known are bookworm, trixie, sid"):
        suites.chosen()


@pytest.mark.root
def test_no_mount_is_left_of_a_program_in_another_root(tmp_path: Path) -> None:
    """It sees our temporary files where we see them. (The root has no program: what is run fails, inside.)"""
    for name in ("dev", "proc", "sys", "run"):
        (tmp_path / name).mkdir()
    before = Path("/proc/self/mountinfo").read_text()
    done = subprocess.run(suites.inside(tmp_path, ["/bin/true"]), capture_output=True, text=True, timeout=60)
    assert done.returncode and "/bin/true" in done.stderr
    assert Path("/proc/self/mountinfo").read_text() == before
