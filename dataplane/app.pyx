# SPDX-License-Identifier: BSD-3-Clause
"""The app contract: a stage in a pipeline takes a burst and emits bursts.

A compiled app overrides `push`. An app in Python has ``process(self, burst)`` instead, and returns

- None: every packet leaves by the first edge,
- an int: every packet leaves by that edge,
- an array of bool or int, one for each packet: the edge it leaves by.

Packets dropped by ``burst.drop(mask, "reason")`` leave by no edge. If `process` raises, the present burst is dropped as
"error", and the pipeline stops and raises `AppError` with the app's name.
"""

from libc.string cimport memset

from dataplane.columns.burst cimport VERDICT_FAILED, VERDICT_SPLIT, Burst
from dataplane.limits cimport BURST_MAX_PACKETS

from dataplane.errors import AppError, DataplaneError, GraphError


cdef class App(Stage):
    """A stage in a pipeline: takes a burst, emits bursts.

    edges: the names of its exits. optional: exits that may stay unconnected. drops: the names of its drop reasons.
    consumes: drop reasons that are the purpose of the app, as of a sink; reports do not count them as dropped.
    held: packets that it has taken and neither emitted nor dropped yet; an app that holds packets back has such a property.
    pace: the `Pace` of a generator with a rate; a run is not `ok` if it was too slow.
    mempool: the pool that the app takes mbufs from, if any; the report says when that was empty.
    name: its name in statistics and errors; by default the class's name in lower case.
    """

    edges = ("out",)
    optional = ()
    drops = ()
    consumes = ()
    held = 0
    pace = None
    mempool = None

    def __cinit__(self, *args, **kwargs):
        self.name = type(self).__name__.lower()

    def prepare(self):
        """Called in the thread that starts a run, before a port or app of it is started. Check the settings, change nothing,
        and raise an error if the app cannot run."""

    def start(self):
        """Called on the lcore's thread before the first burst."""

    def stop(self):
        """Called on the lcore's thread after the last burst: close files here. Called only if `start` returned."""

    def clone(self):
        """Another one like it, for another lane: see `Pipeline.run(lcores=...)`. An app that has this method says by it what
        its lanes share, such as a mempool, and what each has for itself, such as counters.

        Raises GraphError: an app has lanes only if it defines `clone`.
        """
        raise GraphError(
            f"{self!r} has no clone(), so it has no lanes: define clone(self) in {type(self).__name__}, or run it on one lcore"
        )

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        cdef uint8_t fate[BURST_MAX_PACKETS]
        cdef int verdict = VERDICT_FAILED
        if likely(not self.fault):
            with gil:
                verdict = _judge(self, pkts, n, fate)
        if likely(verdict >= 0):
            pass_on(self, verdict, pkts, n)
        elif verdict == VERDICT_SPLIT:
            split(self, pkts, n, fate)
        else:
            drop(self, DROP_ERROR, pkts, n)

    cdef void idle(self) noexcept nogil:
        pass

    cpdef object fault_error(self):
        """The error that stopped it: its own if that is a DataplaneError, else AppError from what `process` raised."""
        if self._error is None:
            return Stage.fault_error(self)
        return app_error(self, self._error, "process()")

    @property
    def edge_counts(self):
        """Packets, bytes (without FCS) and bursts that left by each edge since the run began: {name: (int, int, int)}."""
        names = _names(self, "edges", self.edges, MAX_EDGES)
        return {
            name: (self.out[<int> i].packets, self.out[<int> i].bytes, self.out[<int> i].bursts)
            for i, name in enumerate(names)
        }

    @property
    def drop_counts(self):
        """Packets dropped since the run began, by reason, those that happened: {name: int}. Not those that it consumed."""
        return {name: count for name, count in self._ended() if name not in self.consumes}

    @property
    def consumed_counts(self):
        """The same of the reasons in `consumes`: packets that ended in it as they should."""
        return {name: count for name, count in self._ended() if name in self.consumes}

    def _ended(self):
        own = _names(self, "drops", self.drops, DROP_ERROR)
        names = (*enumerate(own), (DROP_ERROR, "error"), (DROP_UNCONNECTED, "unconnected"))
        return [(name, self.dropped[<int> i]) for i, name in names if self.dropped[<int> i]]

    @property
    def made_count(self):
        """Packets that it has added since the run began to those that it was given: copies, answers."""
        return self.made

    def __repr__(self):
        return str(self.name)


