# SPDX-License-Identifier: BSD-3-Clause
"""A function of the model in a slot that a program with a userspace driver sees: what Linux shows of a card bound to UIO.

A slot is a folder with the files of sysfs, and two sockets: one is /dev/uioN, to the other goes every access to a BAR.
`trap.c`, preloaded into the program, sends the program there; a thread here answers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dataplane.errors import ConfigError
from dataplane.pmd.bus.model import ModelFunction, open_function
from dataplane.pmd.bus.model_vf import ModelVfFunction
from dataplane.pmd.datasheet import pci
from dataplane.pmd.foreign.service import Service
from dataplane.pmd.model.findings import Findings
from dataplane.pmd.portstring import PortString

__all__ = ["Slot", "Slots", "compile_trap"]

_DRIVER = "igb_uio"  # one MSI-X message for everything, and VFs; DPDK takes it for what it is
_TRAP = Path(__file__).with_name("trap.c")
_SUBSYSTEM = 0x0003  # of a dual-port SFP+ adapter
_PF_BARS = {pci.PF_BAR_REGISTERS: 0x80000, pci.PF_BAR_MSIX: pci.MSIX_SIZE}
_VF_BARS = {pci.VF_BAR_REGISTERS: pci.VF_REGISTERS_SIZE, pci.VF_BAR_MSIX: pci.MSIX_SIZE}
_MEMORY_64BIT = 0x14220C  # a resource's flags, as Linux prints them


class Slot:
    """One function, at a PCI `address`."""

    def __init__(
        self, root: Path, number: int, function: ModelFunction | ModelVfFunction, doorbells: bool = True
    ) -> None:
        self.function, self.number = function, number
        virtual = isinstance(function, ModelVfFunction)
        self.address = f"0000:{1 + number // 8:02x}:{0x10 if virtual else 0:02x}.{number % 8}"
        self.folder = root / "devices" / self.address
        self._bars = _VF_BARS if virtual else _PF_BARS
        self._sysfs(root)
        self.service = Service(function, self.folder / "socket", root / "dev" / f"uio{number}", doorbells)

    def _sysfs(self, root: Path) -> None:
        uio, f = f"uio{self.number}", self.function
        (self.folder / "uio" / uio).mkdir(parents=True)
        (root / "class/uio" / uio).mkdir(parents=True)
        (root / "class/uio" / uio / "device").symlink_to(self.folder)
        (self.folder / "driver").symlink_to(root / "drivers" / _DRIVER)
        vfs = f.vfs if isinstance(f, ModelFunction) else 0
        for name, text in {
            "vendor": f"{f.vendor_id:#06x}",
            "device": f"{f.device_id:#06x}",
            "subsystem_vendor": f"{pci.INTEL:#06x}",
            "subsystem_device": f"{_SUBSYSTEM:#06x}",
            "class": f"{pci.CLASS_ETHERNET:#08x}",
            "numa_node": "-1",
            "sriov_numvfs": str(vfs),
            "resource": self._resources(),
            "config": "",  # the socket answers
            f"uio/{uio}/dev": f"240:{self.number}",
        }.items():
            (self.folder / name).write_text(text + "\n")
        for bar, size in self._bars.items():
            file = self.folder / f"resource{bar}"
            if bar == 0:  # a VF's is a window on its PF's; only tails are stored to it
                file.symlink_to(f"/proc/{os.getpid()}/fd/{f.chip.registers.fd}")
                continue
            file.touch()
            os.truncate(file, size)

    def _resources(self) -> str:
        """Start, end and flags of six BARs and the ROM."""
        lines, at = ["0x" + " 0x".join(["0" * 16] * 3)] * 7, 0xF000_0000 + self.number * 0x10_0000
        for bar, size in self._bars.items():
            lines[bar] = f"{at:#018x} {at + size - 1:#018x} {_MEMORY_64BIT:#018x}"
            at += size
        return "\n".join(lines)


class Slots:
    """Functions of the model in slots, for the programs that are started in their `environment`.

    functions: of the model, or their port strings, as in "model0.vf0"; what it opens it closes. trap: the library of
    `compile_trap`, where a program has been started with it before there were slots. doorbells: tails are stored to memory;
    else they are accesses like all others, which a trace shows. Raises ConfigError where there is no C compiler.

    findings: what was done on their cards that a strict card calls forbidden; it does what silicon would, meanwhile. A card
    that reports already goes on to whom it does.
    """

    def __init__(
        self,
        functions: Sequence[ModelFunction | ModelVfFunction | str],
        trap: Path | None = None,
        *,
        doorbells: bool = True,
    ) -> None:
        self._stack = ExitStack()
        self.root = Path(tempfile.mkdtemp(prefix="dataplane-"))  # short: sockets' paths are
        self._stack.callback(shutil.rmtree, self.root, ignore_errors=True)
        try:
            for name in ("devices", "dev", f"drivers/{_DRIVER}"):
                (self.root / name).mkdir(parents=True)
            self.trap = trap or compile_trap(self.root)
            self.findings = Findings()
            opened = [self._open(each) if isinstance(each, str) else each for each in functions]
            for card in {id(function.card): function.card for function in opened}.values():
                if card.report is None:
                    self._stack.callback(setattr, card, "report", None)
                    card.report = self.findings
            self._slots = [
                Slot(self.root, number, function, doorbells) for number, function in enumerate(opened)
            ]
            for slot in self._slots:
                self._stack.callback(slot.service.stop)
                slot.service.start()
        except BaseException:
            self._stack.close()
            raise

    def _open(self, text: str) -> ModelFunction | ModelVfFunction:
        target, comma, options = text.partition(",")
        spec = PortString.split_options(text, "", target, comma + options)
        function = open_function(spec)
        self._stack.callback(function.close)
        spec.done()
        return function

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to see the slots, and nothing of the machine's own cards."""
        return {
            "LD_PRELOAD": str(self.trap),
            "DATAPLANE_SLOTS": str(self.root),
            "SYSFS_PCI_DEVICES": str(self.root / "devices"),
        }

    def start(
        self, command: Sequence[str], env: Mapping[str, str] = os.environ, **more: Any
    ) -> subprocess.Popen[Any]:
        """Run a program on the slots; arguments as `subprocess.Popen`'s."""
        return subprocess.Popen(command, env={**env, **self.environment}, **more)

    def close(self) -> None:
        """End the answers. Programs that are still on the slots end with an error."""
        self._stack.close()

    def __getitem__(self, number: int) -> Slot:
        return self._slots[number]

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __enter__(self) -> Slots:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def compile_trap(folder: Path) -> Path:
    """The library to preload, in that folder: made for the machine's C library, on the spot."""
    target = folder / "trap.so"
    compiler = os.environ.get("CC", "cc").split()
    command = [
        *compiler,
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        str(target),
        str(_TRAP),
        "-ldl",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise ConfigError(
            f"no C compiler for {_TRAP.name} ({error}): install gcc, or name one in CC"
        ) from None
    if done.returncode:
        raise ConfigError(f"{' '.join(command)} failed:\n{done.stderr}")
    return target
