"""Frames that a Python program has at hand: arrays, tensors, iterables of them, DataLoaders, paths.

An iterable is read once and kept in memory, since a generator, and a loader that shuffles, give
other frames the second time.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeGuard, Union

import numpy as np
from numpy.typing import NDArray

from ann2sdnn.data.recordings.split import Side
from ann2sdnn.data.sources.arrays import ArrayFrames, LabelledArrayFrames
from ann2sdnn.data.sources.files.label_files import targets_of
from ann2sdnn.data.sources.files.layout import check_dtype
from ann2sdnn.data.sources.files.stored import check_finite
from ann2sdnn.data.sources.frames import SHORTEST, FrameArray, Frames
from ann2sdnn.data.sources.registry import open_frames
from ann2sdnn.data.sources.source import SourceOptions
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.progress import SILENT, Reporter

if TYPE_CHECKING:
    from torch import Tensor

Array: TypeAlias = Union[NDArray[Any], "Tensor"]
Given: TypeAlias = Array | Frames | str | Path | Iterable[Any]
"""Frames in any of the forms of ``given_frames``, or the path of a data source."""

_FORMS = "[T, C, H, W]"


class _Item(NamedTuple):
    """One array with its labels."""

    frames: FrameArray
    labels: NDArray[Any] | None


def frames_of(
    given: Given,
    options: SourceOptions | None = None,
    *,
    split: Side = "all",
    max_frames: int | None = None,
    shortest: int = SHORTEST,
    reporter: Reporter = SILENT,
) -> tuple[Frames, ...]:
    """The sequences of ``given``: those of a path as ``open_frames`` has them, for which the other
    arguments are, or those of ``given_frames``.
    """
    if isinstance(given, str | Path):
        return open_frames(
            Path(given),
            options,
            split=split,
            max_frames=max_frames,
            shortest=shortest,
            reporter=reporter,
        )
    return given_frames(given)


def given_frames(given: Array | Frames | Iterable[Any]) -> tuple[Frames, ...]:
    """The sequences of ``given``, each a group of its own.

    - An array or tensor: one sequence [T, C, H, W], or sequences [S, T, C, H, W].
    - An iterable: frames [C, H, W] of one sequence, or sequences in any of the forms above.
    - A torch DataLoader: batches [B, C, H, W] are B sequences of one frame each, batches
      [B, T, C, H, W] are B sequences.
    - ``Frames`` of a data source, or an iterable of them.

    An item of an iterable may be a pair of that and its labels: a class or values for each frame.
    Values are uint8 or float32; bool is read as 0 and 1. Raises DataError for other types and
    shapes, for NaN and infinities, and where there is no frame.
    """
    if _is_frames(given):
        return (given,)
    if _is_array(given):
        sequences = _sequences(_item(given, "frames"))
    elif isinstance(given, Iterable):
        items = list(given)
        if items and all(map(_is_frames, items)):
            return tuple(items)
        sequences = _of_items([_item(each, f"item {n}") for n, each in enumerate(items)], given)
    else:
        raise DataError(
            f"frames are {type(given).__name__}; expected an array, a tensor, an iterable of them,"
            " or a path"
        )
    if not sequences:
        raise DataError(f"there are no frames; expected one or more sequences {_FORMS}")
    return tuple(_named(sequence, number) for number, sequence in enumerate(sequences))


def _of_items(items: Sequence[_Item], given: Iterable[Any]) -> list[_Item]:
    """The sequences of the items of an iterable."""
    dimensions = {item.frames.ndim for item in items}
    if len(dimensions) > 1:
        shapes = ", ".join(sorted({str(list(item.frames.shape)) for item in items})[:3])
        raise DataError(
            f"the items of an iterable are {shapes}; expected frames [C, H, W] only, or sequences"
            f" {_FORMS} only"
        )
    if _is_loader(given):
        return [sequence for item in items for sequence in _of_batch(item)]
    if dimensions == {3}:
        return [_joined(items)]
    return [sequence for item in items for sequence in _sequences(item)]


def _of_batch(batch: _Item) -> list[_Item]:
    """The sequences of a DataLoader's batch."""
    frames, labels = batch
    if frames.ndim == 4:
        of_one: Any = frames[:, None]  # each picture a sequence of its own
        return _sequences(_Item(of_one, None if labels is None else labels[:, None]))
    if frames.ndim != 5:
        raise DataError(
            f"a batch is {list(frames.shape)}; expected pictures [B, C, H, W] or sequences"
            " [B, T, C, H, W]"
        )
    return _sequences(batch)


