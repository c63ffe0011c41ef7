# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane nic`: a card served from the command line, QEMU's options for it, findings and trace of any driver."""

from __future__ import annotations

import json
import resource
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import TIMEOUT, Served

from dataplane.apps.command import ports
from dataplane.apps.command.cli import main
from dataplane.apps.command.nic import plug_wires
from dataplane.apps.command.qemu_args import device_args, functions_of, qemu_args, shown
from dataplane.apps.command.system.host import Host
from dataplane.byhand import receive, send
from dataplane.errors import ConfigError, PortError
from dataplane.pmd import probe
from dataplane.pmd.bus.vfio_user import VfioUserFunction
from dataplane.pmd.datasheet import GCR_EXT, RDT, RXDCTL, STATUS, pci
from dataplane.pmd.model.card import Card


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sockets of a card with two ports and two VFs each."""
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    made = []
    for name in ("pf1", "pf0", "pf0.vf0", "pf0.vf1", "pf1.vf0", "pf1.vf1"):
        made.append(socket.socket(socket.AF_UNIX))
        made[-1].bind(f"{name}.sock")
    (tmp_path / "pf7.sock").touch()
    yield tmp_path
    for each in made:
        each.close()


def devices(args: list[str]) -> dict[str, dict[str, object]]:
    """The vfio-user devices by the name of their function."""
    found = (json.loads(arg) for arg in args if arg.startswith("{"))
    return {Path(each["socket"]["path"]).stem: each for each in found}


def test_functions_are_the_sockets_pfs_first(folder: Path) -> None:
    assert functions_of(folder) == ["pf0", "pf1", "pf0.vf0", "pf0.vf1", "pf1.vf0", "pf1.vf1"]
    with pytest.raises(PortError, match="no NIC is served there: start 'dataplane nic serve"):
        functions_of(folder / "elsewhere")


@pytest.mark.parametrize(
    ("functions", "addresses"),
    [
        (["pf0"], {"pf0": "0.0"}),
        (["pf1"], {"pf1": "0.0"}),
        (["pf0", "pf1"], {"pf0": "0.0", "pf1": "0.1"}),
        (["pf0.vf1", "pf0"], {"pf0": "0.0", "pf0.vf1": "10.2"}),
        (["pf0", "pf1", "pf1.vf1"], {"pf0": "0.0", "pf1": "0.1", "pf1.vf1": "10.3"}),
        (["pf1", "pf1.vf1", "pf0.vf0"], {"pf1": "0.0", "pf1.vf1": "10.2", "pf0.vf0": "0.0"}),
        (["pf0.vf0", "pf0.vf1"], {"pf0.vf0": "0.0", "pf0.vf1": "0.0"}),
    ],
)
def test_where_functions_sit_in_the_guest(
    folder: Path, functions: list[str], addresses: dict[str, str]
) -> None:
    args = qemu_args(folder, functions)
    found = devices(args)
    assert {name: device["addr"] for name, device in found.items()} == addresses
    roots = [arg for arg in args if arg.startswith("pcie-root-port")]
    alone = [name for name in functions if "vf" in name and name.split(".")[0] not in functions]
    assert len(roots) == len(alone) + (len(alone) < len(functions))
    assert len({(device["bus"], device["addr"]) for device in found.values()}) == len(functions)
    for device in found.values():
        shared = sum(other["bus"] == device["bus"] for other in found.values()) > 1
        assert ("multifunction" in device) == shared


def test_writes_wait_unless_told_otherwise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(
        device["x-no-posted-writes"] is True for device in devices(qemu_args(folder, ["pf0"])).values()
    )
    assert main(["nic", "qemu-args", str(folder), "pf0", "--posted-writes"]) == 0
    assert "x-no-posted-writes" not in capsys.readouterr().out


def test_what_is_not_served_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"pf0\.vf7 is not served in .*, which has pf0, pf1"):
        qemu_args(folder, ["pf0.vf7"])
    with pytest.raises(ConfigError, match="'eth0': expected a function"):
        qemu_args(folder, ["eth0"])
    with pytest.raises(ConfigError, match="--memory much: expected an amount"):
        qemu_args(folder, ["pf0"], "much")


def test_for_a_shell_and_for_a_person(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nic", "qemu-args", str(folder), "pf0"]) == 0
    words = capsys.readouterr().out.split()
    assert words == qemu_args(folder, ["pf0"])
    assert device_args(folder, ["pf0"]) == words[6:], "for a machine whose memory is shared already"
    assert shown(words, terminal=True).count("\\\n") == len(words) // 2 - 1
    with pytest.raises(ConfigError, match="serve from a folder without blanks"):
        shown(["/a b"], terminal=False)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--findings", "f.txt"], "--findings FILE requires --manner strict"),
        (["--wire", "pf0"], "--wire pf0: write pf0-pf1"),
        (["--ports", "1", "--wire", "pf1=loop"], "the card has 1 ports"),
        (["--wire", "pf0=carrier-pigeon"], "name what is at the other end"),
        (["--wire", "pf0-pf0"], "a wire from a port to itself is wire=loop"),
        (["--wire", "pf0-pf1,loss=200%"], "loss=200%: expected a percentage"),
        (["--wire", "pf0-pf1,reorder=5%"], "reorder needs a delay"),
        (["--wire", "pf0=loop,speed=1"], "no option 'speed'"),
        (["--clock-ppm", "25"], "--clock-ppm 25: write pf0=25"),
        (["--ports", "1", "--clock-ppm", "pf1=25"], "the card has 1 ports"),
        (["--clock-ppm", "pf0=5000"], "clock_ppm=5000: must be -1000 to 1000"),
        (["--client-memory", "lots"], "--client-memory lots: write 512M, 64G or 2T"),
        (["--client-maps", "0"], "DMA maps: 0 for each of 2 clients"),
        (["--vfs", "64"], "64 VFs: must be 0 to 63"),
        (["--dir", "x" * 120], "has at most 107 bytes"),
    ],
)
def test_a_card_that_cannot_be_served(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["nic", "serve", "--dir", "nic", *arguments]) == 1
    assert why in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.sock"))


def test_sockets_are_the_users_alone_and_go_with_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    with Served("--vfs", "1") as nic:
        assert [path.name for path in sorted(nic.folder.iterdir())] == [
            "nic.json", "pf0.sock", "pf0.vf0.sock", "pf1.sock", "pf1.vf0.sock",
        ]  # fmt: skip
        assert {stat.S_IMODE(path.stat().st_mode) for path in nic.folder.glob("*.sock")} == {0o600}
        assert stat.S_IMODE(nic.folder.stat().st_mode) == 0o700
        assert main(["nic", "serve", "--dir", str(nic.folder)]) == 1
        assert "a NIC is served there already" in capsys.readouterr().err
        assert nic.stop()[0] == 0
        assert not list(nic.folder.iterdir())


def test_a_folder_where_others_may_write_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o777)
    assert main(["nic", "serve", "--dir", str(tmp_path)]) == 1
    assert "others may write there" in capsys.readouterr().err


def test_findings_and_trace_of_a_driver(tmp_path: Path) -> None:
    """Violations are reported, and their accesses still take effect; the trace has every access of PF and VF."""
    findings, trace = tmp_path / "findings.txt", tmp_path / "trace.txt"
    arguments = ("--manner", "strict", "--findings", str(findings), "--trace", str(trace), "--vfs", "1")
    with Served(*arguments) as nic:
        with VfioUserFunction(str(nic.path("pf0")), "pf0") as function:
            bar = function.bar(0)
            for _ in range(3):
                bar.write32(RDT[3].offset, 5)  # of a queue that is off
            bar.write32(0x17FF0, 1)
            assert bar[RDT[3]] == 5
            bar.write(GCR_EXT, GCR_EXT.pack(VT_MODE=3))
            function.set_vfs(1)
            with VfioUserFunction(str(nic.path("pf0.vf0")), "vf0") as vf:
                assert vf.bar(pci.VF_BAR_REGISTERS)[STATUS] != 0xFFFF_FFFF
                vf.bar(pci.VF_BAR_REGISTERS).write32(0x1028, RXDCTL[0].pack(ENABLE=0))
        status, out, _ = nic.stop()
        assert status == 0
    said = findings.read_text()
    assert "write of 0x17ff0: the datasheet has no register there (datasheet 8.2.2)" in said
    assert "3 x  pf0: RDT[3] = 0x00000005" in said
    assert "kinds of violations" in out
    lines = trace.read_text().splitlines()
    assert "pf0 W RDT[3] = 0x00000005" in "\n".join(lines)
    assert any(line.startswith("pf0.vf0 R VFSTATUS = ") for line in lines)
    assert any(line.startswith("pf0.vf0 W VFRXDCTL[0] = ") for line in lines)


@pytest.mark.parametrize("room", [None, 4000])
def test_a_full_disk_ends_a_trace_and_nothing_else(tmp_path: Path, room: int | None) -> None:
    """All clients are served as before; the file ends with a whole line, and one line says why."""
    trace = tmp_path / "trace.txt" if room else Path("/dev/full")
    findings = tmp_path / "findings.txt" if room else Path("/dev/full")
    words = ("--trace", str(trace), "--manner", "strict", "--findings", str(findings), "--vfs", "1")
    with Served(*words) as nic:
        if room:
            resource.prlimit(nic.process.pid, resource.RLIMIT_FSIZE, (room, room))
        with (
            VfioUserFunction(str(nic.path("pf0")), "pf0") as first,
            VfioUserFunction(str(nic.path("pf1")), "pf1") as second,
        ):
            for value in range(400):
                for function in (first, second):
                    function.bar(0).write32(RDT[3].offset, value)  # of a queue that is off: a finding, too
                    assert function.bar(0).read32(RDT[3].offset) == value
        with VfioUserFunction(str(nic.path("pf1")), "pf1") as again:
            assert again.bar(0)[STATUS] != 0xFFFF_FFFF
        status, _, errors = nic.stop()
    assert status == 0
    lines = [line for line in errors.splitlines() if str(trace) in line and "--trace" in line]
    assert len(lines) == 1 and ("File too large" if room else "No space left") in lines[0]
    if room:
        text = trace.read_text()
        assert text.endswith("\n") and room - 100 < len(text) <= room
    else:
        assert sum("--findings ends here" in line for line in errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("wires", "elastic"),
    [
        ([], False),
        (["pf0-pf1"], False),
        (["pf0-pf1,elastic=on"], True),
        (["pf0-pf1,delay=1ms,elastic=on"], True),
        (["pf0=loop"], False),
        (["pf0=connect:nowhere"], False),
        (["pf0=pcap:>out.pcap,timing=on"], False),
        (["pf0=pcap:>out.pcap"], True),  # what is played flat out waits
    ],
)
def test_its_wires_lose_what_nobody_reads_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wires: list[str], elastic: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    with Card(threaded=True, index=40) as card:
        pulls = plug_wires(card, wires)
        assert card.ports[0].engine.wire.elastic is elastic
        for pull in pulls:
            pull()


def test_two_senders_and_nobody_who_reads() -> None:
    """Neither is held up, and each counts what it misses; `ports` says what kind of wire it is."""
    with (
        Served("--wire", "pf0-pf1") as nic,
        probe(nic.port("pf0", ",rx_desc=64")) as a,
        probe(nic.port("pf1", ",rx_desc=64")) as b,
    ):
        told = json.loads((nic.folder / "nic.json").read_text())
        assert told["wires"] == {"pf0": "to pf1, losing", "pf1": "to pf0, losing"}
        rows = {row.port: row.what for row in ports.entries(Host(), [nic.folder])}
        assert rows[nic.port("pf0")].endswith(", wire to pf1, losing")
        queues = [(port.rx(0), port.tx(0)) for port in (a, b)]
        for port in (a, b):
            port.promiscuous = True
            port.start()
        for port in (a, b):
            port.wait_link(TIMEOUT)
        sent = [0, 0]
        deadline = time.monotonic() + 6 * TIMEOUT
        while min(sent) < 20_000:
            assert time.monotonic() < deadline, f"a sender stalls: {sent}"
            for n in range(2):
                sent[n] += send(queues[n][1], [bytes(64)] * 64)
        while [port.xstats()["tx_good_packets"] for port in (a, b)] != sent:
            assert time.monotonic() < deadline, "what a sender gave to its port is not sent"
            time.sleep(0.01)
        for n, port in enumerate((a, b)):
            got = 0
            while more := len(receive(queues[n][0], 64, timeout=0.2)):
                got += more
            stats = port.xstats()
            assert got + stats["rx_missed_errors"] == sent[1 - n] and stats["rx_missed_errors"] > 5000


def test_what_wires_did_to_frames_is_said_at_the_end() -> None:
    nic = Served("--wire", "pf0=loop,loss=100%", "--ports", "1")
    with nic, probe(nic.port("pf0")) as port:
        tx = port.tx(0)
        port.start()
        port.wait_link(TIMEOUT)
        assert send(tx, [bytes(64)] * 30) == 30
        deadline = time.monotonic() + TIMEOUT
        while port.xstats()["tx_good_packets"] < 30 and time.monotonic() < deadline:
            time.sleep(0.01)
        port.close()
        _, _, errors = nic.stop()
    assert "wire from pf0: sent 30, lost 30" in errors
