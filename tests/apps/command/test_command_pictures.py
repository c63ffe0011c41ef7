# SPDX-License-Identifier: BSD-3-Clause
"""--profile, --explain and --idle of the commands that move packets."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dataplane.apps.command.cli import main


def test_a_profile_is_in_the_totals_and_the_report(tmp_path, capsys):
    file = tmp_path / "report.json"
    assert main(["l2fwd", "null:", "null:", "--seconds", "0.2", "--profile", "--json", str(file)]) == 0
    costs = json.loads(file.read_text())["profile"]
    assert {"null:.rx(0)", "l2fwd", "null:.tx(0)"} <= {name.replace("#2", "") for name in costs}
    assert all(cost["packets"] > 0 and cost["cycles"] >= 0 for cost in costs.values())
    out = capsys.readouterr().out
    assert out.count(" cycles per packet") == len(costs)
    assert main(["l2fwd", "null:", "null:", "--seconds", "0.1", "--json", str(file)]) == 0
    assert json.loads(file.read_text())["profile"] == {}


def test_a_picture_of_the_run(tmp_path):
    for name in ("run.svg", "run.txt"):
        file = tmp_path / name
        words = [
            "pktgen",
            "null:",
            "--count",
            "20000",
            "--profile",
            "--explain",
            str(file),
            "--idle",
            "sleep:50us",
        ]
        assert main(words) == 0
        text = file.read_text()
        assert "20,000 packets" in text and "Mpps" in text and "pktgen" in text
    assert "pktgen [nogil] on an unpinned lcore" in text
    root = ElementTree.parse(tmp_path / "run.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_a_picture_on_standard_output(capfd):
    assert main(["pktgen", "null:", "--count", "100", "--explain", "-"]) == 0
    assert "pktgen [nogil]" in capfd.readouterr().out


@pytest.mark.parametrize("file", ["/nowhere/run.svg", "-"])
def test_a_file_that_cannot_be_written_is_refused_first(tmp_path, capsys, file):
    """And the other files are free again."""
    report = tmp_path / "report.json" if file != "-" else Path("-")
    assert main(["pktgen", "null:", "--count", "100", "--json", str(report), "--explain", file]) == 1
    assert ("--explain" if file == "-" else "cannot write /nowhere/run.svg") in capsys.readouterr().err
    if file != "-":
        assert main(["pktgen", "null:", "--count", "100", "--json", str(report)]) == 0


def test_a_policy_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        main(["pktgen", "null:", "--count", "100", "--idle", "nap"])
    assert end.value.code == 2
    assert "idle='nap': must be 'spin', 'yield' or 'sleep'" in capsys.readouterr().err
