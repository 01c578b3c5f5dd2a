"""What a training says while it goes on."""

from collections.abc import Iterator

from ann2sdnn.ann.training.run_folder import EpochRecord
from ann2sdnn.data.recordings.split import Split


def opening_lines(
    split: Split, n_pictures: int, steps_per_epoch: int, device: str
) -> Iterator[str]:
    """On what it trains and validates."""
    train_side, test_side = (", ".join(map(str, side)) for side in (split.train, split.test))
    yield (
        f"{n_pictures} pictures of subjects {train_side}; validated on subjects {test_side}; "
        f"{steps_per_epoch} steps an epoch on {device}"
    )
    if split.shared:
        yield (
            f"there is only subject {split.train[0]}: it is trained on and validated on, "
            "so the validation error says nothing about other people"
        )


def epoch_line(record: EpochRecord, n_epochs: int, baseline_px: float | None) -> str:
    """How an epoch ended; ``baseline_px``: error of always answering the mean pose."""
    text = f"epoch {record.epoch}/{n_epochs}: loss {record.loss:.3f}"
    if record.mpjpe_px is not None:
        text += f", validation {record.mpjpe_px:.2f} px (mean pose {baseline_px:.2f} px)"
    return text
