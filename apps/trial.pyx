# SPDX-License-Identifier: BSD-3-Clause
"""Trial: runs one app by itself, frames in and frames out as bytes. For the tests of apps, yours included.

    trial = Trial(L2Fwd(dst="02:00:00:00:00:01"))
    trial.push([frame])
    assert trial.out["out"] == [changed]

The mbufs come from a debug mempool; `close` (or leaving the `with` block) fails if the app kept or lost one.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dataplane.app cimport MAX_EDGES, App, Source, connect, disconnect, drop, reset
from dataplane.limits cimport BURST_MAX_PACKETS
from dataplane.mbuf cimport copy_out, data, mbuf, rearm, set_arrival, set_original_length, set_single
from dataplane.mempool cimport Mempool, alloc_bulk, free_packets
from dataplane.stage cimport claim, release

from dataplane.engine.lease import name_of_run
from dataplane.errors import ConfigError, DataplaneError


cdef class _Catch(App):
    """Stands behind an edge and keeps what comes as bytes."""
    edges = ()
    drops = ("kept",)
    consumes = drops
    cdef list frames
    cdef bint keep

    cdef void push(self, mbuf **pkts, uint16_t n) noexcept nogil:
        if self.keep:
            with gil:
                self._read(pkts, n)
        drop(self, 0, pkts, n)

    cdef _read(self, mbuf **pkts, uint16_t n):
        for i in range(n):
            frame = bytearray(pkts[i].pkt_len)
            copied = copy_out(pkts[i], 0, <char *> frame, pkts[i].pkt_len)
            if copied != pkts[i].pkt_len:
                raise DataplaneError(f"an mbuf of pkt_len {pkts[i].pkt_len} holds {copied} bytes in its segments")
            self.frames.append(bytes(frame))


cdef class Trial:
    """`app` with every edge caught, except the optional ones named in `unconnected`.

    segment: bytes of a frame in each mbuf at most, to try multi-segment packets. keep: False counts only (edges do).
    Raises ConfigError for other values, and for an app that is in a run.
    """
    cdef readonly object app
    cdef readonly object mempool
    cdef readonly dict out
    cdef uint32_t segment
    cdef list _catches

    def __init__(self, App app not None, *, n=1024, segment=2048, unconnected=(), keep=True, debug=True):
        cdef _Catch catch
        if self.app is not None:
            raise ConfigError(f"this Trial of {self.app!r} is made already: make another")
        if not 1 <= segment <= 2048:
            raise ConfigError(f"segment={segment}: expected 1 to 2048 bytes of a frame in each mbuf")
        if len(app.edges) > MAX_EDGES:
            raise ConfigError(f"{app!r} has {len(app.edges)} edges: must be at most {MAX_EDGES}")
        _check_free(app)
        self.segment = segment
        self.mempool = Mempool(n, debug=debug, name="trial")
        self.out = {}
        self._catches = []
        reset(app)
        self.app = app
        for index, edge in enumerate(app.edges):
            if edge in unconnected:
                continue
            catch = _Catch()
            catch.frames = self.out.setdefault(edge, [])
            catch.keep = keep
            self._catches.append(catch)
            connect(app, <unsigned int> index, catch)
        app.start()

    def push(self, frames, burst=32, timestamp_ns=None, cut=0):
        """Push `frames` (an iterable of bytes) in bursts of `burst`. Raises what the app's Python code raised.

        timestamp_ns: when they arrived, None: not known; cut: bytes that each of them had more on the wire.
        """
        cdef mbuf *pkts[BURST_MAX_PACKETS]
        cdef uint32_t filled = 0, at = 0, size
        cdef uint64_t stamp = timestamp_ns or 0
        cdef uint32_t missing = cut
        if not 1 <= burst <= BURST_MAX_PACKETS:
            raise ConfigError(f"a burst of {burst}: must be 1 to {BURST_MAX_PACKETS}")
        size = burst
        frames = list(frames)
        cdef App app = self._free_app()
        if isinstance(app, Source):
            raise ConfigError(f"{app!r} makes packets by itself: poll() it")
        for frame in frames:
            try:
                pkts[filled] = self._packet(frame)
            except BaseException:
                free_packets(pkts, filled)
                raise
            if timestamp_ns is not None:
                set_arrival(pkts[filled], stamp)
            set_original_length(pkts[filled], pkts[filled].pkt_len + missing)
            filled += 1
            at += 1
            if filled == size or at == len(frames):
                try:
                    claim(app)
                except BaseException:
                    free_packets(pkts, filled)
                    raise
                with nogil:
                    app.push(pkts, <uint16_t> filled)
                release(app)
                filled = 0
                if app._error is not None:
                    raise app.fault_error()

    cdef mbuf *_packet(self, bytes frame) except NULL:
        cdef mbuf *first = NULL
        cdef mbuf *last = NULL
        cdef mbuf *m = NULL
        cdef uint32_t at = 0, here
        cdef const char *source = frame
        while first == NULL or at < len(frame):
            if alloc_bulk((<Mempool> self.mempool).pool, &m, 1):
                if first != NULL:
                    free_packets(&first, 1)
                raise DataplaneError("the trial's mempool is empty: give a larger n, or the app keeps its packets")
            here = min(self.segment, <uint32_t> len(frame) - at)
            rearm(m, 0)
            m.ol_flags = 0
            set_single(m, here)
            memcpy(data(m), source + at, here)
            at += here
            if first == NULL:
                first = m
            else:
                last.next = m
                first.nb_segs += 1
            last = m
        first.pkt_len = <uint32_t> len(frame)
        return first

    def poll(self, bursts=1):
        """Poll a source `bursts` times; returns how many packets it emitted."""
        cdef uint64_t total = 0
        cdef uint64_t times = bursts
        cdef Source source = self._free_app()
        claim(source)
        with nogil:
            for _ in range(times):
                total += source.poll()
        release(source)
        return total

    def idle(self):
        """Call the app's `idle`, as an lcore does after laps that found nothing."""
        cdef App app = self._free_app()
        claim(app)
        with nogil:
            app.idle()
        release(app)

    @property
    def done(self):
        """Whether a source has nothing more to send."""
        cdef Source source = self._app()
        return source.done

    @property
    def fault(self):
        """The error of an app that can no longer work, or None."""
        return self.app.fault_error() if self._app().fault else None

    @property
    def drops(self):
        """Drop name -> packets, of the drops that happened."""
        return self.app.drop_counts

    @property
    def consumed(self):
        """The same of what the app consumes: packets that ended in it as they should."""
        return self.app.consumed_counts

    @property
    def counts(self):
        """Edge name -> (packets, bytes without FCS, bursts)."""
        return self.app.edge_counts

    def close(self):
        """Disconnect the app; raises MempoolError or DataplaneError if an mbuf was kept, lost or freed twice."""
        cdef App app = self._free_app()
        app.stop()
        self._disconnect()
        self.mempool.check()
        if self.mempool.in_use:
            raise DataplaneError(f"{self.app!r} kept or lost {self.mempool.in_use} mbufs")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.close()
        else:
            self._disconnect()

    cdef App _app(self):
        """The app. Raises ConfigError for a trial that was made without __init__."""
        if self.app is None:
            raise ConfigError("a Trial without an app: make it with Trial(app)")
        return self.app

    cdef App _free_app(self):
        """The app. Raises ConfigError if it is in a run, which has its edges."""
        cdef App app = self._app()
        _check_free(app)
        return app

    cdef _disconnect(self):
        cdef App app = self._free_app()
        if app.poller:
            raise ConfigError(f"{app!r} is polled by thread {app.polled_by}: stop that first")
        disconnect(app)


def _check_free(app):
    run = name_of_run(app)
    if run is not None:
        raise ConfigError(f"{app!r} is in {run}, which is running: stop that first, or try another one like it")
