"""Pruning in `train-ann`: which weights go, when, and that they are 0 in the exported network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from recordings import write_recordings

from ann2sdnn.ann.training.options import PRUNED_BY, SPARSE, TrainOptions
from ann2sdnn.ann.training.pruning import prune
from ann2sdnn.ann.training.train import train

OPTIONS = TrainOptions(
    epochs=3, batch_size=2, crop=(32, 32), validation_frames=2, warmup_steps=0, sparsity=0.5
)


def test_the_smallest_weights_go() -> None:
    weight = torch.tensor([[0.5, -0.1], [0.2, -0.3]])
    prune([weight], 0.5)
    assert weight.tolist() == [[0.5, 0.0], [0.0, pytest.approx(-0.3)]]
    prune([weight], 0.0)
    assert int(torch.count_nonzero(weight)) == 2


@given(st.floats(0, 0.99), st.integers(1, 200))
def test_the_share_is_kept(share: float, n: int) -> None:
    weight = torch.randn(n, generator=torch.Generator().manual_seed(n))
    prune([weight], share)
    assert int((weight == 0).sum()) == round(share * n)


def test_it_grows_over_the_first_part_and_slows_down() -> None:
    options = TrainOptions(sparsity=0.8)
    shares = [options.sparsity_at(PRUNED_BY * part) for part in (0, 0.25, 0.5, 0.75, 1)]
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(0.8)
    assert options.sparsity_at(1.0) == pytest.approx(0.8)
    steps = np.diff(shares)
    assert all(steps[:-1] > steps[1:])


def zeros(path: Path) -> dict[str, float]:
    """Share of zeros in the kernels of an ONNX file, by name."""
    tensors = {x.name: numpy_helper.to_array(x) for x in onnx.load(str(path)).graph.initializer}
    return {name: float((x == 0).mean()) for name, x in tensors.items() if x.ndim == 4}


@pytest.mark.parametrize("aware", [False, True])
def test_hidden_layers_of_the_exported_network_are_pruned(aware: bool, tmp_path: Path) -> None:
    data = write_recordings(tmp_path / "data", subjects=2, frames=3)
    options = replace(OPTIONS, conversion_aware=aware, aware_share=0.4)
    summary = train(data, tmp_path / "run", options)
    shares = list(zeros(summary.onnx).values())
    assert len(shares) == 17
    # On the grid rounding makes more zeros.
    assert all(share >= 0.499 for share in shares[1:-1])
    if not aware:
        assert max(shares[1:-1]) < 0.501
        assert shares[0] == shares[-1] == 0


def test_sparse_sets_what_is_not_given() -> None:
    sparse = TrainOptions.with_changes({"sparse": True, "change_price": 1.0})
    assert sparse.change_price == 1.0
    assert sparse.sparsity == SPARSE["sparsity"]
    assert sparse.conversion_aware
    tuned = TrainOptions.with_changes({"sparse": True, "init": "pretrained"})
    assert (tuned.aware_share, tuned.activation_price) == (1.0, SPARSE["activation_price"])
