# SPDX-License-Identifier: BSD-3-Clause
"""The network of a test: namespaces that end with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from netns import Net


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "system" in item.path.parts and "root" in item.keywords:
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in ("ip", "ethtool", "ping", "tcpdump", "tshark"):
        assert shutil.which(program), f"no {program}: install iproute2 ethtool iputils-ping tcpdump tshark"
    made = Net(tmp_path)
    try:
        yield made
    finally:
        made.close()
