# SPDX-License-Identifier: BSD-3-Clause
"""Plan: what an lcore runs. Its apps, the links between them, and the queues at their ends.

A plan is made whole and never changed. `bind` writes into each app where its edges lead (`edge_t.app`): a burst goes from
app to app without a look at the plan. So an app is in one bound plan at a time, and `bind` is called while no lcore polls
its apps: before a run, or by the lcore itself between two laps.
"""

from libc.stdlib cimport free, malloc

from dataplane.app cimport App, Source, connect, disconnect, reset
from dataplane.graph.endpoint cimport RxStage, TxStage
from dataplane.graph.handoff cimport HandoffRx, HandoffTx
from dataplane.machine cimport store_release
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.stage cimport Stage, claim, release

from dataplane.errors import ConfigError, GraphError

cdef enum:
    DEEPEST = 128     # apps; each takes up to 6 KiB of a thread's stack, of 2 MiB or more


cdef tuple _of_kind(kind, objects, what):
    """All of them as a tuple, which keeps alive what the plan has pointers to."""
    held = tuple(objects)
    for each in held:
        if not isinstance(each, kind):
            raise GraphError(f"{each!r} is a {type(each).__name__}: a plan takes {what}")
    return held


cdef void **_pointers(tuple objects) except NULL:
    cdef void **array = <void **> malloc((len(objects) + 1) * sizeof(void *))
    if array == NULL:
        raise MemoryError()
    for i, each in enumerate(objects):
        array[<int> i] = <void *> each
    return array


def _check_links(apps, links):
    """Raise GraphError for a link that leads out of the plan, and for more than DEEPEST apps one behind the other: each is
    a call within the last, on one stack."""
    onward = {id(app): [] for app in apps}
    for link in links:
        for app in (link.app, link.to):
            if id(app) not in onward:
                raise GraphError(f"a link of {app!r}, which is none of the plan's apps: name it among `apps`")
        onward[id(link.app)].append(id(link.to))
    frontier, depth = set(onward), 0
    while frontier:
        depth += 1
        if depth > DEEPEST:
            raise GraphError(f"more than {DEEPEST} apps one behind the other, or a cycle: put a ring port between them")
        frontier = {target for app in frontier for target in onward[app]}


def _feeds(end, links):
    """The sources and receiving ends that lead to an app."""
    found, seen, frontier = [], {id(end)}, [end]
    while frontier:
        app = frontier.pop()
        if isinstance(app, Source):
            found.append(app)
        for link in links:
            if link.to is app and id(link.app) not in seen:
                seen.add(id(link.app))
                frontier.append(link.app)
    return found


cdef void **_rows(rows) except NULL:
    """Pointers to the objects of each row, with NULL behind each row."""
    cdef int i = 0
    cdef void **array = <void **> malloc((sum([len(row) + 1 for row in rows]) + 1) * sizeof(void *))
    if array == NULL:
        raise MemoryError()
    for row in rows:
        for each in row:
            array[i] = <void *> each
            i += 1
        array[i] = NULL
        i += 1
    return array