cdef class Source(App):
    """An app that makes packets. burst: the most that it emits at once, 1..256."""

    def __cinit__(self, *args, **kwargs):
        self.burst = 32

    cdef uint16_t poll(self) noexcept nogil:
        return 0


def _names(app, what, names, most):
    """The app's edges or drops. Raises GraphError for more than it has counters for, whenever the attribute was changed."""
    if not isinstance(names, (tuple, list)) or len(names) > most:
        raise GraphError(f"{app!r}.{what}: expected a tuple of at most {most} names, got {str(names)[:60]}")
    return names


def app_error(app, error, where):
    """What to raise for an exception of an app's own code: it names the app and `where` it happened."""
    if isinstance(error, DataplaneError) or not isinstance(error, Exception):
        error.add_note(f"(raised by {where} of the app {app.name!r})")
        return error
    wrapped = AppError(f"{app.name}: {where} raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


cdef int _judge(App self, mbuf **pkts, uint16_t n, uint8_t *fate) noexcept:
    """Ask `process` about a burst: an edge for all of it, VERDICT_SPLIT and `fate` filled in, or VERDICT_FAILED."""
    cdef Burst burst
    try:
        if self._burst is None:
            self._burst = Burst.__new__(
                Burst,
                self.name,
                len(_names(self, "edges", self.edges, MAX_EDGES)),
                tuple(_names(self, "drops", self.drops, DROP_ERROR)),
            )
        if self._process is None:
            self._process = self.process
        burst = self._burst
        burst.open(pkts, n, fate)
        try:
            verdict = burst.verdict(self._process(burst))
        finally:
            if burst.resized:
                self.incoming = 0
            self._burst = burst if burst.close() else None  # still referenced elsewhere: never open it again
        return verdict
    except BaseException as error:
        self._burst = None  # views of it may be what went wrong
        self._error = error
        self.fault = FAULT_RAISED
        return VERDICT_FAILED


cdef void lost(App self, mbuf **pkts, uint16_t n) noexcept nogil:
    drop(self, DROP_UNCONNECTED, pkts, n)


cdef void split(App self, mbuf **pkts, uint16_t n, const uint8_t *fate) noexcept nogil:
    cdef mbuf *part[BURST_MAX_PACKETS]
    cdef uint32_t present = 0
    cdef uint16_t i, count
    cdef uint8_t each
    for i in range(n):
        present |= <uint32_t> 1 << fate[i]
    for each in range(MAX_EDGES + MAX_DROPS):
        if present >> each == 0:
            break
        if not present >> each & 1:
            continue
        count = 0
        for i in range(n):
            part[count] = pkts[i]  # kept only if the next line counts it
            count += fate[i] == each
        if each < MAX_EDGES:
            emit(self, each, part, count)
        else:
            drop(self, each - MAX_EDGES, part, count)


cdef int connect(App self, unsigned int edge, App to) except -1:
    if edge >= MAX_EDGES or to is None:
        raise GraphError(f"edge {edge} of {self!r} cannot lead to {to!r}: expected an edge below {MAX_EDGES} and an App")
    if self._behind is None:
        self._behind = {}
    _before = self._behind.get(edge)  # alive until the pointer has changed
    self._behind[edge] = to
    self.out[edge].app = <void *> to
    return 0


cdef object disconnect(App self):
    cdef int i
    behind = self._behind
    for i in range(MAX_EDGES):
        self.out[i].app = NULL
    self._behind = None
    self._process = None
    return behind


cdef int reset(App self) except -1:
    if self.poller:
        raise GraphError(f"{self!r} is polled by thread {self.polled_by}: stop that run first")
    _before = self._behind  # alive until no pointer leads there
    memset(self.out, 0, sizeof(self.out))
    self._behind = None
    memset(self.dropped, 0, sizeof(self.dropped))
    self.made = 0
    self.incoming = 0
    self._process = None
    self.fault = 0
    self._error = None
    if isinstance(self, Source):
        (<Source> self).done = False
