# SPDX-License-Identifier: BSD-3-Clause
"""The guest's root file system: a cpio archive (the kernel's "newc" form) of programs, libraries, kernel modules and /init.

Built for each guest in well under a second; the same input makes the same bytes.
"""

from __future__ import annotations

import lzma
import re
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path

_EMPTY = ("proc", "sys", "dev", "tmp", "run", "root", "host")


class Initramfs:
    """Files by their path in the guest. userland: a root folder that programs and libraries are taken from."""

    def __init__(self, userland: Path) -> None:
        self.userland = userland
        self._files: dict[str, tuple[int, bytes]] = {}
        for name in _EMPTY:
            self.folder(name)
        self.module_order: list[str] = []

    def folder(self, path: str) -> None:
        """A folder, with those above it."""
        parts = path.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            self._files.setdefault("/".join(parts[:end]), (stat.S_IFDIR | 0o755, b""))

    def file(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        """A file with this content."""
        path = path.strip("/")
        if "/" in path:
            self.folder(path.rpartition("/")[0])
        self._files[path] = stat.S_IFREG | mode, data.encode() if isinstance(data, str) else data

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self.folder(path.rpartition("/")[0])
        self._files[path.strip("/")] = stat.S_IFLNK | 0o777, target.encode()

    def program(self, name: str) -> None:
        """A program of the userland, as /bin/NAME, with every library that its loader asks for."""
        found = next(
            (path for folder in ("bin", "sbin") if (path := self.userland / "usr" / folder / name).exists()),
            None,
        )
        if found is None:
            raise FileNotFoundError(f"no program {name} in {self.userland}")
        self.file(f"bin/{name}", found.read_bytes(), 0o755)
        loader = self.userland / "usr/lib64/ld-linux-x86-64.so.2"
        folders = [self.userland / "usr/lib/x86_64-linux-gnu", self.userland / "usr/lib"]
        listed = subprocess.run(
            [loader, "--library-path", ":".join(map(str, folders)), "--list", found],
            capture_output=True,
            text=True,
        )
        if listed.returncode:
            return  # linked statically
        for line in listed.stdout.splitlines():
            if library := re.search(r"=> (/\S+) \(", line):
                path = Path(library[1])
                self.file(f"lib/{path.name}", path.read_bytes(), 0o755)
        self.file("lib64/ld-linux-x86-64.so.2", loader.read_bytes(), 0o755)

    def modules(self, root: Path, names: Iterable[str]) -> None:
        """Kernel modules from lib/modules/RELEASE, after those they depend on. A name built into the kernel is none.

        A name that ends in "?" may be missing: other kernels have it under another name, or within another module.
        """
        found = {
            path.name.partition(".")[0].replace("-", "_"): path
            for path in root.rglob("*.ko*")
            if path.name.endswith((".ko", ".ko.xz"))
        }
        built_in = {
            Path(line).stem.replace("-", "_") for line in (root / "modules.builtin").read_text().splitlines()
        }

        def add(name: str) -> None:
            name = name.replace("-", "_")
            if name in self.module_order or (name in built_in and name not in found):
                return
            if name not in found:
                raise FileNotFoundError(f"no kernel module {name} in {root}")
            data = found[name].read_bytes()
            if found[name].suffix == ".xz":
                data = lzma.decompress(data)
            depends = re.search(rb"\0depends=([^\0]*)\0", data)
            for other in filter(None, depends[1].decode().split(",") if depends else ()):
                add(other)
            self.module_order.append(name)
            self.file(f"lib/mod/{name}.ko", data)

        for name in names:
            if not name.endswith("?") or name[:-1].replace("-", "_") in found:
                add(name.rstrip("?"))

    def archive(self) -> bytes:
        """The archive."""
        out = bytearray()
        entries = [(name, *self._files[name]) for name in sorted(self._files)]
        for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
            path = name.encode() + b"\0"
            # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
            fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
            out += b"070701" + b"".join(b"%08X" % field for field in fields) + path
            out += bytes(-len(out) % 4)
            out += data
            out += bytes(-len(out) % 4)
        return bytes(out)
