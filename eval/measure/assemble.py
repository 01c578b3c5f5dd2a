"""Puts measured counts and a task's scores together to the values of evaluation.json."""

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

from ann2sdnn.data.sources.frames import Frames, group_name
from ann2sdnn.eval.measure.side_by_side import SdnnWork, Work
from ann2sdnn.eval.results.energy import EnergyEstimate, EnergyReport, ann_energy, sdnn_energy
from ann2sdnn.eval.results.findings import findings
from ann2sdnn.eval.results.schema import (
    AnnResult,
    Comparison,
    EvaluationReport,
    EvaluationResults,
    LayerResult,
    MemorylessResult,
    MixedResult,
    SdnnResult,
)
from ann2sdnn.eval.results.tail import TailReport
from ann2sdnn.eval.tasks.task import Scores
from ann2sdnn.graph.counted import AnnWork
from ann2sdnn.sdnn.spec.points import OperatingPoints, cheaper
from ann2sdnn.sdnn.spec.spec import Spec


def assemble(
    points: OperatingPoints,
    measured: Work,
    scores: Scores,
    sequences: Sequence[Frames],
    *,
    frames_sha256: str,
    tail: TailReport | None,
    task: str,
    split: str,
    backend: str,
    warnings: Sequence[str] = (),
) -> EvaluationReport:
    """The file's values after all ``sequences`` were run.

    ``frames_sha256``: of the values of all frames, in order. ``tail``: the outputs of the network's
    file. ``task``: its name in the registry. ``warnings``: about the data and the tail.
    """
    ann = None if measured.ann is None else _ann(measured.ann, scores)
    sdnn = memoryless = mixed = comparison = None
    if measured.sdnn is not None:
        sdnn = SdnnResult(**_sdnn(measured.sdnn, scores, "sdnn", backend))
    if measured.mixed is not None:
        mixed = MixedResult(**_sdnn(measured.mixed, scores, "mixed", "engine"))
    if measured.memoryless is not None:
        own = points.memoryless is not None
        memoryless = _memoryless(measured.memoryless, scores, "memoryless" if own else "lava")
    if ann is not None and sdnn is not None and memoryless is not None:
        comparison = _comparison(scores, ann, sdnn, memoryless, mixed)
    results = EvaluationResults(
        task=task,
        split=split,
        group_name=group_name(sequences),
        recordings=tuple(dict.fromkeys(frames.group for frames in sequences)),
        frames=sum(frames.n_frames for frames in sequences),
        frames_sha256=frames_sha256,
        source_sha256=points.lava.source_sha256,
        threads=measured.threads,
        ann=ann,
        sdnn=sdnn,
        memoryless=memoryless,
        mixed=mixed,
        comparison=comparison,
        accuracy=None if sdnn is None else sdnn.accuracy,
        class_changed=None if comparison is None else comparison.class_changed,
        output_relative_error=None if comparison is None else comparison.output_relative_error,
        tail=tail,
        energy=energy_report(points.lava, measured),
        layers=layer_results(points.lava, measured),
        **scores.of_report(),
    )
    return EvaluationReport.joined(results, warnings=(*findings(results), *warnings))


def _ann(ann: AnnWork, scores: Scores) -> AnnResult:
    return AnnResult(
        **scores.of_network("ann"),
        all_macs_per_frame=float(ann.dense.sum()),
        macs_per_frame=float(ann.macs.sum()),
        nonzero_macs_per_frame=float(ann.nonzero_macs.sum() / ann.n_frames),
        nonzero_activations_per_frame=float(ann.activations.sum() / ann.n_frames),
        sustained_nonzero_macs_per_frame=ann.sustained.per_frame,
        seconds_per_frame=ann.seconds / ann.n_frames,
    )


def _sdnn(sdnn: SdnnWork, scores: Scores, name: str, backend: str) -> dict[str, Any]:
    return {
        **scores.of_network(name),
        **_work(sdnn),
        "backend": backend,
        "counts_of": sdnn.counts_of,
        "dense_macs_per_frame": float(sdnn.dense_macs),
        "overflows": int(sdnn.overflows.sum()),
        "oversized_messages": int(sdnn.oversized.sum()),
    }


def _memoryless(
    memoryless: SdnnWork, scores: Scores, from_point: Literal["memoryless", "lava"]
) -> MemorylessResult:
    return MemorylessResult(
        **scores.of_network("memoryless"), **_work(memoryless), from_point=from_point
    )


def _work(network: SdnnWork) -> dict[str, Any]:
    return {
        "events_per_frame": float(network.events.sum() / network.n_frames),
        "input_events_per_frame": float(network.events[0] / network.n_frames),
        "synops_per_frame": float(network.synops.sum() / network.n_frames),
        "sustained_events_per_frame": network.sustained_events.per_frame,
        "sustained_input_events_per_frame": network.sustained_input_events.per_frame,
        "sustained_synops_per_frame": network.sustained_synops.per_frame,
        "first_frame_synops": network.sustained_synops.first_frame,
        "seconds_per_frame": network.seconds / network.n_frames,
    }


