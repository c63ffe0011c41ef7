# SPDX-License-Identifier: BSD-3-Clause
"""Writes the frames of a `Flows` into mbufs, without Python: a template copied, and stamps on it.

There are three ways to do it, and the cheapest that fits is chosen:

odometer    one packet, one layout: the slow axes are stamped into a live template whenever they turn, so a frame costs one
            copy, the stamps of the fastest axis and the checksums those reach.
table       several packets or layouts, few frames: all are rendered beforehand, a frame costs one copy.
walk        several packets or layouts, many frames: every stamp of every frame.
"""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

from dataplane.machine cimport CACHE_LINE, unlikely
from dataplane.mbuf cimport MBUF_HEADROOM, rearm, set_single

import numpy as np

from apps.flows import program as records
from dataplane.errors import ConfigError


FEW_FRAMES = 512  # 32 KiB of the smallest frames: they stay in the first-level cache


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* Whole cache lines: both sides are padded to them, so there is no tail to branch on. */
    static inline void stamper_copy(uint8_t *to, const uint8_t *from, uint32_t length)
    {
        for (uint32_t at = 0; at < length; at += 64)
            memcpy(to + at, from + at, 64);
    }

    static inline void stamper_put(uint8_t *at, uint64_t value, unsigned width)
    {
        value = __builtin_bswap64(value << (64 - 8 * width));
        switch (width) {
        case 1: *at = (uint8_t)value; break;
        case 2: memcpy(at, &value, 2); break;
        case 4: memcpy(at, &value, 4); break;
        case 6: memcpy(at, &value, 6); break;
        case 8: memcpy(at, &value, 8); break;
        default: for (unsigned i = 0; i < width; i++) at[i] = (uint8_t)(value >> 8 * i);
        }
    }

    static inline void stamper_merge(uint8_t *at, uint64_t value, unsigned width)
    {
        value = __builtin_bswap64(value << (64 - 8 * width));
        for (unsigned i = 0; i < width; i++)
            at[i] |= (uint8_t)(value >> 8 * i);
    }

    /* The sum of the 16-bit words, and its end-around carry; both are 0 only for 0. */
    static inline uint64_t stamper_words(uint64_t v)
    {
        return (v & 0xFFFF) + (v >> 16 & 0xFFFF) + (v >> 32 & 0xFFFF) + (v >> 48);
    }

    static inline uint16_t stamper_checksum(uint64_t total, unsigned zero_is_ffff)
    {
        total = (total & 0xFFFFFFFF) + (total >> 32);
        total = (total & 0xFFFF) + (total >> 16);
        total = (total & 0xFFFF) + (total >> 16);
        total = (total & 0xFFFF) + (total >> 16);
        uint16_t sum = (uint16_t)~total;
        return sum == 0 && zero_is_ffff ? 0xFFFF : sum;
    }
    """
    void copy "stamper_copy" (uint8_t *to, const uint8_t *source, uint32_t length) noexcept nogil
    void put "stamper_put" (uint8_t *at, uint64_t value, unsigned int width) noexcept nogil
    void merge "stamper_merge" (uint8_t *at, uint64_t value, unsigned int width) noexcept nogil
    uint64_t words "stamper_words" (uint64_t value) noexcept nogil
    uint16_t checksum "stamper_checksum" (uint64_t total, unsigned int zero_is_ffff) noexcept nogil


cdef void _apply(uint8_t *frame, const stamp_t *stamp, uint64_t value) noexcept nogil:
    if stamp.merge:
        merge(frame + stamp.offset, value << stamp.shift, stamp.width)
    else:
        put(frame + stamp.offset, value, stamp.width)


cdef void _ready(mbuf *m, uint32_t length) noexcept nogil:
    rearm(m, 0)
    m.ol_flags = 0
    set_single(m, length)


cdef void *_lines(size_t size) except NULL:
    cdef void *memory = NULL
    cdef size_t rounded = (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
    if posix_memalign(&memory, CACHE_LINE, max(rounded, <size_t> CACHE_LINE)):
        raise MemoryError("no memory for a frame template")
    memset(memory, 0, max(rounded, <size_t> CACHE_LINE))
    return memory


cdef size_t _address(object array):
    return array.ctypes.data


cdef class Stamper:
    """Writes the frames of `flows`, from the first on, again and again.

    form: how, as above; None chooses. Raises ConfigError when the flows do not fit the form.
    """

    def __init__(self, flows, form=None):
        program = flows.program
        most = max(int(part["axes"]) for part in program.parts)
        if most > MAX_AXES:
            raise ConfigError(f"{most} fields vary in one packet, {MAX_AXES} are possible: give some of them one value")
        one = len(program.templates) == 1
        if form is None:
            few = flows.fits_table and not flows.trailer
            form = "table" if few and (not one or flows.count <= FEW_FRAMES) else "odometer" if one else "walk"
        if form not in ("odometer", "table", "walk") or form == "odometer" and not one:
            raise ConfigError(f"form {form!r} does not fit {flows!r}; leave it out")
        self.flows = flows
        self.form = form
        self.longest = program.longest
        # Templates are copied by whole cache lines.
        padded = np.concatenate([program.bytes, np.zeros(64, np.uint8)])
        self._arrays = {"program": program, "bytes": padded}
        self.parts = <const part_t *> _address(program.parts)
        self.axes = <const axis_t *> _address(program.axes)
        self.templates = <const template_t *> _address(program.templates)
        self.stamps = <const stamp_t *> _address(program.stamps)
        self.sums = <const sum_t *> _address(program.sums)
        self.coefficients = <const uint16_t *> _address(program.coefficients)
        self.tables = <const uint64_t *> _address(program.tables)
        self.bytes = <const uint8_t *> _address(padded)
        self.n_parts = len(program.parts)
        if form == "table":
            table = flows.table()
            self._arrays["table"] = table
            self.frames = <const uint8_t *> _address(table.frames)
            self.lengths = <const uint16_t *> _address(table.lengths)
            self.slot = table.slot
            self.n_frames = len(table.lengths)
        elif form == "odometer":
            self._split(program)
            self._turn()

    def _split(self, program):
        """Which stamps and sums change with every frame."""
        axes = list(program.axes)
        turning = [index for index, axis in enumerate(axes) if not axis["free"]]
        self.fast_axis = max(turning, default=MAX_AXES)
        quick = {index for index, axis in enumerate(axes) if axis["free"]} | {
            self.fast_axis, records.AXIS_SEQUENCE, records.AXIS_CLOCK
        }
        fast = [index for index, stamp in enumerate(program.stamps) if int(stamp["axis"]) in quick]
        sums = [
            index for index, entry in enumerate(program.sums)
            if any(program.coefficients[int(entry["first_coefficient"]) + at] for at in fast)
        ]
        self.live = <uint8_t *> _lines(program.longest)
        self.fast = <uint32_t *> _lines(4 * len(fast))
        self.fast_sums = <uint32_t *> _lines(4 * len(sums))
        self.partial = <uint64_t *> _lines(8 * len(program.sums))
        for at, index in enumerate(fast):
            self.fast[at] = index
        for at, index in enumerate(sums):
            self.fast_sums[at] = index
        self.n_fast = len(fast)
        self.n_fast_sums = len(sums)

    def __dealloc__(self):
        free(self.live)
        free(self.fast)
        free(self.fast_sums)
        free(self.partial)

    cdef void write(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil:
        cdef uint16_t i
        cdef uint32_t length
        if self.live != NULL:
            self._odometer(pkts, n, sequence, clock)
        elif self.frames != NULL:
            for i in range(n):
                length = self.lengths[self.inside]
                copy(data_at_start(pkts[i]), self.frames + self.inside * self.slot, length)
                _ready(pkts[i], length)
                self.inside += 1
                if unlikely(self.inside == self.n_frames):
                    self.inside = 0
        else:
            self._walk(pkts, n, sequence, clock)

    # ---- odometer ---------------------------------------------------------------------------------------------

    cdef void _odometer(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil:
        cdef const part_t *part = self.parts
        cdef uint32_t length = self.templates.length, stamps = self.templates.stamps
        cdef uint64_t values[2 * MAX_AXES + 2]
        cdef const stamp_t *stamp
        cdef const sum_t *entry
        cdef const uint16_t *coefficient
        cdef uint64_t total
        cdef uint8_t *frame
        cdef uint32_t k, s
        cdef uint16_t i
        for i in range(n):
            frame = data_at_start(pkts[i])
            copy(frame, self.live, length)
            _ready(pkts[i], length)
            for k in range(self.n_fast):
                stamp = &self.stamps[self.fast[k]]
                values[k] = self._value(stamp, sequence + i, clock)
                _apply(frame, stamp, values[k])
                values[k] = words(values[k])
            for s in range(self.n_fast_sums):
                entry = &self.sums[self.fast_sums[s]]
                coefficient = &self.coefficients[entry.first_coefficient]
                total = self.partial[self.fast_sums[s]]
                for k in range(self.n_fast):
                    total += values[k] * coefficient[self.fast[k]]
                put(frame + entry.offset, checksum(total, entry.zero_is_ffff), 2)
            self._next_digits(part)

    cdef void _turn(self) noexcept nogil:
        """Stamp what the slow axes show into the live template."""
        cdef const template_t *template = self.templates
        cdef const stamp_t *stamp
        cdef const sum_t *entry
        cdef uint64_t value
        cdef uint32_t k, s
        memcpy(self.live, self.bytes + template.first_byte, template.length)
        for s in range(template.sums):
            self.partial[s] = self.sums[s].constant
        for k in range(template.stamps):
            stamp = &self.stamps[k]
            if stamp.axis >= MAX_AXES or stamp.axis == self.fast_axis or self.axes[stamp.axis].free:
                continue
            value = self._value(stamp, 0, 0)
            _apply(self.live, stamp, value)
            for s in range(template.sums):
                self.partial[s] += words(value) * self.coefficients[self.sums[s].first_coefficient + k]
        for s in range(template.sums):
            entry = &self.sums[s]
            put(self.live + entry.offset, checksum(self.partial[s], entry.zero_is_ffff), 2)

    # ---- walk -------------------------------------------------------------------------------------------------

    cdef void _walk(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil:
        cdef const part_t *part
        cdef const template_t *template
        cdef const stamp_t *stamp
        cdef const sum_t *entry
        cdef uint64_t total
        cdef uint8_t *frame
        cdef uint32_t number, a, k, s
        cdef uint16_t i
        for i in range(n):
            part = &self.parts[self.part]
            number = 0
            for a in range(part.axes):
                number += <uint32_t> self.digit[a] * self.axes[part.first_axis + a].template_step
            template = &self.templates[part.first_template + number]
            frame = data_at_start(pkts[i])
            copy(frame, self.bytes + template.first_byte, template.length)
            _ready(pkts[i], template.length)
            for k in range(template.stamps):
                stamp = &self.stamps[template.first_stamp + k]
                _apply(frame, stamp, self._value(stamp, sequence + i, clock))
            for s in range(template.sums):
                entry = &self.sums[template.first_sum + s]
                total = entry.constant
                for k in range(template.stamps):
                    stamp = &self.stamps[template.first_stamp + k]
                    total += words(self._value(stamp, sequence + i, clock)) * self.coefficients[entry.first_coefficient + k]
                put(frame + entry.offset, checksum(total, entry.zero_is_ffff), 2)
            self._next_digits(part)

    # ---- both -------------------------------------------------------------------------------------------------

    cdef void _next_digits(self, const part_t *part) noexcept nogil:
        """Turn the odometer: free axes with every frame, the others from the last on while they carry."""
        cdef uint32_t a = part.axes
        cdef const axis_t *axis
        cdef bint carry = True, slow = False
        self.inside += 1
        if unlikely(self.inside == part.count):
            self.inside = 0
            memset(self.digit, 0, part.axes * sizeof(uint64_t))
            self.part += 1
            if self.part == self.n_parts:
                self.part = 0
            if self.live != NULL:
                self._turn()
            return
        while a > 0:
            a -= 1
            axis = &self.axes[part.first_axis + a]
            if axis.free or carry:
                self.digit[a] += 1
                if not axis.free and a != self.fast_axis:
                    slow = True
                if self.digit[a] == axis.count:
                    self.digit[a] = 0
                elif not axis.free:
                    carry = False
        if slow and self.live != NULL:
            self._turn()

    cdef uint64_t _value(self, const stamp_t *stamp, uint64_t sequence, uint64_t clock) noexcept nogil:
        cdef uint64_t digit
        if stamp.axis >= MAX_AXES:
            return clock if stamp.axis == AXIS_CLOCK else <uint64_t> TRAILER_MAGIC << 32 | <uint32_t> sequence
        digit = self.digit[stamp.axis]
        return self.tables[stamp.table + digit] if stamp.table >= 0 else stamp.base + stamp.step * digit


cdef inline uint8_t *data_at_start(mbuf *m) noexcept nogil:
    """Where the data of an empty mbuf begins."""
    return <uint8_t *> m.buf_addr + MBUF_HEADROOM


for _name, _size in (
    ("AXIS", sizeof(axis_t)), ("STAMP", sizeof(stamp_t)), ("SUM", sizeof(sum_t)), ("TEMPLATE", sizeof(template_t)),
    ("PART", sizeof(part_t)),
):
    if getattr(records, _name).itemsize != _size:
        raise ImportError(f"apps.stamper was built against another apps.flows.program: {_name} has another size, build again")
