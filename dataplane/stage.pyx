# SPDX-License-Identifier: BSD-3-Clause
"""Stage: whatever `>>` can join. Queues of ports and apps are stages.

``rx >> app >> tx`` describes; it touches neither `rx` nor `app` nor `tx`. It makes a `Chain`, a list of links, and a
`Pipeline` is made of chains. ``app["expired"] >> sink`` leaves by a named edge.
"""

import os
import threading

from dataplane.errors import DataplaneError, GraphError


cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>
    static uint32_t dp_thread(void) { return (uint32_t)syscall(SYS_gettid); }
    """
    uint32_t this_thread "dp_thread" () nogil


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
        """The exception for `fault`, which is an errno unless a subclass defines other numbers."""
        return DataplaneError(f"{self!r} failed: {os.strerror(self.fault)}")

    cdef void look(self) noexcept nogil:
        pass

    cdef int check_ready(self) except -1:
        return 0

    @property
    def polled_by(self):
        """The name of the thread that polls it now, or None."""
        return _name_of(self.poller) if self.poller else None


cdef int claim(Stage stage) except -1:
    if stage.poller:
        here = " (this thread)" if stage.poller == this_thread() else ""
        raise GraphError(
            f"{stage!r} is polled by thread {_name_of(stage.poller)}{here}: one poller at a time may use it; stop that one first"
        )
    stage.check_ready()
    if stage.poller:
        return claim(stage)  # check_ready runs Python, so that another thread may have come first: say who
    stage.poller = this_thread()
    return 0


cdef void release(Stage stage) noexcept:
    stage.poller = 0


def _name_of(number):
    """The name of the thread with that number (gettid)."""
    return next((thread.name for thread in threading.enumerate() if thread.native_id == number), str(number))


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
    """Joined stages. links: tuples (stage, edge name or None, next stage), in order; last: the stage that `>>` extends."""

    def __init__(self, links, last):
        self.links = links
        self.last = last

    @property
    def first(self):
        """The stage at the head."""
        if not self.links:
            raise GraphError(f"{self!r} has no first stage: join stages with >>")
        return self.links[0][0]

    def __rshift__(self, other):
        joined = Exit(self.last, None) >> other
        return joined if joined is NotImplemented else Chain((*self.links, *joined.links), joined.last)

    def __getitem__(self, edge):
        """Go on from a named edge of the last stage."""
        if not isinstance(edge, str):
            raise GraphError(f"{self!r}[{edge!r}]: an edge is named by a string")
        return _Tail(self, edge)

    __iter__ = None  # or `list(chain)` would ask for one edge after the other, for ever

    def __repr__(self):
        if not self.links:
            return f"<Chain of nothing, last {self.last!r}>"
        return " >> ".join(repr(stage) for stage in (self.first, *(link[2] for link in self.links)))


class _Tail:
    """A chain that continues from a named edge of its last stage."""

    def __init__(self, chain, edge):
        self.chain = chain
        self.edge = edge

    def __rshift__(self, other):
        joined = Exit(self.chain.last, self.edge) >> other
        return joined if joined is NotImplemented else Chain((*self.chain.links, *joined.links), joined.last)
