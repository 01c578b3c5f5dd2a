"""The tables of the evaluation."""

from collections.abc import Iterator

from ann2sdnn.convert.render.verdict import (
    LAVA_NAME,
    MIXED_NAME,
    NONZERO_NAME,
    SDNN_NAME,
    is_pruned,
)
from ann2sdnn.eval.render.views import Method, view_of
from ann2sdnn.eval.results.evaluation import Evaluation
from ann2sdnn.eval.results.schema import (
    Displacement,
    EvaluationReport,
    PoseErrors,
    SigmaDeltaErrors,
)
from ann2sdnn.support.page.document import Sheet
from ann2sdnn.support.page.layered import average, layer_sheet, spread, total
from ann2sdnn.support.terminal import compact, counted, narrow, number, percent

_TERMS = (
    (
        "messages",
        "Values sent from neuron to neuron, those of the input included, per frame after the first"
        " of a sequence.",
    ),
    (
        "operations",
        "Multiplications by a non-zero weight (dense: by any), fewer at the picture's border, per"
        " frame after the first of a sequence. They are counted, and are no measure of time or"
        " energy on a device.",
    ),
)


def summary(evaluation: Evaluation) -> Sheet:
    """The rows of every comparison, as far as they were measured; of poses, the mean pose first."""
    report = evaluation.report
    view = view_of(report)
    methods = tuple(_methods(report))
    names = [method.name for method in methods]
    dense = report.ann.all_macs_per_frame if report.ann else None
    return Sheet.of(
        f"Summary of {frames_shown(report)}",
        methods,
        ("", lambda x: x.name),
        *view.columns(report),
        ("messages\n/frame", lambda x: compact(x.events)),
        ("operations\n/frame", lambda x: compact(x.synops)),
        (
            "of\ndense",
            lambda x: percent(x.synops / dense if dense and x.synops is not None else None),
        ),
        notes=tuple(_notes(report)),
        terms=(*((method.name, method.meaning) for method in methods), *view.terms, *_TERMS),
        marked=names.index(_best_name(report)) if report.sdnn is not None else None,
    )


def _notes(report: EvaluationReport) -> Iterator[str]:
    yield view_of(report).note
    points = ((report.sdnn, "lava"), (report.mixed, "engine"))
    first = [(sdnn.first_frame_synops, name) for sdnn, name in points if sdnn is not None]
    if first:
        costs = " and ".join(
            compact(synops) + (f" ({name})" if report.mixed is not None else "")
            for synops, name in first
        )
        yield (
            "messages and operations: after the first frame of each sequence, in which the SDNN"
            f" needs {costs} operations"
        )


def _best_name(report: EvaluationReport) -> str:
    """The row that stands out: the better operating point, or the only one."""
    if report.comparison is not None and report.comparison.best == "mixed":
        return MIXED_NAME
    return SDNN_NAME if report.mixed is None else LAVA_NAME


def _methods(report: EvaluationReport) -> Iterator[Method]:
    ann, memoryless, sdnn = report.ann, report.memoryless, report.sdnn
    whose = {"train": "of the training recordings", "evaluated": "of these same recordings"}
    if report.baseline_mean_pose_from is not None:
        yield Method(
            "Always the mean pose",
            f"The mean pose {whose[report.baseline_mean_pose_from]}, for every frame: a network has"
            " to be better.",
            PoseErrors(
                mpjpe_px=report.baseline_mean_pose_px, mpjpe_mm=report.baseline_mean_pose_mm
            ),
        )
    if ann is not None:
        yield Method(
            "ANN (dense)",
            "The original network, with every multiplication.",
            ann,
            synops=ann.all_macs_per_frame,
        )
        if is_pruned(ann.all_macs_per_frame, ann.macs_per_frame):
            yield Method(
                NONZERO_NAME,
                "The same network with the same outputs, without multiplications by a weight of"
                " zero: what pruning saves where such weights cost nothing.",
                ann,
                synops=ann.macs_per_frame,
            )
        yield Method(
            "ANN, skipping zeros",
            "The same network with the same outputs, without multiplications by a zero activation:"
            " what its ReLUs save anyway.",
            ann,
            skips=True,
            events=ann.nonzero_activations_per_frame,
            synops=ann.sustained_nonzero_macs_per_frame,
        )
    if memoryless is not None:
        own = memoryless.from_point == "memoryless"
        yield _sigma_delta(
            "Memoryless SDNN",
            "The converted network without memory, with thresholds"
            f" {'for the same budget' if own else 'of the SDNN'}: what thresholds alone save.",
            memoryless,
            memoryless,
        )
    if sdnn is not None:
        yield _sigma_delta(
            SDNN_NAME if report.mixed is None else LAVA_NAME,
            "The converted network: a neuron sends a message only when its value has changed by at"
            " least its threshold since its last message.",
            sdnn,
            report.comparison,
        )
    if report.mixed is not None:
        yield _sigma_delta(
            MIXED_NAME,
            "The same integers for the engine: layers that would need more operations with memory"
            " are memoryless.",
            report.mixed,
            report.mixed,
        )


def _sigma_delta(
    name: str, meaning: str, result: SigmaDeltaErrors, displacement: Displacement | None
) -> Method:
    return Method(
        name,
        meaning,
        result,
        displacement,
        events=result.sustained_events_per_frame,
        synops=result.sustained_synops_per_frame,
    )


def layers(evaluation: Evaluation) -> Sheet:
    """The share of each layer's neurons that send, and the operations done in the layer."""
    return layer_sheet(
        "Layers: share of neurons that send, and operations per frame",
        evaluation.report.layers,
        ("neurons", total(lambda x: x.neurons, narrow)),
        ("ANN\nsends", average(lambda x: x.ann_density, lambda x: x.neurons, percent)),
        ("SDNN\nsends", average(lambda x: x.event_density, lambda x: x.neurons, percent)),
        ("thresh-\nold", spread(lambda x: x.threshold, lambda value: number(value, ".3g"))),
        ("dense", total(lambda x: x.all_macs_per_frame, narrow)),
        ("skip\nzeros", total(lambda x: x.nonzero_macs_per_frame, narrow)),
        ("memory-\nless", total(lambda x: x.memoryless_synops_per_frame, narrow)),
        ("SDNN", total(lambda x: x.synops_per_frame, narrow)),
        sizes=[layer.pixels for layer in evaluation.report.layers],
        note="sums, shares of all neurons",
        notes=("threshold: in units of the layer's scaled activation",),
        on_demand=True,
    )


def frames_shown(report: EvaluationReport) -> str:
    """What the networks were evaluated on, such as "8 frames of 1 recording"."""
    cameras = " and ".join(map(str, report.channels))
    which = f", camera{'s' * (len(report.channels) > 1)} {cameras}" if cameras else ""
    return (
        f"{counted(report.frames, 'frame')} of {counted(len(report.recordings), report.group_name)}"
        f" (split: {report.split}){which}"
    )
