# SPDX-License-Identifier: BSD-3-Clause
"""Counts that are right: each counter has one reader, what is lent comes back, and what `vf show` tells only grows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dataplane.apps.command.cli import main
from dataplane.byhand import receive, send
from dataplane.errors import DeviceGone
from dataplane.pmd.datasheet import (
    PVFGORC_LSB,
    PVFGORC_MSB,
    PVFGOTC_LSB,
    PVFGOTC_MSB,
    PVFGPRC,
    PVFGPTC,
    RQSMR,
    VMECM,
)
from dataplane.pmd.ixgbe.control import call
from dataplane.pmd.ixgbe.sriov import sampling
from dataplane.pmd.ixgbe.vf_counters import VfLedger
from tests.pmd.ixgbe.fleet import Fleet, fleet
from tests.pmd.ixgbe.modelrig import frame

STRANGER = "02:99:00:00:00:01"
ROUNDS = 200


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setattr(sampling, "SAMPLE_TIME", 2e-3)
    monkeypatch.setattr(sampling, "SHARE_TIME", 1e-3)
    with fleet(4, ",thread=off") as made:
        made.open(0, 1)
        yield made


def lent(made: Fleet) -> list[int]:
    """The words that are another's while counters are lent."""
    return [made.pf.bar.read(RQSMR[n]) for n in range(4)] + [made.pf.bar.read(word) for word in VMECM]


def spoofs(made: Fleet, vf: int, count: int) -> None:
    """The VF sends that many frames with an address that is not its own; the chip has dropped them."""
    source = bytes.fromhex(STRANGER.replace(":", ""))
    frames = [data[:6] + source + data[12:] for data in map(frame, range(count))]
    assert send(made.vfs[vf].tx(0), frames) == count
    made.pf.function.card.step(4)


def during(made: Fleet, work: Callable[[], object]) -> Callable[[], object]:
    """Have `work` done once while the next measurement sleeps."""
    bar, done = made.pf.bar, []
    before = bar.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread().name.endswith("-sample") and not done:
            done.append(1)
            work()
        before(seconds)

    bar.sleep = sleep
    return lambda: setattr(bar, "sleep", before)


