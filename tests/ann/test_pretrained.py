"""The network that comes with the package."""

import json
from pathlib import Path

import pytest

from ann2sdnn.ann.weights import pretrained
from ann2sdnn.ann.weights.pretrained import PRETRAINED, model_file
from ann2sdnn.ann.weights.read import read_network


def test_it_is_found_by_name_and_is_the_pose_network() -> None:
    path = model_file(Path(PRETRAINED))
    weights, _ = read_network(path)
    assert len(weights) == 17
    assert path.stat().st_size < 1_000_000


def test_a_file_of_that_name_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / PRETRAINED).write_bytes(b"")
    assert model_file(Path(PRETRAINED)) == Path(PRETRAINED)
    assert model_file(Path("model.onnx")) == Path("model.onnx")


def test_its_trainings_are_recorded() -> None:
    folder = Path(pretrained.__file__).resolve().parent / "shipped"
    ordinals = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")
    names = (*(f"{ordinal}.train.json" for ordinal in ordinals), "train.json")
    records = [json.loads((folder / name).read_text()) for name in names]
    # Each began with the network of the one before, under the name that its file had by then.
    begun_from = [record["options"]["init"] for record in records]
    earlier = ("first/model.onnx", PRETRAINED, "plain8612.onnx", "keep-plain.onnx", "B/model.onnx")
    assert begun_from == [None, *earlier, "plain16.onnx", "plain17.onnx"]
    for record in records:
        assert set(record["test_subjects"]).isdisjoint(record["train_subjects"])
    assert set(records[-1]["validation_subjects"]).isdisjoint(records[-1]["train_subjects"])
