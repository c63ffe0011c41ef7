# SPDX-License-Identifier: BSD-3-Clause
"""Writes the frames of a `Flows` into mbufs, without Python: a template copied, and stamps on it.

There are three ways to do it, and the cheapest that fits is chosen:

table       few frames: all are rendered beforehand, and a frame costs one copy.
odometer    one packet, one layout: the slow axes are stamped into a live template whenever they turn, so a frame costs one
            copy, the stamps of the fastest axis and the checksums those reach.
walk        several packets or layouts, many frames: every stamp of every frame.
"""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from posix.stdlib cimport posix_memalign

from dataplane.machine cimport CACHE_LINE, likely, unlikely
from dataplane.mbuf cimport MBUF_HEADROOM, rearm, set_single

import numpy as np

from dataplane.apps.flows import Flows
from dataplane.apps.flows import program as records
from dataplane.errors import ConfigError


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
        if self.flows is not None:
            raise ConfigError("this Stamper is made already: make another")
        if not isinstance(flows, Flows):
            raise ConfigError(f"{flows!r}: a Stamper writes frames of a Flows")
        program = flows.program
        most = max(int(part["axes"]) for part in program.parts)
        if most > MAX_AXES:
            raise ConfigError(f"{most} fields vary in one packet, but at most {MAX_AXES} are allowed: give some of them one value")
        one = len(program.templates) == 1
        if form is None:
            form = "table" if flows.fits_table and not flows.trailer else "odometer" if one else "walk"
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
        """Which stamps and sums change with every frame, in the form the loop wants."""
        cdef quick_t *quick
        cdef reached_t *reached
        cdef uint32_t k, s
        free_axes = [index for index, axis in enumerate(program.axes) if axis["free"]]
        self.fast_axis = max(set(range(len(program.axes))) - set(free_axes), default=MAX_AXES)
        kinds = {records.AXIS_SEQUENCE: SEQUENCE, records.AXIS_CLOCK: CLOCK, self.fast_axis: FAST}
        kinds.update((index, FREE) for index in free_axes)
        chosen = [index for index, stamp in enumerate(program.stamps) if int(stamp["axis"]) in kinds]
        sums = {}
        for index, entry in enumerate(program.sums):
            first = int(entry["first_coefficient"])
            coefficients = [int(program.coefficients[first + at]) for at in chosen]
            if any(coefficients):
                sums[index] = coefficients
        self.n_free, self.n_quick, self.n_reached = len(free_axes), len(chosen), len(sums)
        self.live = <uint8_t *> _lines(program.longest)
        self.partial = <uint64_t *> _lines(sizeof(uint64_t) * len(program.sums))
        self.free = <uint32_t *> _lines(sizeof(uint32_t) * self.n_free)
        self.quick = <quick_t *> _lines(sizeof(quick_t) * self.n_quick)
        self.reached = <reached_t *> _lines(sizeof(reached_t) * self.n_reached)
        self.coefficients_of_quick = <uint16_t *> _lines(sizeof(uint16_t) * self.n_quick * self.n_reached)
        for k in range(self.n_free):
            self.free[k] = free_axes[k]
        for k in range(self.n_quick):
            stamp = &self.stamps[<uint32_t> chosen[k]]
            quick = &self.quick[k]
            quick.kind = kinds[stamp.axis]
            quick.base, quick.step, quick.axis = stamp.base, stamp.step, stamp.axis
            quick.table = &self.tables[stamp.table] if stamp.table >= 0 else NULL
            quick.offset, quick.width, quick.shift, quick.merge = stamp.offset, stamp.width, stamp.shift, stamp.merge
        for s, (index, coefficients) in enumerate(sums.items()):
            reached = &self.reached[s]
            entry = program.sums[index]
            reached.sum, reached.offset, reached.zero_is_ffff = index, entry["offset"], entry["zero_is_ffff"]
            reached.coefficients = &self.coefficients_of_quick[s * self.n_quick]
            for k in range(self.n_quick):
                self.coefficients_of_quick[s * self.n_quick + k] = coefficients[k]
        quick = self.quick
        self.plain = (
            self.n_quick == 1 and quick.kind == FAST and quick.table == NULL and not quick.merge and quick.width <= 4
            and self.n_reached <= 2 and self.n_free == 0
        )

    def __dealloc__(self):
        free(self.live)
        free(self.partial)
        free(self.free)
        free(self.quick)
        free(self.reached)
        free(self.coefficients_of_quick)

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
        """Runs of frames in which no slow axis turns: the live template holds everything but the quick stamps."""
        cdef const part_t *part = self.parts
        cdef uint16_t done = 0, run
        cdef uint64_t left
        while done < n:
            left = part.count - self.inside
            if self.fast_axis < MAX_AXES:
                left = min(left, self.axes[self.fast_axis].count - self.digit[self.fast_axis])
            run = <uint16_t> min(<uint64_t> (n - done), left)
            if likely(self.plain):
                self._run_plain(pkts + done, run)
            else:
                self._run(pkts + done, run, sequence + done, clock)
            done += run
            self.inside += run
            if unlikely(self.inside == part.count):
                self.inside = 0
                memset(self.digit, 0, part.axes * sizeof(uint64_t))
                self._turn()
            elif self.fast_axis < MAX_AXES:
                self.digit[self.fast_axis] += run
                if self.digit[self.fast_axis] == self.axes[self.fast_axis].count:
                    self.digit[self.fast_axis] = 0
                    self._carry(self.fast_axis)
                    self._turn()

    cdef void _carry(self, uint32_t a) noexcept nogil:
        """Axis `a` has gone round: turn the slower ones. Past the slowest it begins again."""
        while a > 0:
            a -= 1
            if self.axes[a].free:
                continue
            self.digit[a] += 1
            if self.digit[a] < self.axes[a].count:
                return
            self.digit[a] = 0

    cdef void _run_plain(self, mbuf **pkts, uint16_t n) noexcept nogil:
        """One stamp of at most 4 bytes that counts, and at most two checksums: what addresses and ports usually are."""
        cdef const uint8_t *live = self.live
        cdef uint32_t length = self.templates.length, offset = self.quick.offset, width = self.quick.width
        cdef uint64_t step = self.quick.step
        cdef uint64_t value = self.quick.base + step * self.digit[self.fast_axis]
        cdef uint32_t sums = self.n_reached
        cdef reached_t first = self.reached[0]
        cdef reached_t second = self.reached[min(sums, <uint32_t> 2) - 1 if sums else 0]
        cdef uint64_t weight = first.coefficients[0] if sums else 0, partial = self.partial[first.sum]
        cdef uint64_t weight2 = second.coefficients[0] if sums else 0, partial2 = self.partial[second.sum]
        cdef uint64_t folded
        cdef uint8_t *frame
        cdef uint16_t i
        for i in range(n):
            frame = data_at_start(pkts[i])
            copy(frame, live, length)
            _ready(pkts[i], length)
            put(frame + offset, value, width)
            folded = (value & 0xFFFF) + (value >> 16 & 0xFFFF)
            if sums:
                put(frame + first.offset, checksum(partial + folded * weight, first.zero_is_ffff), 2)
                if sums > 1:
                    put(frame + second.offset, checksum(partial2 + folded * weight2, second.zero_is_ffff), 2)
            value += step

    cdef void _run(self, mbuf **pkts, uint16_t n, uint64_t sequence, uint64_t clock) noexcept nogil:
        cdef uint32_t length = self.templates.length, n_quick = self.n_quick, n_reached = self.n_reached
        cdef uint64_t digit = self.digit[self.fast_axis] if self.fast_axis < MAX_AXES else 0
        cdef uint64_t values[2 * MAX_AXES + 2]
        cdef const quick_t *quick
        cdef const reached_t *reached
        cdef uint64_t value, total
        cdef uint8_t *frame
        cdef uint32_t k, s
        cdef uint16_t i
        for i in range(n):
            frame = data_at_start(pkts[i])
            copy(frame, self.live, length)
            _ready(pkts[i], length)
            for k in range(n_quick):
                quick = &self.quick[k]
                if quick.kind == FAST:
                    value = quick.table[digit] if quick.table != NULL else quick.base + quick.step * digit
                elif quick.kind == FREE:
                    value = quick.table[self.digit[quick.axis]]
                elif quick.kind == CLOCK:
                    value = clock
                else:
                    value = <uint64_t> TRAILER_MAGIC << 32 | <uint32_t> (sequence + i)
                if unlikely(quick.merge):
                    merge(frame + quick.offset, value << quick.shift, quick.width)
                else:
                    put(frame + quick.offset, value, quick.width)
                values[k] = words(value)
            for s in range(n_reached):
                reached = &self.reached[s]
                total = self.partial[reached.sum]
                for k in range(n_quick):
                    total += values[k] * reached.coefficients[k]
                put(frame + reached.offset, checksum(total, reached.zero_is_ffff), 2)
            digit += 1
            for k in range(self.n_free):
                self.digit[self.free[k]] += 1
                if self.digit[self.free[k]] == self.axes[self.free[k]].count:
                    self.digit[self.free[k]] = 0

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

    cdef void _next_digits(self, const part_t *part) noexcept nogil:
        """Turn the odometer: free axes with every frame, the others from the last on while they carry."""
        cdef uint32_t a = part.axes
        cdef const axis_t *axis
        cdef bint carry = True
        self.inside += 1
        if unlikely(self.inside == part.count):
            self.inside = 0
            memset(self.digit, 0, part.axes * sizeof(uint64_t))
            self.part += 1
            if self.part == self.n_parts:
                self.part = 0
            return
        while a > 0:
            a -= 1
            axis = &self.axes[part.first_axis + a]
            if axis.free or carry:
                self.digit[a] += 1
                if self.digit[a] == axis.count:
                    self.digit[a] = 0
                elif not axis.free:
                    carry = False

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
        raise ImportError(f"dataplane.apps.stamper was built against another apps.flows.program ({_name} has changed): build again")
