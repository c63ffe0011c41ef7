# SPDX-License-Identifier: BSD-3-Clause
"""Two stages to try an app with, and no port: `Frames` makes packets of bytes, `Collect` keeps what reaches it.

``through(app, frames)`` puts an app between them and returns what left by each of its edges.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.app cimport App, Source, emit
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.mbuf cimport data, mbuf, rearm, set_single
from dataplane.mempool cimport Mempool, alloc_bulk

from dataplane.errors import ConfigError


cdef class Frames(Source):
    """Makes packets of `frames` (bytes, without FCS), one after the other, `repeat` times (None: until it is stopped).

    burst: packets at once. pool: the Mempool of the mbufs, None for one of its own. Raises ConfigError for a frame that
    does not fit into an mbuf.
    """

    cdef list _frames
    cdef uint32_t _kinds
    cdef Mempool _pool
    cdef uint64_t _next, _end
    cdef const unsigned char *_data[1024]
    cdef uint32_t _length[1024]

    def __init__(self, frames, *, repeat=1, burst=32, Mempool pool=None):
        if self._frames is not None:
            raise ConfigError(f"{self!r} is made already: make another Frames")
        cdef list held = [bytes(frame) for frame in frames]
        if not 1 <= len(held) <= 1024:
            raise ConfigError(f"{len(held)} frames: must be 1 to 1024")
        cdef uint64_t end = <uint64_t> -1 if repeat is None else repeat * len(held)
        if pool is None:
            pool = Mempool(1024, hugepages="no", name="frames")
        for i, frame in enumerate(held):
            if not 1 <= len(frame) <= pool.data_room:
                raise ConfigError(f"a frame of {len(frame)} bytes: from 1 to {pool.data_room} fit into its mbufs")
            self._data[<int> i] = <const unsigned char *> frame
            self._length[<int> i] = len(frame)
        self._frames, self._pool, self._kinds, self._end, self.burst = held, pool, len(held), end, burst

    @property
    def mempool(self):
        """Where its mbufs come from."""
        return self._pool

    def start(self):
        """From the first frame on."""
        self._next = 0

    cdef uint16_t poll(self) noexcept nogil:
        cdef mbuf *pkts[BURST_MAX_PACKETS]
        cdef uint16_t i, n = <uint16_t> min(<uint64_t> min(self.burst, <uint16_t> BURST_MAX_PACKETS), self._end - self._next)
        cdef uint32_t which
        self.done = n == 0
        if n == 0 or alloc_bulk(self._pool.pool, pkts, n):
            return 0
        for i in range(n):
            which = (self._next + i) % self._kinds
            rearm(pkts[i], 0)
            pkts[i].ol_flags = 0
            set_single(pkts[i], self._length[which])
            memcpy(data(pkts[i]), self._data[which], self._length[which])
        self._next += n
        emit(self, 0, pkts, n)
        return n


class Collect(App):
    """Keeps the bytes of each packet in `frames`, and ends it as "kept"."""

    edges = ()
    drops = ("kept",)
    consumes = drops

    def __init__(self):
        self.frames = []

    def clone(self):
        """One that adds to the same list."""
        other = type(self)()
        other.frames = self.frames
        return other

    def process(self, burst):
        self.frames += [bytes(packet) for packet in burst]
        burst.drop(True, "kept")


def through(app, frames, *, burst=32):
    """What becomes of `frames` in `app`: {edge: [bytes of each packet that left by it]}; ``app.drop_counts`` has the rest.

    Raises what the app raises.
    """
    from dataplane.pipeline import Pipeline

    sinks = {edge: Collect() for edge in app.edges}
    source = Frames(frames, burst=burst)
    pipeline = Pipeline(source >> app, *(app[edge] >> sink for edge, sink in sinks.items()), name=f"trial of {app.name}")
    with pipeline.stepper() as stepper:
        stepper.finish()
    return {edge: sink.frames for edge, sink in sinks.items()}
