# SPDX-License-Identifier: BSD-3-Clause
"""One walk, a process: ``walker.py SEED STEPS LOG`` calls whatever there is, in an order and with arguments made of SEED.

Exceptions are what is expected. A signal, a call that does not end (exit status 70) and something left behind (71) are not.
LOG has a line for each step before it is taken.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import inspect
import os
import queue
import random
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from discover import Found, attributes, bounds, everything, methods, parameters, qualified
from operations import OPERATIONS
from recipes import RECIPES, kinds_of
from values import Values

from dataplane import machine, mempool

MOST = 120  # objects that are kept
PATIENCE = 60.0  # s for one step
MEMORY = 6 << 30
MEMORY_OF_OBJECTS = "/memfd:dataplane-"  # goes with them; a card stays for its process, as its number does


class Second(threading.Thread):
    """The other thread: takes the steps that it is given, in their order."""

    def __init__(self) -> None:
        super().__init__(name="second", daemon=True)
        self.steps: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self.given, self.taken = 0, 0

    def give(self, step: Callable[[], None]) -> None:
        self.given += 1
        self.steps.put(step)

    def run(self) -> None:
        while (step := self.steps.get()) is not None:
            step()
            self.taken += 1


class Walk:
    """rng decides everything; found: what there is; log: where each step is written."""

    def __init__(self, rng: random.Random, found: Found, folder: Path, log: int) -> None:
        self.rng, self.found, self.log = rng, found, log
        self.values = Values(rng, self.pick, folder)
        self.zoo: list[Any] = []
        self.taken: list[tuple[Any, list[int]]] = []  # results of Mempool.take: the walk owns them
        self.second = Second()
        self.unraisable: list[str] = []
        self.folder = folder
        self.number = 0

    # ---- what there is -----------------------------------------------------------------------------------

    def pick(self, kind: str | None) -> Any:
        """Something of that kind that was made before, or anything."""
        fitting = [each for each in self.zoo if kind in kinds_of(each)] if kind else self.zoo
        if not fitting and kind in RECIPES:
            self.keep(self.made(kind))
            fitting = [each for each in self.zoo if kind in kinds_of(each)]
        return self.rng.choice(fitting) if fitting else None

    def made(self, kind: str) -> Any:
        try:
            return RECIPES[kind](self)
        except Exception as error:
            self.say(f"  recipe {kind}: {error!r:.200}")
            return None

    def keep(self, value: Any) -> None:
        if value is None or isinstance(value, (int, float, str, bytes, type)) or is_the_walk_s(value):
            return
        if type(value) in (list, tuple, dict, set, frozenset) and self.rng.random() < 0.9:
            for each in list(value)[:3]:  # what is in it is worth more
                if is_ours(each):
                    self.zoo.append(each)
            return
        self.zoo.append(value)
        if len(self.zoo) > MOST:
            del self.zoo[self.rng.randrange(len(self.zoo))]

    def say(self, text: str) -> None:
        os.write(self.log, f"{text}\n".encode(errors="replace"))

    # ---- steps ---------------------------------------------------------------------------------------------

    def arguments(self, call: Any, name: str) -> tuple[list[Any], dict[str, Any]]:
        positional: list[Any] = []
        keywords: dict[str, Any] = dict(bounds(name))
        for parameter in parameters(call):
            needed = parameter.default is inspect.Parameter.empty
            if parameter.name in keywords or (not needed and self.rng.random() < 0.6):
                continue
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                positional += [
                    self.values.for_parameter(parameter.name) for _ in range(self.rng.randrange(3))
                ]
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                continue
            elif parameter.kind is inspect.Parameter.KEYWORD_ONLY or not needed:
                keywords[parameter.name] = self.values.for_parameter(parameter.name)
            else:
                positional.append(self.values.for_parameter(parameter.name))
        if positional and self.rng.random() < 0.03:
            positional.pop()
        return positional, keywords

    def step(self) -> tuple[str, Callable[[], Any]]:
        """The next step: its text, and what takes it."""
        ways = (
            (self.call_method, 40),
            (self.operate, 18),
            (self.construct, 14),
            (self.read_or_set, 10),
            (self.call_function, 8),
            (self.half_made, 6),
            (self.recipe, 6),
            (self.let_go, 5),
            (self.end, 3),
        )
        way = self.rng.choices([way for way, _ in ways], [weight for _, weight in ways])[0]
        return way()

    def called(self, call: Any, name: str, shown: str = "") -> tuple[str, Callable[[], Any]]:
        positional, keywords = self.arguments(call, name)
        text = ", ".join(
            [*map(brief, positional), *(f"{key}={brief(value)}" for key, value in keywords.items())]
        )

        def take() -> Any:
            return call(*positional, **keywords)

        return f"{shown or name}({text})", take

    def construct(self) -> tuple[str, Callable[[], Any]]:
        names = [name for name, kind in self.found.classes.items() if kind in self.found.compiled]
        name = self.rng.choice(names if self.rng.random() < 0.6 else list(self.found.classes))
        return self.called(self.found.classes[name], name)

    def call_function(self) -> tuple[str, Callable[[], Any]]:
        name = self.rng.choice(list(self.found.functions))
        return self.called(self.found.functions[name], name)

    def half_made(self) -> tuple[str, Callable[[], Any]]:
        """An object whose __init__ was never called, or is called once more."""
        kind = self.found.classes[self.rng.choice(list(self.found.classes))]
        dice = self.rng.random()
        if dice < 0.4:
            return f"{kind.__name__}.__new__", lambda: kind.__new__(kind)
        if dice < 0.7:
            return (
                f"class Sub({kind.__name__}) without super().__init__()",
                lambda: type("Sub", (kind,), {"__init__": lambda self, *arguments, **keywords: None})(),
            )
        target = self.pick(None)
        if target is None or inspect.isclass(target):
            return f"{kind.__name__}.__new__", lambda: kind.__new__(kind)
        return self.called(target.__init__, f"{type(target).__name__}.__init__", f"{brief(target)}.__init__")

    def call_method(self) -> tuple[str, Callable[[], Any]]:
        target = self.pick(None)
        names = methods(type(target)) if target is not None else []
        if not names:
            return self.recipe()
        name = self.rng.choice(names)
        text, take = self.called(
            getattr_quiet(target, name), qualified(type(target), name), f"{brief(target)}.{name}"
        )
        if name != "take" or type(target).__name__ != "Mempool":
            return text, take

        def take_and_own() -> Any:
            addresses = take()
            self.taken.append((target, list(addresses)))
            return addresses

        return text, take_and_own

    def read_or_set(self) -> tuple[str, Callable[[], Any]]:
        target = self.pick(None)
        names = attributes(type(target)) if target is not None else []
        if not names:
            return self.recipe()
        name = self.rng.choice(names)
        if type(target) in self.found.compiled and self.rng.random() < 0.4:
            value = self.values.for_parameter(name)
            return f"{brief(target)}.{name} = {brief(value)}", lambda: setattr(target, name, value)
        return f"{brief(target)}.{name}", lambda: getattr(target, name)

    def operate(self) -> tuple[str, Callable[[], Any]]:
        target, other = self.pick(None), self.values.for_parameter("key")
        name, operation = self.rng.choice(OPERATIONS)
        return f"{name} {brief(target)}, {brief(other)}", lambda: operation(target, other)

    def recipe(self) -> tuple[str, Callable[[], Any]]:
        kind = self.rng.choice(list(RECIPES))
        return f"recipe {kind}", lambda: RECIPES[kind](self)

    def let_go(self) -> tuple[str, Callable[[], Any]]:
        def forget() -> None:
            for _ in range(min(len(self.zoo), 5)):
                self.zoo.pop(random.Random(self.number).randrange(len(self.zoo)))
            gc.collect()

        return "forget some, and collect", forget

    def end(self) -> tuple[str, Callable[[], Any]]:
        target = self.pick(self.rng.choice(("Port", "Mempool", "Arena", "Run", "Card", None)))
        verb = next((verb for verb in ("close", "stop", "release") if verb in methods(type(target))), None)
        if verb is None:
            return self.let_go()
        return f"{brief(target)}.{verb}()", lambda: getattr(target, verb)()

    def run(self, steps: int) -> None:
        self.second.start()
        for self.number in range(steps):
            faulthandler.dump_traceback_later(PATIENCE, exit=True)
            text, take = self.step()
            there = self.rng.random() < 0.25
            self.say(f"{self.number}{' (second)' if there else ''}: {text:.400}")
            if there:
                self.second.give(lambda take=take: self.attempt(take))
            else:
                self.attempt(take)
            if self.rng.random() < 0.1:
                self.meet()
        self.meet()

    def attempt(self, take: Callable[[], Any]) -> None:
        try:
            self.keep(take())
        except (SystemExit, KeyboardInterrupt, Exception) as error:
            self.say(f"  {type(error).__name__}: {text_of(error)[:160]}")

    def meet(self) -> None:
        """Wait until the other thread has done what it was given."""
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        given = self.second.given  # an app of a run may go on giving
        while self.second.taken < given:
            threading.Event().wait(0.0005)

    # ---- the end -------------------------------------------------------------------------------------------

    def clean(self) -> None:
        """Stop, close and forget all of it."""
        faulthandler.dump_traceback_later(10 * PATIENCE, exit=True)
        machine.leave()
        self.second.give(machine.leave)
        self.second.steps.put(None)
        self.second.join()
        # Users before what they use; last, whatever else can be closed, such as a server with its thread.
        for kinds in (("Run", "Watch"), ("Stepper", "Trial"), ("Port",), ("Wire",), ("Card",), ("object",)):
            for each in [each for each in gc.get_objects() if is_ours(each)]:
                if any(kind in kinds_of(each) for kind in kinds):
                    for verb in ("stop", "close"):
                        if hasattr(type(each), verb):
                            with contextlib.suppress(Exception):
                                getattr(each, verb)(
                                    **({"force": True} if "force" in names_of(getattr(each, verb)) else {})
                                )
        for pool, addresses in self.taken:
            for address in addresses:
                with contextlib.suppress(Exception):
                    pool.give([address])
        self.taken.clear()
        self.zoo.clear()


def names_of(call: Any) -> set[str]:
    return {parameter.name for parameter in parameters(call)}


def is_ours(value: Any) -> bool:
    return str(getattr(type(value), "__module__", "")).startswith(("dataplane", "recipes"))


def text_of(error: BaseException) -> str:
    """The text of an error; it may contain one of the walk's objects, whose repr raises."""
    try:
        return str(error)
    except Exception as another:
        return f"(its text raises {type(another).__name__})"


