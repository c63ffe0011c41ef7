# SPDX-License-Identifier: BSD-3-Clause
"""Virtual machines for scenarios: each module has one lab for each kernel, and what failed keeps its consoles."""

from __future__ import annotations

import compileall
import os
import re
import shutil
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypervisor.guest import ROOT
from hypervisor.lab import Lab
from hypervisor.packages import KERNELS, REPORTED, Machinery, Unavailable, cache_folder, machinery

KEPT = ROOT / ".cache" / "vm"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "vm" not in item.keywords:
            continue
        item.add_marker(pytest.mark.timeout(600))
        if _kernel_of(item.nodeid) in REPORTED:
            item.add_marker(pytest.mark.xfail(reason=_ON_DEMAND, strict=False))


@pytest.fixture(scope="session")
def parts() -> Machinery:
    """QEMU, kernels and programs, fetched at first use."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the wires of a served NIC lead to taps in network namespaces")
    for program in ("ip", "ethtool", "ping"):
        assert shutil.which(program), f"no {program}: install iproute2 ethtool iputils-ping"
    # A guest reads the tree, and may not write to it: it would compile all that it imports, each time, in software.
    for package in ("dataplane", "pmd", "apps"):
        assert compileall.compile_dir(ROOT / package, quiet=2), f"{package} cannot be compiled"
    try:
        return machinery(_CHOSEN)
    except Unavailable as reason:
        pytest.skip(f"no virtual machines: {reason}")


# DATAPLANE_VM_KERNELS="6.1" tries one only; "6.1 6.12 newest" the newest there is, too.
_CHOSEN = os.environ.get("DATAPLANE_VM_KERNELS", "").split() or [*KERNELS]
_ON_DEMAND = "a kernel that cannot be pinned: reported, not judged"


def _kernel_of(nodeid: str) -> str:
    """The kernel that a test is for, "" for none."""
    words = re.split(r"[\[\]-]", nodeid)
    return next((kernel for kernel in (*KERNELS, *REPORTED) if kernel in words), "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`: each file and kernel is one process's, so that its lab is made once and guests wait beside each other."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped,unused-ignore]

    class ByLab(LoadScopeScheduling):  # type: ignore[misc,unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return f"{nodeid.partition('::')[0]} {_kernel_of(nodeid)}"

    return ByLab(config, log)


@pytest.fixture(scope="module", params=_CHOSEN)
def lab(parts: Machinery, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """An empty lab, once for each kernel."""
    made = Lab(parts, request.param)
    request.node.stash[_LABS] = made
    try:
        yield made
    finally:
        made.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the results of the kernels that are only reported, and whose failures do not count."""
    for kernel in REPORTED.keys() & set(_CHOSEN):
        passed, failed = (
            [
                report.nodeid
                for report in terminalreporter.stats.get(key, ())
                if _kernel_of(report.nodeid) == kernel
            ]
            for key in ("xpassed", "xfailed")
        )
        where = cache_folder() / f"linux-{kernel}" / "package"
        package = where.read_text() if where.exists() else "not fetched"
        terminalreporter.write_line(f"{kernel} ({package}): {len(passed)} passed, {len(failed)} failed")
        for nodeid in failed:
            terminalreporter.write_line(f"  failed: {nodeid}")


_LABS: pytest.StashKey[Lab] = pytest.StashKey()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the consoles' ends, and keeps them whole in .cache/vm."""
    report = yield
    module = item.getparent(pytest.Module)
    lab = module.stash.get(_LABS, None) if module else None
    if report.failed and lab is not None and lab.folder.exists():
        where = KEPT / re.sub(r"[^\w.-]+", "_", item.name)
        lab.keep(where)
        report.sections.append((f"virtual machines (kept in {where})", lab.story()))
    return report
