# SPDX-License-Identifier: BSD-3-Clause
"""A burst as Python sees it: header fields of all its packets as NumPy columns, and each packet as a view.

``burst[field]`` gathers a column in host byte order, ``burst[field] = values`` scatters one; both run in C. A column is
a copy: changing it changes no packet until it is assigned. Several fields, ``burst[eth.src, eth.dst]``, are as many columns
(a tuple); both addresses of a frame cost little more than one that way. Values wider than the field lose their upper bits, as in
NumPy's own arithmetic. Only a packet's first segment is used: a field that is not wholly in it reads as 0 and is not
written, and ``burst.has(field)`` returns which packets have it.

A burst belongs to `process` and is over when `process` returns; then it, and its packets, raise BurstError. An assignment
converts the value first, which may run any code for any time, and checks that the burst is still open only after that.
"""

import numpy as np

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.ref cimport Py_INCREF, PyObject
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from dataplane.columns.field cimport (
    LARGEST,
    Field,
    gather,
    gather_two,
    look_at,
    look_at_two,
    number_of,
    scatter,
    scatter_two,
    segments_t,
)
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.mbuf cimport arrival_ns, copy_out, data, set_single
from dataplane.mempool cimport pool_of
from dataplane.columns.numbers cimport is_ready, kind_of, numbers_of, ready

from dataplane.errors import BurstError


cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object o)

cdef enum:
    MAX_EDGES = 16
    MAX_NAMED_DROPS = 14
    TOGETHER = 8  # fields that may be gathered or scattered at once
    SPARE = 4  # columns of earlier bursts that are kept for the next: memory of this size is slow to get
    UNDECIDED = 255  # the fate of a packet that was not dropped, until the verdict

cnp.import_array()

cdef object _u8 = np.dtype(np.uint8)


cdef inline object _new(int n, int kind):
    """A new array of n items, with nothing in it yet."""
    cdef cnp.npy_intp shape = n
    return cnp.PyArray_SimpleNew(1, &shape, kind)


cdef object _column(Burst burst, int kind):
    """An array with one item per packet: that of an earlier burst, if nothing else refers to it."""
    cdef list spare = burst._spare
    cdef cnp.ndarray array
    cdef int i
    for i in range(SPARE):
        array = <cnp.ndarray> spare[i]
        # Two references: the list's and ours. An array whose type, shape or flags were changed is not reused either.
        if (
            array is not None and Py_REFCNT(array) == 2 and cnp.PyArray_TYPE(array) == kind and cnp.PyArray_NDIM(array) == 1
            and cnp.PyArray_DIM(array, 0) == burst.n and cnp.PyArray_ISCARRAY(array)
        ):
            return array
    array = <cnp.ndarray> _new(burst.n, kind)
    burst.check()  # making it may have run the garbage collector, and that anything
    spare[burst._next_spare] = array
    burst._next_spare = (burst._next_spare + 1) % SPARE
    return array


cdef object _column_of(Burst burst, Field f):
    """Room for what `gather` brings."""
    if f.width <= LARGEST:
        return _column(burst, kind_of(f.width))
    rows = np.empty((burst.n, f.width), _u8)
    burst.check()
    return rows


cdef const uint64_t *_values_for(Burst burst, Field f, object value, uint64_t *room) except NULL:
    """`numbers_of`, and an int must be one that the field can hold."""
    if isinstance(value, int) and not 0 <= value <= f.mask:
        raise BurstError(f"{burst.app}: {f.name} = {value}: must be 0 to {f.mask}")
    return numbers_of(burst.app, burst.n, value, room)


