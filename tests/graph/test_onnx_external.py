"""Weights beside an ONNX file belong to the network: read, embedded, hashed, kept in the folder."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from onnx_models import ModelBuilder, run_onnx
from recordings import write_network, write_recordings

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.weights.onnx_export import write_onnx
from ann2sdnn.ann.weights.read import read_network
from ann2sdnn.convert.conversion import convert
from ann2sdnn.convert.options import ConvertOptions
from ann2sdnn.eval.evaluate import evaluate
from ann2sdnn.eval.options import EvaluateOptions
from ann2sdnn.graph.onnx.file.load import load_onnx
from ann2sdnn.graph.onnx.reader import read_onnx
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.support.errors import ModelError
from ann2sdnn.support.files.writing import sha256

DATA = "net.onnx.data"


def with_external_data(source: Path, path: Path) -> Path:
    """The network of ``source`` as ``path`` with its weights in a file beside it."""
    model = onnx.load(str(source))
    onnx.save_model(model, str(path), save_as_external_data=True, location=DATA, size_threshold=0)
    return path


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A network that keeps its weights in `net.onnx.data`."""
    whole = write_network(tmp_path / "whole.onnx")
    (tmp_path / "split").mkdir()
    return with_external_data(whole, tmp_path / "split" / "net.onnx")


def test_a_conversion_holds_the_weights_and_outlives_its_source(
    split: Path, tmp_path: Path
) -> None:
    data, out = write_recordings(tmp_path / "data"), tmp_path / "sdnn"
    report = convert(split, data, out, ConvertOptions(max_frames=4))
    x = np.random.default_rng(0).random((1, 1, 260, 344), np.float32)
    expected = run_onnx(split, x)
    shutil.rmtree(split.parent)
    written = out / "model.onnx"
    np.testing.assert_array_equal(run_onnx(written, x), expected)
    assert onnx.load(str(written)).metadata_props[0].key == "ann2sdnn.input_scale"
    spec = read_spec(out / "sdnn.h5")
    assert spec.source_sha256 == report.source_sha256 == sha256(written)
    options = EvaluateOptions(split="all", max_frames=2, out=tmp_path / "evaluation")
    assert evaluate(out, data, options).report.source_sha256 == sha256(written)


def test_other_weights_beside_a_folders_graph_are_another_network(
    split: Path, tmp_path: Path
) -> None:
    data, out = write_recordings(tmp_path / "data"), tmp_path / "sdnn"
    convert(split, data, out, ConvertOptions(max_frames=4))
    shutil.copy(split, out / "model.onnx")
    shutil.copy(split.parent / DATA, out / DATA)
    # The same network in two files is still the same.
    evaluate(out, data, EvaluateOptions(split="all", max_frames=2, out=tmp_path / "same"))
    weights = np.fromfile(out / DATA, np.float32)
    (weights * 2).tofile(out / DATA)
    with pytest.raises(ModelError, match="converted from another network"):
        evaluate(out, data, EvaluateOptions(split="all", max_frames=2, out=tmp_path / "other"))


def test_the_hash_covers_graph_and_weights(split: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.onnx"
    assert load_onnx(whole).sha256 == sha256(whole)
    before = load_onnx(split).sha256
    assert before != sha256(split)
    content = bytearray((split.parent / DATA).read_bytes())
    content[0] ^= 1
    (split.parent / DATA).write_bytes(content)
    assert load_onnx(split).sha256 != before
    load_onnx(split).write(tmp_path / "again.onnx")
    assert sha256(tmp_path / "again.onnx") == load_onnx(split).sha256


def test_a_training_starts_from_weights_beside_the_graph(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = PoseNet().weights()
    write_onnx(tmp_path / "whole.onnx", weights, 0.25)
    found, scale = read_network(with_external_data(tmp_path / "whole.onnx", tmp_path / "net.onnx"))
    assert scale == 0.25
    for name, expected in weights.items():
        np.testing.assert_array_equal(found[name], expected)


def _set(key: str, value: str) -> Callable[[Path], None]:
    """A damage: another entry of the first tensor's external data."""

    def damage(path: Path) -> None:
        model = onnx.load(str(path), load_external_data=False)
        tensor = model.graph.initializer[0]
        entries = {entry.key: entry.value for entry in tensor.external_data} | {key: value}
        del tensor.external_data[:]
        for name, text in entries.items():
            tensor.external_data.add(key=name, value=text)
        path.write_bytes(model.SerializeToString())

    return damage


def _missing(path: Path) -> None:
    (path.parent / DATA).unlink()


def _short(path: Path) -> None:
    os.truncate(path.parent / DATA, 20)


def _link_out(path: Path) -> None:
    shutil.move(path.parent / DATA, path.parent.parent / "elsewhere")
    (path.parent / DATA).symlink_to(path.parent.parent / "elsewhere")


def _pointer(path: Path) -> None:
    (path.parent / DATA).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def _folder(path: Path) -> None:
    (path.parent / DATA).unlink()
    (path.parent / DATA).mkdir()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_missing, r"net\.onnx\.data is missing.*copy both"),
        (_short, r"net\.onnx\.data has 20 bytes.*ends at byte"),
        (_link_out, "is a link out of that folder"),
        (_pointer, "git lfs pull"),
        (_folder, "is not a file"),
        (_set("location", "../whole.onnx"), "must lie in the folder"),
        (_set("location", "a/../../whole.onnx"), "must lie in the folder"),
        (_set("location", "/etc/passwd"), "must lie in the folder"),
        (_set("location", "C:\\weights"), "must lie in the folder"),
        (_set("location", ""), "must lie in the folder"),
        (_set("offset", "-4"), "offset '-4'"),
        (_set("offset", "many"), "offset 'many'"),
        (_set("offset", str(10**15)), "ends at byte"),
        (_set("offset", "9" * 5000), "offset '999.*expected a number of bytes"),
        (_set("location", "x" * 5000), "File name too long"),
        (_set("length", "8"), "8 bytes of external data, its shape .* needs"),
    ],
)
def test_data_that_is_not_there_is_a_sentence(
    split: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    damage(split)
    with pytest.raises(ModelError, match=sentence):
        read_onnx(split, input_size=(20, 24))


def test_more_than_2_gb_are_refused_before_anything_is_read(split: Path) -> None:
    model: Any = onnx.load(str(split), load_external_data=False)
    model.graph.initializer[0].dims[:] = [2**15, 2**15, 1, 1]
    split.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"4\.3 GB of weights.*at most 2 GB"):
        read_onnx(split, input_size=(20, 24))


def test_tensors_of_constant_nodes_may_be_external_too(tmp_path: Path) -> None:
    weight = np.full((1, 1, 1, 1), 3, np.float32)
    model = ModelBuilder((1, 1, 4, 4)).add("Conv", weight).build()
    constant = onnx.helper.make_node("Constant", [], ["c0_0"], value=model.graph.initializer[0])
    del model.graph.initializer[:]
    model.graph.node.insert(0, constant)
    tensor = model.graph.node[0].attribute[0].t
    (tmp_path / "more.bin").write_bytes(b"\0" * 8 + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "more.bin", "offset": "8"}.items():
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    graph = read_onnx(tmp_path / "m.onnx")
    np.testing.assert_array_equal(graph.layers[0].weight, weight)
