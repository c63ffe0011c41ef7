# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's options for functions of a served NIC: shared memory, root ports, one vfio-user device for each function.

A VF that shares a guest with its PF sits where the PF's driver will look for it: behind the same root port, at the routing
id that the SR-IOV capability gives it. A VF without its PF is a device of its own.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from dataplane.apps.command.system.served import FUNCTION, order
from dataplane.errors import ConfigError, PortError
from dataplane.pmd.datasheet import pci

__all__ = ["device_args", "functions_of", "qemu_args", "shown"]

_PATIENCE_MS = 60_000  # QEMU's own 5 s for an answer are too few where the server gets little of a CPU


def functions_of(folder: Path) -> list[str]:
    """The functions that are served in `folder`, PFs first. Raises PortError if no function is served."""
    names = (path.stem for path in folder.glob("*.sock") if path.is_socket())
    found = sorted((name for name in names if re.fullmatch(FUNCTION, name)), key=order)
    if not found:
        raise PortError(f"{folder}: no NIC is served there: start 'dataplane nic serve --dir {folder}' first")
    return found


def qemu_args(
    folder: Path, functions: Iterable[str], memory: str = "512M", *, posted_writes: bool = False
) -> list[str]:
    """All of it: memory that can be shared, and the devices. posted_writes: as for `device_args`.

    Raises ConfigError for functions that are not served there.
    """
    if not re.fullmatch(r"\d+[MG]", memory):
        raise ConfigError(f"--memory {memory}: expected an amount, as in 512M or 2G")
    args = ["-machine", "q35,memory-backend=dataplane", "-m", memory]
    # DMA_MAP comes with a descriptor only if the guest's memory is a file that can be shared.
    args += ["-object", f"memory-backend-memfd,id=dataplane,size={memory},share=on"]
    return args + device_args(folder, functions, posted_writes=posted_writes)


def device_args(folder: Path, functions: Iterable[str], *, posted_writes: bool = False) -> list[str]:
    """The devices and their root ports, for a machine whose memory is shared already. Raises ConfigError likewise.

    posted_writes: whether a guest's write to a register may return before the server has done it. QEMU sends such writes
    without a bound: a guest that writes a tail in each turn of a busy loop fills the socket, and its next read waits for all
    of them.
    """
    served, wanted = functions_of(folder), sorted(dict.fromkeys(functions), key=order)
    if unknown := [name for name in wanted if name not in served]:
        raise ConfigError(f"{unknown[0]} is not served in {folder}, which has {', '.join(served)}")
    args = []
    together = {name for name in wanted if "vf" not in name}
    for number, names in enumerate(_groups(wanted, together), start=1):
        port = f"dataplane{number}"
        # Room behind the root port for the VFs' BARs, which the guest places when its PF's driver makes them.
        args += ["-device", f"pcie-root-port,id={port},slot={number},pref64-reserve=32M,mem-reserve=4M"]
        for name in names:
            device: dict[str, object] = {"driver": "vfio-user-pci", "bus": port}
            device["addr"] = _address(name, together)
            if len(names) > 1:
                device["multifunction"] = True
            device["rombar"] = 0
            device["x-msg-timeout"] = _PATIENCE_MS
            if not posted_writes:
                device["x-no-posted-writes"] = True
            device["socket"] = {"type": "unix", "path": str(folder.absolute() / f"{name}.sock")}
            args += ["-device", json.dumps(device, separators=(",", ":"))]
    return args


def shown(args: list[str], terminal: bool) -> str:
    """For a person to copy: quoted, an option a line. For ``$(...)`` in a shell: words, which no shell looks at again."""
    if terminal:
        pairs = (args[at : at + 2] for at in range(0, len(args), 2))
        return " \\\n".join(shlex.join(pair) for pair in pairs)
    if spaced := [arg for arg in args if re.search(r"\s", arg)]:
        raise ConfigError(
            f"{spaced[0]}: a shell would split this at the blank: serve from a folder without blanks in its path"
        )
    return "\n".join(args)


def _groups(names: list[str], together: set[str]) -> list[list[str]]:
    """Who shares a root port: the PFs and their VFs; each other VF has one of its own."""
    device = [name for name in names if name.split(".")[0] in together]
    return [group for group in (device, *([name] for name in names if name not in device)) if group]


def _address(name: str, together: set[str]) -> str:
    """Device and function on the bus, as QEMU writes them."""
    virtual, port, vf = order(name)
    routing_id = port if "pf0" in together else 0  # of the PF
    if virtual:
        behind_pf = pci.SRIOV_FIRST_VF_ARI + vf * pci.SRIOV_STRIDE
        routing_id = routing_id + behind_pf if f"pf{port}" in together else 0
    return f"{routing_id >> 3:x}.{routing_id & 7}"
