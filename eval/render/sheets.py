"""The tables of the evaluation."""

from dataclasses import dataclass

from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import EvaluationReport
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.terminal import compact, counted, narrow, number, percent

_TERMS = (
    (
        "error",
        "Mean distance between a joint and its label (MPJPE): px in the picture, mm in the room"
        " from both front cameras together. Joints without a label are left out.",
    ),
    (
        "moved",
        "Mean distance between a network's joint and the ANN's, where the ANN is confident (above"
        " 0.3). It judges the conversion; the error judges the ANN as well.",
    ),
    ("messages", "Values sent from neuron to neuron, those of the input included."),
    (
        "operations",
        "Multiplications by a non-zero weight, fewer at the picture's border. They are counted, and"
        " are no measure of time or energy on a device.",
    ),
)


@dataclass(frozen=True)
class _Row:
    """One method; None where a number does not exist for it."""

    method: str
    meaning: str
    error_px: float | None
    error_mm: float | None
    moved_px: float | None = None
    events: float | None = None
    synops: float | None = None


def summary(evaluation: Evaluation) -> Sheet:
    """The mean pose, then the four rows of every comparison, as far as they were measured."""
    report = evaluation.report
    rows = _rows(report)
    dense = None if report.ann is None else report.ann.macs_per_frame
    methods = [row.method for row in rows]
    return Sheet(
        frames_shown(report),
        (
            "",
            "error\npx",
            "error\nmm",
            "moved\npx",
            "messages\n/frame",
            "operations\n/frame",
            "of\ndense",
        ),
        tuple(
            (
                row.method,
                number(row.error_px, ".2f"),
                number(row.error_mm, ".1f"),
                number(row.moved_px, ".2f"),
                compact(row.events),
                compact(row.synops),
                percent(row.synops / dense if dense and row.synops is not None else None),
            )
            for row in rows
        ),
        notes=(
            "error: mean distance to the labels; moved: mean distance to the ANN's joints where it"
            " is confident; operations: multiplications by non-zero weights",
        ),
        terms=(*((row.method, row.meaning) for row in rows), *_TERMS),
        marked=methods.index("SDNN") if "SDNN" in methods else None,
    )


def _rows(report: EvaluationReport) -> list[_Row]:
    ann, memoryless, sdnn = report.ann, report.memoryless, report.sdnn
    whose = {"train": "of the training recordings", "evaluated": "of these same recordings"}
    rows = [
        _Row(
            "Always the mean pose",
            f"The mean pose {whose[report.baseline_mean_pose_from]}, for every frame: a network has"
            " to be better.",
            report.baseline_mean_pose_px,
            report.baseline_mean_pose_mm,
        )
    ]
    if ann is not None:
        rows += [
            _Row(
                "ANN (dense)",
                "The original network, with every multiplication by a non-zero weight.",
                ann.mpjpe_px,
                ann.mpjpe_mm,
                synops=ann.macs_per_frame,
            ),
            _Row(
                "ANN, skipping zeros",
                "The same network with the same outputs, without multiplications by a zero"
                " activation: what its ReLUs save anyway.",
                ann.mpjpe_px,
                ann.mpjpe_mm,
                0.0,
                ann.nonzero_activations_per_frame,
                ann.nonzero_macs_per_frame,
            ),
        ]
    if memoryless is not None:
        rows.append(
            _Row(
                "Memoryless SDNN",
                "The converted network with the same thresholds, reset before every frame: what"
                " thresholds alone save.",
                memoryless.mpjpe_px,
                memoryless.mpjpe_mm,
                memoryless.displacement_px_mean,
                memoryless.events_per_frame,
                memoryless.synops_per_frame,
            )
        )
    if sdnn is not None:
        rows.append(
            _Row(
                "SDNN",
                "The converted network: a neuron sends a message only when its value has changed by"
                " at least its threshold since its last message.",
                sdnn.mpjpe_px,
                sdnn.mpjpe_mm,
                None if report.comparison is None else report.comparison.displacement_px_mean,
                sdnn.events_per_frame,
                sdnn.synops_per_frame,
            )
        )
    return rows


def layers(evaluation: Evaluation) -> Sheet:
    """The share of each layer's neurons that send, and the operations done in the layer."""
    return Sheet(
        "Layers: share of neurons that send, and operations per frame",
        (
            "layer",
            "neurons",
            "ANN\nsends",
            "SDNN\nsends",
            "thresh-\nold",
            "dense",
            "skip\nzeros",
            "memory-\nless",
            "SDNN",
        ),
        tuple(
            (
                layer.name,
                narrow(layer.neurons),
                percent(layer.ann_density),
                percent(layer.event_density),
                f"{layer.threshold:.3g}",
                narrow(layer.macs_per_frame),
                narrow(layer.nonzero_macs_per_frame),
                narrow(layer.memoryless_synops_per_frame),
                narrow(layer.synops_per_frame),
            )
            for layer in evaluation.report.layers
        ),
        notes=("threshold: in units of the layer's scaled activation",),
        on_demand=True,
    )


def frames_shown(report: EvaluationReport) -> str:
    """What the networks were evaluated on, such as "8 frames of 1 recording"."""
    cameras = " and ".join(map(str, report.channels))
    return (
        f"{counted(report.frames, 'frame')} of {counted(len(report.recordings), 'recording')}"
        f" (split: {report.split}), camera{'s' * (len(report.channels) > 1)} {cameras}"
    )
