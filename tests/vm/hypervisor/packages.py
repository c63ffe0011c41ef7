# SPDX-License-Identifier: BSD-3-Clause
"""QEMU, kernels and guest programs from Debian's archive, unpacked into a cache folder; nothing is installed.

The folder is ``$DATAPLANE_VM_CACHE``, or ~/.cache/dataplane/vm: every checkout uses the same. apt verifies what it fetches.
Versions are what the archive has now, so nothing here asks for one; `Machinery` checks what matters. Remove the folder
to fetch again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.system.debs import MIRROR, SECURITY, Unavailable, cache, fetch, locked, unpack

OLDEST_QEMU = (10, 1)
_LAYOUT = "2"  # of the folder: another number fetches again

QEMU_SUITES = ("trixie", "trixie-backports")
KERNELS = {
    "6.1": ("bookworm", True),
    "6.12": ("trixie", False),
}  # suite, and whether its security archive is asked too
REPORTED = {
    "newest": "trixie-backports"
}  # what comes there cannot be pinned: it is tried on demand, and fails nothing
GUEST_SUITE = "bookworm"
_UNWANTED = (
    *(f"./usr/share/{name}" for name in ("doc", "man", "locale", "info")),
    *(
        f"*/kernel/drivers/{name}"
        for name in ("gpu", "media", "scsi", "staging", "infiniband", "usb", "net/wireless")
    ),
    "*/kernel/sound",
)
GUEST_PACKAGES = ("busybox-static", "ethtool", "iproute2", "iputils-ping", "linuxptp", "tcpdump")


@dataclass(frozen=True)
class Machinery:
    """The parts of a virtual machine. qemu: its command. userland: a root folder with the guest's programs.

    missing: by name, the reason why a kernel that is only reported could not be fetched.
    """

    qemu: tuple[str, ...]
    userland: Path
    kernels: dict[str, Path]
    missing: dict[str, str]

    def image(self, kernel: str) -> Path:
        """The kernel's vmlinuz. Raises Unavailable."""
        if kernel in self.missing:
            raise Unavailable(self.missing[kernel])
        root = self.kernels[kernel]
        return next(path for path in (*root.glob("boot/vmlinuz-*"), *root.glob("usr/lib/modules/*/vmlinuz")))

    def modules(self, kernel: str) -> Path:
        """The folder with modules.dep of that kernel."""
        root = self.kernels[kernel]
        return next(path for path in (*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")))


def cache_folder() -> Path:
    """Where everything is kept."""
    named = os.environ.get("DATAPLANE_VM_CACHE")
    return Path(named) if named else cache("vm")


def machinery(kernels: Iterable[str] = tuple(KERNELS)) -> Machinery:
    """Everything that virtual machines with these kernels need, fetched if it is not there yet. Raises Unavailable."""
    if os.uname().machine != "x86_64":
        raise Unavailable("virtual machines of these tests are x86-64 only")
    folder, missing = cache_folder(), {}
    try:
        with locked(folder):
            _fill(folder)
            for release in REPORTED.keys() & set(kernels):
                try:
                    _renew(folder, release)
                except Unavailable as reason:
                    missing[release] = str(reason)
    except OSError as error:
        raise Unavailable(
            f"no cache folder {folder}: {error.strerror or error}; set DATAPLANE_VM_CACHE"
        ) from None
    made = Machinery(
        _qemu_command(folder / "qemu"),
        folder / "guest",
        {release: folder / f"linux-{release}" for release in (*KERNELS, *REPORTED)},
        missing,
    )
    check_qemu(made.qemu)
    return made


def check_qemu(command: Sequence[str]) -> None:
    """Raises Unavailable unless it is a QEMU that speaks vfio-user, which came with 10.1."""
    shown = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)\.(\d+)", shown.stdout)
    if not found:
        raise Unavailable(f"{command[-1]} does not run: {(shown.stderr or shown.stdout).strip()[:200]}")
    version = int(found[1]), int(found[2])
    device = subprocess.run(
        [*command, "-device", "vfio-user-pci,help"], capture_output=True, text=True, check=False
    )
    if version < OLDEST_QEMU or "socket=" not in device.stdout:
        raise Unavailable(
            f"QEMU {version[0]}.{version[1]} has no vfio-user-pci: QEMU {OLDEST_QEMU[0]}.{OLDEST_QEMU[1]} or newer is "
            f"needed; remove {cache_folder()} to fetch the archive's, or name another in DATAPLANE_QEMU"
        )


def _qemu_command(root: Path) -> tuple[str, ...]:
    """QEMU of another release of Debian than the host's runs with its own libraries, by its own loader."""
    own = os.environ.get("DATAPLANE_QEMU")
    if own:
        return (own,)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    return (
        "/usr/bin/env",
        f"QEMU_MODULE_DIR={libraries / 'qemu'}",
        str(root / "usr/lib64/ld-linux-x86-64.so.2"),
        "--library-path",
        str(libraries),
        str(root / "usr/bin/qemu-system-x86_64"),
        "-L",
        str(root / "usr/share/qemu"),
        "-L",
        str(root / "usr/share/seabios"),
    )


# ---- fetching -----------------------------------------------------------------------------------------------------


def _fill(folder: Path) -> None:
    stamp = folder / "complete"
    if stamp.exists() and stamp.read_text() == _LAYOUT:
        _fill_guest(folder)
        return
    if not os.environ.get("DATAPLANE_QEMU"):
        debs = fetch(folder / "apt-qemu", [(MIRROR, suite) for suite in QEMU_SUITES], ["qemu-system-x86"])
        unpack(debs, folder / "qemu", _UNWANTED)
    _fill_guest(folder)
    for release, (suite, secured) in KERNELS.items():
        sources = [(MIRROR, suite)] + [(SECURITY, f"{suite}-security")] * secured
        _fetch_kernel(folder / f"apt-linux-{release}", sources, folder / f"linux-{release}")
    for work in folder.glob("apt-*"):
        shutil.rmtree(work)
    stamp.write_text(_LAYOUT)


def _fill_guest(folder: Path) -> None:
    """Fetch the guest's programs if their list has changed. Renames the folder: another checkout may read the old one."""
    stamp, wanted, new = folder / "guest-packages", " ".join(GUEST_PACKAGES), folder / "guest-new"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    work = folder / "apt-guest"
    unpack(fetch(work, [(MIRROR, GUEST_SUITE)], GUEST_PACKAGES), new, _UNWANTED)
    shutil.rmtree(work)
    old = folder / "guest-old"
    shutil.rmtree(old, ignore_errors=True)
    if (folder / "guest").exists():
        (folder / "guest").rename(old)
    new.rename(folder / "guest")
    shutil.rmtree(old, ignore_errors=True)
    stamp.write_text(wanted)


def _fetch_kernel(work: Path, sources: list[tuple[str, str]], root: Path) -> None:
    """The kernel that linux-image-amd64 means there, unless `root` has it."""
    (meta,) = fetch(work, sources, ["linux-image-amd64"], closure=False)
    stamp = root / "package"
    if stamp.exists() and stamp.read_text() == meta.name:
        return
    names, debs = _kernel_packages(meta), list[Path]()
    assert names, f"{meta}: which kernel does it depend on?"
    while len(debs) < len(names):  # newer ones come in several packages
        debs = fetch(work, sources, sorted(names), closure=False)
        for deb in debs:
            names |= _kernel_packages(deb)
    unpack(debs, root, _UNWANTED)
    stamp.write_text(meta.name)


def _kernel_packages(deb: Path) -> set[str]:
    """Packages with parts of a kernel that this one depends on."""
    shown = subprocess.run(["dpkg-deb", "-f", deb, "Depends"], capture_output=True, text=True, check=True)
    return set(re.findall(r"\blinux-(?:base|image|binary|modules)-[0-9][^ ,|]*", shown.stdout))


def _renew(folder: Path, release: str) -> None:
    """The suite's kernel of today; the one that is there, if the archive does not answer."""
    work, root = folder / f"apt-linux-{release}", folder / f"linux-{release}"
    try:
        _fetch_kernel(work, [(MIRROR, REPORTED[release])], root)
    except Unavailable:
        if not (root / "package").exists():
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    print(machinery())
