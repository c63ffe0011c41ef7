# SPDX-License-Identifier: BSD-3-Clause
"""The reader of the kernel's files: what is missing, unreadable or not a number is the caller's default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dataplane.files import sysfs


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("63\n", 63), ("0", 0), ("-1\n", -1), ("0x8086\n", 0x8086), ("0x00FF", 255), (" 7 ", 7),
        ("", None), ("max\n", None), ("0x", None), ("12 34", None), ("1.5", None), ("010", None), ("\xff\xff", None),
    ],
)  # fmt: skip
def test_numbers(tmp_path: Path, text: str, number: int | None) -> None:
    (tmp_path / "file").write_bytes(text.encode("latin-1"))
    for default in (0, -1):
        assert sysfs.read_number(tmp_path / "file", default) == (default if number is None else number)


def test_what_cannot_be_read_is_the_default(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, tmp_path / "none/below"):
        assert sysfs.read_text(path, "absent") == "absent"
        assert sysfs.read_number(path, 5) == 5
    assert sysfs.entries(tmp_path / "none") == []
    assert sysfs.link_name(tmp_path / "none") == ""
    (tmp_path / "dangling").symlink_to("nowhere")
    assert sysfs.link_name(tmp_path / "dangling") == ""


def test_texts_and_links(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b" caf\xe9 \n")
    assert sysfs.read_text(tmp_path / "text") == "caf�"
    (tmp_path / "drivers/ixgbe").mkdir(parents=True)
    (tmp_path / "driver").symlink_to(tmp_path / "drivers/ixgbe")
    assert sysfs.link_name(tmp_path / "driver") == "ixgbe"
    for name in ("uio2", "uio10", "power"):
        (tmp_path / "uio" / name).mkdir(parents=True)
    assert [path.name for path in sysfs.entries(tmp_path / "uio", "uio*")] == ["uio10", "uio2"]
    assert len(sysfs.entries(tmp_path / "uio")) == 3


def test_the_processes_that_have_a_file_open(tmp_path: Path) -> None:
    node, other = tmp_path / "uio0", tmp_path / "uio1"
    node.write_text("")
    assert list(sysfs.device_users([node, other])) == []
    fd = os.open(node, os.O_RDONLY)
    try:
        assert list(sysfs.device_users([node, other])) == [(os.getpid(), str(node))]
    finally:
        os.close(fd)
    assert list(sysfs.device_users([node], tmp_path)) == []
