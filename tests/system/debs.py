# SPDX-License-Identifier: BSD-3-Clause
"""Packages of any suite of Debian, fetched by apt and unpacked into folders. Nothing is installed; apt's own state stays.

apt verifies what it fetches. Versions are what the archive has now.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MIRROR", "SECURITY", "Unavailable", "cache", "fetch", "locked", "unpack"]

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR, SECURITY = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"


class Unavailable(Exception):
    """A package cannot be fetched here; the message gives the reason."""


def cache(name: str) -> Path:
    """The folder of that name for what is fetched: every checkout uses the same."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataplane" / name


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder; two checkouts do not fill it at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch(
    work: Path,
    sources: Sequence[tuple[str, str]],
    packages: Sequence[str],
    *,
    closure: bool = True,
) -> list[Path]:
    """Packages, with all that they depend on (closure), from `sources` (address, suite), of which the last is preferred.

    work: a folder for it, emptied before. Raises Unavailable.
    """
    for program in ("apt-get", "dpkg-deb"):
        if not shutil.which(program):
            raise Unavailable(f"no {program}: packages are fetched from Debian's archive with it")
    if not KEYRING.exists():
        raise Unavailable(f"no {KEYRING}: install debian-archive-keyring")
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


def unpack(debs: Sequence[Path], root: Path, without: Sequence[str] = ()) -> None:
    """All packages into one folder, with /bin, /sbin, /lib and /lib64 as links into /usr, as Debian has them.

    without: tar's patterns of what to leave out. Raises Unavailable.
    """
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for deb in debs:
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        command = ["tar", "-x", "-C", root, "--no-same-owner", "--keep-directory-symlink"]
        drop = [f"--exclude={pattern}" for pattern in without]
        subprocess.run([*command, *drop], stdin=archive.stdout, check=True)
        if archive.wait():
            raise Unavailable(f"{deb.name} cannot be unpacked")