def test_two_at_once_leave_nothing_lent(made: Fleet) -> None:
    """The command and the program, 200 times each in two threads, and one that asks for all."""
    before = lent(made)
    with ThreadPoolExecutor(3) as threads:
        jobs = [
            threads.submit(lambda: [made.pf.vfs.explain(0) for _ in range(ROUNDS)]),
            threads.submit(lambda: [call("model0", "explain", vf=1) for _ in range(ROUNDS // 4)]),
            threads.submit(lambda: [made.pf.vfs.explain() for _ in range(ROUNDS)]),
        ]
        answers = [answer for job in jobs for answer in job.result(110)]
    assert all(answer["ok"] for answer in answers)
    assert lent(made) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, DeviceGone, ValueError])
def test_whatever_ends_it_gives_back(made: Fleet, error: type[BaseException]) -> None:
    before = lent(made)

    def fail() -> None:
        assert lent(made) != before
        raise error("now")

    undo = during(made, fail)
    with pytest.raises(error):
        made.pf.vfs.explain(0)
    undo()
    assert lent(made) == before
    assert made.pf.vfs.explain(0)["ok"]


def test_an_interrupt_of_the_caller_does_not_come_in_between(made: Fleet) -> None:
    """Ctrl-C while it waits: the measurement ends by itself, and gives back."""
    import _thread

    before = lent(made)
    seen = threading.Event()

    def interrupt() -> None:
        _thread.interrupt_main()
        seen.set()

    undo = during(made, interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.pf.vfs.explain(0)
        seen.wait(5)
    for thread in threading.enumerate():
        if thread.name.endswith("-sample"):
            thread.join(5)
    undo()
    assert seen.is_set() and lent(made) == before


def test_a_stop_of_the_pf_meanwhile_is_no_trouble(made: Fleet) -> None:
    undo = during(made, made.pf.stop)
    made.pf.vfs.explain(0)
    undo()
    made.pf.start()
    for vf in made.vfs.values():
        vf.stop()
        vf.start()
    assert made.pf.bar.read(VMECM[0]) == 0b1111
    assert made.pf.bar.read(RQSMR[0]) & 0x0F0F0F0F == 0x0F0F0F0F


def test_no_drop_is_lost_to_another_reader(made: Fleet) -> None:
    """xstats and explain read the same counters: 200 measurements, with frames that are dropped meanwhile."""
    total = 0
    for _ in range(ROUNDS):

        def spoof_and_read() -> None:
            spoofs(made, 0, 5)
            made.pf.xstats()
            spoofs(made, 0, 3)

        undo = during(made, spoof_and_read)
        answer = made.pf.vfs.explain(0)
        undo()
        total += 8
        assert any("dropped by the spoof check, 8 frames" in each["text"] for each in answer["findings"])
    assert made.pf.xstats()["vf_spoofed_packets"] == total


def test_the_right_vf_is_blamed_when_another_begins_meanwhile(made: Fleet) -> None:
    """VF 1 restarts and spoofs while VF 0 is watched."""

    def begin_and_spoof() -> None:
        made.vfs[1].stop()
        made.vfs[1].start()
        spoofs(made, 1, 9)

    undo = during(made, begin_and_spoof)
    assert made.pf.vfs.explain(0)["ok"]
    undo()
    before = made.pf.bar.read(VMECM[0])
    assert before == 0b1111, "all are counted again"

    undo = during(made, lambda: spoofs(made, 1, 9))
    spoofs(made, 0, 1)
    told = made.pf.vfs.explain()
    undo()
    assert [answer["summary"] for answer in told["vfs"]][2:] == ["not in use"] * 2


def test_all_at_once_finds_who_spoofs(made: Fleet) -> None:
    """Drops are counted for all VFs together first, then for the suspected one alone, which goes on."""
    bar, before = made.pf.bar, made.pf.bar.sleep

    def sleep(seconds: float) -> None:
        if threading.current_thread().name.endswith("-sample"):
            spoofs(made, 1, 4)
        before(seconds)

    bar.sleep = sleep
    told = call("model0", "explain")
    bar.sleep = before
    assert not told["ok"]
    assert [answer["ok"] for answer in told["vfs"]] == [True, False, True, True]
    assert "4 frames in 0.001 s" in str(told["vfs"][1]["findings"])
    assert made.pf.vfs.explain()["ok"]


# ---- what `vf show` tells -----------------------------------------------------------------------------------------


def shown(made: Fleet, vf: int = 0) -> dict[str, int]:
    row = call("model0", "show")[vf]
    return {name: value for name, value in row.items() if name.endswith(("_packets", "_bytes"))}


def test_counters_have_dpdks_names(made: Fleet, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["vf", "show", "model0", "--json"]) == 0
    row = json.loads(capfd.readouterr().out)[0]
    names = {"rx_good_packets", "rx_good_bytes", "rx_multicast_packets", "tx_good_packets", "tx_good_bytes"}
    assert names <= set(row) and names <= set(made.vfs[0].xstats())


def test_counters_only_grow_over_wraps_and_restarts(made: Fleet) -> None:
    """32 and 36 bits wrap, a restart of the PF begins at 0, a reset of the VF may: the totals go on."""
    chip, pf = made.pf.function.chip, made.pf
    one, two = made.vfs[0], made.vfs[1]
    before = shown(made)

    def talk(count: int) -> None:
        ends = bytes.fromhex((two.mac + one.mac).replace(":", ""))
        assert send(one.tx(0), [ends + bytes(48)] * count) == count
        pf.function.card.step(8)
        assert len(receive(two.rx(0), 32)) == count

    expected = 0
    for n in range(4):
        if n % 2:  # close to the end of every counter; this is what was counted before
            for register, value in (
                (PVFGPTC[0], 0xFFFF_FFFE), (PVFGPRC[1], 0xFFFF_FFFD), (PVFGOTC_LSB[0], 0xFFFF_FFF0), (PVFGOTC_MSB[0], 0xF),
                (PVFGORC_LSB[1], 0xFFFF_FFF0), (PVFGORC_MSB[1], 0xF),
            ):  # fmt: skip
                chip.poke(register.offset, value)
            pf.host.table.ledger.rebase()
        talk(10)
        expected += 10
        now = shown(made)
        assert now["tx_good_packets"] - before["tx_good_packets"] == expected
        assert now["tx_good_bytes"] - before["tx_good_bytes"] == expected * 60
        assert shown(made, 1)["rx_good_packets"] == expected
        talk(5)  # counted by the stop
        expected += 5
        pf.stop()
        assert shown(made)["tx_good_packets"] == expected
        pf.start()
        assert shown(made)["tx_good_packets"] == expected
        for vf in (one, two):
            vf.stop()
            vf.start()
            vf.wait_link(5)
        assert shown(made)["tx_good_packets"] == expected


def test_a_counter_that_a_reset_of_its_vf_clears_begins_at_0(made: Fleet) -> None:
    chip, ledger = made.pf.function.chip, VfLedger(made.pf.bar, 4)
    chip.poke(PVFGPTC[2].offset, 1000)
    ledger.rebase()
    for value, total in ((1500, 500), (20, 520), (20, 520), (30, 530)):
        chip.poke(PVFGPTC[2].offset, value)
        ledger.collect()
        assert ledger.totals(2)["tx_good_packets"] == total


def test_the_pf_reads_often_enough(made: Fleet) -> None:
    """The function that its watch calls reads VFs, too: 36 bits of bytes are full after 55 s."""
    made.pf.function.chip.poke(PVFGOTC_MSB[3].offset, 3)
    made.pf.function.card.sleep(2.0)
    made.pf._collect()
    assert made.pf.host.table.ledger.totals(3)["tx_good_bytes"] >= 3 << 32
