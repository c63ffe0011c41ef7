# SPDX-License-Identifier: BSD-3-Clause
"""DPDK of another suite of Debian than the machine's, in a root folder of its own: fetched, and run there by chroot.

    python -m tests.dpdk.suites trixie

`$DATAPLANE_DPDK` names the suite that the tests run, as `make test-dpdk DPDK=trixie` has it; without it they run the DPDK
that is installed. Packages are kept in ~/.cache/dataplane/dpdk; remove a suite's folder there to fetch it again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.system.debs import MIRROR, Unavailable, cache, fetch, locked, unpack

__all__ = ["SUITES", "chosen", "inside", "root_of", "version"]

SUITES = ("bookworm", "trixie", "sid")
_PACKAGES = ("dpdk-dev", "coreutils", "dash", "libc-bin")
_UNWANTED = tuple(f"./usr/share/{name}" for name in ("doc", "man", "locale", "info"))
_LAYOUT = "1"  # of the folder: another number fetches again

# In a mount namespace of its own, which goes with the program: no mount is left behind, whatever ends it.
_ENTER = """
root=$0 shared=$1
shift
for each in /dev /proc /sys "$shared"; do mount --rbind "$each" "$root$each" || exit 1; done
mount -t tmpfs none "$root/run" || exit 1
exec chroot "$root" "$@"
"""


def chosen() -> str:
    """The suite that is asked for; "" for what the machine has installed. Raises Unavailable for one that is not known."""
    suite = os.environ.get("DATAPLANE_DPDK", "")
    if suite and suite not in SUITES:
        raise Unavailable(f"DPDK={suite}: known are {', '.join(SUITES)}")
    return suite


def root_of(suite: str) -> Path:
    """The suite's root folder, fetched if it is not there yet. Raises Unavailable."""
    folder = cache("dpdk")
    root, stamp = folder / suite, folder / f"{suite}.complete"
    try:
        with locked(folder):
            if not stamp.exists() or stamp.read_text() != _LAYOUT:
                stamp.unlink(missing_ok=True)
                work = folder / f"apt-{suite}"
                unpack(fetch(work, [(MIRROR, suite)], _PACKAGES), root, _UNWANTED)
                shutil.rmtree(work)
                for name in ("dev", "proc", "sys", "run", "tmp"):
                    (root / name).mkdir(exist_ok=True)
                stamp.write_text(_LAYOUT)
    except OSError as error:
        raise Unavailable(f"no folder {folder}: {error.strerror or error}") from None
    return root


def inside(root: Path, command: Sequence[str]) -> list[str]:
    """The command that runs `command` in that root, in the same process. It sees our temporary files, /dev, /proc, /sys."""
    shared = Path(tempfile.gettempdir()).resolve()
    (root / shared.relative_to("/")).mkdir(parents=True, exist_ok=True)
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ENTER]
    return [*enter, str(root), str(shared), *command]


def version(root: Path) -> str:
    """Of DPDK, as its testpmd says it. Raises Unavailable for one that does not run."""
    options = [
        "-v",
        "--in-memory",
        "--no-huge",
        "--no-pci",
        "--no-telemetry",
        "-m",
        "64",
        "--",
        "--help",
    ]
    done = subprocess.run(
        inside(root, ["dpdk-testpmd", *options]), capture_output=True, text=True, timeout=60, check=False
    )
    found = re.search(r"DPDK (\d\S*[^'\s])", done.stdout + done.stderr)
    if found is None:
        raise Unavailable(
            f"dpdk-testpmd of {root} does not run: {(done.stderr or done.stdout).strip()[-300:]}"
        )
    return found[1]


if __name__ == "__main__":
    for suite in sys.argv[1:]:
        os.environ["DATAPLANE_DPDK"] = suite
        try:
            print(f"DPDK {version(root_of(chosen()))}, of Debian's {suite}: {root_of(suite)}")
        except Unavailable as reason:
            sys.exit(str(reason))
