# SPDX-License-Identifier: BSD-3-Clause
"""The loop of an lcore: polls the sources of its pipelines until it is stopped, they are done, or a stage fails.

A lap polls each source once; a burst goes all the way to its Tx queue before the next is taken. What need not happen for
each burst (flushing, looking for a fault) happens after laps that found nothing, and every `SELDOM` laps otherwise. A stop
is looked for after each: a lap may be long, with Python or a full queue in it.
"""

import logging
import threading

from libc.stdint cimport uint16_t
from libc.stdlib cimport free, malloc

from dataplane.app cimport App, Source, connect, disconnect, reset
from dataplane.endpoint cimport RxStage, TxStage
from dataplane.machine cimport likely, tsc
from dataplane.queue cimport RxQueue, TxQueue
from dataplane.stage cimport Stage, claim, release

from dataplane.app import app_error
from dataplane.errors import ConfigError, GraphError
from dataplane.machine import enter, leave

log = logging.getLogger("dataplane")


cdef extern from "<sched.h>" nogil:
    int sched_yield()


cdef enum:
    SELDOM = 1024     # laps
    IDLE_SPINS = 64   # empty laps until the core is offered to others
    FOREVER = -1
    DEEPEST = 128     # apps; each takes up to 6 KiB of a thread's stack, of 2 MiB or more


cdef tuple _of_kind(kind, objects, what):
    """All of them as a tuple, which keeps alive what the loop has pointers to."""
    held = tuple(objects)
    for each in held:
        if not isinstance(each, kind):
            raise GraphError(f"{each!r} is a {type(each).__name__}: a loop takes {what}")
    return held


cdef void **_pointers(tuple objects) except NULL:
    cdef void **array = <void **> malloc((len(objects) + 1) * sizeof(void *))
    if array == NULL:
        raise MemoryError()
    for i, each in enumerate(objects):
        array[<int> i] = <void *> each
    return array


def _check_depth(onward):
    """Raise GraphError for more than DEEPEST apps one behind the other: each is a call within the last, on one stack."""
    frontier, depth = set(onward), 0
    while frontier:
        depth += 1
        if depth > DEEPEST:
            raise GraphError(f"more than {DEEPEST} apps one behind the other, or a cycle: put a ring port between them")
        frontier = {target for app in frontier for target in onward[app]}


