"""Errors frame by frame: what pose scores keep, and what the page shows of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evaluations import make_report
from matplotlib.figure import Figure
from numpy.typing import NDArray
from recordings import write_recordings

from ann2sdnn.ann.weights.pretrained import SHIPPED
from ann2sdnn.data.pose.labels import ProjectedLabels
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.eval.render.frames.over_time import over_time
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.timeline import TimedSequence, Timeline
from ann2sdnn.eval.tasks.classify.scores import ClassifyScores
from ann2sdnn.eval.tasks.output.scores import OutputScores
from ann2sdnn.eval.tasks.pose.timed import ERROR, MOVED, moved_by_frame, px_by_frame
from ann2sdnn.eval.tasks.regress.scores import RegressScores
from ann2sdnn.support.page.numbers import points_of


def sequence(name: str, *moved: float) -> TimedSequence:
    values: NDArray[np.float64] = np.array(moved, np.float64)
    errors = {"ann": np.add(values, 1.0), "sdnn": np.add(values, 1.5)}
    return TimedSequence(name, len(values), errors, {"sdnn": values})


def sequences_of(timeline: Timeline | None) -> tuple[TimedSequence, ...]:
    assert timeline is not None
    return timeline.sequences


def drawn(*timeline: TimedSequence) -> tuple[str, Figure]:
    picture = over_time(Evaluation(make_report(), (), timeline=Timeline(timeline, ERROR, MOVED)))
    assert picture is not None
    return picture.meaning, picture.draw()


def test_a_frames_error_is_the_mean_over_its_visible_joints() -> None:
    labels = ProjectedLabels(np.zeros((3, 13, 2), np.int64), np.zeros((3, 13), bool))
    labels.visible[0, :2] = labels.visible[1, 0] = True
    pixels = np.zeros((3, 13, 2), np.int64)
    pixels[0, 0], pixels[0, 1], pixels[1, 0], pixels[2, 0] = (3, 4), (0, 1), (6, 8), (9, 9)
    assert px_by_frame(pixels, labels) == pytest.approx([3.0, 10.0, np.nan], nan_ok=True)


def test_a_frames_displacement_is_capped_per_joint() -> None:
    moved = np.full((3, 13), np.nan, np.float32)
    moved[0, :3], moved[1, 0] = (1.0, 2.0, 90.0), 0.0
    expected = [(1 + 2 + 5) / 3, 0.0, np.nan]
    assert moved_by_frame(moved) == pytest.approx(expected, nan_ok=True)


def test_sequences_follow_each_other_and_first_frames_are_marked() -> None:
    meaning, figure = drawn(sequence("one", 0.1, 0.4, 0.3), sequence("two", 0.3, 0.5))
    points = {
        series: [(p.x, round(p.y, 3)) for p in points_of(figure) if p.series == series]
        for series in ("ANN", "SDNN", "SDNN, first frame")
    }
    assert points["ANN"] == [(0, 1.1), (1, 1.4), (2, 1.3), (3, 1.3), (4, 1.5)]
    assert points["SDNN"][5:] == [(0, 0.1), (1, 0.4), (2, 0.3), (3, 0.3), (4, 0.5)]
    assert points["SDNN, first frame"] == [(0, 1.6), (3, 1.8), (0, 0.1), (3, 0.3)]
    assert "distance from the ANN is 0.2 in first frames, and 0.4 in the others" in meaning
    assert "Sequences: one, two." in meaning


def test_of_many_frames_the_first_sequences_are_shown() -> None:
    long = [sequence(f"number {index}", *[0.1] * 200) for index in range(5)]
    meaning, figure = drawn(*long)
    assert max(point.x for point in points_of(figure)) == 399
    assert "Shown are the first 2 sequences; 3 more are left out." in meaning
    assert "Sequences: number 0, number 1." in meaning
    _, figure = drawn(sequence("longer than all", *[0.1] * 600))
    assert max(point.x for point in points_of(figure)) == 599


def test_nothing_is_shown_without_a_timeline() -> None:
    assert over_time(Evaluation(make_report(), ())) is None


def test_an_evaluations_frames_add_up_to_its_errors(tmp_path: Path) -> None:
    """Recordings of one length, in which every joint is visible, so that means of means agree."""
    data = write_recordings(tmp_path / "data", subjects=1, frames=4)
    evaluation = evaluate(SHIPPED, data, EvaluateOptions(split="all"))
    report, timeline = evaluation.report, sequences_of(evaluation.timeline)
    assert sum(one.n_frames for one in timeline) == report.frames
    assert evaluation.conversion is not None
    for name, network in (("ann", report.ann), ("sdnn", report.sdnn)):
        assert network is not None
        errors = np.concatenate([one.error[name] for one in timeline])
        assert np.nanmean(errors) == pytest.approx(network.mpjpe_px, rel=1e-5)
    moved = np.concatenate([one.moved["sdnn"] for one in timeline])
    assert len(moved) == report.frames


class Given:
    """Frames of which only name, labels and number matter to scores."""

    def __init__(self, name: str, n_frames: int, labels: NDArray[Any]) -> None:
        self.name = self.group = name
        self.n_frames, self.labels = n_frames, labels
        self.shape = (1, 1, 1)

    def part(self, start: int, stop: int) -> "Given":
        return Given(self.name, stop - start, self.labels[start:stop])

    def chunks(self, n_frames: int = 8) -> Iterator[NDArray[np.uint8]]:
        yield np.zeros((self.n_frames, *self.shape), np.uint8)

    def targets(self) -> NDArray[Any]:
        return self.labels


def outputs(*values: float) -> torch.Tensor:
    """Outputs [T, 2, 1, 1] whose second value is 0."""
    return torch.tensor([[value, 0.0] for value in values]).reshape(-1, 2, 1, 1)


def test_without_labels_only_distances_from_the_ann_are_drawn() -> None:
    scores = OutputScores(("ann", "sdnn"), ((2, 1, 1),))
    scores.add(Given("one", 2, np.zeros(0)), [{"ann": outputs(3, 4), "sdnn": outputs(3, 5)}])
    scores.add(Given("two", 1, np.zeros(0)), [{"ann": outputs(5), "sdnn": outputs(3)}])
    size = np.sqrt((9 + 16 + 25) / 3)  # of the ANN's output, RMS over the frames
    moved = [sequence.moved["sdnn"].tolist() for sequence in scores.timeline().sequences]
    assert moved == [pytest.approx([0, 1 / size]), pytest.approx([2 / size])]
    picture = over_time(Evaluation(make_report(), (), timeline=scores.timeline()))
    assert picture is not None
    assert picture.meaning.startswith("For every frame, distance of the outputs from the ANN's")
    assert len(picture.draw().axes) == 1


def test_values_have_absolute_errors_and_classes_are_right_or_wrong() -> None:
    values = RegressScores(((2, 1, 1),), ("ann", "sdnn"))
    labels = np.array([[3.0, 1.0], [np.nan, np.nan]])
    values.add(Given("one", 2, labels), [{"ann": outputs(3, 4), "sdnn": outputs(2, 4)}])
    (timed,) = values.timeline().sequences
    assert timed.error["ann"] == pytest.approx([0.5, np.nan], nan_ok=True)
    assert timed.error["sdnn"] == pytest.approx([1.0, np.nan], nan_ok=True)

    classes = ClassifyScores(2, ("ann", "sdnn"))
    answers = {"ann": outputs(1, -1, 1), "sdnn": outputs(1, 1, 1)}
    classes.add(Given("one", 3, np.array([0, 1, 1])), [answers])
    (timed,) = classes.timeline().sequences
    assert timed.error["ann"].tolist() == [0, 0, 1]
    assert timed.error["sdnn"].tolist() == [0, 1, 1]
    picture = over_time(Evaluation(make_report(), (), timeline=classes.timeline()))
    assert picture is not None
    assert [axes.get_ylabel() for axes in picture.draw().axes] == ["wrong class", "relative error"]