def energy_report(spec: Spec, measured: Work) -> EnergyReport:
    """The estimates of all networks that ran, of their sustained work."""
    ann, neurons = measured.ann, spec.n_neurons
    return EnergyReport(
        ann=None if ann is None else ann_energy(float(ann.dense.sum())),
        ann_skipping=None if ann is None else ann_energy(ann.sustained.per_frame),
        memoryless=_energy(measured.memoryless, neurons),
        sdnn=_energy(measured.sdnn, neurons),
        mixed=_energy(measured.mixed, neurons),
    )


def _energy(network: SdnnWork | None, neurons: int) -> EnergyEstimate | None:
    if network is None:
        return None
    return sdnn_energy(
        network.sustained_synops.per_frame,
        network.sustained_events.per_frame,
        network.sustained_input_events.per_frame,
        neurons,
    )


def _comparison(
    scores: Scores,
    ann: AnnResult,
    sdnn: SdnnResult,
    memoryless: MemorylessResult,
    mixed: MixedResult | None,
) -> Comparison:
    lava = fewest = sdnn.sustained_synops_per_frame
    if mixed is not None:
        fewest = min(lava, mixed.sustained_synops_per_frame)
    best = cheaper(lava, fewest)
    return Comparison(
        **scores.of_comparison(),
        synops_reduction_vs_dense=_ratio(ann.all_macs_per_frame, sdnn.synops_per_frame),
        synops_reduction_vs_nonzero=_ratio(ann.nonzero_macs_per_frame, sdnn.synops_per_frame),
        synops_reduction_vs_memoryless=_ratio(memoryless.synops_per_frame, sdnn.synops_per_frame),
        best=best,
        best_reduction_vs_dense=_ratio(ann.all_macs_per_frame, fewest),
        best_reduction_vs_nonzero=_ratio(ann.sustained_nonzero_macs_per_frame, fewest),
        best_reduction_vs_memoryless=_ratio(memoryless.sustained_synops_per_frame, fewest),
    )


def _ratio(reference: float, synops: float) -> float | None:
    return reference / synops if synops > 0 else None


def layer_results(spec: Spec, measured: Work) -> tuple[LayerResult, ...]:
    """One value per layer of ``spec``; null for networks that did not run.

    ANN layers are looked up by name, which a conversion keeps; a layer that the conversion added
    has no values of the ANN.
    """
    ann, memoryless, mixed = measured.ann, measured.memoryless, measured.mixed
    positions = {} if ann is None else {name: i for i, name in enumerate(ann.names)}
    return tuple(
        LayerResult(
            name=layer.name,
            neurons=prod(layer.output_shape),
            pixels=prod(layer.preactivation_shape[1:]),
            threshold=layer.threshold * spec.grid.threshold_step,
            **_ann_layer(ann, positions.get(layer.name)),
            **_sdnn_layer(measured.sdnn, index, prod(layer.output_shape)),
            memoryless_events_per_frame=_per_frame(memoryless, "events", index + 1),
            memoryless_synops_per_frame=_per_frame(memoryless, "synops", index),
            mixed_events_per_frame=_per_frame(mixed, "events", index + 1),
            mixed_synops_per_frame=_per_frame(mixed, "synops", index),
        )
        for index, layer in enumerate(spec.layers)
    )


def _ann_layer(ann: AnnWork | None, index: int | None) -> dict[str, float | None]:
    if ann is None or index is None:
        return dict.fromkeys(
            ("ann_density", "all_macs_per_frame", "macs_per_frame", "nonzero_macs_per_frame")
        )
    return {
        "ann_density": float(ann.activations[index + 1] / ann.n_frames / ann.neurons[index]),
        "all_macs_per_frame": float(ann.dense[index]),
        "macs_per_frame": float(ann.macs[index]),
        "nonzero_macs_per_frame": float(ann.nonzero_macs[index] / ann.n_frames),
    }


def _sdnn_layer(sdnn: SdnnWork | None, index: int, neurons: int) -> dict[str, Any]:
    events = _per_frame(sdnn, "events", index + 1)
    return {
        "event_density": None if events is None else events / neurons,
        "events_per_frame": events,
        "synops_per_frame": _per_frame(sdnn, "synops", index),
        "overflows": None if sdnn is None else int(sdnn.overflows[index]),
        "oversized_messages": None if sdnn is None else int(sdnn.oversized[index]),
    }


def _per_frame(network: SdnnWork | None, counts: str, index: int) -> float | None:
    return None if network is None else float(getattr(network, counts)[index] / network.n_frames)