cdef class Burst:
    """Up to 256 packets in the hands of ``process(self, burst)``."""

    def __cinit__(self, str app not None, int edges, tuple drops not None):
        if not 0 <= edges <= MAX_EDGES or len(drops) > MAX_NAMED_DROPS:
            raise BurstError(
                f"{app}: {edges} edges and {len(drops)} drops: expected at most {MAX_EDGES} and {MAX_NAMED_DROPS}"
            )
        self.app = app
        self.n = -1
        self._spare = [None] * SPARE
        self._edges = edges
        self._drops = drops

    cdef void open(self, mbuf **pkts, uint16_t n, uint8_t *fate) noexcept:
        self.pkts = pkts
        self.n = n
        self.fate = fate
        self.marked = self.seen = self.resized = False

    cdef const segments_t *look(self) noexcept:
        if not self.seen:
            look_at(&self.segments, self.pkts, self.n)
            self.seen = True
        return &self.segments

    cdef int verdict(self, object result) except -1:
        cdef uint64_t room[BURST_MAX_PACKETS]
        cdef const uint64_t *edges
        cdef uint64_t first
        cdef bint same = True
        cdef int i
        if result is None:
            if not self.marked and self._edges:
                return 0
            result = 0
        result = ready(self.app, result)
        self.check()
        edges = numbers_of(self.app, self.n, result, room)
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
        """A column for a field, a tuple of columns for several; a packet for an int."""
        self.check()
        if isinstance(key, tuple):
            return self._gather_together(<tuple> key)
        if not isinstance(key, Field):
            return self._packet(key)
        cdef Field f = <Field> key
        column = _column_of(self, f)  # checks that the burst is still there
        gather(self.look(), f, cnp.PyArray_DATA(<cnp.ndarray> column))
        return column

    def __setitem__(self, key, value):
        cdef uint64_t room[BURST_MAX_PACKETS]
        self.check()
        if isinstance(key, tuple):
            self._scatter_together(<tuple> key, value)
            return
        if not isinstance(key, Field):
            raise BurstError(f"{self.app}: burst[{key!r}] = ...: only a field can be set; packets stay in their places")
        cdef Field f = <Field> key
        if f.width > LARGEST:
            self._set_rows(f, value)
            return
        if not is_ready(value):
            value = ready(self.app, value)
            self.check()
        cdef const uint64_t *numbers = _values_for(self, f, value, room)
        scatter(self.look(), f, numbers)

    cdef tuple _gather_together(self, tuple fields):
        """One column for each field."""
        cdef PyObject *which[TOGETHER]
        cdef void *to[TOGETHER]
        cdef const segments_t *s
        cdef int k, many = self._fields(fields, which)
        cdef tuple columns = PyTuple_New(many)
        for k in range(many):
            column = _column_of(self, <Field> which[k])
            to[k] = cnp.PyArray_DATA(<cnp.ndarray> column)
            Py_INCREF(column)
            PyTuple_SET_ITEM(columns, k, column)
        k = 0
        self.check()
        if many == 2 and not self.seen:
            self.seen = True
            if look_at_two(
                &self.segments, self.pkts, self.n, <Field> which[0], <Field> which[1], <uint64_t *> to[0], <uint64_t *> to[1]
            ):
                return columns
        s = self.look()
        while k < many:
            if k + 1 < many and gather_two(s, <Field> which[k], <Field> which[k + 1], <uint64_t *> to[k], <uint64_t *> to[k + 1]):
                k += 2
            else:
                gather(s, <Field> which[k], to[k])
                k += 1
        return columns

    cdef object _scatter_together(self, tuple fields, object values):
        cdef uint64_t room[TOGETHER][BURST_MAX_PACKETS]
        cdef PyObject *which[TOGETHER]
        cdef const uint64_t *numbers[TOGETHER]
        cdef const segments_t *s
        cdef int k, many = self._fields(fields, which)
        cdef tuple held = values if type(values) is tuple else tuple(values)  # as long as this runs
        if len(held) != many:
            raise BurstError(f"{self.app}: {len(held)} columns for {many} fields: as many as there are fields are needed")
        for k in range(many):
            if (<Field> which[k]).width > LARGEST:
                raise BurstError(f"{self.app}: {(<Field> which[k]).name} is a row of bytes: it is set by itself")
        for k in range(many):
            if not is_ready(held[k]):
                held = tuple([ready(self.app, value) for value in held])
                break
        self.check()
        s = self.look()
        for k in range(many):
            numbers[k] = _values_for(self, <Field> which[k], held[k], room[k])
        k = 0
        while k < many:
            if k + 1 < many and scatter_two(s, <Field> which[k], <Field> which[k + 1], numbers[k], numbers[k + 1]):
                k += 2
            else:
                scatter(s, <Field> which[k], numbers[k])
                k += 1

    cdef int _fields(self, tuple fields, PyObject **which) except -1:
        """How many there are, and each: `fields` keeps them."""
        cdef int many = len(fields)
        if many > TOGETHER:
            raise BurstError(f"{self.app}: {many} fields at once: must be at most {TOGETHER}")
        for k in range(many):
            if not isinstance(fields[k], Field):
                raise BurstError(f"{self.app}: burst[..., {fields[k]!r}]: several at once are fields, and nothing else")
            which[k] = <PyObject *> fields[k]
        return many

    cdef object _packet(self, index):
        if not isinstance(index, int):
            raise BurstError(f"{self.app}: burst[{index!r}]: a field (ip4.ttl) or the number of a packet is needed")
        cdef Py_ssize_t at = index
        self.check()
        if not -self.n <= at < self.n:
            raise IndexError(f"packet {at} of {self.n}")
        return _view(self, <int> at if at >= 0 else <int> at + self.n)

    cdef object _set_rows(self, Field f, value):
        cdef const segments_t *s
        cdef const uint8_t *rows
        cdef int i
        shape = (self.n, f.width)
        array = np.broadcast_to(np.frombuffer(value, _u8) if isinstance(value, bytes) else np.asarray(value), shape)
        if array.dtype != _u8:
            raise BurstError(f"{self.app}: {f.name} takes bytes, or an array of uint8 of shape {shape}, not {array.dtype}")
        array = np.ascontiguousarray(array)
        if array.shape != shape:
            raise BurstError(f"{self.app}: {f.name}: an array of shape {array.shape}, expected {shape}")
        self.check()
        s = self.look()
        rows = <const uint8_t *> cnp.PyArray_DATA(<cnp.ndarray> array)
        for i in range(self.n):
            if f.offset + f.width <= s.pkts[i].data_len:
                memcpy(s.start[i] + f.offset, rows + i * f.width, f.width)

    def __iter__(self):
        self.check()
        cdef _Packets packets = _Packets.__new__(_Packets)
        packets.burst = self
        return packets

    def has(self, Field field not None):
        """Which packets have the whole field in their first segment: an array of bool."""
        self.check()
        column = _column(self, cnp.NPY_BOOL)  # checks that the burst is still there
        cdef uint8_t *to = <uint8_t *> cnp.PyArray_DATA(<cnp.ndarray> column)
        cdef const segments_t *s = self.look()
        cdef int i
        for i in range(self.n):
            to[i] = field.offset + field.width <= s.pkts[i].data_len
        return column

    def drop(self, mask, str reason not None):
        """Drop the packets where `mask` (a bool for each, or True for all) is set, under a name of the app's `drops`.

        They stay in their places in this burst's columns; they leave by no edge. The first reason counts.
        """
        cdef uint64_t room[BURST_MAX_PACKETS]
        cdef const uint64_t *chosen
        cdef int i
        if reason not in self._drops:
            names = ", ".join(self._drops) or "none"
            raise BurstError(f"{self.app} has no drop {reason!r}: it names {names}; add it to the class's drops")
        cdef uint8_t number = MAX_EDGES + self._drops.index(reason)
        mask = ready(self.app, mask)
        self.check()
        chosen = numbers_of(self.app, self.n, mask, room)
        if not self.marked:
            memset(self.fate, UNDECIDED, self.n)
            self.marked = True
        for i in range(self.n):
            if chosen[i] and self.fate[i] == UNDECIDED:
                self.fate[i] = number

    @property
    def length(self):
        """Bytes of each packet, all segments, without FCS: uint32."""
        self.check()
        column = _column(self, cnp.NPY_UINT32)
        cdef uint32_t *to = <uint32_t *> cnp.PyArray_DATA(<cnp.ndarray> column)
        for i in range(self.n):
            to[i] = self.pkts[i].pkt_len
        return column

    @property
    def timestamp_ns(self):
        """Arrival of each packet in ns since the epoch, 0 where the port has no clock: uint64."""
        self.check()
        column = _column(self, cnp.NPY_UINT64)
        cdef uint64_t *to = <uint64_t *> cnp.PyArray_DATA(<cnp.ndarray> column)
        for i in range(self.n):
            to[i] = arrival_ns(self.pkts[i])
        return column

    @property
    def port(self):
        """The number of the port that each packet came in by: uint16."""
        self.check()
        column = _column(self, cnp.NPY_UINT16)
        cdef uint16_t *to = <uint16_t *> cnp.PyArray_DATA(<cnp.ndarray> column)
        for i in range(self.n):
            to[i] = self.pkts[i].port
        return column

    @property
    def rss_hash(self):
        """The hash that the NIC computed for each packet: uint32."""
        self.check()
        column = _column(self, cnp.NPY_UINT32)
        cdef uint32_t *to = <uint32_t *> cnp.PyArray_DATA(<cnp.ndarray> column)
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
        if self.burst is None or self.index >= self.burst.check():
            raise StopIteration
        self.index += 1
        return _view(self.burst, self.index - 1)


