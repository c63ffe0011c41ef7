# SPDX-License-Identifier: BSD-3-Clause
"""Python's operators and built-in functions on an object, which the walk calls in addition to its methods."""

from __future__ import annotations

import copy
import itertools
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def with_it(target: Any, other: Any) -> None:
    with target:
        len(repr(other))


def look_into(target: Any, other: Any) -> Any:
    view = memoryview(target)
    bytes(view[:100])
    if not view.readonly and len(view):
        view[0] = 1
    return view


def array_of(target: Any, other: Any) -> Any:
    array = np.frombuffer(target, np.uint8)
    array.sum()
    return array


def set_item(target: Any, other: Any) -> None:
    target[other] = other


OPERATIONS: tuple[tuple[str, Callable[[Any, Any], Any]], ...] = (
    ("len", lambda target, other: len(target)),
    ("repr", lambda target, other: repr(target)),
    ("str", lambda target, other: str(target)),
    ("bytes", lambda target, other: bytes(target) if not isinstance(target, int) else None),
    ("bool", lambda target, other: bool(target)),
    ("hash", lambda target, other: hash(target)),
    ("list", lambda target, other: list(itertools.islice(iter(target), 300))),
    ("next", lambda target, other: next(target)),
    ("index", lambda target, other: target[other]),
    ("first", lambda target, other: target[0]),
    ("set", set_item),
    ("del", lambda target, other: target.__delitem__(other)),
    ("in", lambda target, other: other in target),
    ("==", lambda target, other: target == other),
    ("<", lambda target, other: target < other),
    (">>", lambda target, other: target >> other),
    (">>", lambda target, other: target >> other),
    ("call", lambda target, other: target(other)),
    ("with", with_it),
    ("memoryview", look_into),
    ("array", array_of),
    ("copy", lambda target, other: copy.copy(target)),
    ("deepcopy", lambda target, other: copy.deepcopy(target)),
    ("pickle", lambda target, other: pickle.dumps(target)),
    (
        "dir",
        lambda target, other: [
            getattr(target, name, None) for name in dir(target) if not name.startswith("_")
        ],
    ),
    ("sizeof", lambda target, other: sys.getsizeof(target)),
)
