"""Frame sources: DHP19 recordings through the registry, and the ways to cut sequences."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from recordings import write_recordings

from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.data.recordings.split import choose
from ann2sdnn.data.sources.arrays import ArrayFrames
from ann2sdnn.data.sources.dhp19 import Dhp19Options, OneCameraOptions, plan_runs
from ann2sdnn.data.sources.frames import (
    CroppedFrames,
    Frames,
    PoseFrames,
    beginnings,
    common_shape,
    counted_chunks,
    group_name,
    hold_out,
    limited,
    sample_frames,
)
from ann2sdnn.data.sources.registry import open_frames, source_files, source_of
from ann2sdnn.data.sources.resized import resized
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import DataError, UsageError
from ann2sdnn.support.options.fields import number


def sequence(n_frames: int, group: str = "a", size: tuple[int, int] = (4, 6)) -> ArrayFrames:
    """Frame t has the value t in every pixel."""
    values = np.arange(n_frames, dtype=np.uint8)[:, None, None, None]
    return ArrayFrames(np.tile(values, (1, 1, *size)), group, group)


def values(sequences: Sequence[Frames]) -> list[list[int]]:
    return [[int(frame.max()) for chunk in one.chunks(3) for frame in chunk] for one in sequences]


@pytest.mark.parametrize(
    ("shortest", "lengths"), [(16, {"a": 18, "c": 18}), (12, {"a": 12, "b": 12, "c": 12})]
)
def test_few_frames_are_those_of_fewer_recordings_rather_than_short_ones(
    shortest: int, lengths: dict[str, int]
) -> None:
    sequences = [sequence(20, group) for group in "abc" for _ in range(2)]
    cut = limited(sequences, 72, shortest=shortest)
    assert {one.group: one.n_frames for one in cut} == lengths
    assert sum(one.n_frames for one in cut) == 72


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), subjects=2)


def test_recordings_are_opened_camera_by_camera(data: Path) -> None:
    chosen = choose(open_recordings(data), "test")
    sequences = open_frames(data, Dhp19Options((1, 2)), split="test", max_frames=6)
    expected = plan_runs(chosen, (1, 2), 6)
    assert [one.name for one in sequences] == [one.name for one in expected]
    for ours, theirs in zip(sequences, expected, strict=True):
        assert ours.shape == (1, 260, 344)
        frames = np.concatenate(list(ours.chunks()))
        assert np.array_equal(frames, np.concatenate(list(theirs.chunks())))
        assert isinstance(ours, PoseFrames)
        assert len(ours.labels().pixels) == ours.n_frames
    one_camera = open_frames(data, OneCameraOptions(channel=3))
    assert {one.name.split()[-1] for one in one_camera} == {"3"}
    assert {one.name.split()[-1] for one in open_frames(data)} == {"2", "3"}


def test_only_what_has_poses_is_called_a_recording(data: Path) -> None:
    recordings = open_frames(data)
    assert group_name(recordings) == "recording"
    assert group_name(resized(recordings, (20, 30))) == "recording"
    assert group_name([sequence(3)]) == "sequence"
    assert group_name([*recordings, sequence(3)]) == "sequence"


def test_a_part_of_a_recording_has_its_frames_and_labels(data: Path) -> None:
    whole = plan_runs(open_recordings(data), (2,))[0]
    part = whole.part(1, 100).part(1, 3)
    frames = np.concatenate(list(whole.chunks()))
    assert np.array_equal(np.concatenate(list(part.chunks())), frames[2:4])
    assert np.array_equal(part.labels().pixels, whole.labels().pixels[2:4])


def test_files_and_errors_of_a_path_nobody_recognises(data: Path, tmp_path: Path) -> None:
    assert set(source_files(data)) == {data, *data.iterdir()}
    assert source_of(data).name == "DHP19 recordings"
    with pytest.raises(DataError, match="holds no frames; expected DHP19 recordings"):
        open_frames(tmp_path)
    with pytest.raises(DataError, match="missing does not exist"):
        open_frames(tmp_path / "missing")


def test_options_of_another_source_are_refused(data: Path) -> None:
    @dataclass(frozen=True)
    class OtherOptions(SourceOptions):
        stride: int = number(1, at_least=1, at_most=9, option="--stride")

    with pytest.raises(UsageError, match=r"--stride: .* holds DHP19 recordings"):
        open_frames(data, OtherOptions())


@pytest.mark.parametrize(("channels", "said"), [((4,), "0 to 3"), ((2, 2), "different")])
def test_cameras_that_make_no_sense_are_refused(channels: tuple[int, ...], said: str) -> None:
    with pytest.raises(UsageError, match=rf"--channels .*{said}"):
        Dhp19Options(channels)


def test_groups_are_held_out_whole() -> None:
    sequences = [sequence(2, group) for group in ("a", "a", "b", "c", "c", "d")]
    kept, held_out = hold_out(sequences, first=1, every=2, fewest=4)
    assert [one.group for one in kept] == ["a", "a", "c", "c"]
    assert [one.group for one in held_out] == ["b", "d"]
    assert hold_out(sequences, first=1, every=2, fewest=5) == (tuple(sequences), ())


def test_beginnings_and_samples_are_evenly_spaced() -> None:
    sequences = [sequence(n) for n in (5, 2, 4)]
    assert values(beginnings(sequences, 2, 3)) == [[0, 1, 2], [0, 1, 2]]
    assert values(beginnings(sequences, 9, 3)) == [[0, 1, 2], [0, 1], [0, 1, 2]]
    assert [int(one.max()) for one in sample_frames(sequences, 3)] == [0, 0, 3]
    assert sample_frames(sequences, 0) == []


def test_the_first_frame_counts_only_where_it_is_alone() -> None:
    assert [skip for _, skip in counted_chunks(sequence(20))] == [1, 0, 0]
    assert [skip for _, skip in counted_chunks(sequence(1))] == [0]


def test_the_middle_of_frames() -> None:
    frames = np.arange(2 * 2 * 5 * 8, dtype=np.uint8).reshape(2, 2, 5, 8)
    cropped = CroppedFrames(ArrayFrames(frames), 2, 4)
    assert cropped.shape == (2, 2, 4)
    assert np.array_equal(next(cropped.part(1, 2).chunks()), frames[1:, :, 1:3, 2:6])
    with pytest.raises(UsageError, match="--crop 6x4 is larger than the frames of 5x8"):
        CroppedFrames(ArrayFrames(frames), 6, 4)


def test_sequences_of_different_shapes_have_no_common_one() -> None:
    assert common_shape([sequence(1), sequence(2)]) == (1, 4, 6)
    with pytest.raises(DataError, match="a: 1x4x6, b: 1x4x5"):
        common_shape([sequence(1), sequence(1, "b", (4, 5))])
