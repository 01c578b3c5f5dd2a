"""Reads and writes the preprocessing that an ONNX file's metadata holds.

Keys: ``ann2sdnn.input_scale`` (a number), ``ann2sdnn.input_mean`` and ``ann2sdnn.input_std``
(numbers with commas, one or one per channel), ``ann2sdnn.resize`` (HxW).
"""

import re
from pathlib import Path
from typing import Any

from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.layers import INPUT_SCALE_KEY
from ann2sdnn.graph.onnx.file.load import OnnxFile
from ann2sdnn.graph.preprocessing import Preprocessing
from ann2sdnn.support.errors import ModelError

MEAN_KEY, STD_KEY, RESIZE_KEY = "ann2sdnn.input_mean", "ann2sdnn.input_std", "ann2sdnn.resize"


def stored_scale(file: OnnxFile) -> float:
    """The file's input scale, 1 where it has none; ModelError for what is no number."""
    text = _entries(file).get(INPUT_SCALE_KEY)
    return 1.0 if text is None else _numbers(file, INPUT_SCALE_KEY, text, "not a number")[0]


def stored_preprocessing(file: OnnxFile) -> Preprocessing:
    """The preprocessing in the file's metadata; ModelError for entries of another form."""
    entries, own = _entries(file), {}
    for key in (MEAN_KEY, STD_KEY):
        text = entries.get(key)
        own[key] = () if text is None else _numbers(file, key, text, "not numbers with commas")
    try:
        return Preprocessing(
            own[MEAN_KEY], own[STD_KEY], stored_size(file.path, entries.get(RESIZE_KEY))
        )
    except ModelError as error:
        raise ModelError(f"{file.path}: the metadata holds {error}") from error


def metadata_of(input_scale: float, preprocessing: Preprocessing) -> dict[str, str]:
    """The entries that say how frames enter; of means, deviations and sizes only those given."""
    entries = {INPUT_SCALE_KEY: repr(float(input_scale))}
    for key, values in ((MEAN_KEY, preprocessing.mean), (STD_KEY, preprocessing.std)):
        if values:
            entries[key] = ",".join(repr(float(value)) for value in values)
    if preprocessing.resize is not None:
        entries[RESIZE_KEY] = size_text(preprocessing.resize)
    return entries


def _entries(file: OnnxFile) -> dict[str, str]:
    model: Any = file.model
    return {entry.key: entry.value for entry in model.metadata_props}


def _numbers(file: OnnxFile, key: str, text: str, problem: str) -> tuple[float, ...]:
    parts = [text] if key == INPUT_SCALE_KEY else text.split(",")
    try:
        return tuple(map(float, parts))
    except ValueError:
        raise ModelError(f"{file.path}: the metadata {key} is {text!r}, {problem}") from None


def size_text(size: Pair) -> str:
    """A size as it stands in metadata."""
    return "x".join(map(str, size))


def stored_size(path: Path, text: str | None) -> Pair | None:
    """The size that the entry ``text`` for RESIZE_KEY in ``path`` says; None without one.

    Raises ModelError for an entry of another form.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text, re.ASCII)
    if match is None:
        raise ModelError(f"{path}: the metadata {RESIZE_KEY} is {text!r}, not HxW in pixels")
    return (int(match[1]), int(match[2]))
