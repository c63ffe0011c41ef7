# SPDX-License-Identifier: BSD-3-Clause
"""A burst as Python sees it: header fields of all its packets as NumPy columns, and each packet as a view.

``burst[field]`` gathers a column in host byte order, ``burst[field] = values`` scatters one; both run in C. A column is
a copy: changing it changes no packet until it is assigned. Values wider than the field lose their upper bits, as in
NumPy's own arithmetic. Only a packet's first segment is looked at: a field that does not lie wholly in it reads as 0 and
is not written, and ``burst.has(field)`` tells which packets have it.

A burst belongs to `process` and is over when `process` returns; then it, and its packets, raise BurstError.
"""

import numpy as np

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_SIMPLE,
    PyBUF_STRIDED_RO,
    PyBUF_WRITABLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int8_t, int16_t, int32_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.field cimport LARGEST, Field, gather, number_of, scatter
from dataplane.mbuf cimport arrival_ns, copy_out, data, set_single

from dataplane.errors import BurstError


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object o)

cdef enum:
    MAX_BURST = 256
    MAX_EDGES = 16
    UNDECIDED = 255  # the fate of a packet that was not dropped, until the verdict

cdef object _empty = np.empty
cdef object _u8 = np.dtype(np.uint8)
cdef object _bool = np.dtype(np.bool_)


cdef int _numbers(Burst burst, object value, uint64_t *out) except -1:
    """One whole number for each packet, from an int for all of them or an array; sign-extended to 64 bits."""
    cdef Py_buffer view
    cdef const char *p
    cdef uint64_t all_of_them
    cdef int i, n = burst.n
    cdef char kind
    if isinstance(value, int):
        all_of_them = value & 0xFFFFFFFFFFFFFFFF
        for i in range(n):
            out[i] = all_of_them
        return 0
    if not PyObject_CheckBuffer(value):
        value = np.asarray(value)
    PyObject_GetBuffer(value, &view, PyBUF_STRIDED_RO | PyBUF_FORMAT)
    try:
        if view.ndim > 1 or view.ndim == 1 and view.shape[0] != n:
            shape = tuple([view.shape[i] for i in range(view.ndim)])
            raise BurstError(f"{burst.app}: an array of shape {shape} for a burst of {n} packets: it takes one value each")
        kind = view.format[0] if view.format != NULL and view.format[1] == 0 else 0
        if kind not in b"?bBhHiIlLqQ":
            return _numbers(burst, _native(burst, value), out)
        for i in range(n):
            p = <const char *> view.buf + (i * view.strides[0] if view.ndim else 0)
            if view.itemsize == 1:
                out[i] = <uint64_t> (<const int8_t *> p)[0] if kind == c"b" else (<const uint8_t *> p)[0]
            elif view.itemsize == 2:
                out[i] = <uint64_t> (<const int16_t *> p)[0] if kind == c"h" else (<const uint16_t *> p)[0]
            elif view.itemsize == 4:
                out[i] = <uint64_t> (<const int32_t *> p)[0] if kind == c"i" else (<const uint32_t *> p)[0]
            else:
                out[i] = (<const uint64_t *> p)[0]
    finally:
        PyBuffer_Release(&view)
    return 0


cdef object _native(Burst burst, object value):
    array = np.asarray(value)
    if array.dtype.kind not in "biu":
        raise BurstError(f"{burst.app}: {array.dtype} values: whole numbers or bool are needed (astype(np.uint32), say)")
    return array.astype(np.uint64)


