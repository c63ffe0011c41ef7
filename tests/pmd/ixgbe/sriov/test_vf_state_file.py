# SPDX-License-Identifier: BSD-3-Clause
"""What was decided about VFs outlives the PF's process: the file, what is wrong in one, and a PF that begins with it."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataplane import pmd
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.ixgbe.sriov.settings import SETTINGS, VfSettings
from dataplane.pmd.ixgbe.sriov.settings_file import SettingsFile
from dataplane.pmd.ixgbe.sriov.state import VfState
from tests.pmd.ixgbe.fleet import fleet
from tests.pmd.ixgbe.ruled import Ruled

DECIDED = [each.name for each in fields(VfSettings)]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "vfs.toml"


def a_policy(number: int) -> st.SearchStrategy[VfSettings]:
    """Any that can be decided; addresses of VFs differ."""
    return st.builds(
        VfSettings,
        mac=st.sampled_from((b"", bytes([2, 0xAA, 0, 0, 0, number]))),
        vlan=st.integers(0, 4094),
        qos=st.integers(0, 7),
        spoofchk=st.booleans(),
        trust=st.booleans(),
        state=st.sampled_from(("auto", "enable", "disable")),
        max_tx_rate=st.sampled_from((0, 11, 10_000)),
        query_rss=st.booleans(),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.tuples(*(a_policy(n) for n in range(63))))
def test_what_is_written_is_read_again(tmp_path: Path, policies: tuple[VfSettings, ...]) -> None:
    file = SettingsFile(tmp_path / "vfs.toml", "model0", 63)
    vfs = [VfState(n, bytes([2, 0, 0, 0, 0, n]), policy) for n, policy in enumerate(policies)]
    file.save(vfs)
    read = file.read()
    assert [read.get(n, VfSettings()) for n in range(63)] == list(policies)
    assert set(read) == {n for n, policy in enumerate(policies) if policy != VfSettings()}
    assert [path.name for path in tmp_path.iterdir()] == ["vfs.toml"]
    text = file.path.read_text()
    file.save(vfs)
    assert file.path.read_text() == text
    assert tomllib.loads(text)


def test_every_setting_is_kept() -> None:
    """One that is added to the policy and not to the file's fails here."""
    assert set(SETTINGS) == set(DECIDED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[vf.1]\nvlan = 5000\n", r":2: vf\.1\.vlan: vlan 5000: must be 0 to 4094"),
        ("\n[vf.0]\ntrust = true\n[vf.1]\n\nmac = 'zz'\n", r":6: vf\.1\.mac: 'zz' is no MAC address"),
        ("[vf.1]\nvlan = '7'\n", r":2: vf\.1\.vlan: '7' is no value of it, expected an integer"),
        ("[vf.1]\ntrust = 1\n", r":2: vf\.1\.trust: 1 is no value of it, expected true or false"),
        ("[vf.1]\nqos = true\n", r":2: vf\.1\.qos: True is no value of it, expected an integer"),
        ("[vf.1]\nmac = 17\n", r":2: vf\.1\.mac: 17 is no value of it, expected a text, as in"),
        ("[vf.1]\nstate = 'on'\n", r":2: vf\.1\.state: state on: expected one of auto"),
        ("[vf.1]\nmax_tx_rate = 20000\n", r":2: vf\.1\.max_tx_rate: max_tx_rate 20000: must be 0 to 10000"),
        ("[vf.1]\ncolour = 'red'\n", r":2: vf\.1\.colour: unknown key, expected one of mac, vlan"),
        ("[vf.4]\nvlan = 7\n", r":1: vf\.4: board0 has VFs 0 to 3"),
        ("[vf.01]\nvlan = 7\n", r":1: vf\.01: board0 has VFs 0 to 3"),
        ("[vf]\n2 = 7\n", r":2: vf\.2: expected a table \[vf\.2\]"),
        ("vf = 7\n", r":1: vf: expected tables \[vf\.N\]"),
        ("vf.2.vlan = 7\nvf.3.vlan = -1\n", r":2: vf\.3\.vlan: vlan -1: must be 0"),
        ("[pf]\nmtu = 7\n", r":1: pf: unknown key, expected tables \[vf\.N\]"),
        ("[vf.1]\nvlan = \n", r"line 2, column 8.*expected TOML"),
        ("[vf.1]\nvlan = 1\nvlan = 2\n", r"line 3.*expected TOML"),
        ("[vf.1]\nmac = '01:00:5e:00:00:01'\n", r":2: vf\.1\.mac: .*multicast"),
    ],
)
def test_a_file_that_is_wrong_names_the_line(file: Path, text: str, why: str) -> None:
    file.write_text("# by hand\n" * 0 + text)
    with pytest.raises(ConfigError, match=why) as error:
        SettingsFile(file, "board0", 4).read()
    assert str(error.value).startswith(str(file))
    file.write_bytes(b"\xff" + text.encode())
    with pytest.raises(ConfigError, match="byte 0 is no UTF-8"):
        SettingsFile(file, "board0", 4).read()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "[vf.0]\nvlan = 9\n[vf.1]\nmac = '02:aa:00:00:00:01'\n[vf.2]\nmac = '02:aa:00:00:00:01'\n",
            r":4: vf\.1\.mac: .*address of VF 2",
        ),
        (
            "[vf.0]\nvlan = 9\nmax_tx_rate = 12\n[vf.3]\ntrust = false\n",
            r":3: vf\.0\.max_tx_rate: .*0 for none, or from 40",
        ),
        (
            "[vf.0]\nvlan = 9\n[vf.3]\ntrust = false\nmac = '00:1b:21:aa:bb:cc'\n",
            r":5: vf\.3\.mac: .*address of the PF",
        ),
    ],
)
def test_what_only_the_port_knows_to_be_wrong(file: Path, text: str, why: str) -> None:
    ruled = Ruled(4)
    file.write_text(text)
    kept = SettingsFile(file, "board0", 4)
    with pytest.raises(ConfigError, match=why):
        kept.restore(ruled.table, kept.read())
    assert [state.settings for state in ruled.table.vfs] == [VfSettings()] * 4, "nothing of it holds"
    file.write_text(
        text.replace("[vf.2]", "[vf.2]\ntrust = true").replace("false", "true").replace("= 12", "= 40")
    )
    kept.restore(ruled.table, kept.read())
    assert ruled.table.vfs[0].settings.vlan == 9


