# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane vf`: what it says, what it asks the PF, and what it refuses. The PF is a socket that answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataplane.apps.command.cli import main
from dataplane.errors import ConfigError
from dataplane.pmd.ixgbe.control import ControlServer

ROW = {
    "vf": 0,
    "mac": "02:aa:00:00:00:01",
    "vlan": 7,
    "qos": 3,
    "spoofchk": True,
    "trust": False,
    "state": "auto",
    "max_tx_rate": 100,
    "query_rss": False,
    "active": True,
    "api": "1.3",
    "vlans": [7],
    "rx_good_packets": 10,
    "rx_good_bytes": 600,
    "rx_multicast_packets": 0,
    "tx_good_packets": 20,
    "tx_good_bytes": 1200,
    "refused": 2,
}
IDLE = ROW | {"vf": 1, "vlan": 0, "qos": 0, "max_tx_rate": 0, "active": False, "api": "", "refused": 0}


@pytest.fixture
def pf() -> Iterator[list[tuple[int, dict[str, str]]]]:
    """A PF called nic0; yields the list of settings that it has received."""
    told: list[tuple[int, dict[str, str]]] = []

    def change(vf: int, settings: dict[str, str]) -> None:
        if settings.get("vlan") == "9999":
            raise ConfigError("vlan 9999: must be 0 to 4094")
        told.append((vf, settings))

    def explain(vf: int | None = None) -> dict[str, Any]:
        if vf is None:
            return {"ok": False, "vfs": [explain(0), explain(1)]}
        finding = {"kind": "problem", "way": "tx", "text": f"VF {vf} spoofs", "mend": "do not"}
        note = finding | {"kind": "note", "mend": ""}
        if vf % 2:
            return {"vf": vf, "ok": True, "summary": "nothing keeps it", "findings": [note]}
        return {"vf": vf, "ok": False, "summary": "sends nothing", "findings": [finding, note]}

    server = ControlServer("nic0", {"show": lambda: [ROW, IDLE], "set": change, "explain": explain})
    yield told
    server.close()


def test_show(pf: object, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["vf", "show", "nic0", "--json", str(tmp_path / "rows.json")]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == (
        "vf 0  link/ether 02:aa:00:00:00:01, vlan 7, qos 3, max_tx_rate 100Mbps, spoofchk on, trust off, query_rss off, "
        "state auto, in use, API 1.3, 10 packets in, 20 out, 2 requests refused ('dataplane vf explain' lists them)"
    )
    assert second.endswith("state auto, not in use")
    assert json.loads((tmp_path / "rows.json").read_text())[1] == IDLE


def test_set_takes_several(pf: list[tuple[int, dict[str, str]]]) -> None:
    assert main(["vf", "set", "nic0", "3", "vlan", "7", "qos", "3", "trust", "on"]) == 0
    assert pf == [(3, {"vlan": "7", "qos": "3", "trust": "on"})]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["trust", "on", "vlan"], "vlan: its value is missing"),
        (["vlan", "7", "vlan", "8"], "vlan: given twice"),
        (["vlan", "9999"], "nic0: vlan 9999: must be 0 to 4094"),
    ],
)
def test_settings_that_make_no_sense(
    pf: list[tuple[int, dict[str, str]]], words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vf", "set", "nic0", "0", *words]) == 1
    assert why in capsys.readouterr().err
    assert pf == []


def test_explain(pf: object, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["vf", "explain", "nic0", "2", "--json", str(tmp_path / "why.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "nic0.vf2: sends nothing"
    assert lines[1].split() == ["problem", "sending", "VF", "2", "spoofs"]
    assert lines[2].strip() == "mend: do not"
    assert len(lines) == 4
    assert json.loads((tmp_path / "why.json").read_text())["summary"] == "sends nothing"


def test_explain_is_a_check(pf: object, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["vf", "explain", "nic0", "1"]) == 0
    assert main(["vf", "explain", "nic0"]) == 1
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("nic0")] == [
        "nic0.vf1: nothing keeps it",
        "nic0.vf0: sends nothing",
        "nic0.vf1: nothing keeps it",
    ]
    assert main(["vf", "explain", "nic0", "--json"]) == 1
    told = json.loads(capfd.readouterr().out)
    assert [answer["ok"] for answer in told["vfs"]] == [False, True]
    assert main(["vf", "show", "nic0", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == [ROW, IDLE]


def test_no_pf(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vf", "explain", "nic7", "0"]) == 1
    assert "no PF of nic7 runs here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["vf"],
        ["vf", "show"],
        ["vf", "set", "nic0", "0"],
        ["vf", "set", "nic0", "x", "vlan", "7"],
        ["vf", "lose", "nic0"],
    ],
)
def test_words_that_are_none(words: list[str]) -> None:
    with pytest.raises(SystemExit) as status:
        main(words)
    assert status.value.code == 2
