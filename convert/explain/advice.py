"""Warnings with advice: where accuracy and operations are lost, and what helps.

Each rule reads the numbers of the report and yields a sentence for each thing that is wrong.
"""

from collections.abc import Callable, Iterator

from ann2sdnn.calibration.scales.plan import Limit
from ann2sdnn.calibration.thresholds.rules import RULES, NoThresholds
from ann2sdnn.convert.explain.thresholds import threshold_warnings
from ann2sdnn.convert.report.layer import WEIGHT_BITS, LayerReport, StateBound
from ann2sdnn.convert.report.report import Alternative, Results
from ann2sdnn.support.terminal import compact, counted

_POOR_ERROR = 0.05  # relative error of the output
_NAMED = 3  # layers that a warning names
_FEW_BITS = 7.0  # of a weight's 8
_NOTABLE_SHARE = 0.02  # of the predicted error
_FAR_ABOVE = 1.5  # times the predicted error
_SILENT = 0.1  # of a layer's channels
_RETRAIN = "fine-tune with train-ann --init MODEL --conversion-aware"


def warnings_of(report: Results) -> list[str]:
    """One sentence or two for each thing that the user should know."""
    return [sentence for rule in ADVICE for sentence in rule(report)]


def _headroom_grew(report: Results) -> Iterator[str]:
    plan = report.plan
    if plan.headroom > plan.headroom_asked * (1 + 1e-9):
        what = f"held-out {report.group_name}s" if plan.held_out_frames else "the rounded network"
        yield (
            f"{what} would have left the range, so the headroom is x{plan.headroom:.2f} instead of"
            f" x{plan.headroom_asked:g}; with more varied {report.group_name}s a smaller one is"
            " enough"
        )


def _nothing_held_out(report: Results) -> Iterator[str]:
    if report.plan.held_out_frames == 0:
        yield (
            f"there are too few {report.group_name}s to hold some out, so nothing checks that other"
            f" frames stay in range; calibrate on 4 {report.group_name}s or more"
        )


def _poor_rounding(report: Results) -> Iterator[str]:
    plan = report.plan
    if plan.foreseen_error < _POOR_ERROR:
        return
    parts = [f"{layer.name} {_share(layer):.0%}" for layer in _by_share(report)[:_NAMED]]
    ways = [
        f"{other.options} (predicted {other.foreseen_error_nearest:.3f} instead of"
        f" {plan.foreseen_error_nearest:.3f}, rounding to the nearest)"
        for other in plan.alternatives
    ]
    ways += ["--rounding gptq"] * (plan.rounding == "nearest")
    ways += ["--distil 8"] * (plan.distillation is None)
    ways += [_RETRAIN] * report.pose_network
    yield (
        f"rounding is predicted to change the output by {plan.foreseen_error:.0%}, most of it in"
        f" {', '.join(parts)}.{_range_spent(report)}"
        f" What helps: {', '.join(ways) or 'training with weights of less spread'}"
    )


def _range_spent(report: Results) -> str:
    """Why weights do not use their bits: the layers up to the first full layer share one range."""
    last = next((layer for layer in report.layers if _is_full(layer)), None)
    if last is None:
        return ""
    bits = [layer.weight_bits for layer in _before(report, last) if layer.weight_bits is not None]
    few = [used for used in bits if used < _FEW_BITS]
    if not few:
        return ""
    spread = f"{few[0]:.1f}" if len(few) == 1 else f"{min(few):.1f} to {max(few):.1f}"
    growth = last.scale / (report.input_gain * report.message_unit / report.input_scale)
    return (
        f" The largest weights of {counted(len(few), 'layer')} use {spread} of {WEIGHT_BITS} bits,"
        " because"
        f" all layers up to {last.name} share one range: activations reach"
        f" {_short(last.activation_max_ann)} there, its"
        f" {', '.join(limit.short for limit in last.limited_by)} range is full, and from the input"
        f" to there the scale may grow {growth:.3g} times."
    )


def _before(report: Results, last: LayerReport) -> list[LayerReport]:
    """The layers whose values reach ``last``."""
    wanted, before = set(last.sources), []
    for layer in reversed(report.layers):
        if layer.name in wanted:
            wanted.update(layer.sources)
            before.append(layer)
    return before[::-1]


def _is_full(layer: LayerReport) -> bool:
    return bool({Limit.STATE, Limit.MESSAGE} & set(layer.limited_by))


def _beyond_budget(report: Results) -> Iterator[str]:
    """Rounding alone exceeds the budget; what would bring it below, by the plans' predictions."""
    budget = report.threshold_budget
    if budget is None or budget.rounding is None:
        return
    limit, form = budget.limit, budget.form
    if limit is None or budget.rounding.value <= limit:
        return
    nearest = report.plan.foreseen_error_nearest
    ways = [
        f"{other.options} (about"
        f" {form.amount(budget.rounding.value * _ratio(other, nearest) ** form.power, '.2g')})"
        for other in report.plan.alternatives
    ]
    ways += [f"{_RETRAIN} (nothing left to round but messages)"] * report.pose_network
    added = budget.remembering.added
    thresholds = "" if added is None else f" ({form.amount(added.value, '.2g')})"
    yield (
        f"rounding alone costs {form.amount(budget.rounding.value, '.2g')} against the ANN, more"
        f" than the budget of {form.amount(limit, 'g')}, which bounds what thresholds add to it"
        f"{thresholds}. What brings both together below it:"
        f" {', '.join(ways) or 'a larger budget, or training with weights of less spread'}"
    )


