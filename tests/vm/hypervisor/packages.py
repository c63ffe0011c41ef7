# SPDX-License-Identifier: BSD-3-Clause
"""QEMU, kernels and guest programs from Debian's archive, unpacked into a cache folder; nothing is installed.

The folder is ``$DATAPLANE_VM_CACHE``, or ~/.cache/dataplane/vm: every checkout uses the same. apt verifies what it fetches.
Versions are what the archive has now, so nothing here asks for one; `Machinery` checks what matters. Remove the folder
to fetch anew.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR, SECURITY = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"
OLDEST_QEMU = (10, 1)
_LAYOUT = "2"  # of the folder: another number fetches anew

QEMU_SUITES = ("trixie", "trixie-backports")
KERNELS = {
    "6.1": ("bookworm", True),
    "6.12": ("trixie", False),
}  # suite, and whether its security archive is asked too
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


class Unavailable(Exception):
    """Virtual machines cannot run here; the message says why."""


@dataclass(frozen=True)
class Machinery:
    """What a virtual machine is made of. qemu: its command. userland: a root folder with the guest's programs."""

    qemu: tuple[str, ...]
    userland: Path
    kernels: dict[str, Path]

    def image(self, kernel: str) -> Path:
        """The kernel's vmlinuz."""
        return next((self.kernels[kernel] / "boot").glob("vmlinuz-*"))

    def modules(self, kernel: str) -> Path:
        """The folder with modules.dep of that kernel."""
        root = self.kernels[kernel]
        return next(path for path in (*root.glob("lib/modules/*"), *root.glob("usr/lib/modules/*")))


def cache_folder() -> Path:
    """Where everything is kept."""
    named = os.environ.get("DATAPLANE_VM_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataplane" / "vm"


def machinery() -> Machinery:
    """Everything that a virtual machine needs, fetched if it is not there yet. Raises Unavailable."""
    if os.uname().machine != "x86_64":
        raise Unavailable("virtual machines of these tests are x86-64 only")
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _fill(folder)
    except OSError as error:
        raise Unavailable(
            f"no cache folder {folder}: {error.strerror or error}; set DATAPLANE_VM_CACHE"
        ) from None
    made = Machinery(
        _qemu_command(folder / "qemu"),
        folder / "guest",
        {release: folder / f"linux-{release}" for release in KERNELS},
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


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two checkouts do not fetch at once."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fill(folder: Path) -> None:
    stamp = folder / "complete"
    if stamp.exists() and stamp.read_text() == _LAYOUT:
        _fill_guest(folder)
        return
    _check_tools()
    if not os.environ.get("DATAPLANE_QEMU"):
        debs = _fetch(folder / "apt-qemu", [(MIRROR, suite) for suite in QEMU_SUITES], ["qemu-system-x86"])
        _unpack(debs, folder / "qemu")
    _fill_guest(folder)
    for release, (suite, secured) in KERNELS.items():
        sources = [(MIRROR, suite)] + [(SECURITY, f"{suite}-security")] * secured
        work = folder / f"apt-linux-{release}"
        (meta,) = _fetch(work, sources, ["linux-image-amd64"], closure=False)
        depends = subprocess.run(
            ["dpkg-deb", "-f", meta, "Depends"], capture_output=True, text=True, check=True
        ).stdout
        image = re.search(r"linux-image-[0-9][^ ,]*", depends)
        assert image, f"{meta}: which kernel does it depend on? {depends}"
        meta.unlink()
        _unpack(_fetch(work, sources, [image[0]], closure=False), folder / f"linux-{release}")
    for work in folder.glob("apt-*"):
        shutil.rmtree(work)
    stamp.write_text(_LAYOUT)


def _fill_guest(folder: Path) -> None:
    """The guest's programs; anew when they are others than last time. Another checkout may be about to read the old ones."""
    stamp, wanted, new = folder / "guest-packages", " ".join(GUEST_PACKAGES), folder / "guest-new"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _check_tools()
    work = folder / "apt-guest"
    _unpack(_fetch(work, [(MIRROR, GUEST_SUITE)], list(GUEST_PACKAGES)), new)
    shutil.rmtree(work)
    old = folder / "guest-old"
    shutil.rmtree(old, ignore_errors=True)
    if (folder / "guest").exists():
        (folder / "guest").rename(old)
    new.rename(folder / "guest")
    shutil.rmtree(old, ignore_errors=True)
    stamp.write_text(wanted)


def _check_tools() -> None:
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise Unavailable(f"no {program}: QEMU and kernels are fetched from Debian's archive with it")
    if not KEYRING.exists():
        raise Unavailable(f"no {KEYRING}: install debian-archive-keyring")


def _fetch(
    work: Path, sources: list[tuple[str, str]], packages: list[str], closure: bool = True
) -> list[Path]:
    """Packages, with all that they depend on (closure), from `sources` (address, suite), of which the last is preferred."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "lists/partial").mkdir(parents=True)
    archives = work / "cache/archives"
    (archives / "partial").mkdir(parents=True)
    (work / "status").touch()
    lines = [f"deb [arch=amd64 signed-by={KEYRING}] {address} {suite} main\n" for address, suite in sources]
    (work / "sources.list").write_text("".join(lines))
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "APT::Install-Recommends": 0,
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "APT::Update::Error-Mode": "any",  # or it would only warn of an archive that does not answer
        "Acquire::Retries": 5,
        "Acquire::http::Timeout": 30,
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
    _run([*apt, "update"], work, "list of packages")
    if closure:
        _run(
            [*apt, "--yes", "--download-only", "-t", sources[-1][1], "install", *packages], work, packages[0]
        )
    else:
        _run([*apt, "download", *packages], archives, packages[0])
    found = sorted(archives.glob("*.deb"))
    if not found:
        raise Unavailable(f"apt fetched nothing for {' '.join(packages)}")
    return found


def _run(command: list[str], folder: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=600, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("Debian's archive does not answer: 'apt-get' was not done after 600 s") from None
    if done.returncode:
        complaint = next((line for line in done.stderr.splitlines() if line.startswith("E: ")), done.stderr)
        raise Unavailable(f"Debian's archive gives no {what}: {complaint.strip()[:300]}")


def _unpack(debs: list[Path], root: Path) -> None:
    """All packages into one folder, with /bin, /sbin, /lib and /lib64 as links into /usr, as Debian has them."""
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for deb in debs:
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        command = ["tar", "-x", "-C", root, "--no-same-owner", "--keep-directory-symlink"]
        drop = [f"--exclude={pattern}" for pattern in _UNWANTED]
        subprocess.run([*command, *drop], stdin=archive.stdout, check=True)
        if archive.wait():
            raise Unavailable(f"{deb.name} cannot be unpacked")


if __name__ == "__main__":
    print(machinery())
