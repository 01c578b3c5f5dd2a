"""The file's own outputs, after its tail: what an evaluation says of them."""

from pydantic import Field

from ann2sdnn.support.files.json_text import Record


class TailDifference(Record):
    """Difference of one network's answers from the ANN's, element by element."""

    relative_error: float | None = Field(
        default=None,
        description="relative L2 error of real numbers; null for others, and for an ANN that is 0",
    )
    changed_elements: float | None = Field(
        default=None, description="share of elements that differ; null for real numbers"
    )
    changed_frames: float | None = Field(
        default=None, description="share of frames in which one does; null for real numbers"
    )
    other_shape: float = Field(
        description="share of frames that answer with another shape, such as another number of"
        " boxes; they count as changed, and their elements are not compared"
    )


class TailOutput(Record):
    """One output of the file; null for networks that did not run."""

    name: str
    type: str = Field(description="numpy's name, such as float32 or int64")
    shape: tuple[int, ...] | None = Field(
        description="of a frame's answer; null where frames differ"
    )
    memoryless: TailDifference | None = None
    sdnn: TailDifference | None = None
    mixed: TailDifference | None = None


class TailReport(Record):
    """The file's own outputs, and what follows the SDNN in the file, on the host."""

    tensors: tuple[str, ...] = Field(description="of the file, where the SDNN ends")
    operators: tuple[str, ...] = Field(
        description="run in ONNX Runtime; none where the SDNN's outputs are the file's"
    )
    outputs: tuple[TailOutput, ...] = Field(
        description="of the file; none unless ANN and SDNN were run and the tail could be"
    )
