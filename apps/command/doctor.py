# SPDX-License-Identifier: BSD-3-Clause
"""`dataplane doctor`: what this machine has, what is missing, and the command that mends it."""

from __future__ import annotations

import argparse
import errno
import json
import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from dataplane.apps.command.options import json_report
from dataplane.apps.command.system.host import CAP_NET_ADMIN, CAP_NET_RAW, Host, NicFunction
from dataplane.apps.command.system.served import ServedNic, served_nics
from dataplane.pmd.pci_device import UIO_DRIVERS

__all__ = ["ADVICE", "MISSING", "OK", "UNNEEDED", "DoctorFinding", "examine"]

OK, MISSING, ADVICE, UNNEEDED = "ok", "missing", "advice", "not needed"

_HUGE = "/sys/kernel/mm/hugepages/hugepages-{}kB/"
_REFUSED = os.strerror(errno.EACCES)
_WANTED_2M = 128  # 256 MiB: the demo's two cards with their pools, and room to spare
_WANTED_MEMLOCK = 512 << 20
_ISOLATE = "isolcpus={0} nohz_full={0} rcu_nocbs={0}"


@dataclass(frozen=True)
class DoctorFinding:
    """One line. state: ok, missing (exit status 1), advice (works without, worse) or not needed here.

    mend: a shell command, "" when there is nothing to mend or no command could.
    """

    name: str
    state: str
    found: str
    mend: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dir",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="also check the served NIC in DIR (may be repeated)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the findings to FILE")


def run(args: argparse.Namespace) -> int:
    report = json_report(args)
    findings = examine(Host(), folders=args.dir)
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{finding.state:<10}  {finding.name:<{width}}  {finding.found}")
        if finding.mend:
            print(f"{'':<10}  {'':<{width}}  mend: {finding.mend}")
    missing = sum(finding.state == MISSING for finding in findings)
    print(
        "nothing is missing"
        if not missing
        else f"{missing} missing; the lines above print the commands that mend it"
    )
    if report is not None:
        report.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    return 1 if missing else 0


def examine(
    host: Host, which: Callable[[str], str | None] = shutil.which, folders: Iterable[Path] = ()
) -> list[DoctorFinding]:
    """Every finding, in the order shown. which: how a program is looked up. folders: with NICs that should be served."""
    cards = host.cards()
    return [
        _hugepages(host, "2M", 2048),
        _hugepages(host, "1G", 1048576),
        _hugetlbfs(host),
        _tun(host),
        _capability(host, "CAP_NET_RAW", CAP_NET_RAW, "af_packet ports"),
        _capability(host, "CAP_NET_ADMIN", CAP_NET_ADMIN, "tap ports"),
        _cpus(host),
        _isolation(host),
        _tsc(host),
        *_card_findings(host, cards),
        *map(_served, served_nics(host, folders)),
        _compiler(which),
        *_versions(),
    ]


def _hugepages(host: Host, size: str, kib: int) -> DoctorFinding:
    folder = _HUGE.format(kib)
    total, free = host.number(folder + "nr_hugepages"), host.number(folder + "free_hugepages")
    found = f"{free} free of {total}"
    name = f"hugepages {size}"
    if size == "1G":
        if total:
            return DoctorFinding(name, OK, found)
        return DoctorFinding(name, UNNEEDED, f"{found}; only arenas that request them use them")
    if free >= _WANTED_2M:
        return DoctorFinding(name, OK, found)
    mend = f"sudo sysctl -w vm.nr_hugepages={total - free + _WANTED_2M}"
    return DoctorFinding(
        name, MISSING, f"{found}; {_WANTED_2M} are recommended; arenas use plain pages meanwhile", mend
    )


def _hugetlbfs(host: Host) -> DoctorFinding:
    mounts = host.mounts("hugetlbfs")
    usable = [mount for mount in mounts if host.usable(mount)]
    if usable:
        return DoctorFinding("hugetlbfs", OK, f"{usable[0]} is mounted and writable")
    state = f"{mounts[0]} is mounted, not writable for this user" if mounts else "not mounted"
    return DoctorFinding("hugetlbfs", UNNEEDED, f"{state}; arenas are memfds and do not need it")


