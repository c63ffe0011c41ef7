# SPDX-License-Identifier: BSD-3-Clause
"""Trial finds what is wrong with an app: raised, kept, lost and miscounted packets."""

import pytest

from dataplane import App, eth
from dataplane.apps import Counter, Sink, Tee, Trial
from dataplane.byhand import Held
from dataplane.errors import AppError, ConfigError, DataplaneError

FRAMES = [bytes([number]) * 60 for number in range(1, 11)]


class Sorter(App):
    edges = ("even", "odd")
    drops = ("third",)

    def process(self, burst):
        number = burst[eth.dst] & 0xFF
        burst.drop(number % 3 == 0, "third")
        return number % 2


class Broken(App):
    def process(self, burst):
        raise ValueError("no good")


def test_frames_leave_by_their_edge_in_order():
    with Trial(Sorter()) as trial:
        trial.push(FRAMES, burst=3)
        assert [frame[0] for frame in trial.out["even"]] == [2, 4, 8, 10]
        assert [frame[0] for frame in trial.out["odd"]] == [1, 5, 7]
        assert trial.drops == {"third": 3}
        assert trial.counts["odd"] == (3, 180, 3)


def test_what_an_app_raises_is_raised():
    with (
        pytest.raises(AppError, match=r"broken: process.* raised ValueError: no good"),
        Trial(Broken()) as trial,
    ):
        trial.push(FRAMES)
    assert trial.drops == {"error": 10}


def test_an_edge_left_open_drops_by_name():
    with Trial(Tee(), unconnected=("copy",)) as trial:
        trial.push(FRAMES)
        assert trial.out == {"out": FRAMES}


def test_packets_that_are_kept_are_found():
    trial = Trial(Sink(), n=10)
    with Held(trial.mempool, 3), pytest.raises(DataplaneError, match="kept or lost 3 mbufs"):
        trial.close()
    trial.close()


def test_too_few_mbufs_are_an_error_that_leaves_none_behind():
    with Trial(Sink(), n=4, segment=30) as trial:
        with pytest.raises(DataplaneError, match="mempool is empty: give a larger n"):
            trial.push([bytes(60), bytes(90)])
        trial.push([bytes(60), bytes(60)])
        assert trial.app.packets == 2


def test_segments_and_long_frames():
    frames = [bytes(range(200)) * 10, b"", b"x"]
    with Trial(Counter(), segment=64) as trial:
        trial.push(frames)
        assert trial.out["out"] == frames


def test_a_trial_again_counts_anew():
    sink = Sink()
    for _ in range(2):
        with Trial(sink) as trial:
            trial.push(FRAMES)
            assert sink.packets == 10


def test_impossible_bursts_are_refused():
    with Trial(Sink()) as trial, pytest.raises(ConfigError, match="1 to 256"):
        trial.push(FRAMES, burst=257)
