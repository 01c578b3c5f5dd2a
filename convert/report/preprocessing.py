"""The conversion report's record of the preprocessing of frames."""

from ann2sdnn.graph.geometry import Pair
from ann2sdnn.graph.preprocessing import FrameType
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.support.files.json_text import Record


class PreprocessingReport(Record):
    """What is done to frames beside multiplying them by the input scale; see ``Preprocessing``.

    ``offset`` [C]: message units that stand for the mean. ``value_min``, ``value_max``: float32
    values that messages hold in every channel, None for uint8 frames.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Pair | None
    dtype: FrameType
    offset: tuple[int, ...]
    value_min: float | None
    value_max: float | None


def preprocessing_report(spec: Spec) -> PreprocessingReport | None:
    """The record of ``spec``; None for uint8 frames that are only multiplied."""
    own, code = spec.preprocessing, spec.input_code
    if code.is_plain and not own.std and own.resize is None:
        return None
    values = None if own.dtype == "uint8" else code.value_limits
    return PreprocessingReport(
        mean=own.mean,
        std=own.std,
        resize=own.resize,
        dtype=own.dtype,
        offset=spec.input_offset,
        value_min=None if values is None else values[0],
        value_max=None if values is None else values[1],
    )
