"""What fine-tuning changed, in the conversion report."""

from dataclasses import dataclass

import numpy as np

from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.report import ConversionReport, Fidelity, FineTuning, TrainedLayer
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.sdnn.spec.spec import Spec, SpecLayer
from ann2sdnn.sdnn.training.options import SdnnTrainOptions
from ann2sdnn.sdnn.training.run_folder import SdnnEpoch

TRAINED = "trained"


@dataclass(frozen=True, eq=False)
class Trained:
    """Specs ``before`` and ``after``, the first and last record of the run, and how many training
    ``frames`` the result was verified on.
    """

    before: Spec
    after: Spec
    options: SdnnTrainOptions
    first: SdnnEpoch
    last: SdnnEpoch
    frames: int
    source_sha256: str


def fine_tuned_report(
    report: ConversionReport, trained: Trained, verification: Verification
) -> ConversionReport:
    """The conversion's ``report``, with what was measured of the trained network.

    States, activations and densities of the layers stay those of the calibration; what is known
    of the range afterwards is whether anything left it. The lowered network is not measured again.
    """
    difference = verification.difference
    layers = [
        _layer(one, trained.after, index, verification) for index, one in enumerate(report.layers)
    ]
    return report.model_copy(
        update={
            "layers": layers,
            "thresholds": TRAINED,
            "threshold_budget": None,
            "lowering": None,
            "fidelity": Fidelity(
                displacement_px_mean=difference.displacement_px_mean,
                displacement_px_median=difference.displacement_px_median,
                moved_over_5px=difference.moved_over_5px,
                heatmap_relative_error=difference.heatmap_relative_error,
                same_class=difference.same_class,
            ),
            "warnings": _warnings(trained, verification),
            "fine_tuning": _fine_tuning(trained, verification),
        }
    )


def _layer(layer: LayerReport, spec: Spec, index: int, verification: Verification) -> LayerReport:
    own = spec.layers[index]
    threshold = own.threshold * spec.grid.threshold_step
    return layer.model_copy(
        update={
            "weight_levels": len(np.unique(own.weight)),
            "weight_snr_db": None,
            "threshold": threshold,
            "threshold_ann": threshold / float(own.scale.mean()),
            "events_per_frame_measured": float(verification.events_per_frame[index + 1]),
            "synops_per_frame_measured": float(verification.synops_per_frame[index]),
        }
    )


def _fine_tuning(trained: Trained, verification: Verification) -> FineTuning:
    options, first, last = trained.options, trained.first, trained.last
    step = trained.after.grid.threshold_step
    return FineTuning(
        source_spec_sha256=trained.source_sha256,
        options=options.to_json(),
        steps=last.steps,
        validation_mpjpe_px_before=first.mpjpe_px,
        validation_mpjpe_px=last.mpjpe_px,
        validation_synops_per_frame_before=first.validation_synops_per_frame,
        validation_synops_per_frame=last.validation_synops_per_frame,
        verified_frames=trained.frames,
        overflows=int(verification.overflows.sum()),
        oversized=int(verification.oversized.sum()),
        layers=[
            TrainedLayer(
                name=after.name,
                threshold_before=before.threshold * step,
                threshold=after.threshold * step,
                weights_changed=_changed(before, after),
            )
            for before, after in zip(trained.before.layers, trained.after.layers, strict=True)
        ],
    )


def _changed(before: SpecLayer, after: SpecLayer) -> float:
    return float((before.weight != after.weight).mean())


def _warnings(trained: Trained, verification: Verification) -> list[str]:
    """In plain sentences."""
    found = [
        (int(verification.overflows.sum()), "states left their 24 bits and wrapped round"),
        (int(verification.oversized.sum()), "messages do not fit 16 bits"),
    ]
    warnings = [
        f"{count:,} {what} on {trained.frames} training frames; train with a lower learning rate,"
        " or convert with more --headroom before"
        for count, what in found
        if count
    ]
    if trained.last.overflows:
        warnings.append(
            f"{trained.last.overflows:,} states or messages left their range on validation frames"
        )
    return warnings