def is_the_walk_s(value: Any) -> bool:
    return type(value).__module__ in ("__main__", "walker", "discover", "threading", "_thread")


def getattr_quiet(target: Any, name: str) -> Any:
    try:
        return getattr(target, name)
    except Exception:
        return lambda *arguments, **keywords: None


def brief(value: Any) -> str:
    """A short text that asks nothing of the object: its own repr may be what crashes."""
    if value is None or (isinstance(value, (int, float, str, bytes, tuple)) and type(value) in PLAIN):
        return f"{value!r:.60}" if not isinstance(value, tuple) else f"tuple of {len(value)}"
    return f"<{type(value).__name__} {id(value) & 0xFFFFFF:x}>"


PLAIN = (int, float, str, bytes, tuple, bool)


def descriptors() -> dict[int, str]:
    """The target of each open descriptor of this process, without the one that lists them."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[int(entry.name)] = str(entry.readlink())
    return found


def leftovers(before: dict[int, str], threads: set[threading.Thread]) -> list[str]:
    """The resources that the walk did not release. before: descriptors that were open when it began."""
    found = [f"{pool!r} still has {pool.in_use} mbufs out" for pool in mempool.pools() if pool.in_use]
    found += [f"thread {thread.name}" for thread in set(threading.enumerate()) - threads]
    found += [
        f"descriptor {number} of {target}"
        for number, target in descriptors().items()
        if before.get(number) != target and not target.startswith(MEMORY_OF_OBJECTS)
    ]
    if machine.free_lcores() != 32:
        found.append(f"{32 - machine.free_lcores()} lcore numbers")
    return found


def main() -> int:
    seed, steps, log = (
        int(sys.argv[1]),
        int(sys.argv[2]),
        os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    )
    faulthandler.enable()
    ctypes.CDLL(None).unshare(
        0x40000000
    )  # CLONE_NEWNET, as root: interfaces are made in a namespace of this process
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = everything()
    threads = set(threading.enumerate())
    before = descriptors()
    with tempfile.TemporaryDirectory(prefix="dp-walk-") as folder:
        os.chdir(folder)
        walk = Walk(random.Random(seed), found, Path(folder), log)
        walk.run(steps)
        walk.clean()
        for _ in range(3):
            gc.collect()
        os.chdir("/")
    faulthandler.cancel_dump_traceback_later()
    # Descriptors of others are closed by a thread of their own (dataplane/files/closer.py), a moment later.
    deadline = time.monotonic() + 10
    while (left := leftovers(before, threads)) and time.monotonic() < deadline:
        time.sleep(0.05)
        gc.collect()
    for line in left:
        walk.say(f"left behind: {line}")
        print(f"left behind: {line}", file=sys.stderr)
    walk.say("the end")
    return 71 if left else 0


if __name__ == "__main__":
    sys.exit(main())