def _tun(host: Host) -> DoctorFinding:
    name = "/dev/net/tun"
    if host.usable(name):
        return DoctorFinding(name, OK, "readable and writable: tap ports")
    if host.path(name).exists():
        return DoctorFinding(
            name, MISSING, "not writable for this user: no tap ports", f"sudo chmod 0666 {name}"
        )
    return DoctorFinding(name, MISSING, "not there: no tap ports", "sudo modprobe tun")


def _capability(host: Host, name: str, number: int, what: str) -> DoctorFinding:
    if host.has_capability(number):
        return DoctorFinding(name, OK, what)
    python = Path(sys.executable).resolve()
    mend = f"sudo setcap cap_net_raw,cap_net_admin+ep {python}"
    return DoctorFinding(name, MISSING, f"no {what} for this user (or run the command with sudo)", mend)


def _cpus(host: Host) -> DoctorFinding:
    allowed = host.allowed_cpus()
    found = f"{len(allowed)} may be used ({_cpu_list(allowed)})"
    if len(allowed) >= 2:
        return DoctorFinding("CPUs", OK, found)
    return DoctorFinding("CPUs", ADVICE, f"{found}: the model shares one with the lcore that drives it")


def _isolation(host: Host) -> DoctorFinding:
    isolated, allowed = host.isolated_cpus(), host.allowed_cpus()
    if isolated:
        return DoctorFinding("isolated CPUs", OK, _cpu_list(isolated))
    if len(allowed) < 4:
        return DoctorFinding(
            "isolated CPUs", UNNEEDED, f"none; {len(allowed)} CPUs are too few to isolate some"
        )
    mend = _kernel_argument(_ISOLATE.format(_cpu_list(allowed[len(allowed) // 2 :])))
    return DoctorFinding("isolated CPUs", ADVICE, "none: the kernel's scheduler interrupts lcores", mend)


def _tsc(host: Host) -> DoctorFinding:
    lacking = sorted({"constant_tsc", "nonstop_tsc"} - host.cpu_flags())
    if not lacking:
        return DoctorFinding("invariant TSC", OK, "constant rate, never stops")
    found = f"the CPU lacks {' and '.join(lacking)}: rates and latencies may be wrong"
    return DoctorFinding("invariant TSC", ADVICE, f"{found} (in a QEMU guest: -cpu host,+invtsc)")


def _card_findings(host: Host, cards: list[NicFunction]) -> Iterator[DoctorFinding]:
    """Findings about IOMMU, VFIO and memlock, which only a card in this machine requires."""
    groups = host.path("/sys/kernel/iommu_groups")
    count = len(list(groups.iterdir())) if groups.is_dir() else 0
    vfio = host.path("/dev/vfio/vfio").exists()
    limit = host.memlock()
    locked = "no limit" if limit is None else f"{limit >> 20} MiB"
    if not cards:
        none = "no 82599 in this machine"
        yield DoctorFinding("IOMMU", OK if count else UNNEEDED, f"{count} groups" if count else none)
        yield DoctorFinding("/dev/vfio", OK if vfio else UNNEEDED, "VFIO is loaded" if vfio else none)
        yield DoctorFinding(
            "memlock", OK if limit is None else UNNEEDED, locked if limit is None else f"{locked}; {none}"
        )
        return
    uio = [card for card in cards if card.driver in UIO_DRIVERS]
    if count:
        yield DoctorFinding("IOMMU", OK, f"{count} groups")
    elif len(uio) == len(cards):
        yield DoctorFinding("IOMMU", ADVICE, "off or absent: a faulty driver can overwrite any memory")
    else:
        argument = "iommu=pt" if host.is_amd() else "intel_iommu=on iommu=pt"
        yield DoctorFinding("IOMMU", MISSING, "off or absent: VFIO needs it", _kernel_argument(argument))
    if vfio or len(uio) == len(cards):
        yield DoctorFinding(
            "/dev/vfio", OK if vfio else UNNEEDED, "VFIO is loaded" if vfio else "every card is on UIO"
        )
    else:
        yield DoctorFinding("/dev/vfio", MISSING, "not there: VFIO is not loaded", "sudo modprobe vfio-pci")
    if limit is None or limit >= _WANTED_MEMLOCK:
        yield DoctorFinding("memlock", OK, locked)
    elif len(uio) == len(cards):
        yield DoctorFinding("memlock", UNNEEDED, f"{locked}; every card is on UIO")
    else:
        yield DoctorFinding(
            "memlock",
            MISSING,
            f"{locked}: too little to map arenas",
            "sudo prlimit --memlock=unlimited --pid $$",
        )
    for card in cards:
        yield _card(host, card, bool(count))


def _card(host: Host, card: NicFunction, iommu: bool) -> DoctorFinding:
    name = card.address
    if not card.node:
        driver = "" if iommu else " --driver uio_pci_generic"
        return DoctorFinding(
            name,
            MISSING,
            f"{card.kind}, held by {card.driver or 'no driver'}: no program can open it",
            f"sudo dataplane bind{driver} {name}",
        )
    if not host.usable(card.node):
        return DoctorFinding(
            name, MISSING, f"{card.kind}: no access to {card.node}", f"sudo chown $USER {card.node}"
        )
    return DoctorFinding(name, OK, f"{card.kind}, on {card.driver}, {card.node}")


def _served(nic: ServedNic) -> DoctorFinding:
    """A NIC that a process serves, or whose server left its sockets behind."""
    name, folder = f"served NIC {nic.folder}", shlex.quote(str(nic.folder))
    if nic.why or not nic.functions:
        serve = f"dataplane nic serve --dir {folder}"
        return DoctorFinding(
            name,
            MISSING,
            nic.why or "no sockets there: no NIC is served",
            "" if nic.why == _REFUSED else serve,
        )
    if not nic.process:
        return DoctorFinding(
            name,
            MISSING,
            f"its server has ended and left {len(nic.functions)} sockets behind",
            f"rm {folder}/*.sock {folder}/nic.json  # or serve again: dataplane nic serve --dir {folder}",
        )
    if nic.mode & 0o022:
        return DoctorFinding(
            name,
            MISSING,
            "other users can write to its folder and add sockets",
            f"chmod go-w {folder}",
        )
    if open_to_others := [function for function in nic.functions if function.mode != 0o600]:
        found = f"{open_to_others[0].name}.sock has mode {open_to_others[0].mode:04o}, not 0600"
        return DoctorFinding(name, MISSING, found, f"chmod 0600 {folder}/*.sock")
    if not all(function.usable for function in nic.functions):
        return DoctorFinding(
            name, UNNEEDED, f"it belongs to user {nic.owner}: only that user and root may use it"
        )
    taken = sum(bool(function.client) for function in nic.functions)
    return DoctorFinding(
        name, OK, f"process {nic.process} serves {len(nic.functions)} functions, {taken} of them are in use"
    )


def _compiler(which: Callable[[str], str | None]) -> DoctorFinding:
    for name in ("cc", "gcc", "clang"):
        if path := which(name):
            return DoctorFinding("C compiler", OK, path)
    return DoctorFinding(
        "C compiler", ADVICE, "none: only apps written in Cython need one", "sudo apt-get install gcc"
    )


def _versions() -> Iterator[DoctorFinding]:
    kernel = platform.release()
    yield DoctorFinding(
        "Python", OK, f"{platform.python_version()} ({sys.executable}), Linux {kernel}, {platform.machine()}"
    )
    for package in ("numpy", "scapy", "rich"):
        try:
            yield DoctorFinding(package, OK, metadata.version(package))
        except metadata.PackageNotFoundError:
            mend = f"{sys.executable} -m pip install {package}"
            yield DoctorFinding(package, MISSING, "not installed", mend)


def _kernel_argument(argument: str) -> str:
    return (
        f"""sudo sed -i 's/^GRUB_CMDLINE_LINUX="/&{argument} /' /etc/default/grub && """
        "sudo update-grub && sudo reboot"
    )


def _cpu_list(cpus: list[int]) -> str:
    """The kernel's notation: [0, 1, 2, 5] is "0-2,5"."""
    pieces: list[list[int]] = []
    for cpu in cpus:
        if pieces and pieces[-1][-1] == cpu - 1:
            pieces[-1].append(cpu)
        else:
            pieces.append([cpu])
    return ",".join(f"{piece[0]}-{piece[-1]}" if len(piece) > 1 else str(piece[0]) for piece in pieces)
