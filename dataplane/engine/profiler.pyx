# SPDX-License-Identifier: BSD-3-Clause
"""Profiler: cycles per packet of each app of an lcore, from laps that are measured now and then.

For a measured lap each edge of the plan leads to a `Meter`, which reads the time-stamp counter, calls the app that the edge
leads to, and reads it again. `push` calls are nested, so a meter subtracts what the meters behind it have seen. After the
lap the edges lead to the apps again: other laps run the code of a run without a profile.

Reading the counter takes about 25 cycles. A calibration measures the cost of a meter once, with an app that does nothing; it
is subtracted.
"""

from libc.stdlib cimport free, malloc

from dataplane.app cimport App, Source, edge_t
from dataplane.machine cimport tsc

from dataplane.errors import ConfigError, GraphError
from dataplane.reports.stats import Cost

cdef enum:
    ROUNDS = 64   # of the calibration; the fastest one counts: the others were interrupted
    CALLS = 256   # in each
    TRIM = 100    # one sample in so many is left out, the slowest ones: the lcore lost its CPU there

# Cycles of a meter between its two readings, and outside of them, beside the call of its app. Measured by `_calibrate`.
cdef int64_t _inside = -1
cdef int64_t _outside = 0


cdef class Spent:
    """Cycles taken by the apps behind the one that is measured. All meters of an lcore share one."""


cdef class Meter(App):
    """Stands in for an app on measured laps: passes bursts on to it and takes its time. target: the app."""

    edges = ()

    def __init__(self, App target not None, Spent spent not None):
        if self.target is not None:
            raise ConfigError(f"{self!r} is made already: make another Meter")
        self.target, self._spent = target, spent
        self.spent = &self._spent.cycles
        self.name = target.name

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef int64_t before = self.spent[0]
        cdef int64_t took
        cdef uint64_t began
        self.target.incoming = self.incoming
        self.spent[0] = 0
        began = tsc()
        self.target.push(pkts, n)
        took = <int64_t> (tsc() - began)
        self.note(took - self.spent[0] - _inside, n)
        self.spent[0] = before + took + _outside

    cdef void note(self, int64_t cycles, uint16_t n) noexcept nogil:
        # One word, so that a thread that reads it meanwhile gets both numbers of the same burst.
        self.samples[self.count % KEPT] = <uint64_t> max(cycles, <int64_t> 0) << 16 | n
        self.count += 1

    cdef int check_ready(self) except -1:
        raise GraphError(f"{self!r} is part of a measured lap: join the app itself")

    def cost(self):
        """Cost of the app: a mean over the newest 1,024 measured bursts without the slowest 1 %. None before the first."""
        words = [self.samples[i] for i in range(min(self.count, <uint64_t> KEPT))]
        samples = sorted((word >> 16, word & 0xFFFF) for word in words)
        kept = samples[: len(samples) - (len(samples) + TRIM - 1) // TRIM] or samples
        packets = sum(n for _, n in kept)
        return Cost(sum(cycles for cycles, _ in kept) / packets, packets, len(kept)) if packets else None


cdef class _Nothing(App):
    """An app that does nothing, for the calibration. It would lose packets, so no pipeline takes it."""

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        pass

    cdef int check_ready(self) except -1:
        raise GraphError(f"{self!r} measures what a call costs, and passes no packets on: use a Sink")


cdef void **_array(int n) except NULL:
    cdef void **array = <void **> malloc((n + 1) * sizeof(void *))
    if array == NULL:
        raise MemoryError()
    return array


cdef class Profiler:
    """Measures the apps of a plan. previous: the Profiler of the plan that this one replaces; it goes on with its meters."""

    def __init__(self, Plan plan not None, Profiler previous=None):
        cdef int i
        if self._plan is not None:
            raise ConfigError("this Profiler is made already: make another")
        if plan.apps is None:
            raise GraphError("this Plan has no apps: it was made without __init__")
        _calibrate()
        known = {} if previous is None or previous._meters is None else previous._meters
        self._spent = Spent() if previous is None or previous._spent is None else previous._spent
        self._meters = {
            id(app): known[id(app)] if id(app) in known else Meter(app, self._spent) for app in plan.apps
        }
        self._gone = {key: meter for key, meter in known.items() if key not in self._meters}
        self.edges, self.targets = _array(len(plan.links)), _array(len(plan.links))
        self.stand_ins, self.source_meters = _array(len(plan.links)), _array(plan.n_sources)
        for i, link in enumerate(plan.links):
            self.edges[i] = &(<App?> link.app).out[<int> link.index]
            self.targets[i] = <void *> link.to
            self.stand_ins[i] = <void *> self._meters[id(link.to)]
        for i in range(plan.n_sources):
            self.source_meters[i] = <void *> self._meters[id(<object> plan.sources[i])]
        self.n_edges = len(plan.links)
        self._plan = plan

    def __dealloc__(self):
        free(self.edges)
        free(self.targets)
        free(self.stand_ins)
        free(self.source_meters)

    def cost(self, app):
        """Cost of an app of this plan, or of one that left with the plan before; None if it was not measured."""
        meter = (self._meters or {}).get(id(app)) or (self._gone or {}).get(id(app))
        return None if meter is None else meter.cost()

    def forget_gone(self):
        """Let go of the apps that left with the plan before."""
        self._gone = {}

    cdef uint64_t lap(self) noexcept nogil:
        cdef uint64_t polled = 0
        cdef uint64_t began
        cdef int64_t took
        cdef uint16_t n
        cdef int i
        for i in range(self.n_edges):
            (<edge_t *> self.edges[i]).app = self.stand_ins[i]
        for i in range(self._plan.n_sources):
            self._spent.cycles = 0
            began = tsc()
            n = (<Source> self._plan.sources[i]).poll()
            took = <int64_t> (tsc() - began)
            if n:  # polls that find nothing are no packet's cost
                (<Meter> self.source_meters[i]).note(took - self._spent.cycles - _inside, n)
                polled += n
        polled |= <uint64_t> self._plan.take() << 32
        for i in range(self.n_edges):
            (<edge_t *> self.edges[i]).app = self.targets[i]
        return polled


cdef int _calibrate() except -1:
    """Measure what a meter takes, once in a process."""
    global _inside, _outside
    cdef App nothing
    cdef Meter meter
    cdef uint64_t began, plain, metered, least_plain = <uint64_t> -1, least_metered = <uint64_t> -1
    cdef int64_t inside = 0
    cdef int _, _call, i
    if _inside >= 0:
        return 0
    nothing = _Nothing()
    meter = Meter(nothing, Spent())
    _inside = 0
    for _ in range(ROUNDS):
        began = tsc()
        for _call in range(CALLS):
            nothing.push(NULL, 0)
        plain = tsc() - began
        least_plain = min(plain, least_plain)
        began = tsc()
        for _call in range(CALLS):
            meter.push(NULL, 0)
        metered = tsc() - began
        if metered < least_metered:
            least_metered = metered
            inside = 0
            for i in range(CALLS):
                inside += <int64_t> (meter.samples[(meter.count - CALLS + i) % KEPT] >> 16)
    # A meter's reading includes the call of its app, which is the app's.
    _inside = max((inside - <int64_t> least_plain) // CALLS, <int64_t> 0)
    _outside = max((<int64_t> least_metered - inside) // CALLS, <int64_t> 0)
    return 0


def overhead():
    """TSC cycles that a meter takes between its two readings, and outside of them: (int, int). They are subtracted."""
    _calibrate()
    return _inside, _outside
