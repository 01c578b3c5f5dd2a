"""What other plans are foreseen to lose: numbers for the advice."""

from ann2sdnn.calibration.scales.planning import plan_range
from ann2sdnn.convert.report.report import Alternative
from ann2sdnn.convert.stages.quantise import QuantisationResult, QuantiseOptions

_POOR_ERROR = 0.05  # foreseen relative error of the output, rounded to the nearest
_LESS = 0.95  # of the error, to be worth a word


def alternatives(quantised: QuantisationResult, options: QuantiseOptions) -> list[Alternative]:
    """One more relay, and free shifts, where the plan is stock's and foreseen to lose much, and
    where they are foreseen to lose less.
    """
    plan, n_relays = quantised.plan, len(quantised.plan.relays)
    if plan.noise.relative_error < _POOR_ERROR or options.shifts != "stock":
        return []
    found = []
    if n_relays < len(plan.layers):
        more = plan_range(
            quantised.evidence, plan.grid, headroom=plan.headroom, n_relays=n_relays + 1
        )
        found.append(_alternative(f"--relays {n_relays + 1}", more.noise.relative_error))
    free = plan_range(quantised.evidence, plan.grid, headroom=plan.headroom, free_shifts=True)
    found.append(_alternative("--shifts per-layer", free.noise.relative_error))
    enough = _LESS * plan.noise.relative_error
    return [one for one in found if one.foreseen_error_nearest < enough]


def _alternative(options: str, error: float) -> Alternative:
    return Alternative(options=options, foreseen_error_nearest=error)
