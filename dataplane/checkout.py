# SPDX-License-Identifier: BSD-3-Clause
"""Short names in a checkout: there `apps` and `pmd` are the same module objects as `dataplane.apps` and `dataplane.pmd`.

The repository keeps those two folders at its top, so ``import apps`` finds one of them when the checkout is on the path. A
second copy of every class would be the result; `alias` prevents it. Installed packages have the long names only.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["alias"]


class _Alias(MetaPathFinder, Loader):
    """Finds ``apps.x`` by importing ``dataplane.apps.x``."""

    def __init__(self) -> None:
        self.packages: set[str] = set()
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname.partition(".")[0] in self.packages else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(f"dataplane.{spec.name}")
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just overwritten the module's own spec with the alias's.
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)


_finder = _Alias()


def alias(package: str) -> None:
    """Make ``package`` and all below it names of ``dataplane.<package>``. Called while ``package`` is being imported."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.packages.add(package)
    sys.modules[package] = import_module(f"dataplane.{package}")
