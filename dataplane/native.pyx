# SPDX-License-Identifier: BSD-3-Clause
"""Native: an app that is one C function. It may be a plain Python function that numba compiles, and takes no GIL.

Of a packet it sees the first segment. ``per="packet"``::

    uint32_t f(uint8_t *data, uint32_t length)                                        returns an edge
    def f(data, length): ...                                                          the same for numba

``per="burst"``::

    void f(uint8_t **data, const uint32_t *length, uint8_t *edge, uint32_t n)         fills `edge`, which holds zeroes

An edge that there is not means: drop it, as "refused".
"""

import ctypes

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from dataplane.app cimport MAX_BURST, MAX_EDGES, App, emit, split
from dataplane.machine cimport likely
from dataplane.mbuf cimport data, mbuf

from dataplane.errors import ConfigError

ctypedef uint32_t (*packet_function)(uint8_t *, uint32_t) noexcept nogil
ctypedef void (*burst_function)(uint8_t **, const uint32_t *, uint8_t *, uint32_t) noexcept nogil
ctypedef uint32_t (*loop_function)(mbuf **, uint8_t *, uint32_t) noexcept nogil

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
        if per not in ("packet", "burst"):
            raise ConfigError(f"per={per!r}: 'packet' or 'burst' is possible")
        if not 1 <= len(edges) <= MAX_EDGES:
            raise ConfigError(f"{len(edges)} edges: from 1 to {MAX_EDGES} are possible")
        self.edges, self.optional, self.per = tuple(edges), tuple(optional), per
        self._n_edges = len(self.edges)
        self.address, self._function, self._kind = _address(function, per)
        self.name = name or getattr(function, "__name__", None) or "native"

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint8_t fate[MAX_BURST]
        cdef uint32_t other = 0, edge
        cdef uint16_t i
        fate[0] = 0  # with no packets at all
        if self._kind == LOOP:
            other = (<loop_function> self.address)(pkts, fate, n)
        else:
            if self._kind == BURST:
                self._ask(pkts, n, fate)
            for i in range(n):
                if self._kind == PACKET:
                    edge = (<packet_function> self.address)(data(pkts[i]), pkts[i].data_len)
                    fate[i] = <uint8_t> min(edge, <uint32_t> 255)
                other |= fate[i] ^ fate[0]
        if likely(other == 0 and fate[0] < self._n_edges):
            emit(self, fate[0], pkts, n)
            return
        for i in range(n):
            if fate[i] >= self._n_edges:
                fate[i] = REFUSED
        split(self, pkts, n, fate)

    cdef void _ask(self, mbuf **pkts, uint16_t n, uint8_t *fate) noexcept nogil:
        cdef uint8_t *starts[MAX_BURST]
        cdef uint32_t lengths[MAX_BURST]
        cdef uint16_t i
        memset(fate, 0, n)
        for i in range(n):
            starts[i] = data(pkts[i])
            lengths[i] = pkts[i].data_len
        (<burst_function> self.address)(starts, lengths, fate, n)


def _address(function, per):
    """(address, what must stay alive, what it is the address of)"""
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
    if address <= 0:
        raise ConfigError(f"{function!r} is no function: its address is {address}")
    return address, function, kind


def _compiled(function, per):
    if not callable(function):
        raise ConfigError(f"{function!r} is no function: a Python function, a ctypes function or an address is needed")
    try:
        from dataplane.jit import of_burst, of_packets
    except ImportError:
        raise ConfigError(
            f"{function!r} must be compiled, and numba is not installed: pip install 'dataplane-pmd[native]', "
            "or write it as process(self, burst)"
        ) from None
    return of_burst(function) if per == "burst" else of_packets(function)
