# SPDX-License-Identifier: BSD-3-Clause
"""The thread that runs a card on a spare core. Without it the caller runs the card with `Card.step`."""

import os
import select
import threading

from libc.stdint cimport uint32_t, uint64_t
from posix.unistd cimport close

from dataplane.machine cimport load_acquire, pause, store_release, unlikely

from dataplane.errors import ConfigError
from dataplane.files.eventfd import is_eventfd
from dataplane.pmd.model.datapath.engine cimport Engine
from dataplane.pmd.model.netem.flight cimport NEVER
from dataplane.pmd.model.shared cimport CardLock

cdef extern from "runner.h" nogil:
    void give_core "sched_yield" ()
    void sleep_us "dp_sleep_us" (int us)
    bint rest_us "dp_rest_us" (uint32_t *calls, uint32_t seen, uint32_t *resting, int bells, int us)
    void wake "dp_wake" (uint32_t *calls, uint32_t *resting, int bell)
    void sharp_timers "dp_sharp_timers" ()

cdef enum:
    SPINS = 256  # idle steps that only pause
    YIELDS = 4096  # then steps that offer the core to others
    SLEEP_US = 50  # then sleeps, growing to this by 1 us every GROWTH steps: some 150 ms in all
    GROWTH = 64
    REST_US = 1850  # then rests of this length: the first packet waits less than 2 ms; a rest costs about 15 us of CPU time
    LONG_REST_US = 100000  # and of this if all new work wakes the card: a rest costs 50 to 90 us of CPU time
    WAKING_NS = 5000  # a sleep ends so long before a frame in flight lands or a register changes by itself
    AFTER_NUDGE = YIELDS + GROWTH * 40  # idle steps that a nudge leaves: 30 ms of sleeps before the next rest


