# SPDX-License-Identifier: BSD-3-Clause
"""The loop of an lcore: polls the sources of its plan until it is stopped, they are done, or a stage fails.

A lap polls each source once; a burst goes all the way to its Tx queue before the next is taken. The loop flushes and looks
for faults after laps that found nothing, and every `SELDOM` laps otherwise. It looks for a stop after every lap: a lap may
be long, with Python or a full queue in it. Another thread may have a function called on the lcore between two laps
(`ask`); plans are replaced that way.

Hand-offs from other lcores are polled after the sources. A loop that ends closes those that it sends into, and goes on with
those that it receives from until they are closed and empty.
"""

import logging
import threading

from libc.stdint cimport uint16_t

from dataplane.app cimport Source
from dataplane.clock cimport tsc_hz
from dataplane.graph.endpoint cimport LOOK_SECONDS, RxStage, TxStage
from dataplane.graph.handoff cimport HandoffRx, HandoffTx
from dataplane.engine.idle cimport Idle
from dataplane.machine cimport likely, tsc
from dataplane.engine.profiler cimport GAP, Profiler
from dataplane.stage cimport Stage

from dataplane.app import app_error
from dataplane.errors import ConfigError, GraphError

log = logging.getLogger("dataplane")


cdef extern from "<sched.h>" nogil:
    int sched_yield()


cdef enum:
    SELDOM = 1024     # laps
    FOREVER = -1
    DRAIN_LAPS = 1024  # bursts that a queue which leaves is polled for at most: traffic may never end

cdef double END_SECONDS = 0.5  # that a loop which is stopped waits for hand-offs that bring nothing and are not closed


class Call:
    """A function that another thread wants called on an lcore between two laps.

    taken: the lcore has begun it; done: an Event, set when it is over; error: what it raised, or None.
    """

    def __init__(self, function):
        self.function = function
        self.taken = False
        self.done = threading.Event()
        self.error = None

    def _run(self):
        try:
            self.function()
        except BaseException as error:
            self.error = error
        finally:
            self.done.set()

    def _refuse(self):
        self.error = GraphError("the lcore is over, so that nothing can be called on it any more")
        self.done.set()


