# SPDX-License-Identifier: BSD-3-Clause
"""Stage: whatever `>>` can join. Queues of ports and apps are stages.

``rx >> app >> tx`` describes; it touches neither `rx` nor `app` nor `tx`. What it makes is a `Chain`, a list of links,
and a `Pipeline` is made of chains. ``app["expired"] >> sink`` leaves by a named edge.
"""

import os

from dataplane.errors import DataplaneError, GraphError


cdef class Stage:
    """Whatever `>>` can join."""

    def __rshift__(self, other):
        if not isinstance(self, Stage):
            return NotImplemented
        return Exit(self, None) >> other

    def __getitem__(self, edge):
        """The exit of that name: ``app["expired"] >> sink``."""
        if not isinstance(edge, str):
            raise GraphError(f"{self!r}[{edge!r}]: an edge is named by a string")
        return Exit(self, edge)

    cpdef object fault_error(self):
        """The error that `fault` stands for: an errno unless the stage knows better."""
        return DataplaneError(f"{self!r} failed: {os.strerror(self.fault)}")


class Exit:
    """One edge of a stage, before it is joined. name None: its first edge."""

    def __init__(self, stage, name):
        self.stage = stage
        self.name = name

    def __rshift__(self, other):
        if isinstance(other, Chain):
            return Chain((*_link(self, other.first), *other.links), other.last)
        if isinstance(other, Stage):
            return Chain(_link(self, other), other)
        return NotImplemented

    def __repr__(self):
        return repr(self.stage) if self.name is None else f"{self.stage!r}[{self.name!r}]"


def _link(exit, stage):
    return ((exit.stage, exit.name, stage),)


class Chain:
    """Joined stages. links: tuples (stage, edge name or None, next stage), in order; last: the stage `>>` goes on from."""

    def __init__(self, links, last):
        self.links = links
        self.last = last

    @property
    def first(self):
        """The stage at the head."""
        return self.links[0][0]

    def __rshift__(self, other):
        joined = Exit(self.last, None) >> other
        return joined if joined is NotImplemented else Chain((*self.links, *joined.links), joined.last)

    def __getitem__(self, edge):
        """Go on from a named edge of the last stage."""
        return _Tail(self, edge)

    def __repr__(self):
        return " >> ".join(repr(stage) for stage in (self.first, *(link[2] for link in self.links)))


class _Tail:
    """A chain that goes on from a named edge of its last stage."""

    def __init__(self, chain, edge):
        self.chain = chain
        self.edge = edge

    def __rshift__(self, other):
        joined = Exit(self.chain.last, self.edge) >> other
        return joined if joined is NotImplemented else Chain((*self.chain.links, *joined.links), joined.last)