cdef class Runner:
    """Steps the ports of a card (one or two), under its lock and without the GIL, from start() to stop().

    card: what has a `lock` and `ports` with an `engine` each. cpu: where its thread runs, None for anywhere. budget:
    packets that a port moves in each direction before the next one's turn. Raises ConfigError.
    """

    cdef readonly CardLock lock
    cdef readonly Engine first, second
    cdef readonly object cpu
    cdef readonly uint32_t budget
    cdef readonly uint64_t steps, busy_steps, packets
    cdef uint32_t _stopping, _calls, _resting
    cdef public bint told  # the code that writes a register calls `nudge`; only tails in pages of their own move without
    cdef bint _clients_know  # clients' words say that the card rests
    cdef int _bells, _bell  # epoll with the eventfds of clients, and with our own one
    cdef object _thread, _failure, _epoll

    def __cinit__(self, card, *, cpu=None, uint32_t budget=64):
        engines = [port.engine for port in card.ports]
        if not 1 <= len(engines) <= 2:
            raise ConfigError(f"a runner for {len(engines)} ports: a card has one or two")
        if cpu is not None and cpu not in os.sched_getaffinity(0):
            usable = ",".join(map(str, sorted(os.sched_getaffinity(0))))
            raise ConfigError(f"the model cannot run on CPU {cpu}: usable are {usable}")
        self.lock, self.first = card.lock, engines[0]
        self.second = engines[1] if len(engines) > 1 else None
        self.cpu, self.budget = cpu, budget
        self._epoll = select.epoll()
        self._bells = self._epoll.fileno()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN | select.EPOLLET)

    def __dealloc__(self):
        if self._bell > 2:
            close(self._bell)

    @property
    def running(self):
        """Whether a thread runs the card."""
        return self._thread is not None

    def start(self):
        """Run the card in a thread of its own. ConfigError if it does already."""
        if self._thread is not None:
            raise ConfigError(f"{self.first.name}: its runner runs already")
        self._stopping = 0
        self._thread = threading.Thread(target=self._main, name=f"model-{self.first.name}", daemon=True)
        self._thread.start()

    def stop(self):
        """End the thread; the card stands still then. Raises what ended it early, if anything did."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        store_release(&self._stopping, 1)
        self.nudge()
        thread.join(10.0)
        if thread.is_alive():
            raise ConfigError(f"{self.first.name}: its runner does not stop: another thread does not release the card's lock")
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def nudge(self):
        """There may be something to do: a card that rests looks at once. Without it that takes as long as a rest."""
        wake(&self._calls, &self._resting, self._bell)

    def listen(self, int eventfd, bint on):
        """A client signals this eventfd when it has moved a tail while the card rests; off: no longer, before it is closed.

        Raises ConfigError for what is no eventfd, OSError if the kernel has no room for one more.
        """
        if not is_eventfd(eventfd):
            raise ConfigError(f"{self.first.name}: descriptor {eventfd} is no eventfd, and a client wakes a card by one")
        if on:
            self._epoll.register(eventfd, select.EPOLLIN | select.EPOLLET)
        else:
            self._epoll.unregister(eventfd)

    cdef uint32_t _step(self) noexcept nogil:
        cdef uint32_t work
        self.first.interrupts.step()
        work = self.first.step(self.budget)
        if self.second is not None:
            self.second.interrupts.step()
            work += self.second.step(self.budget)
        self.steps += 1
        if work:
            self.busy_steps += 1
            self.packets += work
        return work

    def _main(self):
        try:
            if self.cpu is not None:
                os.sched_setaffinity(0, {self.cpu})
            with nogil:
                self._loop()
        except BaseException as error:
            self._failure = error

    cdef int _rest(self, uint64_t due) noexcept nogil:
        """Microseconds until the next look. Only a write of a register can change them, and it wakes the card. due: see `_due`.

        The first rest after the clients' words were set is short, and no frame in flight shortens it: a tail that was being
        written then is seen after it (doorbell.pyx).
        """
        if not self.told or due != NEVER or not self.first.is_quiet() or (self.second is not None and not self.second.is_quiet()):
            return REST_US
        if self._clients_know:
            return LONG_REST_US
        self._tell_clients(True)
        return REST_US

    cdef void _tell_clients(self, bint resting) noexcept nogil:
        self.lock.take()
        self._clients_know = resting
        self.first.tell_clients(resting)
        if self.second is not None:
            self.second.tell_clients(resting)
        self.lock.give()

    cdef uint64_t _due(self) noexcept nogil:
        """When the next frame in flight lands, ns. Asked under the lock: without it a wire may be pulled out meanwhile."""
        cdef uint64_t due = self.first.due()
        return due if self.second is None else min(due, self.second.due())

    cdef uint64_t _next_timer(self) noexcept nogil:
        """The time (ns) at which a register next changes by itself, as of the last step. Other changes are writes."""
        cdef uint64_t timer = self.first.interrupts.next_timer
        return timer if self.second is None else min(timer, self.second.interrupts.next_timer)

    cdef int _until(self, uint64_t due, int us) noexcept nogil:
        """So many microseconds, or fewer if something is due before; waking up takes a little."""
        cdef uint64_t now
        if due == NEVER:
            return us
        now = self.first.clock.now() + WAKING_NS
        return 0 if due <= now else <int> min(<uint64_t> us, (due - now) // 1000)

    cdef void _loop(self) noexcept nogil:
        cdef uint32_t idle = 0, seen = 0  # calls of nudge() before the last step
        cdef uint64_t due = NEVER, timer = NEVER
        cdef bint nudged
        sharp_timers()
        self.lock.take()
        while not load_acquire(&self._stopping):
            if self._step():
                idle = 0
                if unlikely(self._clients_know):
                    self._tell_clients(False)
                if self.lock.wanted():
                    self.lock.let_in()
                continue
            idle += 1
            if idle >= YIELDS:
                due, timer = self._due(), self._next_timer()
            self.lock.give()
            # The lock is free while nothing happens, and the core is offered to others ever more.
            if idle < SPINS:
                pause()
            elif idle < YIELDS:
                give_core()
            elif idle < YIELDS + GROWTH * SLEEP_US:
                sleep_us(self._until(due, (idle - YIELDS) // GROWTH + 1))
                seen = load_acquire(&self._calls)
            else:
                nudged = rest_us(&self._calls, seen, &self._resting, self._bells, self._until(min(due, timer), self._rest(due)))
                if nudged and self._clients_know:
                    self._tell_clients(False)
                idle = AFTER_NUDGE if nudged else YIELDS + GROWTH * SLEEP_US
                seen = load_acquire(&self._calls)
            self.lock.take()
        self._tell_clients(False)
        self.lock.give()
