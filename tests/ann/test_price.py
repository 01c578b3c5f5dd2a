"""The price on activations: its count, its gradient, and that it makes a network sparser."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from recordings import write_recordings

from ann2sdnn.ann.architectures import ARCHITECTURES, Architecture
from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.training import on_grid
from ann2sdnn.ann.training.batches import paired
from ann2sdnn.ann.training.options import PRICE_RISES, TrainOptions
from ann2sdnn.ann.training.price import OperationShare, paid, soft_count
from ann2sdnn.ann.training.train import train
from ann2sdnn.data.recordings.samples import Follower
from ann2sdnn.graph.counted import CountedAnn

OPTIONS = TrainOptions(
    epochs=16,
    batch_size=4,
    crop=(32, 32),
    validation_frames=2,
    warmup_steps=0,
    learning_rate=3e-4,
    validate_every=16,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("data"), subjects=2, frames=4)


def test_a_small_layer_by_hand() -> None:
    # Two channels of four values: 1, 3, 0, 0 and 0.5, 0, 0, 0; the second layer reads both with
    # 10 weights per value, so 3 of 8 values cause 30 of 80 operations.
    values = torch.tensor([[[[1.0, 3.0], [0.0, 0.0]], [[0.5, 0.0], [0.0, 0.0]]]])
    values.requires_grad_()
    counted = OperationShare([7, 10])
    counted(1, values)
    assert float(counted.share) == pytest.approx(3 / 8)
    (gradient,) = torch.autograd.grad(counted.share, values)
    # d share / d value = 10 / (mean non-zero value of the channel) / 80.
    first, second = 10 / 2.0 / 80, 10 / 0.5 / 80
    expected = [[[first, first], [0, 0]], [[second, 0], [0, 0]]]
    torch.testing.assert_close(gradient[0], torch.tensor(expected))


def test_layers_count_by_their_fan_out_and_a_silent_channel_costs_nothing() -> None:
    counted = OperationShare([7, 10])
    counted(0, torch.tensor([[[[2.0, 1.0]]]]))
    counted(1, torch.zeros(1, 1, 1, 2))
    assert float(counted.share) == pytest.approx((2 * 7 + 0) / (2 * 7 + 2 * 10))
    silent = torch.zeros(1, 2, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(soft_count(silent).sum(), silent)
    assert not gradient.any()


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda each: each.name)
def test_the_share_of_the_pose_network_is_that_of_the_counted_network(
    architecture: Architecture,
) -> None:
    torch.manual_seed(0)
    network = PoseNet(architecture)
    frames = torch.randint(0, 256, (1, 1, 64, 96), dtype=torch.uint8)
    counted = OperationShare(architecture.fan_outs)
    with torch.no_grad():
        network(frames / 32, reads=counted)
    exact = CountedAnn(on_grid.graph_of_posenet(network.weights(), 1 / 32, (64, 96)))
    exact.run(frames)
    # Fan-outs at borders are smaller, in both the numerator and the denominator.
    share = exact.nonzero_macs.sum() / exact.macs.sum()
    assert float(counted.share) == pytest.approx(share, rel=0.02)


def test_changes_of_a_pair_by_hand() -> None:
    # One channel: 1, 3, 0, 0 and then 2, 0, 0, 2. The mean non-zero value is 2, the changes are
    # 1, 3, 0 and 2: three changes of the mean's size, of 4 values per picture.
    first, second = [[1.0, 3.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, 2.0]]
    values = torch.tensor([[first], [second]], requires_grad=True)
    counted = OperationShare([7, 10], pairs=True)
    counted(1, values)
    assert float(counted.share.detach()) == pytest.approx(4 / 8)
    assert float(counted.changed_share.detach()) == pytest.approx(3 / 4)
    (gradient,) = torch.autograd.grad(counted.changed_share, values, retain_graph=True)
    # d share / d value = (1 / mean) / 4 towards the other picture.
    expected = torch.tensor([[[-1.0, 1.0], [0.0, -1.0]], [[1.0, -1.0], [0.0, 1.0]]])[:, None] / 8
    torch.testing.assert_close(gradient, expected)
    (both,) = torch.autograd.grad(counted.changed_share + counted.share, values)
    active = torch.tensor([[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])[:, None]
    torch.testing.assert_close(both, expected + active / 16)


def test_the_prices_rise_from_nothing() -> None:
    options = TrainOptions(activation_price=0.8)
    for progress, share in ((0, 0), (PRICE_RISES / 2, 0.5), (PRICE_RISES, 1), (1, 1)):
        steps = [options.price_share(step, progress) for step in range(12)]
        assert sum(steps) / 12 == pytest.approx(share)
    assert TrainOptions().price_share(0, 1) == 0
    assert TrainOptions(change_price=0.1).price_share(0, 1) > 0


def test_only_steps_that_pay_for_changes_show_pairs() -> None:
    options = TrainOptions(change_price=0.1)
    assert [options.shows_pairs(step) for step in range(4)] == [options.pays(s) for s in range(4)]
    assert any(options.shows_pairs(step) for step in range(4))
    assert not any(TrainOptions(activation_price=0.1).shows_pairs(step) for step in range(4))
    assert paired([5, 6, 7, 8]) == [5, 6, Follower(5), Follower(6)]
    assert paired([5]) == [5, Follower(5)]


def test_a_network_that_has_learned_nothing_pays_nothing() -> None:
    share = torch.tensor(0.5, requires_grad=True)
    assert float(paid(0.8, share, torch.tensor(0.25))) == pytest.approx(0.3)
    for error in (1.0, 1.7):
        nothing = paid(0.8, share, torch.tensor(error))
        assert float(nothing) == 0
        (gradient,) = torch.autograd.grad(nothing, share)
        assert float(gradient) == 0


@pytest.mark.parametrize("is_aware", [False, True])
@pytest.mark.parametrize("what", ["activation_price", "change_price"])
def test_a_priced_network_is_sparser(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_aware: bool, what: str
) -> None:
    monkeypatch.setattr(on_grid, "_FRAMES", 4)
    monkeypatch.setattr(on_grid, "_PROBED", 1)
    options = replace(OPTIONS, conversion_aware=is_aware, aware_share=0.5)
    shares = []
    for price in (0.0, 500.0):
        out = tmp_path / f"price {price}"
        train(data, out, replace(options, **cast(Any, {what: price})))
        record = json.loads((out / "train.json").read_text())
        assert record["options"][what] == price
        history = [row["operations_share"] for row in record["history"]]
        assert history[:15] == [None] * 15
        assert record["operations_share"] == history[15]
        shares.append(history[15])
    assert 0 < shares[1] < 0.9 * shares[0] < 0.9
