# SPDX-License-Identifier: BSD-3-Clause
"""Long gaps of a capture that is replayed with its timing are said, can be shortened, and hold up nothing else."""

import logging
import signal
import threading
import time

import pytest

from dataplane import Pipeline, probe
from dataplane.apps import Counter, Sink
from dataplane.errors import ConfigError
from dataplane.files.pcapfile import PcapWriter

YEAR = int(365.25 * 86400) * 10**9
FRAME = bytes(60)


@pytest.fixture
def capture(tmp_path):
    """Writes a capture with packets at these times (ns) and returns its path."""

    def write(*times):
        with PcapWriter(tmp_path / "in.pcap", nanosecond=True) as writer:
            for at in times:
                writer.write(FRAME, at)
        return tmp_path / "in.pcap"

    return write


def replay(path, options, **limits):
    counter = Counter()
    with probe(f"pcap:{path},speed=original{options}") as port:
        began = time.monotonic()
        report = Pipeline(port.rx(0) >> counter >> Sink()).run(**limits)
    return counter.packets, time.monotonic() - began, report


def test_a_gap_of_years_is_said_once(capture, caplog):
    """A capture that begins in 1970 and goes on today is such one."""
    path = capture(0, 10**6, 55 * YEAR)
    with caplog.at_level(logging.WARNING, "dataplane"):
        packets, _, report = replay(path, "", seconds=0.3)
    assert packets == 2 and report.ok
    (said,) = [record.getMessage() for record in caplog.records if "is due" in record.getMessage()]
    assert said.startswith(f"pcap:{path},speed=original: packet 3 is due in 55.0 years")
    assert (
        "max_gap=SECONDS shortens gaps, speed=max ignores them" in said and len(said) - len(str(path)) < 200
    )


@pytest.mark.parametrize(
    ("gap", "text"),
    [(90, "90.0 s"), (3 * 3600, "3.00 hours"), (86400 * 10, "10.0 days"), (200 * 60, "3.33 hours")],
)
def test_the_gap_has_a_unit(capture, caplog, gap, text):
    with caplog.at_level(logging.WARNING, "dataplane"):
        replay(capture(10**18, 10**18 + gap * 10**9), "", seconds=0.1)
    assert f"packet 2 is due in {text}, as in" in caplog.text


def test_ordinary_gaps_are_not_said(capture, caplog):
    with caplog.at_level(logging.WARNING, "dataplane"):
        packets, _, _ = replay(capture(10**18, 10**18 + 10**7, 10**18 + 30 * 10**9), "", seconds=0.1)
    assert packets == 2 and "is due" not in caplog.text


def test_a_limit_shortens_each_gap(capture, caplog):
    """Three gaps of years and one of 20 ms: with a limit of 0.1 s they take 0.32 s, without a warning."""
    at = [10**18, 10**18 + YEAR, 10**18 + 2 * YEAR, 10**18 + 2 * YEAR + 20 * 10**6, 10**18 + 9 * YEAR]
    with caplog.at_level(logging.WARNING, "dataplane"):
        packets, took, report = replay(capture(*at), ",max_gap=0.1", seconds=30)
    assert packets == 5 and report.ok
    assert took >= 0.3 and report.seconds >= 0.31
    assert "is due" not in caplog.text


def test_the_limit_holds_in_every_pass(capture):
    packets, took, _ = replay(capture(0, 20 * YEAR), ",max_gap=0.05,loop=4", seconds=30)
    assert packets == 8 and took >= 0.2


def test_a_stop_and_a_signal_end_the_wait(capture):
    path = capture(0, 50 * YEAR)
    with probe(f"pcap:{path},speed=original") as port:
        with Pipeline(port.rx(0) >> Sink()).start() as run:
            run.wait(0.1)
            began = time.monotonic()
            run.stop()
            assert time.monotonic() - began < 5
        main = threading.main_thread().ident
        threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            Pipeline(port.rx(0) >> Sink()).run(seconds=60)
        assert not port.started


@pytest.mark.parametrize(
    "options", ["max_gap=1", "max_gap=0,speed=original", "max_gap=-1,speed=original", "max_gap=x"]
)
def test_a_limit_that_makes_no_sense(capture, options):
    with pytest.raises(ConfigError, match="max_gap"):
        probe(f"pcap:{capture(0)},{options}")


def test_a_wire_of_the_model_says_it_too(capture, caplog):
    path = capture(0, 10**6, 55 * YEAR)
    sink = Sink()
    with (
        caplog.at_level(logging.WARNING, "dataplane"),
        probe(f"model0,wire=pcap:{path},timing=on") as port,
        Pipeline(port.rx(0) >> sink).start() as run,
    ):
        port.promiscuous = True
        run.wait(20, until=lambda: "is due" in caplog.text)
        run.wait(0.1)
        assert run.stop().ok
    assert caplog.text.count("is due") == 1
    assert (
        "the wire of model0: packet 3 is due in 55.0 years, as in the capture: timing=off plays it"
        in caplog.text
    )
