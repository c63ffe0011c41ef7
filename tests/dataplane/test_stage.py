# SPDX-License-Identifier: BSD-3-Clause
"""`>>` and `[]` describe and touch nothing."""

import pytest

from dataplane.errors import GraphError
from dataplane.stage import Chain, Stage


class Named(Stage):
    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


A, B, C, D = (Named(name) for name in "ABCD")


@pytest.mark.parametrize(
    ("chain", "links"),
    [
        (lambda: A >> B, [(A, None, B)]),
        (lambda: A >> B >> C, [(A, None, B), (B, None, C)]),
        (lambda: A["x"] >> B, [(A, "x", B)]),
        (lambda: (A >> B)["x"] >> C, [(A, None, B), (B, "x", C)]),
        (lambda: A >> (B >> C), [(A, None, B), (B, None, C)]),
        (lambda: A["x"] >> (B >> C), [(A, "x", B), (B, None, C)]),
        (lambda: (A >> B) >> (C >> D), [(A, None, B), (B, None, C), (C, None, D)]),
    ],
)
def test_links(chain, links):
    made = chain()
    assert isinstance(made, Chain)
    assert list(made.links) == links
    assert made.first is links[0][0]
    assert made.last is links[-1][2]


def test_describing_mutates_nothing():
    first = A >> B
    second = first >> C
    assert len(first.links) == 1
    assert len(second.links) == 2
    assert repr(second) == "A >> B >> C"


@pytest.mark.parametrize("other", [None, "B", 3, []])
def test_only_stages_are_joined(other):
    with pytest.raises(TypeError):
        A >> other
    with pytest.raises(TypeError):
        A["x"] >> other
    with pytest.raises(TypeError):
        (A >> B) >> other


def test_an_edge_is_named_by_a_string():
    with pytest.raises(GraphError, match="named by a string"):
        A[0]