cdef class Plan:
    """apps: in the order of the graph; links: between them; queues: those they use.

    order: sending ends of hand-offs of all lcores, each behind those whose packets it may get. Those of other plans do not matter.
    Raises GraphError for a link to an app that is not among them, and for chains of more than 128 apps.
    """

    def __init__(self, apps, links, queues, *, order=()):
        if self.apps is not None:
            raise ConfigError("this Plan is made already: make another")
        apps = _of_kind(App, apps, "apps")
        queues = _of_kind((RxQueue, TxQueue), queues, "queues of ports")
        links = tuple(links)
        _check_links(apps, links)
        used = [(<RxStage> app).queue for app in apps if isinstance(app, RxStage)]
        used += [(<TxStage> app).queue for app in apps if isinstance(app, TxStage)]
        # Each once, and those that only the ends of the pipeline know.
        self._stages = tuple({id(stage): stage for stage in (*apps, *queues, *used) if stage is not None}.values())
        self._kept = (
            tuple(app for app in apps if isinstance(app, Source) and not isinstance(app, HandoffRx)),
            tuple(app for app in apps if hasattr(app, "process")),
            tuple(app for app in apps if isinstance(app, HandoffRx)),
            tuple(app for app in apps if isinstance(app, HandoffTx)),
        )
        self.apps, self.queues, self.links = apps, queues, links
        sources, pythons, takes, ends = self._kept
        for end in (*takes, *ends):
            (<Stage> end).check_ready()
        self.apps_at, self.n_apps = _pointers(self.apps), len(self.apps)
        self.queues_at, self.n_queues = _pointers(self.queues), len(self.queues)
        self.sources, self.n_sources = _pointers(sources), len(sources)
        self.pythons, self.n_pythons = _pointers(pythons), len(pythons)
        self.takes, self.n_takes = _pointers(takes), len(takes)
        self.ends, self.n_ends = _pointers(ends), len(ends)
        order = [end for end in order if isinstance(end, HandoffTx)]
        here = {id(take) for take in takes}
        self._later = {
            id(end): [each.rx for each in order[place + 1:] if id(each.rx) in here] for place, end in enumerate(order)
        }
        self.feeds = _rows([_feeds(end, links) for end in ends])

    def __dealloc__(self):
        free(self.apps_at)
        free(self.queues_at)
        free(self.sources)
        free(self.pythons)
        free(self.takes)
        free(self.ends)
        free(self.feeds)

    def __contains__(self, app):
        return any(each is app for each in self.apps)

    def bind(self, Plan previous=None):
        """Connect the edges. Counters of all apps are set to zero, but not of those that were in `previous`.

        Raises GraphError while one of the apps is polled; nothing has changed then.
        """
        if self.apps is None:
            raise GraphError("this Plan has no apps: it was made without __init__")
        known = set() if previous is None else {id(app) for app in previous.apps}
        for app in self.apps:
            if id(app) not in known:
                reset(<App> app)
                if isinstance(app, TxStage):
                    (<TxStage> app).sent = (<TxStage> app).retries = 0
        if previous is not None:
            previous.unbind()
        for link in self.links:
            connect(<App?> link.app, link.index, <App?> link.to)
        for end in self._kept[3]:
            (<HandoffTx> end).follow(self._later.get(id(end), ()))

    def unbind(self):
        """Disconnect the edges; counters stay. Raises GraphError while an app is polled."""
        cdef list behind = []
        for app in self.apps or ():
            if (<App> app).poller:
                raise GraphError(f"{app!r} is polled by thread {app.polled_by}: stop that run first")
        for app in self.apps or ():
            behind.append(disconnect(<App> app))  # let go of at the end: no thread may poll a half of the plan

    def fault(self):
        """The error of the first stage that has one, or None."""
        for stage in (*(self.apps or ()), *(self.queues or ())):
            if (<Stage> stage).fault:
                return (<Stage> stage).fault_error()
        return None

    cdef int acquire(self) except -1:
        cdef int done = 0
        if self.apps is None:
            raise GraphError("this Plan has no apps: it was made without __init__")
        try:
            for stage in self._stages:
                claim(<Stage> stage)
                done += 1
        except BaseException:
            for stage in self._stages[:done]:
                release(<Stage> stage)
            raise
        self.lap = sum([source.burst for source in self._kept[0]])
        return 0

    cdef void give_back(self) noexcept:
        for stage in self._stages:
            release(<Stage> stage)

    cdef void flush(self) noexcept nogil:
        cdef int i
        for i in range(self.n_apps):
            (<App> self.apps_at[i]).idle()

    cdef uint32_t take(self) noexcept nogil:
        cdef uint32_t taken = 0
        cdef int i
        for i in range(self.n_takes):
            taken += (<HandoffRx> self.takes[i]).poll()
        return taken

    cdef bint over(self) noexcept nogil:
        cdef int i
        for i in range(self.n_sources):
            if not (<Source> self.sources[i]).done:
                return False
        for i in range(self.n_takes):
            if not (<Source> self.takes[i]).done:
                return False
        return True

    cdef bint close_ends(self) noexcept nogil:
        cdef int i, feed = 0
        cdef bint over, closed = False
        for i in range(self.n_ends):
            over = True
            while self.feeds[feed] != NULL:
                if not (<Source> self.feeds[feed]).done:
                    over = False
                feed += 1
            feed += 1
            if not over or (<HandoffTx> self.ends[i]).channel.closed:
                (<HandoffTx> self.ends[i]).ending = False
                continue
            # At the second call: the flush before this one may have moved packets only from one app to the next.
            if (<HandoffTx> self.ends[i]).ending:
                store_release(&(<HandoffTx> self.ends[i]).channel.closed, 1)
            (<HandoffTx> self.ends[i]).ending = True
            closed = True
        return closed

    cdef void end_sources(self) noexcept nogil:
        cdef int i
        for i in range(self.n_sources):
            (<Source> self.sources[i]).done = True

    cdef void let_go(self) noexcept nogil:
        cdef int i
        for i in range(self.n_ends):
            store_release(&(<HandoffTx> self.ends[i]).channel.closed, 1)
        for i in range(self.n_takes):
            store_release(&(<HandoffRx> self.takes[i]).channel.gone, 1)
