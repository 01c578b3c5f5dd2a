"""Noise of thresholds in training: what a neuron with a threshold would pass on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from recordings import write_overlapping

from ann2sdnn.ann.network import PoseNet
from ann2sdnn.ann.training.channels import counted, sums, times
from ann2sdnn.ann.training.options import PRICE_RISES, TrainOptions
from ann2sdnn.ann.training.sending import NoisySending, uniform
from ann2sdnn.ann.training.train import train


def test_the_mean_of_what_is_not_zero_by_hand() -> None:
    values = torch.tensor([[[[1.0, 3.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]])
    is_active, count, mean = counted(values)
    assert torch.equal(is_active, (values > 0).float())
    assert count.tolist() == [2, 0]
    assert mean[0] == 2.0
    assert 0 < mean[1] < 1e-20  # nothing is divided by 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16])
def test_sums_and_products_per_channel(layout: torch.memory_format, precision: torch.dtype) -> None:
    torch.manual_seed(0)
    values = (torch.rand(2, 3, 200, 210) + 0.5).to(precision).contiguous(memory_format=layout)
    exact = values.double()
    torch.testing.assert_close(sums(values).double(), exact.sum(dim=(0, 2, 3)), rtol=0.01, atol=0)
    factors = torch.tensor([1.0, 0.5, 4.0])
    assert torch.equal(times(values, factors).double(), exact * factors[:, None, None])


def test_eight_numbers_of_each_random_integer() -> None:
    numbers = uniform((3, 999), torch.Generator().manual_seed(5))
    assert numbers.shape == (3, 999)
    assert float(numbers.min()) > 0
    assert float(numbers.max()) < 1
    assert float(numbers.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(numbers.std()) == pytest.approx(12**-0.5, abs=0.02)
    assert torch.equal(numbers, uniform((3, 999), torch.Generator().manual_seed(5)))


def test_values_become_multiples_of_the_step_around_them() -> None:
    torch.manual_seed(0)
    values = torch.rand(1, 3, 64, 64) * (torch.rand(1, 3, 64, 64) < 0.3)
    step = 0.5 * counted(values)[2][:, None, None]
    sent = NoisySending(0.5, pairs=False, seed=1)(1, values)
    steps = sent / step
    assert torch.allclose(steps, steps.round(), atol=1e-4)
    assert (sent[values == 0] == 0).all()
    assert ((sent - values).abs() <= step * 1.0001).all()
    assert float(sent.mean()) == pytest.approx(float(values.mean()), rel=0.02)


def test_only_what_changes_differs_in_the_second_half_of_a_batch() -> None:
    values = torch.rand(1, 2, 32, 32)
    pair = torch.cat([values, values])
    pair[1, :, :4] *= 0.2
    pair[1, :, 4:8] *= 1.3  # so that the mean hardly moves
    first, second = NoisySending(0.3, pairs=True, seed=1)(2, pair)
    assert (first == second)[:, 8:].all()
    assert (first != second)[:, :4].any()


def test_the_input_is_left_alone_and_gradients_pass() -> None:
    values = torch.rand(2, 1, 8, 8, requires_grad=True)
    sending = NoisySending(0.4, pairs=False, seed=1)
    assert sending(0, values) is values
    (gradient,) = torch.autograd.grad(sending(1, values).sum(), values)
    assert (gradient == 1).all()


def test_the_network_reads_what_is_sent() -> None:
    network = PoseNet()
    seen = []

    def silence(index: int, values: torch.Tensor) -> torch.Tensor:
        seen.append(index)
        return values if index == 0 else torch.zeros_like(values)

    maps = network(torch.rand(1, 1, 8, 8), sends=silence)
    assert seen == list(range(17))
    assert not maps.any()


def test_the_noise_grows_with_the_prices() -> None:
    options = TrainOptions(threshold_noise=0.2)
    assert options.noise_at(0.0) == 0.0
    assert options.noise_at(PRICE_RISES / 2) == pytest.approx(0.1)
    assert options.noise_at(1.0) == 0.2


def test_two_trainings_with_noise_and_drawn_pictures_end_the_same(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_overlapping(data, subjects=2)
    options = TrainOptions(
        epochs=2,
        batch_size=4,
        crop=(32, 32),
        validation_frames=2,
        channels=(2,),
        vary=True,
        threshold_noise=0.3,
        change_price=0.1,
    )
    whole = train(data, tmp_path / "whole", options)
    again = train(data, tmp_path / "again", options)
    calm = train(data, tmp_path / "calm", replace(options, threshold_noise=0.0))
    weights = [run.state.weights["layers.conv2a.weight"] for run in (whole, again, calm)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    record = json.loads((tmp_path / "whole" / "train.json").read_text())
    assert record["options"]["vary"]
    assert record["options"]["threshold_noise"] == 0.3
