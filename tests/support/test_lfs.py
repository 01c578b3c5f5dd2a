"""A Git LFS pointer in the place of any file is named, with the command that downloads it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from evaluations import read_evaluation

from ann2sdnn.ann.weights.checkpoint import read_checkpoint
from ann2sdnn.ann.weights.keras import import_network
from ann2sdnn.ann.weights.read import read_network
from ann2sdnn.convert.folder import open_conversion
from ann2sdnn.convert.report.report import read_report
from ann2sdnn.data.events.aedat import open_aedat
from ann2sdnn.data.raw.vicon import read_vicon
from ann2sdnn.data.recordings.experiment_file import read_experiment_file
from ann2sdnn.data.recordings.recording import open_recordings
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.sdnn.netx.extras import read_extras
from ann2sdnn.sdnn.netx.read import read_netx
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.support.errors import Ann2SdnnError
from ann2sdnn.support.files.lfs import is_lfs_pointer

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)
RECORDING = ("S1_session1_mov1_7500events.h5", "S1_session1_mov1_7500events_label.h5")


def _write(path: Path) -> Path:
    path.write_text(POINTER)
    return path


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("net.onnx", read_onnx),
        ("net.onnx", read_network),
        ("last.safetensors", read_network),
        ("last.safetensors", read_checkpoint),
        ("DHP_CNN.model", read_network),
        ("sdnn.h5", read_spec),
        ("network.net", read_netx),
        ("network.net", read_extras),
        ("report.json", read_report),
        ("evaluation.json", read_evaluation),
        ("mov1.aedat", open_aedat),
        ("S1_1_1.mat", read_vicon),
        ("train.pt", read_experiment_file),
    ],
)
def test_a_pointer_is_named_by_every_reader(
    name: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    path = _write(tmp_path / name)
    with pytest.raises(Ann2SdnnError, match=rf"{name} is a Git LFS pointer.*git lfs pull"):
        read(path)


def test_recordings_and_imports_name_it_too(tmp_path: Path) -> None:
    for name in RECORDING:
        _write(tmp_path / name)
    with pytest.raises(Ann2SdnnError, match="git lfs pull"):
        open_recordings(tmp_path)
    with pytest.raises(Ann2SdnnError, match="git lfs pull"):
        import_network(_write(tmp_path / "DHP_CNN.model"), tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_a_conversions_folder_of_pointers(tmp_path: Path) -> None:
    for name in ("model.onnx", "sdnn.h5"):
        _write(tmp_path / name)
    with pytest.raises(Ann2SdnnError, match="git lfs pull"):
        open_conversion(tmp_path)


def test_only_the_whole_first_line_counts(tmp_path: Path) -> None:
    assert is_lfs_pointer(_write(tmp_path / "pointer"))
    (tmp_path / "text").write_text("version https://example.org\n")
    assert not is_lfs_pointer(tmp_path / "text")
    assert not is_lfs_pointer(tmp_path / "absent")
    assert not is_lfs_pointer(tmp_path)
