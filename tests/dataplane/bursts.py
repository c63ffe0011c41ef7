# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of bursts share: a function run on a burst of frames, and fields and frames of any kind."""

from __future__ import annotations

from hypothesis import strategies as st

from dataplane import App, Field, Frames, Mempool, Pipeline

POOL = Mempool(512, hugepages="no", name="test-burst")


class Do(App):
    """Runs a function on each burst and keeps what it returns."""

    def __init__(self, function):
        self.function = function

    def process(self, burst):
        self.result = self.function(burst)


class Keep(App):
    edges = ()
    drops = ("kept",)

    def __init__(self):
        self.frames = []

    def process(self, burst):
        self.frames += map(bytes, burst)
        burst.drop(True, "kept")


def do(frames, function):
    """(what `function(burst)` returns, the frames after it)."""
    keep, app = Keep(), Do(function)
    with Pipeline(Frames(frames, burst=256, pool=POOL) >> app >> keep).stepper() as stepper:
        stepper.step()
    return app.result, keep.frames


frames_of_any_length = st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=40)


@st.composite
def fields(draw):
    width = draw(st.integers(1, 8))
    shift = draw(st.integers(0, 8 * width - 1))
    bits = draw(st.one_of(st.none(), st.integers(1, 8 * width - shift)))
    return Field("any", draw(st.integers(0, 70)), width, shift=shift if bits else 0, bits=bits)
