# SPDX-License-Identifier: BSD-3-Clause
"""What there is to call: every class and function of the product, found by importing all of it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from types import ModuleType
from typing import Any, NamedTuple

import dataplane

# Left out, with the reason. A prefix of a module's name, or of a qualified one.
LEFT_OUT = {
    "dataplane.apps.command": "programs, which bind devices and end processes; tests/system walks their arguments",
    "dataplane.columns.jit": "compiles by numba for seconds; tests/dataplane/test_native.py",
    "dataplane.pmd.bus.card_function": "writes to /sys: binds drivers of the machine's own devices",
    "dataplane.pmd.virtual.netdevice": "configures the machine's own network interfaces",
    "dataplane.pmd.foreign": "is for processes of their own",
    "dataplane.pmd.bus.vfio_api": "asks the kernel about whatever descriptor it is given",
    "dataplane.pmd.vfio_user.framing.close_all": "closes whatever descriptor it is given, as it says",
    "dataplane.files.closer": "closes whatever descriptor it is given, as it says",
    "dataplane.files.eventfd": "writes to whatever descriptor it is given, as it says",
    "dataplane.memory.hugepage.hold_physical": "holds for all arenas of the process",
    "dataplane.pmd.register_bus": "holds for all ports of the process",
    "dataplane.pmd.register_port": "holds for all ports of the process",
    "dataplane.pmd.register_driver": "holds for all ports of the process",
    "dataplane.pmd.model.wire.peer.PeerWire.connect": "closes whatever descriptor it is given, as it says",
    "dataplane.engine.lcore.Loop.run": "runs until its sources are done, as it says",
    "dataplane.engine.worker.Worker": "runs until its loop is over, as it says",
    "dataplane.engine.stepper.Stepper.finish": "steps until its sources are done, as it says",
}
# Arguments that bound what would otherwise last as long as its caller wants.
BOUNDED: dict[str, dict[str, Any]] = {
    "dataplane.engine.lcore.Loop.run_laps": {"laps": 50},
    "dataplane.engine.stepping.run_laps_by_turns": {"laps": 20},
    "dataplane.engine.stepper.Stepper.step": {"laps": 20},
    "dataplane.pipeline.Pipeline.run": {"seconds": 0.02, "until": None},
    "dataplane.pipeline.Pipeline.join": {"timeout": 0.02},
    "dataplane.engine.running.Run.wait": {"seconds": 0.02, "until": None},
    "dataplane.engine.running.Run.join": {"timeout": 0.02},
    "dataplane.engine.running.Run.replace": {"timeout": 0.05},
    "dataplane.engine.replacing.replace": {"timeout": 0.05},
    "dataplane.engine.running.run": {"seconds": 0.02, "until": None},
}


class Found(NamedTuple):
    """classes and functions by their qualified names; compiled: those classes that are extension types."""

    classes: dict[str, type]
    functions: dict[str, Any]
    compiled: frozenset[type]


def left_out(name: str) -> bool:
    """Whether a qualified name is in LEFT_OUT, or below something there."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in LEFT_OUT)


def everything() -> Found:
    """Import all modules and look through them."""
    classes: dict[str, type] = {}
    functions: dict[str, Any] = {}
    compiled: set[type] = set()
    for info in sorted(pkgutil.walk_packages(dataplane.__path__, "dataplane."), key=lambda info: info.name):
        if left_out(info.name):
            continue
        module = importlib.import_module(info.name)
        for name, value in sorted(vars(module).items()):
            full = f"{module.__name__}.{name}"
            if getattr(value, "__module__", None) != module.__name__ or left_out(full):
                continue
            if inspect.isclass(value) and (is_compiled(module) or not name.startswith("_")):
                classes[full] = value
                if is_compiled(module) and not value.__flags__ & HEAP_TYPE:
                    compiled.add(value)
            elif callable(value) and not name.startswith("_"):
                functions[full] = value
    return Found(classes, functions, frozenset(compiled))


HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class statement in Python made it


def is_compiled(module: ModuleType) -> bool:
    """Whether it is an extension module."""
    return str(getattr(module, "__file__", "")).endswith(".so")


def methods(kind: type) -> list[str]:
    """Its public methods that may be called."""
    return [
        name
        for name in dir(kind)
        if not name.startswith("_")
        and callable(getattr(kind, name, None))
        and not left_out(qualified(kind, name))
    ]


def attributes(kind: type) -> list[str]:
    """Its public attributes and properties."""
    return [
        name for name in dir(kind) if not name.startswith("_") and not callable(getattr(kind, name, None))
    ]


def qualified(kind: type, name: str) -> str:
    """Where a method is defined: "dataplane.pipeline.Pipeline.run", whatever subclass it is called by."""
    home = next((base for base in kind.__mro__ if name in vars(base)), kind)
    return f"{home.__module__}.{home.__name__}.{name}"


def embedded(call: Any) -> list[inspect.Parameter]:
    """What Cython has put on the first line of its text: "Ring(slots=1024, *, single=False)"; types stand before names."""
    line = (getattr(call, "__doc__", None) or "").partition("\n")[0]
    inside = re.fullmatch(r"[\w.]+\((.*)\).*", line)
    if inside is None:
        return []
    found, kind = [], inspect.Parameter.POSITIONAL_ONLY
    for part in re.split(r",\s*(?![^(\[]*[)\]])", inside[1]):
        if part in ("*", "/", "self", "type self", "cls", "") or part.startswith("*"):
            kind = inspect.Parameter.KEYWORD_ONLY if part == "*" else kind
            continue
        head, equals, _ = part.partition("=")
        name = head.replace("not None", "").split()[-1].strip("*")
        default = None if equals else inspect.Parameter.empty
        if not name.isidentifier():
            continue  # a default value with commas in it
        found.append(
            inspect.Parameter(name, kind if not equals else inspect.Parameter.KEYWORD_ONLY, default=default)
        )
    return found


def bounds(name: str) -> dict[str, Any]:
    """The arguments that a call by that qualified name must have."""
    return BOUNDED.get(name, {})


def parameters(call: Any) -> list[inspect.Parameter]:
    """The parameters of a call, from its signature or else from its docstring."""
    try:
        found = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        return embedded(call)
    return [parameter for parameter in found if parameter.name not in ("self", "cls")]
