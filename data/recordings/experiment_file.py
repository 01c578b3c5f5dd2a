"""Reads and writes the data file of the `dhp19_sdnn` experiment: a `.pt` of sparse tensors.

A dict of lists with one entry per sequence: ``input_tensors`` (sparse [1, 260, 344, 4, T], 0..1),
``target_tensors`` (sparse [13, 260, 344, 4, T], boxes of 5 x 5 ones), ``session_tensor``,
``subject_tensor`` and ``mov_tensor`` (numbers). The axes are C H W camera T, T is 8. Such a file
is a pickle, which may hold any code; it is read with ``weights_only``, which runs none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ann2sdnn.data.pose.cameras import N_CAMERAS, SENSOR_HEIGHT, USED_WIDTH
from ann2sdnn.data.pose.joints import N_JOINTS
from ann2sdnn.data.pose.labels import project_labels
from ann2sdnn.data.recordings.options import WHOLE, PictureSize
from ann2sdnn.data.recordings.recording import Recording, RecordingName
from ann2sdnn.data.recordings.sequences import (
    PoseSequence,
    draw_boxes,
    smaller,
)
from ann2sdnn.support.errors import DataError
from ann2sdnn.support.files.lfs import refuse_lfs_pointer
from ann2sdnn.support.files.targets import check_file
from ann2sdnn.support.files.tensors import read_tensors, write_tensors
from ann2sdnn.support.progress import SILENT, Reporter

SEQUENCE_FRAMES = 8
SUFFIX = ".pt"

_TENSORS = {"input_tensors": 1, "target_tensors": N_JOINTS}
_NUMBERS = {"session_tensor": "session", "subject_tensor": "subject", "mov_tensor": "movement"}
_CAMERA_AXIS = 3


@dataclass(frozen=True, eq=False)
class ExperimentFile:
    """Sparse ``inputs`` and ``targets``, and the recording that each is from."""

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]
    names: tuple[RecordingName, ...]


@dataclass(frozen=True, eq=False)
class StoredSequences:
    """The sequences of one camera of such a file, as a ``SequenceSource``."""

    file: ExperimentFile
    channel: int
    size: PictureSize = WHOLE

    def __len__(self) -> int:
        return len(self.file.inputs)

    def read(self, index: int) -> PoseSequence:
        """One sequence, dense."""
        parts = (self.file.inputs[index], self.file.targets[index])
        frames, targets = (part.select(_CAMERA_AXIS, self.channel).to_dense() for part in parts)
        return smaller(PoseSequence(frames, targets), self.size)


def write_experiment_file(
    path: Path,
    recordings: Sequence[Recording],
    *,
    length: int = SEQUENCE_FRAMES,
    force: bool = False,
    reporter: Reporter = SILENT,
) -> int:
    """Cut recordings into sequences of ``length`` frames and write them; return their number.

    Frames left over at a recording's end are dropped. Raises DataError when no recording is long
    enough, OutputError when ``path`` exists and ``force`` is false.
    """
    check_file(path, force=force)
    content: dict[str, list[Any]] = {key: [] for key in (*_TENSORS, *_NUMBERS)}
    with reporter.task("Sequences", len(recordings), "recordings") as task:
        for recording in recordings:
            for frames, boxes in _sequences(recording, length):
                content["input_tensors"].append(frames)
                content["target_tensors"].append(boxes)
                for key, field in _NUMBERS.items():
                    content[key].append(getattr(recording.name, field))
            task.advance()
    if not content["input_tensors"]:
        raise DataError(f"no recording has {length} frames, as a sequence needs")
    write_tensors(path, content, force=force)
    return len(content["input_tensors"])


def read_experiment_file(path: Path) -> ExperimentFile:
    """Read and check such a file; DataError when it is missing, damaged or has another form."""
    content = _load(path)
    tensors = {key: _tensors(path, content, key, channels) for key, channels in _TENSORS.items()}
    inputs, targets = tensors["input_tensors"], tensors["target_tensors"]
    numbers = {field: _integers(path, content, key) for key, field in _NUMBERS.items()}
    lengths = {"input_tensors": len(inputs), "target_tensors": len(targets)}
    lengths |= {key: len(numbers[field]) for key, field in _NUMBERS.items()}
    if len(set(lengths.values())) != 1 or not inputs:
        counted = ", ".join(f"{key}: {n}" for key, n in lengths.items())
        raise DataError(f"{path} has lists of lengths {counted}; expected one entry per sequence")
    frames = {tensor.shape[-1] for tensor in (*inputs, *targets)}
    if len(frames) != 1:
        raise DataError(f"{path} has sequences of {sorted(frames)} frames; expected one length")
    columns = (numbers["subject"], numbers["session"], numbers["movement"])
    return ExperimentFile(inputs, targets, tuple(map(RecordingName, *columns)))


def _sequences(recording: Recording, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Sparse frames and boxes of all four cameras, sequence by sequence."""
    channels = range(N_CAMERAS)
    for start in range(0, recording.n_frames - length + 1, length):
        which = range(start, start + length)
        frames = torch.from_numpy(recording.frames(which, channels))  # [T, 4, H, W]
        xyz = recording.labels(which)
        boxes = []
        for channel in channels:
            seen = project_labels(xyz, channel)
            pixels, visible = torch.from_numpy(seen.pixels), torch.from_numpy(seen.visible)
            boxes.append(draw_boxes(pixels, visible, SENSOR_HEIGHT, USED_WIDTH))  # [T, 13, H, W]
        yield (
            (frames.to(torch.float32) / 255).permute(2, 3, 1, 0)[None].to_sparse(),
            torch.stack(boxes).permute(2, 3, 4, 0, 1).to_sparse(),
        )


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError(f"{path} does not exist; `ann2sdnn synth --format dhp19-sdnn` makes one")
    refuse_lfs_pointer(path, DataError)
    try:
        content = read_tensors(path)
    except Exception as error:  # bytes that are no pickle at all end in errors of every kind
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is no file of tensors ({reason[:120]})") from error
    missing = {*_TENSORS, *_NUMBERS} - set(content if isinstance(content, dict) else ())
    if missing:
        raise DataError(f"{path} lacks {', '.join(sorted(missing))}; expected a dict of lists")
    return dict(content)


