"""The state of a fine-tuning run: read whole, or refused in a sentence."""

from pathlib import Path

import pytest
import torch
from damage import accepted, byte_damages, state_damages

from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.sdnn.training.run_folder import SdnnEpoch, SdnnRunFolder, SdnnRunState
from ann2sdnn.support.errors import OutputError
from ann2sdnn.support.files.writing import files_in, write_text


def a_state() -> SdnnRunState:
    record = SdnnEpoch(0, 0, None, None, None, None, 1e6, [1.0], 0, [0.5], 0.1)
    weights = {"weight": torch.ones(3, 2)}
    return SdnnRunState(
        options=SdnnTrainOptions(),
        data={"S1": 3},
        spec_sha256="0" * 64,
        weights=weights,
        optimizer={},
        history=[record],
    )


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = SdnnRunFolder(tmp_path / "run")
    folder.write(a_state())
    again = folder.read()
    assert (again.options, again.history) == (SdnnTrainOptions(), a_state().history)
    assert torch.equal(again.weights["weight"], torch.ones(3, 2))


def test_whatever_is_missing_or_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    folder = SdnnRunFolder(tmp_path)
    folder.write(a_state())
    path = folder.state
    found = accepted(path, lambda _path: folder.read(), byte_damages(path), state_damages(path))
    # Whether a state belongs to a network and its data is for whoever has them.
    elsewhere = {"spec_sha256 is", "data is {'other': 1}", "optimizer is {'other': 1}"}
    assert found <= elsewhere | {"weights.weight cut", "weights is {'other': 1}"}
    assert "weights is {'other': 1}" not in found


def test_pictures_of_the_users_stay_in_the_folder(tmp_path: Path) -> None:
    folder = SdnnRunFolder(tmp_path)
    folder.write(a_state())
    with files_in(tmp_path):
        write_text(folder.picture(0), "ours")
    (tmp_path / "pictures" / "holiday.png").write_text("mine")
    folder.check(resume=False, force=True)
    folder.clear(["model.onnx"])
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["holiday.png"]
    folder.picture(1).write_text("mine")
    with pytest.raises(OutputError, match=r"epoch-001\.png exists already, and no \.ann2sdnn"):
        folder.check(resume=False, force=True)
