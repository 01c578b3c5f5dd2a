"""Files of strangers: nothing in them is executed, and they lead to no write outside the folder."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import pytest
import torch
from networks import moving_frames
from onnx import TensorProto
from onnx_models import ModelBuilder, random_weights
from rich.console import Console

import ann2sdnn
from ann2sdnn.ann.weights.checkpoint import read_checkpoint
from ann2sdnn.ann.weights.keras import import_network, read_keras_weights
from ann2sdnn.data.raw.vicon import read_vicon
from ann2sdnn.data.recordings.experiment_file import read_experiment_file
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.sdnn.spec.file import read_points
from ann2sdnn.support.errors import Ann2SdnnError, DataError, ModelError
from ann2sdnn.support.files.tensors import read_tensors
from ann2sdnn.support.page.document import Document, Sheet
from ann2sdnn.support.page.html import render
from ann2sdnn.support.terminal import document_text
from ann2sdnn.support.training.state import RunState, read_state

SCRIPT = "<script>alert(1)</script>"


class _Bomb:
    """Unpickled, it creates the file ``sign``."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.sign,))


class _State(RunState):
    schema = 1


def _plain(path: Path, bomb: _Bomb) -> None:
    path.write_bytes(pickle.dumps(bomb))


def _zip(path: Path, bomb: _Bomb) -> None:
    torch.save({"input_tensors": [bomb]}, path)


def _old_zip(path: Path, bomb: _Bomb) -> None:
    torch.save({"input_tensors": [bomb]}, path, _use_new_zipfile_serialization=False)


def _array(path: Path, bomb: _Bomb) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.array([bomb], object), allow_pickle=True)


def _archive(name: str) -> Callable[[Path, _Bomb], None]:
    def write(path: Path, bomb: _Bomb) -> None:
        arrays: dict[str, Any] = {"frames": moving_frames(3).numpy()}
        with path.open("wb") as stream:
            np.savez(stream, **(arrays | {name: np.array([bomb] * 3, object)}))

    return write


def _h5(path: Path, bomb: _Bomb) -> None:
    with h5py.File(path, "w") as file:
        content = np.void(pickle.dumps(bomb))
        file["frames"] = content
        file.attrs["format"] = content
        file["model_weights/conv1/conv1/kernel:0"] = content


@pytest.mark.parametrize("write", [_plain, _zip, _old_zip, _array, _h5])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("state.safetensors", lambda path: read_state(path, _State)),
        ("last.safetensors", read_checkpoint),
        ("net.model", read_keras_weights),
        ("net.model", lambda path: import_network(path, path.with_name("net.onnx"))),
        ("train.pt", read_experiment_file),
        ("frames.npy", open_frames),
        ("frames.npz", open_frames),
        ("frames.h5", open_frames),
        ("sdnn.h5", read_points),
        ("net.onnx", load_onnx),
        ("S1_1_1.mat", read_vicon),
    ],
)
def test_no_reader_unpickles(
    tmp_path: Path,
    name: str,
    read: Callable[[Path], object],
    write: Callable[[Path, _Bomb], None],
) -> None:
    sign, path = tmp_path / "executed", tmp_path / name
    write(path, _Bomb(sign))
    with pytest.raises(Ann2SdnnError):
        read(path)
    assert not sign.exists()


@pytest.mark.parametrize("name", ["frames", "labels", "lengths"])
def test_no_array_of_an_archive_is_unpickled(tmp_path: Path, name: str) -> None:
    sign, path = tmp_path / "executed", tmp_path / "frames.npz"
    _archive(name)(path, _Bomb(sign))
    with pytest.raises(DataError):
        open_frames(path)
    assert not sign.exists()


def test_labels_beside_an_array_are_not_unpickled(tmp_path: Path) -> None:
    sign = tmp_path / "executed"
    np.save(tmp_path / "frames.npy", moving_frames(3).numpy())
    _array(tmp_path / "frames.labels.npy", _Bomb(sign))
    with pytest.raises(DataError):
        open_frames(tmp_path / "frames.npy")
    assert not sign.exists()


def test_a_script_of_torch_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "train.pt"
    torch.jit.save(torch.jit.script(torch.nn.Identity()), str(path))  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="TorchScript archive, which holds code"):
        read_tensors(path)
    with pytest.raises(DataError, match=r"train\.pt .*TorchScript"):
        read_experiment_file(path)


def test_a_tensor_is_no_longer_than_its_file(tmp_path: Path) -> None:
    path = tmp_path / "train.pt"
    torch.save({"a": torch.arange(10)}, path)
    content = path.read_bytes()
    assert content.count(b"K\nt") == 1
    # The lengths of the storage and of the tensor, 10 as one byte; the archive stays as long.
    path.write_bytes(content.replace(b"K\nt", b"K\xfft").replace(b"K\n\x85", b"K\xff\x85"))
    with pytest.raises((RuntimeError, pickle.UnpicklingError)):
        read_tensors(path)["a"].sum()


def test_pages_show_names_as_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    builder = ModelBuilder((1, 1, 8, 10)).add("Conv", random_weights(rng, 2, 1, 3, 3)).add("Relu")
    builder.add("Conv", random_weights(rng, 2, 2, 3, 3))
    path = builder.save(tmp_path / "net.onnx")
    model = onnx.load(path)
    for node in model.graph.node:
        node.name = f"../../{node.name}{SCRIPT}"
    model.producer_name = model.doc_string = model.graph.name = SCRIPT
    onnx.helper.set_model_props(model, {"comment": SCRIPT})
    onnx.save(model, path)
    arrays = tmp_path / "data"
    arrays.mkdir()
    name = SCRIPT.replace("/", "\N{FRACTION SLASH}")  # no file name holds a slash
    for number in range(5):
        frames = moving_frames(6, (1, 8, 10), seed=number).numpy()
        np.save(arrays / f"{number}{name}.npy", frames)
    before = set(tmp_path.iterdir())
    sdnn = ann2sdnn.to_sdnn(ann2sdnn.from_onnx(path), arrays)
    sdnn.save(tmp_path / "sdnn")
    page = sdnn.report.html()
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page
    assert set(tmp_path.iterdir()) - before == {tmp_path / "sdnn"}


def test_no_part_of_a_page_is_markup() -> None:
    sheet = Sheet(SCRIPT, (SCRIPT,), ((SCRIPT,),), notes=(SCRIPT,))
    document = Document(SCRIPT, SCRIPT, (SCRIPT,), (SCRIPT,), (sheet,))
    page = render(document)
    assert page.count("&lt;script&gt;") >= 7
    assert "<script>alert" not in page


def test_names_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "conv\x1b]0;title\x07\x9b2J[bold]"
    sheet = Sheet(name, (name,), ((name,),), notes=(name,))
    console = Console(width=80)
    console.print(document_text(Document(name, name, (name,), (name,), (sheet,), facts=(name,))))
    shown = capsys.readouterr().out
    assert "[bold]" in shown
    assert not set(shown) & {"\x1b", "\x07", "\x9b"}


def test_external_data_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inside = tmp_path / "inside"
    inside.mkdir()
    builder = ModelBuilder((1, 1, 8, 10)).add("Conv", random_weights(rng, 2, 1, 3, 3))
    path = builder.save(inside / "net.onnx")
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(72))
    (inside / "link").symlink_to(secret)
    for location in ("../secret", str(secret), "link", "..\\secret", "a/../../secret"):
        model = onnx.load(path)
        (tensor,) = model.graph.initializer
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        changed = inside / "changed.onnx"
        changed.write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="folder"):
            load_onnx(changed)
