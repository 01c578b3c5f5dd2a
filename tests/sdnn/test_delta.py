"""The delta unit: golden values by hand, and what it guarantees over a long time."""

import needs_lava  # noqa: F401
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ann2sdnn.graph.kinds import Convolution
from ann2sdnn.sdnn.engine.engine import Engine
from ann2sdnn.sdnn.slayer.neuron import Delta, slayer
from ann2sdnn.sdnn.spec.grid import UNITS, Grid
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer

STEP = Grid(6).message_step


def one_neuron(threshold: int, weight: int, gain: int = 1, *, relu: bool = True) -> Engine:
    """One input pixel, one neuron, one weight in 1/64."""
    layer = SpecLayer(
        name="neuron",
        geometry=Convolution(),
        weight=np.full((1, 1, 1, 1), weight, np.int16),
        bias=None,
        relu=relu,
        pool=None,
        threshold=threshold,
        scale=np.ones(1),
        input_shape=(1, 1, 1),
    )
    return Engine(Spec((1, 1, 1), 1.0, gain, Grid(6), (layer,), ""))


def test_five_steps_by_hand_with_flooring() -> None:
    """Weight 34/64: pixels 3, 5, 5, 2, 0 give activations 1.59, 2.66, 2.66, 1.06, 0 message units.

    a~ follows the floors: 1, 2, 2, 1, 0, so the messages are 1, 1, 0, -1, -1.
    """
    frames = torch.tensor([3, 5, 5, 2, 0], dtype=torch.uint8).reshape(5, 1, 1, 1)
    run = one_neuron(threshold=0, weight=34).run(frames, keep_messages=True)
    assert run.messages is not None
    np.testing.assert_array_equal(run.messages[1].flatten() / STEP, [1, 1, 0, -1, -1])
    np.testing.assert_array_equal(run.outputs.flatten() / STEP, [1, 2, 2, 1, 0])


def test_five_steps_by_hand_without_a_relu() -> None:
    """Weight -34/64 and the same pixels: -1.59, -2.66, -2.66, -1.06, 0; a~ is rounded towards 0."""
    frames = torch.tensor([3, 5, 5, 2, 0], dtype=torch.uint8).reshape(5, 1, 1, 1)
    run = one_neuron(threshold=0, weight=-34, relu=False).run(frames, keep_messages=True)
    assert run.messages is not None
    np.testing.assert_array_equal(run.messages[1].flatten() / STEP, [-1, -1, 0, 1, 1])
    np.testing.assert_array_equal(run.outputs.flatten() / STEP, [-1, -2, -2, -1, 0])


def test_five_steps_by_hand_with_a_threshold() -> None:
    """Threshold 1/64 is 64 message units, weight 1: 50 waits, 70 is sent, 130 waits for 134.

    Pixels 50, 70, 130, 134, 10: changes 50, 70, 60, 64, -124; messages 0, 70, 0, 64, -124.
    """
    frames = torch.tensor([50, 70, 130, 134, 10], dtype=torch.uint8).reshape(5, 1, 1, 1)
    run = one_neuron(threshold=1, weight=64).run(frames, keep_messages=True)
    assert run.messages is not None
    np.testing.assert_array_equal(run.messages[1].flatten() / STEP, [0, 70, 0, 64, -124])
    np.testing.assert_array_equal(run.events[:, 1], [0, 1, 0, 1, 1])


def test_slayer_delta_unit_by_hand() -> None:
    """The same five activations as a slayer unit, threshold 2 units: |d| decides, not |m|."""
    activation = torch.tensor([[[1.6, 3.7, 3.7, 1.5, 5.4]]]) * STEP
    unit = Delta(threshold=2 * STEP, step=STEP)
    messages = unit(activation)[0, 0] / STEP
    # d = 1.6 waits; 3.7 sends 3; 0.7 waits; -1.5 waits; 2.4 sends 2.
    np.testing.assert_array_equal(messages, [0, 3, 0, 0, 2])


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    threshold=st.integers(0, 1200).map(lambda n: n / 4096),
    n=st.integers(1, 40),
)
def test_the_receiver_stays_within_threshold_and_message_unit(
    seed: int, threshold: float, n: int
) -> None:
    walk = np.random.default_rng(seed).normal(0, 0.1, (1, 3, n)).cumsum(axis=-1)
    activation = torch.from_numpy(np.maximum(walk, 0).astype(np.float32))
    received = torch.cumsum(Delta(threshold, STEP)(activation), dim=-1)
    assert float((received - activation).abs().max()) < threshold + STEP


def test_over_500_frames_ours_stays_and_lava_dls_own_drifts() -> None:
    """lava-dl books the unfloored change as sent, so the receiver falls behind steadily."""
    walk = np.random.default_rng(0).normal(0, 0.05, (1, 64, 500)).cumsum(axis=-1)
    activation = torch.from_numpy(np.abs(walk).astype(np.float32))
    threshold = 4 * STEP
    ours = torch.cumsum(Delta(threshold, STEP)(activation).double(), dim=-1)
    stock_unit = slayer.axon.Delta(threshold=threshold, scale=1 / STEP)
    stock = torch.cumsum(stock_unit(activation).double(), dim=-1)
    bound = threshold + STEP
    assert float((ours - activation).abs().max()) < bound
    drift_in_units = float((stock - activation)[..., -1].mean()) / STEP
    assert drift_in_units < -200  # half a unit a message, and nearly every step sends one
    assert float((stock - activation)[..., -1].abs().min()) > bound


def test_gradient_reaches_activation_and_threshold() -> None:
    activation = torch.tensor([[[0.5, 0.9, 0.2]]], requires_grad=True)
    unit = Delta(threshold=0.1, step=STEP, requires_grad=True)
    weight = torch.tensor([1.0, 10.0, 100.0])
    (unit(activation)[0, 0] * weight).sum().backward()
    assert activation.grad is not None
    np.testing.assert_allclose(activation.grad[0, 0], [1 - 10, 10 - 100, 100])
    assert float(unit.threshold.grad.abs()) > 0


def test_thresholds_are_whole_64ths() -> None:
    assert Delta(1 / UNITS, STEP).threshold.item() == 1 / 64
