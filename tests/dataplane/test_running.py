# SPDX-License-Identifier: BSD-3-Clause
"""Runs: threads, stops, errors, ports, and that nothing is left behind whatever ends them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest
from stages import Discard, Hooked

from dataplane import App, Frames, Pipeline, Stepper, machine, run, start
from dataplane.errors import AppError, ConfigError, GraphError, PortError
from dataplane.pmd import probe

FRAME = bytes(range(64))


class Pass(App):
    def process(self, burst):
        return None


class Broken(App):
    """Raises at its n-th burst."""

    def __init__(self, n=1):
        self.left = n

    def process(self, burst):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError("as planned")


def endless(**options):
    return Frames([FRAME], repeat=None, **options)


def null():
    return probe("null:")


def test_a_run_ends_when_its_sources_are_done():
    sink = null()
    report = Pipeline(Frames([FRAME] * 10, repeat=100) >> sink.tx(0), name="short").run()
    assert report.packets == 1000
    assert report.edges["frames.out"].packets == 1000
    assert report.edges["frames.out"].bytes == 64_000
    assert report.ports["null:"]["tx_good_packets"] == 1000
    assert report.drops == {} and report.ok and report.app == "short"
    assert not sink.started


def test_count_is_exact():
    for count in (0, 1, 31, 32, 33, 1000):
        assert Pipeline(endless() >> Discard()).run(count=count).packets == count


def test_seconds_and_until_and_event():
    began = time.monotonic()
    assert Pipeline(endless() >> null().tx(0)).run(seconds=0.05).packets > 0
    event = threading.Event()
    event.set()
    Pipeline(endless() >> null().tx(0)).run(until=event)
    Pipeline(endless() >> null().tx(0)).run(until=lambda: True)
    assert time.monotonic() - began < 2


def test_rx_to_tx_conserves_packets():
    left, right = null(), null()
    report = Pipeline(left.rx(0) >> Pass() >> right.tx(0)).run(seconds=0.05)
    assert left.xstats()["rx_good_packets"] == right.xstats()["tx_good_packets"] == report.packets > 0


def test_an_error_in_process_stops_the_run_and_names_the_app():
    broken, sink = Broken(3), Discard()
    pipeline = Pipeline(endless() >> broken >> sink)
    with pytest.raises(AppError, match=r"broken: process\(\) raised ZeroDivisionError: as planned") as caught:
        pipeline.run(seconds=5)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert pipeline.report.drops == {"broken.error": 32, "discard.all": 64}
    assert pipeline.report.packets == 96
    assert not pipeline.report.ok


def test_an_error_in_one_lcore_stops_the_others():
    other = Pipeline(endless() >> null().tx(0))
    with pytest.raises(AppError, match="broken"):
        run(other, Pipeline(endless() >> Broken() >> Discard()), lcores=[None, None], seconds=5)
    assert other.report.packets > 0


def test_the_pipeline_runs_again_after_an_error():
    broken = Broken()
    pipeline = Pipeline(endless() >> broken >> Discard())
    with pytest.raises(AppError):
        pipeline.run(seconds=5)
    assert pipeline.run(count=64).drops == {"discard.all": 64}


def test_hooks_run_on_the_lcore():
    app = Hooked()
    Pipeline(endless() >> app >> Discard()).run(count=64)
    assert [call.hook for call in app.calls] == ["start", "stop"]
    assert all(call.thread.startswith("lcore-") and call.lcore is not None for call in app.calls)


@pytest.mark.parametrize("hook", ["start", "stop"])
def test_an_error_in_a_hook(hook):
    app = Hooked(hook)
    pipeline = Pipeline(endless() >> app >> (end := Hooked()) >> Discard())
    with pytest.raises(AppError, match=rf"hooked: {hook}\(\) raised RuntimeError: {hook} is broken"):
        pipeline.run(count=64)
    # Sinks start first; what has started is stopped.
    assert [call.hook for call in end.calls] == ["start", "stop"]
    assert [call.hook for call in app.calls] == (["start"] if hook == "start" else ["start", "stop"])


def test_start_stop_join():
    pipeline = Pipeline(endless() >> null().tx(0))
    running = pipeline.start()
    assert running.running
    with pytest.raises(ConfigError, match="still runs after"):
        pipeline.join(0.03)
    report = pipeline.stop()
    assert report is pipeline.stop() is running.stop()
    assert not running.running and report.packets > 0


def test_join_of_a_run_that_ends_by_itself():
    pipeline = Pipeline(Frames([FRAME] * 5) >> null().tx(0))
    pipeline.start()
    assert pipeline.join(5).packets == 5


def test_a_hundred_starts_and_stops_leak_nothing():
    left, right = null(), null()
    pipeline = Pipeline(left.rx(0) >> Pass() >> right.tx(0))
    free, threads = machine.free_lcores(), threading.active_count()
    for _ in range(100):
        pipeline.start()
        pipeline.stop()
    assert machine.free_lcores() == free and threading.active_count() == threads
    assert left.mempool.in_use == 0 and not left.started


def test_two_lcores_share_a_run():
    left, right = null(), null()
    report = run(
        Pipeline(left.rx(0) >> Pass() >> right.tx(0), name="there"),
        Pipeline(right.rx(0) >> Pass() >> left.tx(0), name="back"),
        lcores=[None, None],
        seconds=0.05,
    )
    assert report.app == "there + back"
    assert {"pass.out", "pass-2.out"} <= set(report.edges)
    assert all(count.packets > 0 for count in report.edges.values())


def test_two_pipelines_on_one_lcore():
    first, second = Frames([FRAME], repeat=100), Frames([FRAME], repeat=300)
    with start(Pipeline(first >> null().tx(0)), Pipeline(second >> null().tx(0))) as running:
        assert running.join(5).packets == 400


def test_a_stage_of_a_running_pipeline_is_refused():
    sink = null()
    pipeline = Pipeline(endless() >> sink.tx(0), name="first")
    with pipeline.start(), pytest.raises(GraphError, match="is in second and in first, which is running"):
        Pipeline(endless() >> sink.tx(0), name="second").run()
    Pipeline(Frames([FRAME]) >> sink.tx(0), name="second").run()


def test_a_stage_in_two_pipelines_of_one_run_is_refused():
    sink = null()
    a, b = Pipeline(endless() >> sink.tx(0), name="a"), Pipeline(endless() >> sink.tx(0), name="b")
    with pytest.raises(GraphError, match="is in b and in a: one lcore at a time"):
        run(a, b, lcores=[None, None])
    assert not sink.started


def test_a_port_that_is_running_stays_running():
    sink = null()
    pipeline = Pipeline(Frames([FRAME]) >> sink.tx(0))
    sink.start()
    pipeline.run()
    assert sink.started
    sink.close()


def test_a_port_that_two_runs_share_stops_with_the_last():
    port = null()
    first, second = Pipeline(endless() >> port.tx(0)), Pipeline(endless() >> port.tx(1))
    first.start()
    second.start()
    first.stop()
    assert port.started
    second.stop()
    assert not port.started


def test_a_port_that_does_not_start_leaves_nothing_started():
    good, bad = null(), null()
    pipeline = Pipeline(endless() >> good.tx(0), endless() >> bad.tx(0))
    bad.close()
    for _ in range(2):
        with pytest.raises(PortError, match="closed"):
            pipeline.run()
        assert not good.started


def test_an_unusable_cpu_is_reported():
    sink = null()
    with pytest.raises(ConfigError, match="cannot run on CPU 4095"):
        Pipeline(endless() >> sink.tx(0)).run(4095)
    assert not sink.started


def test_ctrl_c_stops_everything_first():
    sink = null()
    pipeline = Pipeline(endless() >> sink.tx(0))
    timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(seconds=10)
    timer.join()
    assert not sink.started and pipeline.report.packets > 0


def test_the_stepper_runs_in_this_thread():
    left, right = null(), null()
    pipeline = Pipeline(left.rx(0) >> (app := Hooked()) >> right.tx(0))
    with pipeline.stepper() as stepper:
        assert machine.current_lcore() is not None
        assert stepper.step(10) == 320
        assert stepper.step() == 32
        assert stepper.read()[0]["hooked.out"].packets == 352
    assert machine.current_lcore() is None
    assert stepper.report.packets == 352
    assert [call.hook for call in app.calls] == ["start", "stop"]


def test_the_stepper_raises_what_an_app_raises():
    with (
        pytest.raises(AppError, match="broken"),
        Stepper(Pipeline(endless() >> Broken(2) >> Discard())) as stepper,
    ):
        stepper.step(100)
    assert machine.current_lcore() is None


def test_sampler_sees_growth():
    with Pipeline(endless() >> null().tx(0)).start() as running:
        sampler = running.sampler()
        time.sleep(0.03)
        first = sampler.sample()
        time.sleep(0.03)
        second = sampler.sample()
    assert first.edges["frames.out"].packets > 0
    assert second.mpps("frames.out") > 0 and second.gbps("frames.out") > 0
    assert second.per_second("null:", "tx_good_packets") > 0
    assert second.seconds > second.interval > 0


@pytest.mark.parametrize("ending", ["", "raise SystemExit(3)"])
def test_a_program_that_just_ends_stops_what_it_started(ending):
    program = f"""
import sys
from dataplane import Frames, Pipeline
from dataplane.pmd import probe
class Loud(type(probe("null:"))):
    def _stop(self):
        print("stopped", flush=True)
port = Loud("loud", 64, False)
running = Pipeline(Frames([bytes(64)], repeat=None) >> port.tx(0)).start()
{ending}
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (3 if ending else 0, "stopped\n", "")