@cython.freelist(32)
cdef class Packet:
    """One packet of a burst. bytes(packet): all of it; memoryview(packet): its first segment, writable."""

    cdef mbuf *get(self) except NULL:
        if self.burst is None:
            raise BurstError("a Packet of no burst: take it from one, as in `for packet in burst`")
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
        # A view may outlive the burst, though that is an error of the app: what it looks at must still be memory then.
        pool = pool_of(m.pool)
        if pool is None:
            raise BufferError(f"{self.burst.app}: the packet's mempool is gone: copy it with bytes(packet)")
        PyBuffer_FillInfo(view, self, data(m), m.data_len, 0, flags)
        self._pool = pool
        self.exports += 1
        self.burst.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.burst.exports -= 1
        self.exports -= 1
        if not self.exports:
            self._pool = None

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
        cdef segments_t alone
        cdef bytes row
        cdef uint64_t number
        if field.width > LARGEST:
            row = bytes(value)
            m = self.get()
            if len(row) != field.width:
                raise BurstError(f"{self.burst.app}: {field.name} takes {field.width} bytes, not {len(row)}")
            if field.offset + field.width <= m.data_len:
                memcpy(data(m) + field.offset, PyBytes_AS_STRING(row), field.width)
            return
        if not 0 <= value <= field.mask:
            raise BurstError(f"{self.burst.app}: {field.name} = {value}: must be 0 to {field.mask}")
        number = value
        m = self.get()
        look_at(&alone, &m, 1)
        scatter(&alone, field, &number)

    @property
    def data(self):
        """A writable memoryview of the first segment; set it to bytes to replace what the packet holds."""
        return memoryview(self)

    @data.setter
    def data(self, value):
        self.get()
        cdef bytes content = bytes(value)
        cdef mbuf *m = self.get()
        room = m.buf_len - m.data_off
        if m.nb_segs != 1 or len(content) > room:
            raise BurstError(
                f"{self.burst.app}: {len(content)} bytes do not replace this packet: it takes up to {room} in one segment, "
                f"and it has {m.nb_segs}"
            )
        memcpy(data(m), PyBytes_AS_STRING(content), len(content))
        set_single(m, <uint32_t> len(content))
        self.burst.seen, self.burst.resized = False, True  # what the burst knows of lengths is no longer so

    @property
    def timestamp_ns(self):
        """Arrival in ns since the epoch, 0 if the port has no clock."""
        return arrival_ns(self.get())

    @property
    def port(self):
        """The number of the port it came in by."""
        return self.get().port

    def __repr__(self):
        if self.burst is None:
            return "<Packet of no burst>"
        return f"<Packet of {len(self)} bytes>" if self.burst.n >= 0 else "<Packet, over>"
