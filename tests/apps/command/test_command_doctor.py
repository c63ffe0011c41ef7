# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane doctor` and `dataplane ports` on machines laid out in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataplane.apps.command import ports
from dataplane.apps.command.cli import main
from dataplane.apps.command.doctor import ADVICE, MISSING, OK, UNNEEDED, DoctorFinding, examine
from dataplane.apps.command.system.host import Host, parse_cpu_list

ALL_CAPABILITIES = 0x1FFFFFFFFFF
HUGE = "sys/kernel/mm/hugepages/hugepages-{}kB"


class Machine:
    """A folder that looks like a machine; it lacks everything that a test does not add."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process(capabilities=0, cpus="0-1", memlock="8388608")
        self.write("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu tsc\n")
        self.hugepages(2048, 0, 0)

    def write(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
        return path

    def link(self, name: str, target: str) -> None:
        (self.root / target).mkdir(parents=True, exist_ok=True)
        (self.root / name).symlink_to(self.root / target)

    def process(self, capabilities: int, cpus: str, memlock: str) -> None:
        self.write("proc/self/status", f"Name:\tx\nCapEff:\t{capabilities:016x}\nCpus_allowed_list:\t{cpus}")
        self.write("proc/self/limits", f"Max locked memory         {memlock:<20} {memlock:<20} bytes")

    def hugepages(self, kib: int, total: int, free: int) -> None:
        self.write(f"{HUGE.format(kib)}/nr_hugepages", str(total))
        self.write(f"{HUGE.format(kib)}/free_hugepages", str(free))

    def card(self, address: str, device: int, driver: str = "", group: str = "") -> None:
        folder = f"sys/bus/pci/devices/{address}"
        self.write(f"{folder}/vendor", "0x8086")
        self.write(f"{folder}/device", f"{device:#06x}")
        self.write(f"{folder}/numa_node", "0")
        if driver:
            self.link(f"{folder}/driver", f"sys/bus/pci/drivers/{driver}")
        if group:
            self.link(f"{folder}/iommu_group", f"sys/kernel/iommu_groups/{group}")
        if driver == "uio_pci_generic":
            (self.root / folder / "uio/uio3").mkdir(parents=True)

    def findings(self, compiler: str | None = "/usr/bin/cc") -> dict[str, DoctorFinding]:
        found = examine(Host(self.root), which=lambda name: compiler)
        assert len({finding.name for finding in found}) == len(found)
        return {finding.name: finding for finding in found}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_poor_machine_is_told_what_mends_it(machine: Machine) -> None:
    found = machine.findings(compiler=None)
    assert found["hugepages 2M"].state == MISSING
    assert found["hugepages 2M"].mend == "sudo sysctl -w vm.nr_hugepages=128"
    assert found["/dev/net/tun"].mend == "sudo modprobe tun"
    assert found["CAP_NET_RAW"].state == found["CAP_NET_ADMIN"].state == MISSING
    assert "setcap cap_net_raw,cap_net_admin+ep /" in found["CAP_NET_RAW"].mend
    assert found["invariant TSC"].state == ADVICE
    assert "constant_tsc and nonstop_tsc" in found["invariant TSC"].found
    assert found["C compiler"].state == ADVICE
    assert found["IOMMU"].state == found["/dev/vfio"].state == found["memlock"].state == UNNEEDED


def test_every_missing_line_has_a_command(machine: Machine) -> None:
    machine.card("0000:03:00.0", 0x10FB, driver="ixgbe")
    for finding in machine.findings().values():
        assert finding.state != MISSING or finding.mend, finding


def test_a_well_kept_machine_lacks_nothing(machine: Machine) -> None:
    machine.process(ALL_CAPABILITIES, "0-7", "unlimited")
    machine.hugepages(2048, 256, 200)
    machine.hugepages(1048576, 2, 1)
    machine.write("proc/cpuinfo", "flags\t\t: fpu constant_tsc nonstop_tsc")
    machine.write("sys/devices/system/cpu/isolated", "2-3,5")
    machine.write("dev/net/tun")
    machine.write("dev/vfio/vfio")
    machine.write("dev/vfio/17")
    machine.card("0000:03:00.0", 0x10FB, driver="vfio-pci", group="17")
    found = machine.findings()
    assert {name for name, finding in found.items() if finding.state not in (OK, UNNEEDED)} == set()
    assert found["hugepages 2M"].found == "200 free of 256"
    assert found["isolated CPUs"].found == "2-3,5"
    assert found["0000:03:00.0"].found == "82599 SFP+, on vfio-pci, /dev/vfio/17"


def test_pages_that_are_taken_are_no_help(machine: Machine) -> None:
    machine.hugepages(2048, 256, 10)
    assert machine.findings()["hugepages 2M"].mend == "sudo sysctl -w vm.nr_hugepages=374"


def test_a_card_makes_vfio_necessary(machine: Machine) -> None:
    machine.card("0000:03:00.0", 0x10FB, driver="ixgbe")
    found = machine.findings()
    assert [found[name].state for name in ("IOMMU", "/dev/vfio", "memlock")] == [MISSING] * 3
    assert "intel_iommu=on" in found["IOMMU"].mend
    assert found["0000:03:00.0"].state == MISSING
    assert "held by ixgbe" in found["0000:03:00.0"].found
    assert found["0000:03:00.0"].mend == "sudo dataplane bind --driver uio_pci_generic 0000:03:00.0"
    machine.write("sys/kernel/iommu_groups/1/type", "DMA")
    assert machine.findings()["0000:03:00.0"].mend == "sudo dataplane bind 0000:03:00.0"


def test_cards_on_uio_need_no_vfio(machine: Machine) -> None:
    machine.card("0000:03:00.0", 0x10FB, driver="uio_pci_generic")
    found = machine.findings()
    assert found["IOMMU"].state == ADVICE
    assert found["/dev/vfio"].state == found["memlock"].state == UNNEEDED
    assert found["0000:03:00.0"].mend == "sudo chown $USER /dev/uio3"
    machine.write("dev/uio3")
    assert machine.findings()["0000:03:00.0"].state == OK


def test_an_amd_machine_needs_no_intel_argument(machine: Machine) -> None:
    machine.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu")
    machine.card("0000:03:00.0", 0x10FB)
    assert "intel_iommu" not in machine.findings()["IOMMU"].mend


def test_isolation_is_advised_where_cpus_are_to_spare(machine: Machine) -> None:
    machine.process(0, "0-7", "unlimited")
    assert "isolcpus=4-7 " in machine.findings()["isolated CPUs"].mend
    machine.process(0, "0,2", "unlimited")
    assert machine.findings()["isolated CPUs"].state == UNNEEDED
    machine.process(0, "3", "unlimited")
    assert machine.findings()["CPUs"].state == ADVICE


def test_ports_lists_cards_interfaces_and_the_model(machine: Machine) -> None:
    machine.card("0000:03:00.0", 0x10FB, driver="ixgbe", group="9")
    machine.card("0000:03:10.0", 0x10ED, driver="vfio-pci", group="21")
    machine.card("0000:04:00.0", 0x1572, driver="i40e")  # another chip
    machine.write("sys/bus/pci/devices/0000:03:00.0/sriov_numvfs", "2")
    (machine.root / "sys/bus/pci/devices/0000:03:00.0/net/enp3s0f0").mkdir(parents=True)
    for name, kind in (("eth0", "1"), ("lo", "772")):
        machine.write(f"sys/class/net/{name}/address", "02:00:00:00:00:05")
        machine.write(f"sys/class/net/{name}/type", kind)
        machine.write(f"sys/class/net/{name}/operstate", "up")
    machine.write("sys/class/net/eth0/speed", "10000")
    machine.write("sys/class/net/bonding_masters", "")
    rows = {row.port: row for row in ports.entries(Host(machine.root))}
    assert rows["0000:03:00.0"].driver == "ixgbe"
    assert (
        rows["0000:03:00.0"].state
        == "first 'sudo dataplane bind 0000:03:00.0', IOMMU group 9, 2 VFs, is enp3s0f0"
    )
    assert rows["0000:03:10.0"].what == "82599 virtual function"
    assert rows["0000:03:10.0"].state == "can be opened (/dev/vfio/21), IOMMU group 21"
    assert rows["af_packet:eth0"].state == "up, 10 Gbit/s; needs CAP_NET_RAW: run 'dataplane doctor'"
    assert "0000:04:00.0" not in rows
    assert "af_packet:lo" not in rows
    assert "model0, model1" in rows
    machine.process(ALL_CAPABILITIES, "0", "unlimited")
    rows = {row.port: row for row in ports.entries(Host(machine.root))}
    assert rows["af_packet:eth0"].state == "up, 10 Gbit/s"


def test_an_empty_root_is_a_machine_too(tmp_path: Path) -> None:
    assert examine(Host(tmp_path))
    assert ports.entries(Host(tmp_path))


def test_status_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the machine at hand, whatever it has: the exit status, the text and the JSON agree."""
    file = tmp_path / "doctor.json"
    status = main(["doctor", "--json", str(file)])
    findings = json.loads(file.read_text())
    assert status == int(any(finding["state"] == MISSING for finding in findings))
    shown = capsys.readouterr().out
    assert all(finding["name"] in shown and finding["mend"] in shown for finding in findings)
    assert main(["ports", "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert all(row["port"] in shown for row in json.loads(file.read_text()))


def test_cpu_lists() -> None:
    assert parse_cpu_list("0-2,5") == [0, 1, 2, 5]
    assert parse_cpu_list("") == []
