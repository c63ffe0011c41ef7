# SPDX-License-Identifier: BSD-3-Clause
"""Native: an app that is one C function. It may be a plain Python function that numba compiles, and takes no GIL.

The function sees the first segment of a packet. ``per="packet"``::

    uint32_t f(uint8_t *data, uint32_t length)                                        returns an edge
    def f(data, length): ...                                                          the same for numba

``per="burst"``::

    void f(uint8_t **data, const uint32_t *length, uint8_t *edge, uint32_t n)         fills `edge`, which holds zeroes

A packet with the number of no edge is dropped as "refused". If a per-packet function compiled by numba raises, the present
burst is dropped as "error", and the pipeline stops and raises `AppError`; a C function cannot raise.
"""

import ctypes

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from dataplane.app cimport DROP_ERROR, FAULT_RAISED, MAX_EDGES, App, drop, pass_on, split
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.machine cimport likely, unlikely
from dataplane.mbuf cimport data, mbuf

from dataplane.errors import AppError, ConfigError, GraphError
from dataplane.memory.mapped import is_code

ctypedef uint32_t (*packet_function)(uint8_t *, uint32_t) noexcept nogil
ctypedef void (*burst_function)(uint8_t **, const uint32_t *, uint8_t *, uint32_t) noexcept nogil
ctypedef int32_t (*loop_function)(uint32_t *, void **, mbuf **, uint8_t *, uint32_t) noexcept nogil

cdef enum:
    REFUSED = MAX_EDGES  # the fate of a packet that is dropped for the first reason
    # What the address is of: called for each packet, for each burst, or a loop with such a call inlined in it
    PACKET = 0
    BURST = 1
    LOOP = 2


cdef class Native(App):
    """An app that is one C function, for each packet or each burst.

    function: its address, a ctypes function, a numba ``@cfunc``, or a plain function of Python that numba is to compile.
    per: "packet" or "burst". Raises ConfigError for what is none of these, and when numba is needed and not installed.
    """

    cdef readonly object edges, optional, per
    cdef readonly size_t address
    cdef object _function  # keeps its code alive
    cdef int _kind
    cdef int _n_edges

    drops = ("refused",)

    def __init__(self, function, *, edges=("out",), optional=(), per="packet", name=None):
        if self.address:
            raise ConfigError(f"{self!r} is made already: make another Native")
        if per not in ("packet", "burst"):
            raise ConfigError(f"per={per!r}: must be 'packet' or 'burst'")
        if not 1 <= len(edges) <= MAX_EDGES:
            raise ConfigError(f"{len(edges)} edges: must be 1 to {MAX_EDGES}")
        self.edges, self.optional, self.per = tuple(edges), tuple(optional), per
        self._n_edges = len(self.edges)
        address, self._function, self._kind = _address(function, per)
        self.address = address
        self.name = name or getattr(function, "__name__", None) or "native"

    def clone(self):
        """One with the same function, which therefore runs on several lcores at once."""
        if type(self) is not Native:
            return App.clone(self)
        cdef Native other = Native.__new__(Native)
        other.edges, other.optional, other.per = self.edges, self.optional, self.per
        other.address, other._function, other._kind, other._n_edges = self.address, self._function, self._kind, self._n_edges
        return other

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint8_t fate[BURST_MAX_PACKETS]
        cdef uint32_t other = 0, edge
        cdef uint16_t i
        fate[0] = 0  # where packets usually go
        cdef void *raised = NULL
        if self._kind == LOOP:
            if unlikely((<loop_function> self.address)(&other, &raised, pkts, fate, n) != 0):
                self.fault = FAULT_RAISED
                drop(self, DROP_ERROR, pkts, n)
                return
        elif self._kind == BURST:
            self._ask(pkts, n, fate)
            other = 1
        else:
            for i in range(n):
                edge = (<packet_function> self.address)(data(pkts[i]), pkts[i].data_len)
                fate[i] = <uint8_t> min(edge, <uint32_t> 255)
            other = 1
        if other:  # or so it seems
            other = 0
            for i in range(n):
                other |= fate[i] ^ fate[0]
        if likely(other == 0 and fate[0] < self._n_edges):
            pass_on(self, fate[0], pkts, n)
            return
        for i in range(n):
            if fate[i] >= self._n_edges:
                fate[i] = REFUSED
        split(self, pkts, n, fate)

    cdef int check_ready(self) except -1:
        if self.address == 0:
            raise GraphError(f"{self!r} has no function: give one to Native, and call super().__init__ in a subclass")
        return 0

    cpdef object fault_error(self):
        """Compiled code cannot say more than that."""
        return AppError(f"{self.name}: the function raised an exception: call it with bytes and a length to see which")

    cdef void _ask(self, mbuf **pkts, uint16_t n, uint8_t *fate) noexcept nogil:
        cdef uint8_t *starts[BURST_MAX_PACKETS]
        cdef uint32_t lengths[BURST_MAX_PACKETS]
        cdef uint16_t i
        memset(fate, 0, n)
        for i in range(n):
            starts[i] = data(pkts[i])
            lengths[i] = pkts[i].data_len
        (<burst_function> self.address)(starts, lengths, fate, n)


def _address(function, per):
    """(address of the function, object that must stay alive, description of the function)"""
    kind = BURST if per == "burst" else PACKET
    if isinstance(function, int):
        address = function
    elif isinstance(function, ctypes._CFuncPtr):
        address = ctypes.cast(function, ctypes.c_void_p).value or 0
    else:
        if not hasattr(function, "address"):
            function = _compiled(function, per)
            kind = BURST if per == "burst" else LOOP
        address = function.address
    if not is_code(address):
        raise ConfigError(f"{function!r} is no function: its address is {address}, where no code is mapped")
    return address, function, kind


def _compiled(function, per):
    if not callable(function):
        raise ConfigError(f"{function!r} is no function: a Python function, a ctypes function or an address is needed")
    try:
        from dataplane.columns.jit import of_burst, of_packets
    except ImportError:
        raise ConfigError(
            f"{function!r} must be compiled, and numba is not installed: pip install 'dataplane-pmd[native]', "
            "or write it as process(self, burst)"
        ) from None
    return of_burst(function) if per == "burst" else of_packets(function)
