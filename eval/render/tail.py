"""The file's own outputs, after its tail, as a table."""

from collections.abc import Iterator, Mapping

from ann2sdnn.convert.render.verdict import LAVA_NAME, MIXED_NAME, SDNN_NAME
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.tail import TailDifference, TailOutput, TailReport
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import number, percent

_MOST_OPERATORS = 4  # named in the title


def outputs_of_file(evaluation: Evaluation) -> Sheet | None:
    """The difference of every output of the file from the ANN's."""
    report = evaluation.report
    sdnn = SDNN_NAME if report.mixed is None else LAVA_NAME
    names = {"memoryless": "memory-\nless", "sdnn": sdnn.replace(" ", "\n")}
    if report.mixed is not None:
        names["mixed"] = MIXED_NAME.replace(" ", "\n", 1)
    return None if report.tail is None else tail_sheet(report.tail, names)


def tail_sheet(tail: TailReport, names: Mapping[str, str]) -> Sheet | None:
    """A row per output and kind of difference; ``names``: headings of the networks' columns."""
    rows = tuple(
        (output.name, what, *cells)
        for output in tail.outputs
        for what, cells in _rows(output, tuple(names))
    )
    if not rows:
        return None
    operators = list(tail.operators[:_MOST_OPERATORS])
    operators += ["..."] * (len(tail.operators) > _MOST_OPERATORS)
    after = f", after its tail ({', '.join(operators)})" if operators else ""
    tensors = f"tensor{'s' * (len(tail.tensors) > 1)} {', '.join(tail.tensors)}"
    note = f"the tail follows the {tensors}; the host computes it, here in ONNX Runtime"
    return Sheet(
        f"Outputs of the file{after}",
        ("output", "against the ANN", *names.values()),
        rows,
        words=("against the ANN",),
        notes=(note,) if operators else (),
        terms=(
            (
                "relative error",
                "Of an output of real numbers: the length of the difference from the ANN's over the"
                " length of the ANN's, over all frames.",
            ),
            (
                "changed",
                "Of any other output, such as the classes of an ArgMax: elements that differ from"
                " the ANN's, and frames in which one does.",
            ),
            (
                "other shape",
                "Frames with another number of values than the ANN's, such as of boxes. Their"
                " elements are not compared.",
            ),
        ),
    )


def _rows(output: TailOutput, networks: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What is compared, and a cell per network."""
    differences: list[TailDifference | None] = [getattr(output, name) for name in networks]
    known = [one for one in differences if one is not None]
    if output.type.startswith("float"):
        yield "relative error", _cells(differences, "relative_error")
    else:
        yield "frames changed", _cells(differences, "changed_frames")
        if output.shape is None or any(size > 1 for size in output.shape):
            yield "elements changed", _cells(differences, "changed_elements")
    if any(one.other_shape for one in known):
        yield "frames of other shape", _cells(differences, "other_shape")


def _cells(differences: list[TailDifference | None], field: str) -> tuple[str, ...]:
    values = [None if one is None else getattr(one, field) for one in differences]
    if field == "relative_error":
        return tuple(number(value, ".3g") for value in values)
    return tuple(percent(value) for value in values)
