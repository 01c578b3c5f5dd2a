"""Lowers the network to what netx can load, and measures its ranges on calibration frames."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ann2sdnn.convert.folder import (
    NETWORK_FILE,
    REPORT_FILE,
    SPEC_FILE,
    conversion_files,
)
from ann2sdnn.convert.report.lowering import (
    LoweredLayer,
    LoweredRanges,
    LoweringRefusal,
    LoweringReport,
    NetworkSize,
    PassThrough,
    Quantity,
)
from ann2sdnn.convert.report.report import ConversionReport, read_report
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.data.sources.frames import Frames, beginnings
from ann2sdnn.graph.layers import Synapse
from ann2sdnn.graph.operations import fan_out
from ann2sdnn.sdnn.lowering.lower import LoweredSpec, lower_spec
from ann2sdnn.sdnn.lowering.ranges import LayerRange, measure_ranges
from ann2sdnn.sdnn.netx.export import check_legal, stock_legal, write_netx
from ann2sdnn.sdnn.spec.file import read_spec
from ann2sdnn.sdnn.spec.grid import MESSAGE_MAX, STATE_MAX
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.support.errors import ConversionError
from ann2sdnn.support.files.targets import check_file, check_files
from ann2sdnn.support.files.writing import files_in
from ann2sdnn.support.progress import SILENT, Reporter

# Sequences that ranges are measured on, and frames of each.
_RUNS, _RUN_FRAMES = 8, 5
_CALLED: dict[Quantity, tuple[str, int]] = {
    "state": ("a state", 24),
    "sum": ("what reaches a neuron in one time step", 24),
    "message": ("a message", 16),
}


@dataclass(frozen=True, eq=False)
class Lowering:
    """``spec``: the lowered network; None, with the reason in ``report``, where there is none."""

    spec: LoweredSpec | None
    report: LoweringReport | LoweringRefusal

    def write(self, folder: Path) -> None:
        """Write network.net if the network could be lowered."""
        if self.spec is not None:
            write_netx(folder / NETWORK_FILE, self.spec)


def lower_and_measure(
    spec: Spec, runs: Sequence[Frames], *, headroom: float, reporter: Reporter = SILENT
) -> Lowering:
    """Lower ``spec`` and run it on the beginnings of some calibration sequences.

    A network that netx cannot express is a refusal in the report. Raises ConversionError when a
    number leaves its bits. ``headroom``: the conversion's, for the advice.
    """
    try:
        lowered = lower_spec(spec)
        check_legal(lowered)
    except ConversionError as error:
        return Lowering(None, LoweringRefusal(refused=str(error)))
    chosen = beginnings(runs, _RUNS, _RUN_FRAMES)
    seen = measure_ranges(lowered.spec, chosen, reporter)
    n_frames = sum(run.n_frames for run in chosen)
    ranges = ranges_report(spec, lowered, seen, n_frames=n_frames, n_runs=len(chosen))
    refuse_overflow(ranges, headroom)
    return Lowering(lowered, lowering_report(spec, lowered, ranges))


def export_network(folder: Path, out: Path | None = None, *, force: bool = False) -> LoweringReport:
    """Write the lowered network of the conversion in ``folder``, with its measured ranges.

    ``out``: None stands for network.net in ``folder``, which ``force`` replaces only if this
    program wrote it. Raises OutputError for ``out``, ModelError for ``folder``, and ConversionError
    when the network cannot be lowered or overflowed on its calibration frames.
    """
    inputs = conversion_files(folder)
    path = folder / NETWORK_FILE if out is None else out
    if out is None:
        check_files(folder, (NETWORK_FILE,), force=force)
    else:
        check_file(path, force=force, inputs=inputs)
    report_path = folder / REPORT_FILE
    converted = read_report(report_path) if report_path.is_file() else None
    lowered, report = lowered_with_ranges(read_spec(folder / SPEC_FILE), converted)
    with files_in(folder) if out is None else nullcontext():
        write_netx(path, lowered, force=force, inputs=inputs)
    return report


def lowered_with_ranges(
    spec: Spec, converted: ConversionReport | None
) -> tuple[LoweredSpec, LoweringReport]:
    """Lower ``spec``; the ranges are those in ``converted``, the report of its conversion.

    Raises ConversionError when it cannot be lowered or overflowed on its calibration frames.
    """
    lowered = lower_spec(spec)
    report = lowering_report(spec, lowered)
    measured = None if converted is None else converted.lowering
    if converted is None or not isinstance(measured, LoweringReport) or measured.ranges is None:
        return lowered, report
    refuse_overflow(measured.ranges, converted.headroom)
    return lowered, report.model_copy(update={"ranges": measured.ranges})


def lowering_report(
    spec: Spec, lowered: LoweredSpec, ranges: LoweredRanges | None = None
) -> LoweringReport:
    """Counts of both networks, and the ranges if they were measured."""
    return LoweringReport(
        original=network_size(spec.layers),
        lowered=network_size(lowered.spec.layers),
        packing=lowered.unpacking.packing,
        differences=list(lowered.differences),
        stock_legal=stock_legal(lowered),
        ranges=ranges,
    )


def ranges_report(
    spec: Spec, lowered: LoweredSpec, seen: Sequence[LayerRange], *, n_frames: int, n_runs: int
) -> LoweredRanges:
    """The measured peaks of every layer, and the bits left."""
    layers = [
        LoweredLayer(
            name=layer.name,
            origin=spec.layers[part.origin].name,
            role=part.role,
            neurons=math.prod(layer.preactivation_shape),
            state_peak=peaks.state_peak,
            sum_peak=peaks.sum_peak,
            message_peak=peaks.message_peak,
            state_headroom_bits=_bits_left(STATE_MAX, peaks.state_peak),
            sum_headroom_bits=_bits_left(STATE_MAX, peaks.sum_peak),
            message_headroom_bits=_bits_left(MESSAGE_MAX, peaks.message_peak),
        )
        for layer, part, peaks in zip(lowered.spec.layers, lowered.parts, seen, strict=True)
    ]
    return LoweredRanges(
        frames=n_frames,
        runs=n_runs,
        state_limit=STATE_MAX,
        message_limit=MESSAGE_MAX,
        layers=layers,
        pass_through=_pass_through(lowered, seen),
    )


def _pass_through(lowered: LoweredSpec, seen: Sequence[LayerRange]) -> PassThrough | None:
    carrying = [layer for layer in lowered.spec.layers if layer.n_carried]
    if not carrying:
        return None
    sizes = [layer.n_carried * math.prod(layer.preactivation_shape[1:]) for layer in carrying]
    return PassThrough(
        layers=len(carrying),
        neurons=sum(sizes),
        messages_per_frame=sum(one.passed for one in seen),
        operations_per_frame=sum(one.passing_operations for one in seen),
        own_messages_per_frame=sum(one.sent for one in seen),
    )


def refuse_overflow(ranges: LoweredRanges, headroom: float) -> None:
    """Raise ConversionError for the first number that does not fit its bits."""
    if not ranges.overflows:
        return
    layer, quantity, peak, limit = ranges.overflows[0]
    worst = max(peak / limit for _, _, peak, limit in ranges.overflows)
    called, bits = _CALLED[quantity]
    raise ConversionError(
        f"layer {layer.name}: {called} gets as large as {peak:,} on the calibration frames, and its"
        f" {bits} bits hold {limit:,}; convert with --headroom {_more(headroom * worst)} or more"
    )


def refuse_wrapped(spec: Spec, verification: Verification, headroom: float) -> None:
    """Raise ConversionError when a state or message of ``spec`` itself left its bits."""
    for index, layer in enumerate(spec.layers):
        states, messages = (
            int(counts[index]) for counts in (verification.overflows, verification.oversized)
        )
        if states or messages:
            left = f"{states:,} states left" if states else f"{messages:,} messages leave"
            raise ConversionError(
                f"layer {layer.name}: {left} their {24 if states else 16} bits on the calibration"
                f" frames; convert with a larger --headroom, such as {_more(headroom)}"
            )


def network_size(layers: Sequence[SpecLayer]) -> NetworkSize:
    """Counts of all ``layers`` of a network."""
    synapses = [synapse for layer in layers for synapse in layer.synapses]
    return NetworkSize(
        layers=len(layers),
        neurons=sum(math.prod(layer.preactivation_shape) for layer in layers),
        nonzero_weights=sum(int(np.count_nonzero(synapse.weight)) for synapse in synapses),
        macs=sum(map(_macs, synapses)),
    )


def _macs(synapse: Synapse) -> int:
    weight = torch.from_numpy(synapse.weight).to(torch.float32)
    return int(fan_out(synapse.geometry, weight, synapse.input_shape).sum(dtype=torch.float64))


def _bits_left(limit: int, peak: int) -> float | None:
    return math.log2(limit / peak) if peak else None


def _more(headroom: float) -> str:
    """``headroom`` plus five percent, in hundredths, rounded up."""
    return f"{math.ceil(headroom * 105) / 100:g}"
