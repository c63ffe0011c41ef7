# SPDX-License-Identifier: BSD-3-Clause
"""A process that runs the workloads of one tree, a slice at a time, and stands still between two. `bench.against` starts it.

``python -P worker.py CPU PAGES TREE``, with the tree in PYTHONPATH; PAGES: "huge" where there are any, or "plain". It reads
a line of JSON for each call, a name and its arguments, and writes one with the result, or with "error".
"""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import sys
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

PACKAGES = ("dataplane", "pmd", "apps", "bench")


def beside(name: str) -> Any:
    """The module in the file beside this one: by its path, for the tree that is measured may have another of that name."""
    spec = importlib.util.spec_from_file_location(f"against_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def this_tree_only() -> None:
    """Remove the finder and the path of an editable install: they have modules of another tree, under names that an older
    revision lacks. The path alone makes an empty namespace `bench`.
    """
    sys.meta_path[:] = [
        each for each in sys.meta_path if not getattr(each, "__module__", "").startswith("__editable__")
    ]
    sys.path[:] = [each for each in sys.path if not each.startswith("__editable__")]


def plain_pages() -> None:
    """No hugepages for this process: with too few for two trees the first would take them all, and be the faster one."""
    create = os.memfd_create

    def refuse_huge(name: str, flags: int = os.MFD_CLOEXEC) -> int:
        if flags & os.MFD_HUGETLB:
            raise OSError(errno.ENOMEM, "the other tree would have none")
        return create(name, flags)

    os.memfd_create = refuse_huge


def strangers(tree: Path) -> list[str]:
    """Modules of this project that were not taken from `tree`: the figures would be another tree's."""
    return sorted(
        name
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in PACKAGES
        and (file := getattr(module, "__file__", None))
        and not Path(file).resolve().is_relative_to(tree.resolve())
    )


class WorkloadWorker:
    """The workload that is open, if any."""

    def __init__(self, tree: Path, workloads: dict[str, Any]) -> None:
        self._tree, self._workloads, self._stack = tree, workloads, ExitStack()
        self._slice: Any = None

    def open(self, name: str) -> None:
        """Set a workload up and run it once, to warm it up."""
        try:
            self._slice = self._stack.enter_context(self._workloads[name][1]())
            self._slice()
            if wrong := strangers(self._tree):
                raise ImportError(f"not of {self._tree}: {', '.join(wrong[:3])}")
        except BaseException:
            self.close()
            raise

    def slice(self) -> float:
        return float(self._slice())

    def close(self) -> None:
        self._slice = None
        self._stack.close()


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a tree prints is no answer
    cpu, pages, tree = sys.argv[1:]
    this_tree_only()
    if pages == "plain":
        plain_pages()
    from dataplane import machine

    machine.enter(int(cpu))
    worker = WorkloadWorker(Path(tree), beside("workloads").WORKLOADS)
    for line in sys.stdin:
        name, *words = json.loads(line)
        try:
            answers.write(json.dumps({"result": getattr(worker, name)(*words)}) + "\n")
        except Exception as error:
            traceback.print_exc()
            answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
    worker.close()
    machine.leave()


if __name__ == "__main__":
    main()
