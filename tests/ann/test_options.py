"""Options of a training run: what is refused, and the learning rate's course."""

import json
from typing import Any

import pydantic
import pytest

from ann2sdnn.ann.training.batches import Share, epoch_batches
from ann2sdnn.ann.training.options import TrainOptions
from ann2sdnn.support.errors import UsageError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("lr_steps", (0.8, 0.5)),
        ("lr_steps", (0.5, 1.5)),
        ("lr_factor", 2.0),
        ("warmup_steps", -1),
        ("channels", ()),
        ("channels", (2, 2)),
        ("channels", (4,)),
        ("max_minutes", 0.0),
        ("max_steps", 0),
        ("activation_price", -1.0),
        ("change_price", -1.0),
        ("seed", -1),
        ("workers", -1),
        ("devices", 0),
        ("num_nodes", 0),
        ("precision", "8-bit"),
        ("output_slope", -0.1),
        ("validation_frames", 0),
        ("validation_frames", True),
        ("epochs", 2.0),
        ("learning_rate", 1e30),
        ("max_minutes", float("inf")),
        ("seed", 2**63),
    ],
)
def test_values_that_cannot_work(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^(--)?{field.replace('_', '[_-]')} .*; expected "):
        TrainOptions(**{field: value})


def test_crops_that_cannot_be_pooled() -> None:
    with pytest.raises(UsageError, match="30x32"):
        TrainOptions(crop=(30, 32))


def test_a_share_of_pictures_to_vary_needs_vary() -> None:
    with pytest.raises(UsageError, match="without --vary no picture is changed"):
        TrainOptions(vary_share=0.5)
    assert TrainOptions(vary=True, vary_share=0.5).vary_share == 0.5


def test_options_survive_json() -> None:
    options = TrainOptions(crop=(64, 48), channels=(1, 2, 3), lr_steps=(0.5,), max_minutes=2.0)
    text = json.dumps(options.to_json())
    assert pydantic.TypeAdapter(TrainOptions).validate_json(text) == options


def test_the_learning_rate_rises_and_steps_down() -> None:
    options = TrainOptions(learning_rate=1.0, warmup_steps=4, lr_steps=(0.5, 0.8), lr_factor=0.1)
    assert [options.learning_rate_at(step, 0.0) for step in range(6)] == (
        pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    )
    assert [options.learning_rate_at(99, progress) for progress in (0.49, 0.5, 0.8, 1.0)] == (
        pytest.approx([1.0, 0.1, 0.01, 0.01])
    )


def test_every_sample_is_in_one_batch_of_one_process() -> None:
    batches = [epoch_batches(50, 4, Share(rank, 3), seed=1, epoch=2) for rank in range(3)]
    assert [len(one) for one in batches] == [4, 4, 4]
    seen = [index for one in batches for batch in one for index in batch]
    assert len(set(seen)) == len(seen) == 48
    assert epoch_batches(50, 4, Share(), seed=1, epoch=2) == (
        epoch_batches(50, 4, Share(), seed=1, epoch=2)
    )
    assert epoch_batches(50, 4, Share(), seed=1, epoch=3) != (
        epoch_batches(50, 4, Share(), seed=1, epoch=2)
    )
    assert epoch_batches(50, 4, Share(), seed=2, epoch=2) != (
        epoch_batches(50, 4, Share(), seed=1, epoch=2)
    )