def _tensors(path: Path, content: dict[str, Any], key: str, channels: int) -> tuple[Tensor, ...]:
    _require_list(path, content, key)
    expected = (channels, SENSOR_HEIGHT, USED_WIDTH, N_CAMERAS)
    for number, tensor in enumerate(content[key]):
        is_tensor = isinstance(tensor, Tensor)
        fits = is_tensor and tensor.dim() == 5 and tuple(tensor.shape[:4]) == expected
        if not fits or tensor.layout != torch.sparse_coo or tensor.shape[4] < 1:
            found = tuple(tensor.shape) if is_tensor else type(tensor).__name__
            raise DataError(
                f"{path}: {key}[{number}] is {found}, expected a sparse tensor [{channels},"
                f" {SENSOR_HEIGHT}, {USED_WIDTH}, {N_CAMERAS}, frames]"
            )
        # torch may not check indices, and would write to memory outside the tensor.
        indices = tensor._indices()
        size = torch.tensor(tensor.shape)[:, None]
        if tensor.sparse_dim() != 5 or bool(((indices < 0) | (indices >= size)).any()):
            raise DataError(f"{path}: {key}[{number}] has indices outside its shape; it is damaged")
        values = tensor._values()
        if values.is_complex() or not bool(torch.isfinite(values).all()):
            raise DataError(f"{path}: {key}[{number}] holds values that are no finite numbers")
    return tuple(tensor.to(torch.float32, copy=True).coalesce() for tensor in content[key])


def _integers(path: Path, content: dict[str, Any], key: str) -> list[int]:
    _require_list(path, content, key)
    try:
        found = [float(value) for value in content[key]]
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise DataError(f"{path}: {key} is no list of numbers ({error})") from error
    if not all(number.is_integer() for number in found):
        raise DataError(f"{path}: {key} holds numbers that are not whole")
    return [int(number) for number in found]


def _require_list(path: Path, content: dict[str, Any], key: str) -> None:
    if not isinstance(content[key], list | tuple | Tensor):
        raise DataError(f"{path}: {key} is a {type(content[key]).__name__}, expected a list")
    if isinstance(content[key], Tensor) and content[key].dim() == 0:
        raise DataError(f"{path}: {key} is one number, expected a list")