cdef class Loop:
    """apps: in the order of the graph; links: between them; queues: those they use; busy: never offer the core to others.

    `bind`, then `run` in a thread of its own, or `open`, `spin` as often as you like and `close`; then `unbind`.
    """

    def __init__(self, apps, links, queues, *, bint busy=False):
        if self.apps is not None:
            raise ConfigError("this Loop is made already: make another")
        apps = _of_kind(App, apps, "apps")
        queues = _of_kind((RxQueue, TxQueue), queues, "queues of ports")
        self.links = tuple(links)
        used = [(<RxStage> app).queue for app in apps if isinstance(app, RxStage)]
        used += [(<TxStage> app).queue for app in apps if isinstance(app, TxStage)]
        # Each once, and those that only the ends of the pipeline know.
        self._stages = tuple({id(stage): stage for stage in (*apps, *queues, *used) if stage is not None}.values())
        self._kept = tuple(app for app in apps if isinstance(app, Source)), tuple(
            app for app in apps if hasattr(app, "process")
        )
        self.apps, self.queues = apps, queues
        sources, pythons = self._kept
        self._apps, self._n_apps = _pointers(self.apps), len(self.apps)
        self._queues, self._n_queues = _pointers(self.queues), len(self.queues)
        self._sources, self._n_sources = _pointers(sources), len(sources)
        self._pythons, self._n_pythons = _pointers(pythons), len(pythons)
        self._busy = busy
        self._opened = []

    def __dealloc__(self):
        free(self._apps)
        free(self._queues)
        free(self._sources)
        free(self._pythons)

    def stop(self):
        """End the loop soon. Any thread may call it, any number of times."""
        self._stop = 1

    def bind(self):
        """Set all counters to zero and connect the edges. Raises GraphError for a link that leads out of the loop."""
        onward = {id(app): [] for app in self.apps}
        for link in self.links:
            for app in (link.app, link.to):
                if id(app) not in onward:
                    raise GraphError(f"a link of {app!r}, which is none of the loop's apps: name it among `apps`")
            onward[id(link.app)].append(id(link.to))
        _check_depth(onward)
        for app in self.apps:
            reset(<App> app)
        for link in self.links:
            connect(<App?> link.app, link.index, <App?> link.to)

    def unbind(self):
        """Disconnect the edges; counters stay. Raises GraphError while the loop runs."""
        for app in self.apps:
            if (<App> app).poller:
                raise GraphError(f"{app!r} is polled by thread {app.polled_by}: stop that run first")
        for app in self.apps:
            disconnect(<App> app)

    cdef int _claim(self) except -1:
        """Make this thread the one poller of all that the loop touches; `_release` ends it."""
        cdef int done = 0
        try:
            for stage in self._stages:
                claim(<Stage> stage)
                done += 1
        except BaseException:
            for stage in self._stages[:done]:
                release(<Stage> stage)
            raise
        return 0

    cdef void _release(self) noexcept:
        for stage in self._stages:
            release(<Stage> stage)

    def open(self, bint stoppable=False):
        """Call the apps' `start`, sinks first. If one raises, those that started are stopped.

        stoppable: another thread can call `stop`, so that a lossless Tx queue may wait for it.
        """
        for app in self.apps:
            if isinstance(app, TxStage):
                (<TxStage> app).halt = &self._stop if stoppable else NULL
        try:
            for app in reversed(self.apps):
                try:
                    app.start()
                except BaseException as error:
                    raise app_error(app, error, "start()") from error.__cause__
                self._opened.append(app)
        except BaseException:
            self._stop_apps(raising=False)
            raise

    def close(self, raising=True):
        """Flush, and call the apps' `stop`, sources first. raising: raise what goes wrong in that; of several, the first."""
        cdef int i
        fault = None
        try:
            self._claim()
        except Exception as error:  # a port was stopped meanwhile: its queue holds nothing that could be flushed
            fault = error
        else:
            with nogil:
                for i in range(self._n_apps):
                    (<App> self._apps[i]).idle()
            self._release()
        for app in self.apps:
            if isinstance(app, TxStage):
                (<TxStage> app).halt = NULL
        fault = (self._fault() or fault) if raising else None
        self._stop_apps(raising and fault is None)
        if fault is not None:
            raise fault

    def stop_compiled(self):
        """Call `stop` of the apps without Python, for a loop whose thread does not come back from an app."""
        for app in self.apps:
            if not hasattr(app, "process"):
                try:
                    app.stop()
                except Exception as error:
                    log.error("%s: stop() raised %s: %s", app.name, type(error).__name__, error)

    def _stop_apps(self, raising):
        first = None
        while self._opened:
            app = self._opened.pop()
            try:
                app.stop()
            except BaseException as error:
                if first is None and raising:
                    first = app_error(app, error, "stop()")
                else:
                    log.error("%s: stop() raised %s: %s", app.name, type(error).__name__, error)
        if first is not None:
            raise first

    def spin(self, laps=None, count=None):
        """Poll: `laps` laps, or until the sources made `count` packets, or until something ends it. Returns why.

        Raises the error of a stage that failed, GraphError when another thread polls one of them, and PortError for a
        queue of a port that does not run.
        """
        cdef uint64_t most_laps = FOREVER if laps is None else laps
        cdef uint64_t most = FOREVER if count is None else count
        cdef int why
        if self.apps is None:
            raise GraphError("this Loop has no apps: it was made without __init__")
        self._lap = sum([source.burst for source in self._kept[0]])
        self._claim()
        if self.began == 0:
            self.began = tsc()
        with nogil:
            why = self._spin(most_laps, most)
            self.ended = tsc()
        self._release()
        if why == FAULT:
            raise self._fault()
        return why

    def run(self, count=None):
        """All of it: `open`, `spin`, `close`. Returns why it ended."""
        self.open(stoppable=True)
        try:
            why = self.spin(count=count)
        except BaseException:
            self.close(raising=False)
            raise
        self.close()
        return why

    cdef int _spin(self, uint64_t laps, uint64_t left) noexcept nogil:
        cdef uint64_t empty = 0
        cdef uint32_t polled
        cdef int i, why
        while laps and left:
            polled = 0
            if likely(left >= self._lap):
                for i in range(self._n_sources):
                    polled += (<Source> self._sources[i]).poll()
            else:
                polled = self._last_lap(left)
            laps -= 1
            self.laps += 1
            if likely(polled):
                self.packets += polled
                left -= min(left, <uint64_t> polled)
                empty = 0
                for i in range(self._n_pythons):
                    if (<Stage> self._pythons[i]).fault:
                        return FAULT
                if likely(self.laps % SELDOM and not self._stop):
                    continue
            else:
                empty += 1
            why = self._pause(polled == 0, empty)
            if why:
                return why
        why = self._pause(False, 0)
        return why if why else COUNTED if left == 0 else STOPPED

    cdef int _pause(self, bint idle, uint64_t empty) noexcept nogil:
        """Between two laps, seldom or when there is nothing to do. Returns why to end, or 0."""
        cdef int i
        for i in range(self._n_apps):
            (<App> self._apps[i]).idle()
        for i in range(self._n_apps):
            if (<Stage> self._apps[i]).fault:
                return FAULT
        for i in range(self._n_queues):
            if (<Stage> self._queues[i]).fault:
                return FAULT
        if self._stop:
            return STOPPED
        if idle:
            self.empty += 1
            for i in range(self._n_sources):
                if not (<Source> self._sources[i]).done:
                    break
            else:
                return DONE
            if empty > IDLE_SPINS and not self._busy:
                sched_yield()
        return 0

    cdef uint32_t _last_lap(self, uint64_t left) noexcept nogil:
        """A lap with smaller bursts, so that no packet is made beyond `left`."""
        cdef uint32_t polled = 0
        cdef uint16_t whole
        cdef int i
        for i in range(self._n_sources):
            if polled < left:
                whole = (<Source> self._sources[i]).burst
                (<Source> self._sources[i]).burst = <uint16_t> min(<uint64_t> whole, left - polled)
                polled += (<Source> self._sources[i]).poll()
                (<Source> self._sources[i]).burst = whole
        return polled

    def _fault(self):
        """The error of the first stage that has one, or None."""
        for stage in (*self.apps, *self.queues):
            if (<Stage> stage).fault:
                return (<Stage> stage).fault_error()
        return None


class Worker(threading.Thread):
    """The thread of an lcore. cpu: which CPU it is pinned to, None: wherever the scheduler puts it.

    ended: called in it when it is over. By then `over` is set, and `error` is what ended it, or None.
    """

    def __init__(self, loop, *, cpu=None, count=None, ended=None):
        super().__init__(name=f"lcore-{'any' if cpu is None else cpu}", daemon=True)
        self.loop = loop
        self.cpu = cpu
        self.count = count
        self.error = None
        self.over = False
        self.why = 0
        self._ended = ended

    def run(self):
        try:
            enter(self.cpu)
            try:
                self.why = self.loop.run(self.count)
            finally:
                leave()
        except BaseException as error:
            self.error = error
        finally:
            self.over = True
            if self._ended is not None:
                self._ended()
