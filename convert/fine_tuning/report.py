"""The conversion report after fine-tuning."""

from collections.abc import Iterator, Sequence

import numpy as np

from ann2sdnn.calibration.thresholds.budget import BudgetSearch
from ann2sdnn.calibration.thresholds.rules import RateDistortion
from ann2sdnn.convert.explain.budget import budget_part, threshold_budget
from ann2sdnn.convert.explain.build import fidelity
from ann2sdnn.convert.explain.thresholds import threshold_warnings
from ann2sdnn.convert.report.layer import LayerReport
from ann2sdnn.convert.report.report import TRAINED, ConversionReport, FineTuning, TrainedLayer
from ann2sdnn.convert.stages.verify import Verification
from ann2sdnn.sdnn.spec.spec import Spec
from ann2sdnn.sdnn.training.run_folder import SdnnRunState


def fine_tuned_report(
    report: ConversionReport,
    before: Spec,
    after: Spec,
    *,
    state: SdnnRunState,
    verification: Verification,
    n_frames: int,
    search: BudgetSearch | None,
    warnings: Sequence[str],
) -> ConversionReport:
    """The conversion's ``report`` with the measurements of the trained network.

    ``before`` and ``after``: the specs; ``verification``: of ``after``, on ``n_frames`` training
    frames. States, activations and densities of the layers stay those of the calibration; the
    verification only counts what left the range. The lowered network is not measured again.
    ``search``: None unless the thresholds were chosen again; ``warnings``: further ones.
    """
    first, last = state.history[0], state.history[-1]
    step = after.grid.threshold_step
    fine_tuning = FineTuning(
        source_spec_sha256=state.spec_sha256,
        options=state.options.to_json(),
        steps=last.steps,
        validation_mpjpe_px_before=first.mpjpe_px,
        validation_mpjpe_px=last.mpjpe_px,
        validation_synops_per_frame_before=first.validation_synops_per_frame,
        validation_synops_per_frame=last.validation_synops_per_frame,
        verified_frames=n_frames,
        overflows=int(verification.overflows.sum()),
        oversized=int(verification.oversized.sum()),
        layers=[
            TrainedLayer(
                name=new.name,
                threshold_before=old.threshold * step,
                threshold=new.threshold * step,
                weights_changed=float((old.weight != new.weight).mean()),
            )
            for old, new in zip(before.layers, after.layers, strict=True)
        ],
    )
    budget = threshold_budget(search)
    return report.model_copy(
        update={
            "layers": [
                _layer(layer, after, index, verification, search)
                for index, layer in enumerate(report.layers)
            ],
            "thresholds": TRAINED if search is None else RateDistortion.name,
            "threshold_budget": budget,
            "lowering": None,
            "loihi": None,
            "fidelity": fidelity(verification, None),
            "work": verification.work,
            "warnings": [
                *warnings,
                *_warnings(fine_tuning, last.overflows),
                *threshold_warnings(budget, report.group_name),
            ],
            "fine_tuning": fine_tuning,
        }
    )


def _layer(
    layer: LayerReport,
    spec: Spec,
    index: int,
    verification: Verification,
    search: BudgetSearch | None,
) -> LayerReport:
    own = spec.layers[index]
    budgeted = {} if search is None else budget_part(search, spec, index).model_dump()
    threshold = own.threshold * spec.grid.threshold_step
    return layer.model_copy(
        update={
            **budgeted,
            "weight_levels": len(np.unique(own.weight)),
            "weight_snr_db": None,
            "threshold": threshold,
            "threshold_ann": threshold / float(own.scale.mean()),
            "events_per_frame_measured": float(verification.events_per_frame[index + 1]),
            "synops_per_frame_measured": float(verification.synops_per_frame[index]),
        }
    )


def _warnings(fine_tuning: FineTuning, validation_overflows: int) -> Iterator[str]:
    for count, what in (
        (fine_tuning.overflows, "states left their 24 bits and wrapped round"),
        (fine_tuning.oversized, "messages do not fit 16 bits"),
    ):
        if count:
            yield (
                f"{count:,} {what} on {fine_tuning.verified_frames} training frames; train with a"
                " lower learning rate, or convert with more --headroom before"
            )
    if validation_overflows:
        yield (f"{validation_overflows:,} states or messages left their range on validation frames")
