# SPDX-License-Identifier: BSD-3-Clause
"""Every instruction of instruction_forms.py does to a BAR what it does to memory. The BAR is bytes in a file here."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import subprocess
import threading
from pathlib import Path

import pytest
from instruction_forms import assembly, cpu_flags, templates

from dataplane.pmd.foreign.slot import compile_trap
from dataplane.pmd.foreign.sysfs import make_tree

HERE = Path(__file__).parent
ADDRESS, BAR, SIZE = "0000:01:00.0", 4, 4096
REQUEST, REPLY = struct.Struct("<IIQQQII"), struct.Struct("<Q")
READ, WRITE = 0, 1


class Ram(threading.Thread):
    """Answers a slot's socket: BAR4 is the bytes of a file."""

    def __init__(self, root: Path) -> None:
        super().__init__(name="ram")
        make_tree(root)
        for name in (f"sys/devices/pci0000:00/{ADDRESS}", f"card/{ADDRESS}"):
            (root / name).mkdir()
        self.bar = root / "sys/devices/pci0000:00" / ADDRESS / f"resource{BAR}"
        self.file = root / "ram"
        for path in (self.bar, self.file):
            path.touch()
            os.truncate(path, SIZE)
        with self.file.open("r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), SIZE)
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(str(root / "card" / ADDRESS / "socket"))
        self._door.listen(1)
        self._door.settimeout(60)

    def run(self) -> None:
        try:
            client = self._door.accept()[0]
        except OSError:
            return  # no program came
        while data := client.recv(REQUEST.size):
            op, bar, offset, value, _, size, _ = REQUEST.unpack(data)
            reply = 0
            if op == READ and bar == BAR:
                reply = int.from_bytes(self.bytes[offset : offset + size], "little")
            elif op == WRITE and bar == BAR:
                self.bytes[offset : offset + size] = value.to_bytes(8, "little")[:size]
            client.send(REPLY.pack(reply))
        client.close()

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self.join(10)
        self._door.close()
        self.bytes.close()


@pytest.mark.timeout(120)
def test_every_form_does_what_it_does_to_memory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("i")
    cpu = cpu_flags()
    (folder / "cases.S").write_text(assembly(cpu))
    avx = ["-mavx"] if "avx" in cpu else []
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-no-pie", *avx, "-o", str(folder / "program")]
    subprocess.run([*command, str(HERE / "instructions.c"), str(folder / "cases.S")], check=True, timeout=60)
    root = folder / "r"
    ram = Ram(root)
    ram.start()
    try:
        done = subprocess.run(
            [str(folder / "program"), f"/sys/devices/pci0000:00/{ADDRESS}/resource{BAR}", str(ram.file)],
            env={"LD_PRELOAD": str(compile_trap(folder)), "DATAPLANE_SLOTS": str(root)},
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
    finally:
        ram.close()
    *differing, total = done.stdout.splitlines() or [""]
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]
    assert not differing, f"{len(differing)} differ:\n" + "\n".join(differing[:40])
    assert int(total.split()[0]) > 10 * len(list(templates(set())))