def _ratio(other: Alternative, nearest: float) -> float:
    return other.foreseen_error_nearest / nearest


def _full_states(report: Results) -> Iterator[str]:
    """Layers whose states are full while their messages are not, if their error is notable."""
    bound = [
        _bound_text(layer, layer.state_bound)
        for layer in _by_share(report)
        if layer.state_bound is not None and _share(layer) >= _NOTABLE_SHARE
    ]
    if bound:
        penalty = "training with a penalty on pre-activations far below 0"
        yield (
            "states are full while messages have bits left, because pre-activations are larger"
            f" than activations: {'; '.join(bound[:_NAMED])}."
            f" What helps: {_RETRAIN if report.pose_network else penalty}"
        )


def _bound_text(layer: LayerReport, bound: StateBound) -> str:
    return (
        f"{layer.name} ({_share(layer):.0%} of the predicted error) wastes"
        f" {bound.wasted_bits:.1f} bits because channel {bound.channel}'s pre-activation reaches"
        f" {_short(bound.preactivation_ann)} and its activation {_short(bound.activation_ann)}"
        f" ({bound.channels} of {layer.channels} channels are like that)"
    )


def _worse_than_predicted(report: Results) -> Iterator[str]:
    measured = report.fidelity.heatmap_relative_error
    predicted = report.fidelity.foreseen_relative_error
    if measured is None or predicted is None:
        return
    if measured >= max(_POOR_ERROR, _FAR_ABOVE * predicted):
        yield (
            f"the output differs by {measured:.0%} from the ANN's where {predicted:.0%} was"
            " predicted, so shares of the error are rough here; calibrate on more varied"
            f" {report.group_name}s"
        )


def _busy(report: Results) -> Iterator[str]:
    """Stateful layers send more messages than there are active neurons."""
    own = [layer for layer in report.layers if not layer.is_relay and layer.remembers]
    sent = sum(layer.events_per_frame_measured for layer in own)
    active = sum((layer.density or 0) * layer.outputs for layer in own)
    if sent > active:
        busiest = max(report.layers, key=lambda layer: layer.share_of_operations or 0)
        yield (
            f"on these frames stateful layers do not pay: they send {compact(sent)} messages"
            f" per frame, and {compact(active)} activations are not zero; most operations in"
            f" {busiest.name} ({busiest.share_of_operations or 0:.0%}). What helps:"
            f" {_fewer(report)}"
        )


def _fewer(report: Results) -> str:
    """Options with which fewer messages are sent."""
    budget = report.threshold_budget
    rule = RULES.get(report.thresholds, NoThresholds)
    overlap = (
        "frames that change less, such as more frames per second or, of events, windows that"
        " overlap (--hop-events of synth and prepare)"
    )
    if budget is not None and budget.engine_has_its_own:
        ratio = budget.remembering.synops_per_frame / max(budget.mixed.synops_per_frame, 1.0)
        return (
            f"the engine's own operating point, which needs {ratio:.1f} times fewer operations;"
            f" {rule.larger()}; or {overlap}"
        )
    if budget is not None:
        return f"{rule.larger()}, or {overlap}"
    return f"the default --thresholds rate-distortion, or {overlap}"


def _silent(report: Results) -> Iterator[str]:
    parts = [
        f"{layer.name} ({layer.silent_channels} of {layer.channels})"
        for layer in report.layers
        if (layer.silent_channels or 0) > _SILENT * layer.channels
    ]
    if parts:
        yield (
            "channels were silent on all calibration frames, so that their range is a guess:"
            f" {', '.join(parts)}; calibrate on more varied {report.group_name}s"
        )


def _out_of_range(report: Results) -> Iterator[str]:
    advice = "on the calibration frames; convert again with a larger --headroom"
    for layer in report.layers:
        if layer.overflows:
            yield f"{layer.name}: {layer.overflows} states left their 24 bits {advice}"
        if layer.oversized:
            yield f"{layer.name}: {layer.oversized} messages do not fit 16 bits {advice}"


def _thresholds(report: Results) -> Iterator[str]:
    yield from threshold_warnings(report.threshold_budget, report.group_name)


def _share(layer: LayerReport) -> float:
    """Of the predicted error of the output."""
    return layer.share_of_output_error or 0.0


def _by_share(report: Results) -> list[LayerReport]:
    return sorted(report.layers, key=lambda layer: -_share(layer))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


ADVICE: tuple[Callable[[Results], Iterator[str]], ...] = (
    _headroom_grew,
    _nothing_held_out,
    _poor_rounding,
    _beyond_budget,
    _full_states,
    _worse_than_predicted,
    _busy,
    _silent,
    _out_of_range,
    _thresholds,
)