cdef class Burst:
    """Up to 256 packets in the hands of ``process(self, burst)``."""

    def __cinit__(self, str app, int edges, tuple drops):
        self.app = app
        self.n = -1
        self._edges = edges
        self._drops = drops

    cdef void open(self, mbuf **pkts, uint16_t n, uint8_t *fate) noexcept:
        self.pkts = pkts
        self.n = n
        self.fate = fate
        self.marked = False

    cdef int verdict(self, object result) except -1:
        cdef uint64_t edges[MAX_BURST]
        cdef uint64_t first
        cdef bint same = True
        cdef int i
        if result is None:
            if not self.marked and self._edges:
                return 0
            result = 0
        _numbers(self, result, edges)
        first = edges[0]
        for i in range(self.n):
            if self.marked and self.fate[i] != UNDECIDED:
                continue
            if edges[i] >= <uint64_t> self._edges:
                raise BurstError(
                    f"{self.app}: process() sends packet {i} to edge {<long long> edges[i]}: "
                    + (f"it has edges 0..{self._edges - 1}" if self._edges else "it has none, so drop() every packet")
                )
            same = same and edges[i] == first
            self.fate[i] = <uint8_t> edges[i]
        if same and not self.marked:
            return <int> first
        return VERDICT_SPLIT

    cdef bint close(self) except -1:
        self.n = -1
        if self.exports:
            raise BurstError(f"{self.app}: a memoryview of a packet outlives its burst: copy it with bytes(packet)")
        return Py_REFCNT(self) <= 2

    cdef int check(self) except -1:
        if self.n < 0:
            raise BurstError(
                f"{self.app}: this burst is over and its packets have moved on: copy what is needed before process() returns"
            )
        return self.n

    def __len__(self):
        return self.check()

    def __getitem__(self, key):
        """A column for a field; a packet for an int."""
        cdef Py_buffer view
        self.check()
        if not isinstance(key, Field):
            return self._packet(key)
        cdef Field f = <Field> key
        if f.width <= LARGEST:
            column = _empty(self.n, f.dtype)
        else:
            column = _empty((self.n, f.width), f.dtype)
        PyObject_GetBuffer(column, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        gather(self.pkts, self.n, f, view.buf)
        PyBuffer_Release(&view)
        return column

    def __setitem__(self, key, value):
        cdef uint64_t numbers[MAX_BURST]
        self.check()
        if not isinstance(key, Field):
            raise BurstError(f"{self.app}: burst[{key!r}] = ...: only a field can be set; packets stay in their places")
        cdef Field f = <Field> key
        if f.width > LARGEST:
            self._set_rows(f, value)
            return
        if isinstance(value, int) and not 0 <= value <= f.mask:
            raise BurstError(f"{self.app}: {f.name} = {value}: from 0 to {f.mask} is possible")
        _numbers(self, value, numbers)
        scatter(self.pkts, self.n, f, numbers)

    cdef object _packet(self, index):
        if not isinstance(index, int):
            raise BurstError(f"{self.app}: burst[{index!r}]: a field (ip4.ttl) or the number of a packet is needed")
        if not -self.n <= index < self.n:
            raise IndexError(f"packet {index} of {self.n}")
        return _view(self, index % self.n)

    cdef object _set_rows(self, Field f, value):
        cdef Py_buffer view
        cdef const uint8_t *rows
        cdef int i
        shape = (self.n, f.width)
        array = np.broadcast_to(np.frombuffer(value, _u8) if isinstance(value, bytes) else np.asarray(value), shape)
        if array.dtype != _u8:
            raise BurstError(f"{self.app}: {f.name} takes bytes, or an array of uint8 of shape {shape}, not {array.dtype}")
        array = np.ascontiguousarray(array)
        PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
        rows = <const uint8_t *> view.buf
        for i in range(self.n):
            if f.offset + f.width <= self.pkts[i].data_len:
                memcpy(data(self.pkts[i]) + f.offset, rows + i * f.width, f.width)
        PyBuffer_Release(&view)

    def __iter__(self):
        self.check()
        cdef _Packets packets = _Packets.__new__(_Packets)
        packets.burst = self
        return packets

    def has(self, Field field not None):
        """Which packets have the whole field in their first segment: an array of bool."""
        cdef Py_buffer view
        cdef int i
        column = _empty(self.check(), _bool)
        PyObject_GetBuffer(column, &view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        for i in range(self.n):
            (<uint8_t *> view.buf)[i] = field.offset + field.width <= self.pkts[i].data_len
        PyBuffer_Release(&view)
        return column

    def drop(self, mask, str reason not None):
        """Drop the packets where `mask` (a bool for each, or True for all) is set, under a name of the app's `drops`.

        They stay in their places in this burst's columns; they leave by no edge. The first reason counts.
        """
        cdef uint64_t chosen[MAX_BURST]
        cdef int i
        self.check()
        if reason not in self._drops:
            names = ", ".join(self._drops) or "none"
            raise BurstError(f"{self.app} has no drop {reason!r}: it names {names}; add it to the class's drops")
        _numbers(self, mask, chosen)
        if not self.marked:
            memset(self.fate, UNDECIDED, self.n)
            self.marked = True
        cdef uint8_t number = MAX_EDGES + self._drops.index(reason)
        for i in range(self.n):
            if chosen[i] and self.fate[i] == UNDECIDED:
                self.fate[i] = number

    @property
    def length(self):
        """Bytes of each packet, all segments, without FCS: uint32."""
        column = np.empty(self.check(), np.uint32)
        cdef uint32_t[::1] to = column
        for i in range(self.n):
            to[i] = self.pkts[i].pkt_len
        return column

    @property
    def timestamp_ns(self):
        """Arrival of each packet in ns since the epoch, 0 where the port has no clock: uint64."""
        column = np.empty(self.check(), np.uint64)
        cdef uint64_t[::1] to = column
        for i in range(self.n):
            to[i] = arrival_ns(self.pkts[i])
        return column

    @property
    def port(self):
        """The number of the port that each packet came in by: uint16."""
        column = np.empty(self.check(), np.uint16)
        cdef uint16_t[::1] to = column
        for i in range(self.n):
            to[i] = self.pkts[i].port
        return column

    @property
    def rss_hash(self):
        """The hash that the NIC computed for each packet: uint32."""
        column = np.empty(self.check(), np.uint32)
        cdef uint32_t[::1] to = column
        for i in range(self.n):
            to[i] = self.pkts[i].rss_hash
        return column

    def __repr__(self):
        return f"<Burst of {self.n} packets>" if self.n >= 0 else "<Burst, over>"


cdef object _view(Burst burst, int index):
    cdef Packet packet = Packet.__new__(Packet)
    packet.burst = burst
    packet.index = index
    return packet


cdef class _Packets:
    cdef Burst burst
    cdef int index

    def __iter__(self):
        return self

    def __next__(self):
        if self.index >= self.burst.check():
            raise StopIteration
        self.index += 1
        return _view(self.burst, self.index - 1)


@cython.freelist(32)
cdef class Packet:
    """One packet of a burst. bytes(packet): all of it; memoryview(packet): its first segment, writable."""

    cdef mbuf *get(self) except NULL:
        self.burst.check()
        return self.burst.pkts[self.index]

    def __len__(self):
        return self.get().pkt_len

    def __bytes__(self):
        cdef mbuf *m = self.get()
        cdef bytes copy = PyBytes_FromStringAndSize(NULL, m.pkt_len)
        copy_out(m, 0, PyBytes_AS_STRING(copy), m.pkt_len)
        return copy

    def __getbuffer__(self, Py_buffer *view, int flags):
        cdef mbuf *m = self.get()
        PyBuffer_FillInfo(view, self, data(m), m.data_len, 0, flags)
        self.burst.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.burst.exports -= 1

    def __getitem__(self, Field field not None):
        """A field's value: int, or bytes if it is wider than 8 bytes; 0 if the first segment does not hold it."""
        cdef mbuf *m = self.get()
        cdef bint inside = field.offset + field.width <= m.data_len
        cdef const uint8_t *p = data(m) + field.offset
        if field.width > LARGEST:
            return p[:field.width] if inside else bytes(field.width)
        return number_of(m, field)

    def __setitem__(self, Field field not None, value):
        cdef mbuf *m = self.get()
        cdef bytes row
        cdef uint64_t number
        if field.width > LARGEST:
            row = bytes(value)
            if len(row) != field.width:
                raise BurstError(f"{self.burst.app}: {field.name} takes {field.width} bytes, not {len(row)}")
            if field.offset + field.width <= m.data_len:
                memcpy(data(m) + field.offset, PyBytes_AS_STRING(row), field.width)
            return
        if not 0 <= value <= field.mask:
            raise BurstError(f"{self.burst.app}: {field.name} = {value}: from 0 to {field.mask} is possible")
        number = value
        scatter(&m, 1, field, &number)

    @property
    def data(self):
        """A writable memoryview of the first segment; set it to bytes to replace what the packet holds."""
        return memoryview(self)

    @data.setter
    def data(self, value):
        cdef mbuf *m = self.get()
        cdef bytes content = bytes(value)
        room = m.buf_len - m.data_off
        if m.nb_segs != 1 or len(content) > room:
            raise BurstError(
                f"{self.burst.app}: {len(content)} bytes do not replace this packet: it takes up to {room} in one segment, "
                f"and it has {m.nb_segs}"
            )
        memcpy(data(m), PyBytes_AS_STRING(content), len(content))
        set_single(m, <uint32_t> len(content))

    @property
    def timestamp_ns(self):
        """Arrival in ns since the epoch, 0 if the port has no clock."""
        return arrival_ns(self.get())

    @property
    def port(self):
        """The number of the port it came in by."""
        return self.get().port

    def __repr__(self):
        return f"<Packet of {len(self)} bytes>" if self.burst.n >= 0 else "<Packet, over>"