cdef class Loop:
    """The loop of one lcore. plan: what it runs; profile: measure a lap in 61, for the cycles per packet of each app.

    idle: what it does after laps that find nothing, see `Idle`.

    `bind` the plan, then `run` in a thread of its own, or `open`, `run_laps` any number of times and `close`; then `unbind`.
    """

    def __init__(self, Plan plan not None, *, bint profile=False, idle="yield"):
        if self.plan is not None:
            raise ConfigError("this Loop is made already: make another")
        if plan.apps is None:
            raise GraphError("this Plan has no apps: it was made without __init__")
        self._idle = Idle(idle)
        self.profiler = Profiler(plan) if profile else None
        self._measured_at = <uint64_t> GAP if profile else <uint64_t> FOREVER
        self.plan = plan
        self._opened, self._calls = [], []
        self._lock, self._wake = threading.Lock(), threading.Event()

    def stop(self):
        """End the loop soon. Any thread may call it, any number of times."""
        self._stop = 1
        self._asked = 1
        if self._wake is not None:
            self._wake.set()

    # ---- calls between two laps ---------------------------------------------------

    def ask(self, function):
        """Have `function()` called on the lcore between two laps; returns the Call. A loop that is over refuses the call."""
        call = Call(function)
        with self._lock:
            if self._over:
                call._refuse()
            else:
                self._calls.append(call)
                self._asked = 1
                self._wake.set()
        return call

    def withdraw(self, call):
        """Take a call back; returns whether the lcore had not begun it."""
        with self._lock:
            if call in self._calls:
                self._calls.remove(call)
                return True
            return False

    def _answer(self):
        """On the lcore: do what was asked for."""
        while True:
            with self._lock:
                self._wake.clear()
                self._asked = self._stop
                if not self._calls:
                    return
                call = self._calls.pop(0)
                call.taken = True
            call._run()

    def _end(self):
        """No more calls."""
        with self._lock:
            self._over = True
            calls, self._calls = self._calls, []
        for call in calls:
            call._refuse()

    # ---- replacing the plan, on the lcore ---------------------------------------------------

    def expect(self, Plan plan not None):
        """Start the apps of `plan` that the present one does not have. If one raises, those that started are stopped."""
        self.coming = plan
        count = len(self._opened)
        try:
            self._start(app for app in reversed(plan.apps) if app not in self.plan)
        except BaseException:
            self.forget(count)
            raise

    def forget(self, count=None):
        """Stop what `expect` started: the present plan stays."""
        if self.coming is None:
            return
        if count is None:
            count = len(self._opened) - sum(1 for app in self.coming.apps if app not in self.plan)
        self.coming = None
        started, self._opened = self._opened[count:], self._opened[:count]
        _stop_apps(started, raising=False)

    def swap(self):
        """Run the plan that `expect` was given. Packets that the present plan holds leave by its own edges first.

        Raises the fault of a stage of the present plan, which then stays. Errors of the `stop` of an app go to the log.
        """
        cdef Plan old = self.plan
        cdef Plan new = self.coming
        old.acquire()
        try:
            for app in old.apps:
                if isinstance(app, RxStage) and app not in new:
                    self.packets += _drain(<Source> app)
                elif isinstance(app, HandoffRx) and app not in new:
                    _drain(<Source> app)
            with nogil:
                old.flush()
        finally:
            old.give_back()
        fault = old.fault()
        if fault is not None:
            raise fault
        profiler = None if self.profiler is None else Profiler(new, self.profiler)
        new.bind(old)
        self.profiler = profiler
        self.plan, self.coming = new, None
        leaving = [app for app in self._opened if app not in new]
        self._opened = list(reversed(new.apps))
        self._lend_stop(old, False)
        self._lend_stop(new, True)
        if self._ending:
            new.end_sources()
        _stop_apps(leaving, raising=False)

    # ---- life ---------------------------------------------------

    def hush(self, bint hushed):
        """Poll no source from now on, only hand-offs; or again. To be called on the lcore (`ask`)."""
        self._hushed = hushed

    def settle(self):
        """On the lcore: let apps send what they hold, and take what is in hand-offs. Returns whether a packet moved."""
        cdef Plan plan = self.plan
        cdef uint32_t moved, taken = 0
        plan.acquire()
        with nogil:
            while True:
                plan.flush()
                moved = plan.take()
                if moved == 0:
                    break
                taken += 1
        plan.give_back()
        return taken != 0

    def _lend_stop(self, Plan plan, bint stoppable):
        """stoppable: another thread can call `stop`, so that packets may wait for it in lossless pipelines."""
        for app in plan.apps:
            if isinstance(app, TxStage):
                (<TxStage> app).halt = &self._stop if stoppable else NULL
            elif isinstance(app, HandoffTx):
                (<HandoffTx> app).halt = &self._stop if stoppable else NULL

    def open(self, bint stoppable=False):
        """Call the apps' `start`, sinks first. If one raises, those that started are stopped.

        stoppable: another thread can call `stop`, so that a lossless Tx queue may wait for it.
        """
        self._lend_stop(self.plan, stoppable)
        try:
            self._start(reversed(self.plan.apps))
        except BaseException:
            self._stop_all(raising=False)
            raise

    def _start(self, apps):
        for app in apps:
            try:
                app.start()
            except BaseException as error:
                raise app_error(app, error, "start()") from error.__cause__
            self._opened.append(app)

    def close(self, raising=True):
        """Flush, and call the apps' `stop`, sources first. raising: raise the first error and log the others."""
        cdef Plan plan = self.plan
        fault = None
        try:
            plan.acquire()
        except Exception as error:  # a port was stopped meanwhile: its queue holds nothing that could be flushed
            fault = error
        else:
            with nogil:
                plan.flush()
            plan.give_back()
        self._lend_stop(plan, False)
        fault = (plan.fault() or fault) if raising else None
        self._stop_all(raising and fault is None)
        if fault is not None:
            raise fault

    def let_go(self):
        """For lcores at the other ends of its hand-offs: this one neither sends nor receives any more."""
        if self.plan is not None:
            self.plan.let_go()

    def stop_compiled(self):
        """Call `stop` of the apps without Python, for a loop whose thread does not come back from an app."""
        for app in self.plan.apps:
            if not hasattr(app, "process"):
                try:
                    app.stop()
                except Exception as error:
                    log.error("%s: stop() raised %s: %s", app.name, type(error).__name__, error)

    def _stop_all(self, raising):
        opened, self._opened = self._opened, []
        _stop_apps(opened, raising)

    def run_laps(self, laps=None, count=None):
        """Poll: `laps` laps, or until the sources made `count` packets, or until something ends it. Returns why.

        Raises the error of a stage that failed, GraphError when another thread polls one of them, and PortError for a
        queue of a port that does not run.
        """
        cdef uint64_t most_laps = FOREVER if laps is None else laps
        cdef uint64_t most = FOREVER if count is None else count
        cdef Plan plan = self.plan
        cdef int why
        if plan is None:
            raise GraphError("this Loop has no plan: it was made without __init__")
        plan.acquire()
        if self.began == 0:
            self.began = tsc()
        with nogil:
            why = self._ferry(plan) if self._hushed or self._ending else self._run_laps(plan, most_laps, most)
            self.ended = tsc()
        plan.give_back()
        if why == FAULT:
            raise plan.fault()
        return why

    def run(self, count=None):
        """All of it: `open`, `run_laps`, what is asked for between two laps, `close`. Returns why it ended."""
        if self.plan is None:
            raise GraphError("this Loop has no plan: it was made without __init__")
        self._idle.enter()
        try:
            self.open(stoppable=True)
            try:
                while True:
                    why = self.run_laps(count=None if count is None else max(count - self.packets, 0))
                    if why == ASKED:
                        self._answer()
                    elif (self.coming is not None or self._hushed) and why != STOPPED:
                        self._wake.wait(1)  # done with a plan that is about to be replaced
                        self._answer()
                    elif why != DONE and not self._ending and self.plan.n_takes:
                        self._ending = True
                        self.plan.end_sources()
                    else:
                        break
            except BaseException:
                self.close(raising=False)
                raise
            self.close()
            return why
        finally:
            self._end()

    cdef int _run_laps(self, Plan plan, uint64_t laps, uint64_t left) noexcept nogil:
        cdef uint64_t empty = 0
        cdef uint64_t both
        cdef uint32_t polled, taken
        cdef int i, why
        while laps and left:
            polled = taken = 0
            if likely(left >= plan.lap and self.laps != self._measured_at):
                for i in range(plan.n_sources):
                    polled += (<Source> plan.sources[i]).poll()
                for i in range(plan.n_takes):
                    taken += (<Source> plan.takes[i]).poll()
            else:
                both = self._rare_lap(plan, left)
                polled, taken = <uint32_t> both, <uint32_t> (both >> 32)
            laps -= 1
            self.laps += 1
            if likely(polled or taken):
                self.packets += polled
                left -= min(left, <uint64_t> polled)
                empty = 0
                for i in range(plan.n_pythons):
                    if (<Stage> plan.pythons[i]).fault:
                        return FAULT
                if likely(self.laps % SELDOM and not self._asked):
                    continue
            else:
                empty += 1
            why = self._pause(plan, not (polled or taken), empty)
            if why:
                return why
        why = self._pause(plan, False, 0)
        return why if why else COUNTED if left == 0 else STOPPED

    cdef int _pause(self, Plan plan, bint idle, uint64_t empty) noexcept nogil:
        """Between two laps, seldom or when there is nothing to do. Returns why to end, or 0."""
        plan.flush()
        if self._fault(plan):
            return FAULT
        if self._stop:
            return STOPPED
        if self._asked:
            return ASKED
        if idle:
            self.empty += 1
            if plan.n_ends and plan.close_ends():
                return 0
            if plan.over():
                return DONE
            if self._idle.rest(empty):
                self._look(plan)
        return 0

    cdef void _look(self, Plan plan) noexcept nogil:
        """Ten times a second: are the devices of its queues there? Queues look after many polls, and an lcore that rests or
        shares its core makes few of them."""
        cdef uint64_t now = tsc()
        cdef int i
        if now - self._looked < <uint64_t> (LOOK_SECONDS * tsc_hz()):
            return
        self._looked = now
        for i in range(plan.n_queues):
            (<Stage> plan.queues_at[i]).look()

    cdef uint64_t _rare_lap(self, Plan plan, uint64_t left) noexcept nogil:
        """A lap that is measured, or one that may be the last. Packets of sources, and in the upper half those of hand-offs."""
        cdef uint64_t polled
        if self.laps == self._measured_at:
            self._measured_at += GAP
            if left >= plan.lap:
                return self.profiler.lap()
        polled = self._last_lap(plan, left)
        return polled | <uint64_t> plan.take() << 32

    cdef int _fault(self, Plan plan) noexcept nogil:
        """FAULT if a stage has one, or 0."""
        cdef int i
        for i in range(plan.n_apps):
            if (<Stage> plan.apps_at[i]).fault:
                return FAULT
        for i in range(plan.n_queues):
            if (<Stage> plan.queues_at[i]).fault:
                return FAULT
        return 0

    cdef int _ferry(self, Plan plan) noexcept nogil:
        """Move what hand-offs bring, and poll no source. Returns why to end: DONE when nothing more can come."""
        cdef uint64_t since = tsc()
        cdef uint64_t patience = <uint64_t> (END_SECONDS * tsc_hz())
        cdef uint32_t moved
        while True:
            moved = plan.take()
            self.laps += 1
            plan.flush()
            if self._fault(plan):
                return FAULT
            if moved == 0 and plan.over():
                return DONE
            if plan.close_ends() or moved:
                since = tsc()
            if self._stop:
                if not self._ending or tsc() - since > patience:
                    return STOPPED
            elif self._asked:
                return ASKED
            if moved == 0:
                sched_yield()

    cdef uint32_t _last_lap(self, Plan plan, uint64_t left) noexcept nogil:
        """A lap with smaller bursts, so that no packet is made beyond `left`."""
        cdef uint32_t polled = 0
        cdef uint16_t whole
        cdef int i
        for i in range(plan.n_sources):
            if polled < left:
                whole = (<Source> plan.sources[i]).burst
                (<Source> plan.sources[i]).burst = <uint16_t> min(<uint64_t> whole, left - polled)
                polled += (<Source> plan.sources[i]).poll()
                (<Source> plan.sources[i]).burst = whole
        return polled


def _stop_apps(apps, raising):
    """Call `stop` of apps that were started in this order, the last first. raising: raise the first error."""
    first = None
    for app in reversed(apps):
        try:
            app.stop()
        except BaseException as error:
            if first is None and raising:
                first = app_error(app, error, "stop()")
            else:
                log.error("%s: stop() raised %s: %s", app.name, type(error).__name__, error)
    if first is not None:
        raise first


cdef uint64_t _drain(Source source):
    """Poll a queue that leaves the plan until it is empty, at most DRAIN_LAPS times; returns the packets taken."""
    cdef uint64_t taken = 0
    cdef uint16_t polled
    cdef int _
    with nogil:
        for _ in range(DRAIN_LAPS):
            polled = source.poll()
            taken += polled
            if polled == 0 or source.fault:
                break
    return taken
