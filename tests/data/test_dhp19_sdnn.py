"""The experiment's data file: what its script finds in it, and files that are something else."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damage import accepted, byte_damages, pt_damages
from recordings import write_recordings

from ann2sdnn.cli.app import app
from ann2sdnn.data.recordings.experiment_file import (
    StoredSequences,
    read_experiment_file,
    write_experiment_file,
)
from ann2sdnn.data.recordings.options import PictureSize
from ann2sdnn.data.recordings.recording import RecordingName, open_recordings
from ann2sdnn.data.recordings.sequences import RecordedSequences
from ann2sdnn.data.synthetic.experiment import synthesise_experiment_file
from ann2sdnn.data.synthetic.options import SynthOptions
from ann2sdnn.support.errors import DataError, OutputError, UsageError

KEYS = {"input_tensors", "target_tensors", "session_tensor", "subject_tensor", "mov_tensor"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("sdnn") / "data", subjects=2, frames=11)


@pytest.fixture(scope="module")
def file(data: Path) -> Path:
    path = data.parent / "sequences.pt"
    assert write_experiment_file(path, open_recordings(data)) == 2
    return path


def test_the_experiments_script_finds_what_it_expects(file: Path, data: Path) -> None:
    content = torch.load(file, weights_only=True)
    assert set(content) == KEYS
    frames, boxes = content["input_tensors"][0], content["target_tensors"][0]
    assert frames.shape == (1, 260, 344, 4, 8)
    assert boxes.shape == (13, 260, 344, 4, 8)
    expected = open_recordings(data)[0].frames(range(8), range(4))  # [T, 4, H, W]
    got = frames.to_dense()[0].permute(3, 2, 0, 1)
    np.testing.assert_allclose(got, expected / 255, atol=1e-6)
    assert set(boxes.values().tolist()) == {1.0}
    assert boxes.select(3, 1).select(3, 0).to_dense().sum(dim=(1, 2)).max() == 25
    assert [int(one) for one in content["subject_tensor"]] == [1, 2]


def test_reading_gives_what_was_written(file: Path, data: Path) -> None:
    read = read_experiment_file(file)
    assert read.names == (RecordingName(1, 1, 1), RecordingName(2, 1, 1))
    for size in (PictureSize(), PictureSize((96, 64))):
        stored = StoredSequences(read, 3, size)
        recorded = RecordedSequences(open_recordings(data), 3, 8, size)
        assert len(stored) == len(recorded) == 2
        for index in range(2):
            ours, theirs = stored.read(index), recorded.read(index)
            assert torch.equal(ours.frames, theirs.frames)
            assert torch.equal(ours.targets, theirs.targets)


def test_numbers_may_be_tensors(file: Path, tmp_path: Path) -> None:
    content = torch.load(file, weights_only=True)
    content["session_tensor"] = torch.tensor(content["session_tensor"])
    torch.save(content, tmp_path / "other.pt")
    assert read_experiment_file(tmp_path / "other.pt").names[1] == RecordingName(2, 1, 1)


class Payload:
    """Unpickling this runs a command."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, ("touch executed",))


def test_a_file_with_code_in_it_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"input_tensors": [Payload()]}, tmp_path / "bad.pt")
    with pytest.raises(DataError, match="is no file of tensors"):
        read_experiment_file(tmp_path / "bad.pt")
    assert not (tmp_path / "executed").exists()


def changed(file: Path, folder: Path, **changes: Any) -> Path:
    content = torch.load(file, weights_only=True)
    content.update(changes)
    path = folder / "changed.pt"
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    return path


def outside() -> torch.Tensor:
    """A sparse tensor one of whose indices lies outside its shape."""
    indices = torch.tensor([[0], [260], [0], [0], [0]])
    return torch.sparse_coo_tensor(
        indices, torch.ones(1), (1, 260, 344, 4, 8), check_invariants=False, is_coalesced=True
    )


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mov_tensor", None, "lacks mov_tensor"),
        ("mov_tensor", [1], "lengths .* mov_tensor: 1"),
        ("session_tensor", ["one", "two"], "session_tensor is no list of numbers"),
        ("input_tensors", [torch.zeros(1, 260, 344, 4, 8)] * 2, r"input_tensors\[0\] is"),
        ("input_tensors", [torch.zeros(1, 2, 3).to_sparse()] * 2, r"is \(1, 2, 3\), expected"),
        (
            "input_tensors",
            [torch.zeros(1, 260, 344, 4, 7).to_sparse()] * 2,
            r"sequences of \[7, 8\] frames",
        ),
        ("target_tensors", [1, 2], r"target_tensors\[0\] is int"),
    ],
)
def test_other_forms_are_refused(
    file: Path, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_experiment_file(changed(file, tmp_path, **{key: value}))


def test_indices_outside_the_shape_are_refused(file: Path, tmp_path: Path) -> None:
    path = changed(file, tmp_path, input_tensors=[outside(), outside()])
    with pytest.raises(DataError, match=r"indices|no file of tensors"):
        read_experiment_file(path)


def test_no_file_and_no_torch_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_experiment_file(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(DataError, match="is no file of tensors"):
        read_experiment_file(tmp_path / "text.pt")


def test_an_existing_file_is_kept(file: Path, data: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_experiment_file(file, open_recordings(data))
    assert file.read_bytes() == before


def test_synthetic_recordings_become_such_a_file(tmp_path: Path) -> None:
    path = tmp_path / "synthetic.pt"
    size = ("--subjects", "1", "--movements", "1", "--frames", "8")
    app(["synth", str(path), "--format", "dhp19-sdnn", *size], standalone_mode=False)
    frames, targets = StoredSequences(read_experiment_file(path), 1).read(0)
    assert 0.005 < float((frames > 0).float().mean()) < 0.3
    assert targets.sum(dim=(1, 2)).max() == 25
    with pytest.raises(UsageError, match="--frames 7"):
        synthesise_experiment_file(tmp_path / "short.pt", SynthOptions(frames=7))
    with pytest.raises(UsageError, match=r"--frames 12; .* give a multiple"):
        synthesise_experiment_file(tmp_path / "odd.pt", SynthOptions(frames=12))
    with pytest.raises(UsageError, match=r"data does not end in \.pt"):
        synthesise_experiment_file(tmp_path / "data", SynthOptions(frames=8))


def test_whatever_is_missing_or_of_another_form_is_one_sentence(file: Path) -> None:
    def everything(path: Path) -> None:
        StoredSequences(read_experiment_file(path), 1).read(0)

    # Floats that are whole are as good as integers.
    numbers = ("session_tensor", "subject_tensor", "mov_tensor")
    assert accepted(file, everything, byte_damages(file), pt_damages(file)) == {
        f"{name} is tensor([1., 1.])" for name in numbers
    }


def test_values_that_are_no_numbers_are_refused(file: Path, tmp_path: Path) -> None:
    inputs = torch.load(file, weights_only=True)["input_tensors"]
    for value in (float("nan"), float("inf"), 1j):
        bad = [one.coalesce() * value for one in inputs]
        path = changed(file, tmp_path, input_tensors=bad)
        with pytest.raises(DataError, match=r"input_tensors\[0\] holds values that are no finite"):
            read_experiment_file(path)
