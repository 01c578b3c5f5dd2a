"""Constant-count frames and their labels: hand-worked values and a slow plain reference."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ann2sdnn.data.events.normalise import normalise
from ann2sdnn.data.events.options import Windows
from ann2sdnn.data.events.windows import (
    FRAME_SHAPE,
    Accumulator,
    CountFrame,
    Events,
    label_row,
    labelled_frames,
    mean_label,
)
from ann2sdnn.support.errors import DataError, UsageError

FloatArray = NDArray[np.float64]


def make_events(rng: np.random.Generator, n: int, *, last_us: int = 1_000_000) -> Events:
    """``n`` random events of a small patch, so that pixels repeat."""
    return Events(
        rng.integers(0, 5, n).astype(np.uint16),
        rng.integers(0, 4, n).astype(np.uint16),
        rng.integers(0, 4, n).astype(np.uint8),
        np.sort(rng.integers(0, last_us, n)),
    )


def part_of(events: Events, begin: int, end: int) -> Events:
    part = slice(begin, end)
    return Events(events.x[part], events.y[part], events.camera[part], events.t_us[part])


def in_chunks(events: Events, cuts: list[int]) -> list[Events]:
    edges = [0, *sorted(cuts), len(events)]
    return [part_of(events, a, b) for a, b in itertools.pairwise(edges)]


def accumulate(chunks: list[Events], window: int, hop: int | None = None) -> list[CountFrame]:
    accumulator = Accumulator(Windows(window, hop))
    return [frame for chunk in chunks for frame in accumulator.add(chunk)]


def plain_counts(events: Events) -> NDArray[np.int32]:
    counts = np.zeros(FRAME_SHAPE, np.int32)
    for x, y, camera in zip(events.x, events.y, events.camera, strict=True):
        counts[y, x, camera] += 1
    return counts


def plain_normalise(counts: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The formula of DHP19's Matlab code, one pixel after the other."""
    frame = np.zeros(counts.shape, np.uint8)
    for channel in range(counts.shape[-1]):
        image = counts[..., channel]
        active = [int(c) for c in image.ravel() if c != 0]
        deviation = 0.0
        if len(active) > 1:
            mean = sum(active) / len(active)
            deviation = math.sqrt(sum((c - mean) ** 2 for c in active) / (len(active) - 1))
        deviation = max(deviation, 0.1 / 255)
        for at in np.ndindex(*image.shape):
            value = min(255.0, int(image[at]) * 255 / (3 * deviation))
            frame[at][channel] = math.floor(value)
    return frame


def test_a_frame_holds_the_counts_of_exactly_its_window() -> None:
    events = Events(
        np.array([7, 7, 345, 0, 7], np.uint16),
        np.array([3, 3, 259, 0, 3], np.uint16),
        np.array([0, 0, 3, 1, 2], np.uint8),
        np.array([10, 20, 30, 40, 50]),
    )
    first, second = accumulate([events], 2)
    assert first.counts.shape == (260, 346, 4)
    assert first.counts[3, 7, 0] == 2
    assert first.counts.sum() == 2
    assert (first.previous_us, first.end_us) == (None, 20)
    assert second.counts[259, 345, 3] == 1
    assert second.counts[0, 0, 1] == 1
    assert (second.previous_us, second.end_us) == (20, 40)


@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 100), max_size=6),
    window=st.sampled_from([6, 10, 30]),
)
@settings(max_examples=25, deadline=None)
def test_chunks_do_not_matter_and_no_event_is_lost(seed: int, cuts: list[int], window: int) -> None:
    events = make_events(np.random.default_rng(seed), 100)
    frames = accumulate(in_chunks(events, cuts), window)
    assert len(frames) == 100 // window
    for i, frame in enumerate(frames):
        expected = plain_counts(part_of(events, i * window, (i + 1) * window))
        np.testing.assert_array_equal(frame.counts, expected)
        assert frame.end_us == events.t_us[(i + 1) * window - 1]


def test_overlapping_windows_move_on_by_the_hop() -> None:
    events = make_events(np.random.default_rng(3), 40)
    frames = accumulate(in_chunks(events, [7, 23]), 12, 4)
    assert len(frames) == (40 - 12) // 4 + 1
    for i, frame in enumerate(frames):
        expected = plain_counts(part_of(events, 4 * i, 4 * i + 12))
        np.testing.assert_array_equal(frame.counts, expected)
        assert frame.previous_us == (None if i == 0 else events.t_us[4 * i - 1])


@pytest.mark.parametrize(("window", "hop"), [(0, None), (10, 3), (10, 0), (10, 20)])
def test_a_hop_that_does_not_divide_the_window_is_refused(window: int, hop: int | None) -> None:
    with pytest.raises(UsageError, match=r"--(window|hop)-events \d+; expected"):
        Windows(window, hop)


