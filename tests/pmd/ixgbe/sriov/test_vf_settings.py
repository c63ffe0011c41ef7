# SPDX-License-Identifier: BSD-3-Clause
"""A setting of a VF is one row: a row that a test adds is in the command, its help, the file, the status and the checks."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dataplane import pmd
from dataplane.apps.command.cli import main
from dataplane.errors import ConfigError
from dataplane.pmd.datasheet import mailbox
from dataplane.pmd.ixgbe.sriov import settings
from dataplane.pmd.ixgbe.sriov.settings import SETTINGS, Choice, VfSettings, rows_of, setting
from dataplane.pmd.ixgbe.sriov.settings_file import SettingsFile
from tests.pmd.ixgbe.ruled import Ruled

ROOT = Path(__file__).resolve().parents[4]
applied: list[tuple[Any, int]] = []


def refuse_blue(_: object, vf: int, after: VfSettings) -> None:
    if after.colour == "blue" and vf:  # type: ignore[attr-defined]
        raise ConfigError("colour blue: only VF 0 may be blue")


@dataclass(frozen=True)
class Painted(VfSettings):
    """With a setting that no chip has."""

    colour: str = setting(
        "red",
        Choice(("red", "green", "blue")),
        "COLOUR",
        "Paints the VF",
        check=refuse_blue,
        apply=lambda table, vf: applied.append((table, vf)),
        restart=True,
    )


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The row is there. Returns a folder for this test."""
    monkeypatch.setattr(settings, "VfSettings", Painted)
    monkeypatch.setitem(SETTINGS, "colour", rows_of(Painted)["colour"])
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    applied.clear()
    return tmp_path


def test_it_is_checked_and_applied(painted: Path) -> None:
    ruled = Ruled(2)
    script = ruled.vf(1)
    ruled.table.change(1, {"colour": "green", "vlan": "7"})
    assert applied == [(ruled.table, 1)]
    assert not script.state.clear_to_send, "its driver has to reinitialise"
    ruled.table.change(1, {"colour": "green"})
    assert len(applied) == 1, "nothing has changed"
    for text, why in (("pink", "expected one of red, green, blue"), ("blue", "only VF 0 may be blue")):
        with pytest.raises(ConfigError, match=why):
            ruled.table.change(1, {"vlan": "8", "colour": text})
    assert ruled.table.vfs[1].settings == Painted(vlan=7, colour="green")


def test_it_is_in_the_file(painted: Path) -> None:
    path = painted / "vfs.toml"
    ruled = Ruled(2)
    ruled.table.change(0, {"colour": "blue"})
    SettingsFile(path, "board0", 2).save(ruled.table.vfs)
    assert tomllib.loads(path.read_text()) == {"vf": {"0": {"colour": "blue"}}}
    assert '# colour = "red"\n' in path.read_text()
    other = Ruled(2)
    kept = SettingsFile(path, "board0", 2)
    kept.restore(other.table, kept.read())
    assert applied[-1] == (other.table, 0) and other.table.vfs[0].settings == Painted(colour="blue")
    path.write_text('[vf.1]\nvlan = 7\ncolour = "blue"\n')
    with pytest.raises(ConfigError, match=r":3: vf\.1\.colour: colour blue: only VF 0"):
        kept.restore(other.table, kept.read())


def test_the_command_sets_it_and_prints_it(painted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pmd.probe("model0,vfs=2"):
        assert main(["vf", "set", "model0", "1", "colour", "green", "vlan", "7"]) == 0
        assert main(["vf", "set", "model0", "1", "colour", "blue"]) == 1
        assert "colour blue: only VF 0 may be blue" in capsys.readouterr().err
        assert main(["vf", "show", "model0"]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert "colour red" in first and "vlan 7, " in second and "colour green" in second
    with pytest.raises(SystemExit):
        main(["vf", "set", "--help"])
    text = capsys.readouterr().out
    assert "  colour COLOUR: Paints the VF.\n" in text and "query_rss, state, colour" in " ".join(
        text.split()
    )


def test_a_refusal_names_every_setting(painted: Path) -> None:
    with pytest.raises(ConfigError, match=r"^speed: expected one of mac, .*, state, colour$"):
        Ruled(2).table.change(0, {"speed": "1"})


@pytest.mark.parametrize("name", SETTINGS)
def test_the_document_explains_it(name: str) -> None:
    row = SETTINGS[name]
    lines = (ROOT / "docs" / "sriov.md").read_text().splitlines()
    found = [line for line in lines if line.startswith(f"| `{row.usage}` | {row.help}")]
    assert found, (
        f"docs/sriov.md needs the line: | `{row.usage}` | {row.help} | {'yes' if row.restart else 'no'} |"
    )
    assert found[0].endswith("| yes |" if row.restart else "| no |")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_driver_reinitialises_only_where_the_row_says_so(name: str) -> None:
    other = {
        "mac": "02:aa:00:00:00:09", "vlan": "7", "qos": "3", "max_tx_rate": "400", "spoofchk": "off", "trust": "on",
        "query_rss": "on", "state": "disable",
    }[name]  # fmt: skip
    ruled = Ruled(2)
    script = ruled.vf(1, api=mailbox.API_1_3)
    ruled.table.set(1, name, SETTINGS[name].text(VfSettings()))
    assert script.state.clear_to_send, "it has that value already"
    ruled.table.set(1, name, other)
    assert script.state.clear_to_send is not SETTINGS[name].restart


def test_no_other_file_lists_the_settings() -> None:
    """A second list could be forgotten when a row is added."""
    found = [
        str(path.relative_to(ROOT))
        for folder in ("apps", "dataplane", "pmd")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "settings.py" and all(name in path.read_text() for name in SETTINGS)
    ]
    assert not found
