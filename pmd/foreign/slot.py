# SPDX-License-Identifier: BSD-3-Clause
"""A function of the model in a slot that a program with a userspace driver sees: what Linux shows of a card bound to UIO.

A slot is a folder with the files of sysfs, and two sockets: one is /dev/uioN, to the other goes every access to a BAR.
The library of `trap.h`, preloaded into the program, sends the program there; a thread here answers.
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
from dataplane.pmd.foreign.service import TrapService
from dataplane.pmd.foreign.sysfs import SysfsFolder, make_tree
from dataplane.pmd.model.strict.findings import Findings
from dataplane.pmd.portstring import PortString

__all__ = ["SOURCES", "Slot", "Slots", "compile_trap"]

_HERE = Path(__file__).parent
SOURCES = [_HERE / f"{name}.c" for name in ("link", "names", "content", "memory", "fault", "decode")]


class Slot:
    """One function, at a PCI `address`; `folder` has what sysfs shows of it."""

    def __init__(
        self, root: Path, number: int, function: ModelFunction | ModelVfFunction, doorbells: bool = True
    ) -> None:
        self.function, self.number = function, number
        virtual = isinstance(function, ModelVfFunction)
        self.address = f"0000:{1 + number // 8:02x}:{0x10 if virtual else 0:02x}.{number % 8}"
        self._sysfs = SysfsFolder(root, number, function, self.address)
        self.folder = self._sysfs.at
        card = root / "card" / self.address
        card.mkdir()
        # Tails are stored to the register file; a VF's BAR is a window on its PF's.
        (card / "registers").symlink_to(f"/proc/{os.getpid()}/fd/{function.chip.registers.fd}")
        self.place()
        self.service = TrapService(function, card / "socket", root / "dev" / f"uio{number}", self, doorbells)

    def place(self) -> None:
        """Write into configuration space where the BARs are: a host does after each reset. A VF has none of its own."""
        if isinstance(self.function, ModelVfFunction):
            return
        for bar, (address, _) in self._sysfs.bars.items():
            self.function.config.write32(pci.BAR0 + 4 * bar, address)

    def bind(self, on: bool) -> None:
        """Show in sysfs that a program has bound the function to its driver (on=True), or unbound it."""
        self._sysfs.bind(on)


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
            make_tree(self.root)
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
        """The environment variables that show a program the slots and hide the machine's own cards."""
        return {
            "LD_PRELOAD": str(self.trap),
            "DATAPLANE_SLOTS": str(self.root),
            "SYSFS_PCI_DEVICES": str(self.root / "sys/bus/pci/devices"),
        }

    def start(
        self, command: Sequence[str], env: Mapping[str, str] = os.environ, **more: Any
    ) -> subprocess.Popen[Any]:
        """Run a program on the slots; arguments as for `subprocess.Popen`. Keeps the libraries of LD_PRELOAD in `env`."""
        ours = self.environment
        if env.get("LD_PRELOAD"):
            ours["LD_PRELOAD"] += f":{env['LD_PRELOAD']}"
        return subprocess.Popen(command, env={**env, **ours}, **more)

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
    # Without fortified headers: their inline functions have the names that are defined there. Warnings are errors in our
    # tests alone: other compilers have others.
    options = ["-std=gnu11", "-O2", "-U_FORTIFY_SOURCE", "-fvisibility=hidden", "-fPIC", "-shared", "-w"]
    command = [*compiler, *options, "-o", str(target), *map(str, SOURCES), "-ldl"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError as error:
        raise ConfigError(f"no C compiler for {_HERE} ({error}): install gcc, or name one in CC") from None
    if done.returncode:
        raise ConfigError(f"{' '.join(command)} failed:\n{done.stderr}")
    return target