def test_two_vfs_that_change_places(file: Path) -> None:
    """Each has the address that the PF would give to the other."""
    ruled = Ruled(2)
    first, second = (state.permanent.hex(":") for state in ruled.table.vfs)
    file.write_text(f"[vf.0]\nmac = '{second}'\n[vf.1]\nmac = '{first}'\n")
    kept = SettingsFile(file, "board0", 2)
    kept.restore(ruled.table, kept.read())
    assert [ruled.vf(n).state.mac.hex(":") for n in (0, 1)] == [second, first]


def test_a_pf_begins_with_what_was_decided(file: Path) -> None:
    """63 VFs over a restart, the chip's registers and what their drivers are given."""
    option = f",vf_state={file}"
    with fleet(63, option) as made:
        assert tomllib.loads(file.read_text()) == {}, "a path that can be written"
        for n in range(63):
            made.pf.vfs.set(n, mac=f"02:aa:00:00:00:{n:02x}", vlan=100 + n, qos=n % 8, max_tx_rate=1000 + n)
        made.pf.vfs.set(5, trust=True, spoofchk=False, query_rss=True, state="disable")
        before = made.pf.vfs.show()
        with pytest.raises(ConfigError):
            made.pf.vfs.set(6, trust=True, vlan=9999)
    settings_of = {name: before[5][name] for name in SETTINGS}
    with fleet(63, option) as made:
        assert [{name: row[name] for name in SETTINGS} for row in made.pf.vfs.show()] == [
            {name: row[name] for name in SETTINGS} for row in before
        ]
        (vf,) = made.open(7)
        assert vf.mac == "02:aa:00:00:00:07" and vf.hidden_vlan
        assert made.pf.filters.vlans_of(7) == [107]
        made.pf.vfs.set(5, state="auto")
    settings_of["state"] = "auto"
    with fleet(63, option) as made:
        assert {name: made.pf.vfs.show()[5][name] for name in SETTINGS} == settings_of