def test_three_deviations_fill_the_range() -> None:
    counts = np.zeros((2, 3, 1), np.int32)
    counts[0, :, 0] = (1, 2, 3)  # deviation 1: 255 / 3 = 85 a count
    np.testing.assert_array_equal(normalise(counts)[0, :, 0], [85, 170, 255])
    counts[1, 0, 0] = 12  # mean 4.5, squares 77 / 3
    scale = 255 / (3 * math.sqrt(77 / 3))
    expected = [int(scale), int(2 * scale), int(3 * scale), int(12 * scale)]
    assert normalise(counts)[..., 0].ravel().tolist() == [*expected, 0, 0]


@pytest.mark.parametrize("counts", [[0, 0, 5], [0, 4, 4], [1, 1, 1]])
def test_without_deviation_active_pixels_are_white(counts: list[int]) -> None:
    image = np.array(counts, np.int32).reshape(1, 3, 1)
    np.testing.assert_array_equal(normalise(image)[0, :, 0], [255 if c else 0 for c in counts])


def test_an_image_without_events_stays_black_whatever_the_others_hold() -> None:
    counts = np.zeros((2, 2, 2), np.int32)
    counts[0, 0, 1] = 9
    frame = normalise(counts)
    assert frame[..., 0].max() == 0
    assert frame[0, 0, 1] == 255


@given(seed=st.integers(0, 10_000), mean=st.floats(0.1, 5.0))
@settings(max_examples=40, deadline=None)
def test_normalisation_is_the_published_formula(seed: int, mean: float) -> None:
    counts = np.random.default_rng(seed).poisson(mean, (6, 7, 3)).astype(np.int32)
    np.testing.assert_array_equal(normalise(counts), plain_normalise(counts))


def test_label_rows_round_halves_up() -> None:
    times_us = [100, 100 + 4_999, 100 + 5_000, 100 + 14_999, 100 + 15_000, 100 + 25_000]
    assert [label_row(t, 100) for t in times_us] == [0, 0, 1, 1, 2, 3]


def rows_of(values: list[float]) -> FloatArray:
    """Label rows [n, 13, 3] that hold their value everywhere."""
    return np.array(values)[:, None, None] * np.ones((1, 13, 3))


def test_a_label_is_the_mean_of_both_ends_and_all_between() -> None:
    labels = rows_of([1.0, 2.0, 6.0, 100.0])
    np.testing.assert_array_equal(mean_label(labels, 0, 2), np.full((3, 13), 3.0))
    np.testing.assert_array_equal(mean_label(labels, 3, 3), np.full((3, 13), 100.0))


def test_missing_coordinates_are_left_out_of_the_mean() -> None:
    labels = rows_of([1.0, 2.0, 6.0])
    labels[1, 4, 2] = np.nan
    labels[:, 5, 0] = np.nan
    label = mean_label(labels, 0, 2)
    assert label[2, 4] == 3.5
    assert np.isnan(label[0, 5])
    assert np.isnan(label).sum() == 1


def test_labels_span_from_frame_to_frame_and_end_the_recording() -> None:
    n = 12
    events = Events(
        np.arange(n, dtype=np.uint16),
        np.zeros(n, np.uint16),
        np.zeros(n, np.uint8),
        1_000 + np.arange(n) * 10_000,
    )
    labels = rows_of([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    frames = list(labelled_frames(in_chunks(events, [5]), labels, 1_000, Windows(3)))
    # Frames end at rows 2, 5 and 8; there is no row 8.
    assert [frame.xyz_mm[0, 0] for frame in frames] == [1.0, 3.5]
    assert [frame.end_us for frame in frames] == [21_000, 51_000]
    assert frames[0].frame.dtype == np.uint8
    assert frames[0].frame[0, :4, 0].tolist() == [255, 255, 255, 0]


def test_a_fixed_scale_is_that_of_the_first_frame() -> None:
    x = np.array([0, 1, 1, 2, 2, 2, 0, 0, 0, 0, 0, 1], np.uint16)
    same = np.zeros(len(x), np.uint16)
    events = Events(x, same, same.astype(np.uint8), np.arange(len(x)))
    stream = labelled_frames([events], rows_of([0.0]), 0, Windows(6, normalise="fixed"))
    # Counts 1, 2, 3 deviate by 1: 85 a count; counts 5, 1 are then 255 and 85.
    assert [f.frame[0, :3, 0].tolist() for f in stream] == [[85, 170, 255], [255, 85, 0]]


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match="expected \\[n, 13, 3\\]"):
        next(labelled_frames([], np.zeros((5, 3, 13)), 0, Windows()))


@pytest.mark.parametrize(
    ("x", "y", "channel", "times", "found"),
    [
        (346, 0, 0, 1, r"event x lies outside 0\.\.345"),
        (0, 260, 0, 1, r"event y lies outside 0\.\.259"),
        (0, 0, 4, 1, r"event camera lies outside 0\.\.3"),
        (0, 0, 0, 2, "event columns have the shapes"),
    ],
)
def test_events_outside_the_sensor_are_refused(
    x: int, y: int, channel: int, times: int, found: str
) -> None:
    with pytest.raises(DataError, match=found):
        Events(
            np.full(1, x, np.uint16),
            np.full(1, y, np.uint16),
            np.full(1, channel, np.uint8),
            np.zeros(times, np.int64),
        )