def _sequences(item: _Item) -> list[_Item]:
    """The sequences of an array [T, C, H, W] or [S, T, C, H, W]."""
    frames, labels = item
    if frames.ndim == 4:
        return [item]
    if frames.ndim != 5:
        raise _refused(frames)
    of_each = [None] * len(frames) if labels is None else list(labels)
    if len(of_each) != len(frames):
        raise DataError(f"there are labels of {len(of_each)} sequences and {len(frames)} sequences")
    return list(map(_Item, frames, of_each))


def _joined(items: Sequence[_Item]) -> _Item:
    """The frames [C, H, W] of one sequence, side by side."""
    shapes = {(item.frames.shape, item.frames.dtype) for item in items}
    if len(shapes) > 1:
        listed = " and ".join(sorted(f"{dtype} {list(shape)}" for shape, dtype in shapes)[:2])
        raise DataError(f"frames of one sequence are {listed}; expected one shape and type")
    labels = [item.labels for item in items if item.labels is not None]
    if labels and len(labels) < len(items):
        raise DataError(f"{len(labels)} of {len(items)} frames have labels; expected all or none")
    frames: Any = np.stack([item.frames for item in items])
    return _Item(frames, np.stack(labels) if labels else None)


def _named(item: _Item, number: int) -> ArrayFrames:
    frames, name = item.frames, f"sequence {number}"
    if len(frames) == 0:
        raise _refused(frames)
    check_finite(frames, 0, name)
    if item.labels is None:
        return ArrayFrames(frames, name, name)
    labels = targets_of(item.labels, len(frames), f"labels of {name}")
    return LabelledArrayFrames(frames, name, name, labels)


def _item(given: Any, where: str) -> _Item:
    """An array, or a pair of an array and labels; torch's data sets make a list of an array."""
    labels = None
    if isinstance(given, tuple | list) and len(given) in {1, 2}:
        given, labels = (*given, None)[:2]
    if not _is_array(given):
        raise DataError(
            f"{where} is {type(given).__name__}; expected an array or a tensor, or a pair of frames"
            " and labels"
        )
    array = _array(given)
    if array.ndim < 3:
        raise _refused(array)
    check_dtype(array.dtype, f"{where}: an array {list(array.shape)}")
    kind: type[Any] = np.float32 if array.dtype.kind == "f" else np.uint8
    return _Item(array.astype(kind, copy=False), None if labels is None else _array(labels))


def _array(given: Any) -> NDArray[Any]:
    if hasattr(given, "detach"):
        given = given.detach().cpu()
    return np.asarray(given)


def _refused(array: NDArray[Any]) -> DataError:
    return DataError(
        f"frames are {array.dtype} {list(array.shape)}; expected uint8 or float32 {_FORMS} with one"
        " or more frames"
    )


def _is_array(given: object) -> bool:
    return isinstance(given, np.ndarray) or (hasattr(given, "detach") and hasattr(given, "ndim"))


def _is_frames(given: Any) -> TypeGuard[Frames]:
    return hasattr(given, "chunks") and hasattr(given, "part") and hasattr(given, "n_frames")


def _is_loader(given: object) -> bool:
    from torch.utils.data import DataLoader

    return isinstance(given, DataLoader)
