# SPDX-License-Identifier: BSD-3-Clause
"""How signals end a run: totals, JSON and exit status, whatever the run is doing; and those that do not end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import (
    COMMAND,
    ROOT,
    capture,
    end,
    handles,
    report_of,
    running,
    spawn,
    spawn_stuck,
    wait_for,
)

STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("number", STOPS)
@pytest.mark.parametrize(
    "words",
    [
        ("pktgen", "null:", "--rate", "1 kpps", "--best-effort"),
        ("l2fwd", "null:", "null:"),
        ("macswap", "null:"),
        ("pcapdump", "ring:nobody-sends", "{folder}/out.pcap"),
    ],
    ids=lambda words: words[0],
)
def test_a_run_ends_with_totals(tmp_path: Path, words: tuple[str, ...], number: signal.Signals) -> None:
    report = tmp_path / "report.json"
    process = spawn(*(word.format(folder=tmp_path) for word in words), "--json", str(report))
    running(process)
    process.send_signal(number)
    status, out, err = end(process)
    assert (status, err) == (0, "")
    assert out.startswith(f"{words[0]}: ")
    assert report_of(report)["ok"] is True


@pytest.mark.parametrize("number", STOPS)
def test_before_its_time_is_over_it_has_not_done_what_was_asked(
    tmp_path: Path, number: signal.Signals
) -> None:
    report = tmp_path / "report.json"
    process = spawn(
        "pktgen", "null:", "--rate", "1 kpps", "--best-effort", "--seconds", "600", "--json", str(report)
    )
    running(process)
    process.send_signal(number)
    status, out, err = end(process)
    assert status == 1
    assert out.startswith("pktgen: ")
    assert err.startswith(f"dataplane: pktgen: {number.name} came after ") and err.count("\n") == 1
    assert report_of(report)["ok"] is False


@pytest.mark.parametrize("number", STOPS)
def test_the_demo_ends(tmp_path: Path, number: signal.Signals) -> None:
    report = tmp_path / "report.json"
    words = ("--rate", "10 kpps", "--file", str(tmp_path / "demo.pcap"), "--json", str(report))
    process = spawn("demo", *words)
    running(process)
    process.send_signal(number)
    status, out, err = end(process)
    assert status == 1
    assert "demo: sent " in out
    assert all(line.startswith("dataplane: ") for line in err.splitlines()), err
    assert report_of(report)["ok"] is False


def test_nohup_is_heard() -> None:
    """A SIGHUP that is ignored when the command starts stays so."""
    process = spawn("macswap", "null:", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    running(process)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == 0


@pytest.mark.parametrize(
    "body",
    ["while True: pass", "time.sleep(10**6)", "threading.Event().wait()"],
    ids=["busy", "asleep", "waiting"],
)
@pytest.mark.parametrize("first", [signal.SIGQUIT, signal.SIGTERM])
def test_an_app_that_does_not_return(tmp_path: Path, body: str, first: signal.Signals) -> None:
    """SIGQUIT, or a second signal, ends the run at once: totals as far as known, and the report says so."""
    report, out_file = tmp_path / "report.json", tmp_path / "out.pcap"
    port = f"pcap:{capture(tmp_path / 'in.pcap')}>{out_file}"
    process = spawn_stuck(body, port, "--json", str(report), mark=tmp_path / "mark")
    process.send_signal(first)
    if first != signal.SIGQUIT:
        time.sleep(0.2)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
    began = time.monotonic()
    status, out, err = end(process)
    assert time.monotonic() - began < 15  # half a second on a machine that is not busy
    assert status == 1
    assert out.startswith("macswap: ") and "rx 32 packets" in out
    assert "has not returned from" in err and "totals are those known by then" in err
    assert "Traceback" not in err and "Exception" not in err
    found = report_of(report)
    assert found["ok"] is False and "has not returned from" in found["error"]
    assert found["ports"][port]["rx_good_packets"] == 32
    assert out_file.stat().st_size == 24  # a whole file of no frames


def test_a_stop_says_what_it_waits_for(tmp_path: Path) -> None:
    port = f"pcap:{capture(tmp_path / 'in.pcap')}"
    process = spawn_stuck("time.sleep(3)", port + f">{tmp_path / 'o.pcap'}", mark=tmp_path / "mark")
    process.send_signal(signal.SIGINT)
    status, out, err = end(process)
    assert status == 0
    assert "process() at <string>:" in err and "SIGQUIT" in err
    assert out.startswith("macswap: ")


def test_a_status_line_does_not_end_the_run(tmp_path: Path) -> None:
    process = spawn("pktgen", "null:", "--rate", "1 kpps", "--best-effort")
    running(process)
    for _ in range(3):
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=40)
    lines = err.decode().splitlines()
    assert process.returncode == 0
    assert len(lines) >= 3
    for line in lines:
        assert line.startswith("dataplane: pktgen: ")
        assert line.endswith(" dropped")


@pytest.mark.parametrize("source", ["generator", "replay"])
def test_a_stop_of_the_process_is_followed_by_no_burst(tmp_path: Path, source: str) -> None:
    """Ctrl-Z and fg: of what was due meanwhile, at most a tenth of a second's frames come at once."""
    out, stopped = tmp_path / "out.pcap", 1.5
    if source == "generator":
        words = ["pktgen", f"pcap:>{out}", "--rate", "1 kpps", "--best-effort"]
    else:  # a frame each millisecond
        played = capture(tmp_path / "in.pcap", frames=10_000, gap_us=1000)
        words = ["l2fwd", f"pcap:{played},speed=original", f"pcap:>{out}", "--portmap", "0:1"]
    process = spawn(*words, "--json", str(tmp_path / "report.json"))
    running(process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(stopped)
    process.send_signal(signal.SIGCONT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    status, _, err = end(process)
    assert (status, err) == (0, "")
    report = report_of(tmp_path / "report.json")
    # It ran that long; without the stop's end as a limit it would have sent 1,500 more.
    assert report["packets"] < (report["seconds"] - stopped) * 1000 + 350


@pytest.mark.parametrize("number", [*STOPS, signal.SIGUSR1])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_while_modules_load(tmp_path: Path, number: signal.Signals, delay: float) -> None:
    """One line and status 1, at whatever moment of the start; or the run has begun, and ends with totals."""
    process = spawn("pktgen", "null:", "--rate", "1 kpps", "--best-effort", "--seconds", "0.5")
    wait_for(lambda: handles(process, signal.SIGQUIT), process)
    time.sleep(delay)
    process.send_signal(number)
    status, out, err = end(process)
    lines = err.splitlines()
    assert all(line.startswith("dataplane: ") for line in lines), err
    if number == signal.SIGUSR1:
        assert status == 0 and out.startswith("pktgen: ")
    else:
        assert status == 1
        assert [line for line in lines if "interrupted" in line or number.name in line], err


@pytest.mark.parametrize("number", STOPS)
def test_while_text_is_evaluated(tmp_path: Path, number: signal.Signals) -> None:
    """A KeyboardInterrupt that leaves an eval or exec of text makes CPython kill the process at its end, even if caught."""
    mark, text = tmp_path / "mark", "mark.touch(); __import__('time').sleep(60)"
    script = f"""
import sys
from pathlib import Path
from dataplane.apps import reflect
mark = Path({str(mark)!r})
class Slow(reflect.Reflect):
    def __init__(self, *words, **more):
        exec({text!r}, {{"mark": mark}})
reflect.Reflect = Slow
from dataplane.__main__ import main
sys.exit(main())
"""
    (tmp_path / "slow.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, "-m", "slow", "macswap", "null:"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(mark.exists, process)
    process.send_signal(number)
    assert end(process) == (1, "", "dataplane: interrupted before the run began\n")


@pytest.mark.parametrize("number", STOPS)
def test_a_served_nic_ends(tmp_path: Path, number: signal.Signals) -> None:
    process = spawn("nic", "serve", "--dir", str(tmp_path / "nic"), "--manner", "strict")
    running(process)
    assert (tmp_path / "nic" / "pf0.sock").exists()
    process.send_signal(number)
    status, out, err = end(process)
    assert status == 0
    assert "serving" in out
    assert "nothing that the datasheet forbids" in err and "Traceback" not in err
    assert not (tmp_path / "nic" / "pf0.sock").exists()


@pytest.mark.parametrize("number", STOPS)
def test_a_program_on_a_nic_gets_the_signal(tmp_path: Path, number: signal.Signals) -> None:
    script = f"trap 'echo got it; exit 7' {number.name[3:]}; while :; do sleep 0.05; done"
    process = spawn("nic", "run", "--ports", "1", "--", "sh", "-c", script, stdin=subprocess.DEVNULL)
    running(process)
    time.sleep(0.3)  # for the shell to set its trap
    process.send_signal(number)
    status, out, err = end(process)
    assert status == 7, err
    assert "got it" in out


def test_vf_explain_waits_no_longer(tmp_path: Path) -> None:
    """Its PF is stopped, so that no answer comes."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    nic = spawn("macswap", "model0,vfs=1,wire=loop", env=env)
    try:
        running(nic)
        nic.send_signal(signal.SIGSTOP)
        asks = spawn("vf", "explain", "model0", "0", env=env)
        wait_for(lambda: Path(f"/proc/{asks.pid}/wchan").read_text().startswith(("poll", "do_poll")), asks)
        asks.send_signal(signal.SIGINT)
        status, out, err = end(asks, 4.0)
        assert (status, out, err) == (1, "", "dataplane: interrupted by SIGINT\n")
    finally:
        nic.send_signal(signal.SIGCONT)
        nic.send_signal(signal.SIGINT)
        assert end(nic)[0] == 0


@pytest.mark.parametrize("kib", [30_000, 60_000, 90_000, 120_000, 150_000, 190_000, 250_000, 320_000])
def test_too_little_memory_for_the_modules(kib: int) -> None:
    """One line, whichever module it is that would not find room: NumPy's library and OpenSSL print lines of their own."""
    done = subprocess.run(
        ["sh", "-c", f'ulimit -v {kib}; exec "$@"', "sh", *COMMAND, "pktgen", "null:", "--seconds", "0.1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("dataplane: "), done.stderr


def test_ctrl_c_in_a_program_of_a_user(tmp_path: Path) -> None:
    """`Pipeline.run` stops everything, and raises KeyboardInterrupt."""
    script = """
import os, signal, threading
from dataplane import Pipeline
from dataplane.pmd import probe
left, right = probe("null:"), probe("null:")
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
pipeline = Pipeline(left.rx(0) >> right.tx(0))
try:
    pipeline.run()
except KeyboardInterrupt:
    assert not left.started and not right.started and pipeline.report.packets > 0
    print("stopped")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("while True: pass", id="busy"),
        pytest.param("time.sleep(10**6)", id="asleep", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_when_an_app_does_not_return(tmp_path: Path, body: str) -> None:
    """The run is given some seconds, then the interpreter ends beside it; nothing is "ignored" on the way."""
    mark = tmp_path / "mark"
    script = f"""
import time
from pathlib import Path
from dataplane import App, Pipeline
from dataplane.pmd import probe
class Stuck(App):
    def process(self, burst):
        Path({str(mark)!r}).touch()
        {body}
Pipeline(probe("null:").rx(0) >> Stuck() >> probe("null:").tx(0)).run()
"""
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE)
    wait_for(mark.exists, process)
    os.kill(process.pid, signal.SIGINT)
    status, _, err = end(process)
    assert status == -signal.SIGINT
    assert "KeyboardInterrupt" in err
    assert "lcore-any has not returned from process() at <string>:" in err
    assert "ignored" not in err