def test_a_wrong_file_touches_nothing(file: Path) -> None:
    with pmd.probe("model0,vfs=2") as pf:
        own = pf.mac
    for text, why in (
        ("[vf.2]\nvlan = 7\n", "model0 has VFs 0 to 1"),
        (f"[vf.1]\nvlan = 7\nmac = '{own}'\n", ":3: vf.1.mac"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=why):
            pmd.probe(f"model0,vfs=2,vf_state={file}")
        assert file.read_text() == text
    with pytest.raises(ConfigError, match="is for a PF with VFs: open it with vfs=N"):
        pmd.probe(f"model0,vf_state={file}")
    file.write_text("[vf.1]\nvlan = 7\n")
    with pmd.probe(f"model0,vfs=2,vf_state={file}") as pf:
        assert pf.vfs.show()[1]["vlan"] == 7


def test_a_file_that_cannot_be_written(file: Path, tmp_path: Path) -> None:
    with pytest.raises(PortError, match=r"nowhere/vfs.toml cannot be written \(No such file"):
        pmd.probe(f"model0,vfs=2,vf_state={tmp_path}/nowhere/vfs.toml")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pmd.probe(f"model0,vfs=2,vf_state={folder}/vfs.toml") as pf:
        (folder / "vfs.toml").unlink()
        folder.rmdir()
        with pytest.raises(PortError, match="its settings hold until this PF is closed, and are not saved"):
            pf.vfs.set(0, vlan=7)
        assert pf.vfs.show()[0]["vlan"] == 7
        folder.mkdir()
        pf.vfs.set(0, qos=3)
    assert tomllib.loads((folder / "vfs.toml").read_text()) == {"vf": {"0": {"vlan": 7, "qos": 3}}}


def test_the_mode_and_a_link_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "link.toml"
    real.write_text("")
    real.chmod(0o640)
    link.symlink_to(real)
    SettingsFile(link, "model0", 1).save([VfState(0, bytes(6), VfSettings(vlan=7))])
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o640
    assert tomllib.loads(real.read_text()) == {"vf": {"0": {"vlan": 7}}}


NOT_THE_DEFAULT = {
    "mac": "02:aa:00:00:00:09",
    "vlan": "7",
    "qos": "3",
    "max_tx_rate": "400",
    "spoofchk": "off",
    "trust": "on",
    "query_rss": "on",
    "state": "disable",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_from_the_file_reaches_the_chip(file: Path, name: str) -> None:
    """The registers are those that `vf set` leads to: with a file that only fills tables a limit would not hold."""
    text = NOT_THE_DEFAULT[name]
    quoted = {"on": "true", "off": "false"}.get(text, text if text.isdigit() else f"'{text}'")
    file.write_text(f"[vf.1]\n{name} = {quoted}\n")
    restored, told = Ruled(4), Ruled(4)
    kept = SettingsFile(file, "board0", 4)
    kept.restore(restored.table, kept.read())
    told.table.set(1, name, text)
    for each in (restored, told):
        each.bring_up()
        each.vf(1)
    assert bytes(restored.board.memory) == bytes(told.board.memory)
    assert restored.board.rates == told.board.rates
    assert restored.table.vfs[1].mac == told.table.vfs[1].mac
