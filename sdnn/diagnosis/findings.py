"""The rules that turn measurements into findings.

A rule looks at the measurements and returns a sentence with its evidence, or None where the numbers
are in order. Its remedy stands beside its name. The rules run in the order of this file: what
happens to the network comes first, the causes follow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from statistics import geometric_mean, median

from ann2sdnn.sdnn.diagnosis.report import Finding, LayerStart, LayerStep, Measurements
from ann2sdnn.sdnn.diagnosis.subjects.subject import LEVELS, UNITS
from ann2sdnn.support.terminal import counted

FAINT = 0.1  # of the targets' peak
SAME_LOSS = 0.01  # losses with a smaller relative difference count as equal
FADED = 0.05  # a readout that keeps less of a constant picture compares deltas
LARGE_CHANGE = 0.1  # of a weight, in the first step
CLIPPED = 0.01  # of the non-zero pixels
TOO_SMALL = 0.95  # share of a layer's activations below its threshold
FEW_LEVELS = 16
SMALL_LAYER = 256  # a layer with fewer weights cannot use many levels
SHRUNK = 0.1  # of the largest pre-activations
POOL_GAIN = 1.5
MOSTLY = 0.5

Seen = tuple[str, dict[str, float]]
_Check = Callable[[Measurements], Seen | None]


@dataclass(frozen=True)
class Rule:
    """A check with its remedies: for presets, and for conversions."""

    name: str
    check: _Check
    remedy: str
    conversion_remedy: str


RULES: list[Rule] = []


def findings(measured: Measurements) -> tuple[Finding, ...]:
    """What every rule finds."""
    results = ((rule, rule.check(measured)) for rule in RULES)
    return tuple(
        Finding(
            name=rule.name,
            sentence=seen[0],
            remedy=rule.conversion_remedy if measured.is_conversion else rule.remedy,
            evidence=seen[1],
        )
        for rule, seen in results
        if seen is not None
    )


def rule(name: str, remedy: str, *, conversion: str | None = None) -> Callable[[_Check], _Check]:
    """Register a check; ``conversion``: the remedy for conversions, where it differs."""

    def register(check: _Check) -> _Check:
        RULES.append(Rule(name, check, remedy, conversion or remedy))
        return check

    return register


@rule(
    "silent",
    "Nothing can be learned from here: repair the causes below. To keep the output layer's ReLU"
    " from closing: --repair output-relu, or a smaller --learning-rate.",
    conversion="Nothing can be learned from here: repair the causes below. To keep the output"
    " layer's ReLU from closing: a smaller --learning-rate.",
)
def _silent(m: Measurements) -> Seen | None:
    if not m.steps[-1].silent:
        return None
    # The first step of the silence that lasts; a single silent batch does not count.
    silent = list(takewhile(lambda step: step.silent, reversed(m.steps)))[-1]
    after = list(takewhile(lambda now: now.events == 0, reversed(silent.layers)))
    first = m.layers[-len(after)].name
    norms = [now.gradient_norm for now in silent.layers if now.gradient_norm is not None]
    when = f"after {counted(silent.index - 1, 'step')}" if silent.index > 1 else "from the start"
    compared = "equals" if _same(silent.error, silent.silence_error) else "differs from"
    output_events = m.steps[0].output_events
    return (
        f"The network is silent {when}: in step {silent.index}, layer {first} and the layers after"
        f" it send nothing (the output sent {output_events:,} events in step 1). The error"
        f" {silent.error:.3g} {compared} that of predicting nothing, {silent.silence_error:.3g},"
        f" and the gradient is exactly 0 in {norms.count(0)} of {len(norms)} layers with weights.",
        {
            "step": silent.index,
            "error": silent.error,
            "silence_error": silent.silence_error,
            "output_events_step_1": output_events,
            "layers_without_gradient": norms.count(0),
        },
    )


@rule("loss-of-silence", "Train longer, or let more of the signal through.")
def _loss_of_silence(m: Measurements) -> Seen | None:
    last = m.steps[-1]
    # A strong output may have the error of silence by chance.
    is_faint = last.output_peak < FAINT * m.target_peak
    if last.silent or not is_faint or not _same(last.error, last.silence_error):
        return None
    return (
        f"After {counted(last.index - 1, 'step')}, the error {last.error:.4g} is that of predicting"
        f" nothing ({last.silence_error:.4g}); the mean of the targets has"
        f" {last.mean_target_error:.4g}. The output peaks at {last.output_peak:.3g}, targets at"
        f" {m.target_peak:.3g}.",
        {"error": last.error, "silence_error": last.silence_error, "output_peak": last.output_peak},
    )


@rule(
    "output-not-summed",
    "Sum the last layer's messages over time before the loss: output.cumsum(dim=-1).",
)
def _output_not_summed(m: Measurements) -> Seen | None:
    probe = m.readout
    if probe is None or probe.first == 0:
        return None
    if not probe.later <= FADED * probe.first < probe.sum_later:
        return None
    return (
        "The output is compared as deltas and never summed: for a constant picture, the loss gets"
        f" {probe.first:.3g} at frame 0 and {probe.later:.3g} at frames 1 to {probe.frames - 1}"
        f" (means). The running sum stays at {probe.sum_later:.3g}, as the target does.",
        probe.model_dump(),
    )


@rule(
    "signal-shrinks",
    "Initialise so that every layer keeps the size (He, or scaled on the first batch), and scale"
    " the input up.",
)
def _signal_shrinks(m: Measurements) -> Seen | None:
    # Every layer of a conversion has its own scale, so that sizes cannot be compared.
    if m.is_conversion:
        return None
    sizes = {layer.name: now.preactivation_rms for layer, now in _first_step(m) if layer.weights}
    # The last layer's output has the target's units, which are small.
    names = list(sizes)[:-1]
    if len(names) < 2 or sizes[names[0]] == 0:
        return None
    largest, last = max(names, key=sizes.__getitem__), names[-1]
    if sizes[last] > SHRUNK * sizes[largest]:
        return None
    gains = [sizes[b] / sizes[a] for a, b in pairwise(n for n in names if sizes[n] > 0)]
    gain = geometric_mean(gains) if gains else 0.0
    return (
        f"The signal shrinks from layer to layer: before training, pre-activations are"
        f" {sizes[largest]:.3g} (root mean square) in {largest} and {sizes[last]:.3g} in {last},"
        f" on average a factor of {gain:.2f} per layer.",
        {"largest": sizes[largest], "last": sizes[last], "gain_per_layer": gain},
    )


@rule(
    "dead-channels",
    "Let more of the signal through: initialisation, input scale, threshold.",
    conversion="Let more of the signal through: convert with lower thresholds.",
)
def _dead_channels(m: Measurements) -> Seen | None:
    dead = [(layer, now) for layer, now in _first_step(m) if now.dead_channels > MOSTLY]
    if not dead:
        return None
    layer, now = dead[-1]
    return (
        "Before training, more than half of the channels of"
        f" {_named([layer for layer, _ in dead])} are never above the threshold"
        f" ({layer.name}: {now.dead_channels:.0%}).",
        {"layers": len(dead), "last": now.dead_channels},
    )


@rule("large-first-step", "A tenth of the --learning-rate, or a warm-up.")
def _large_first_step(m: Measurements) -> Seen | None:
    changes = {
        layer.name: now.weight_change
        for layer, now in _first_step(m)
        if now.weight_change is not None and now.gradient_norm
    }
    if not changes or median(changes.values()) < LARGE_CHANGE:
        return None
    middle, largest = median(changes.values()), max(changes, key=changes.__getitem__)
    return (
        f"The first step changes the weights by {middle:.0%} of their norm (median of the layers;"
        f" {largest}: {changes[largest]:.0%}), however small the gradient: RMSprop divides by it,"
        " and its first step is ten times the learning rate.",
        {"median": middle, "largest": changes[largest]},
    )


@rule("event-cost", "Train without the penalty until the output is right, then raise it slowly.")
def _event_cost(m: Measurements) -> Seen | None:
    first = m.steps[0]
    if first.event_penalty <= first.silence_error:
        return None
    return (
        f"The penalty on events, {first.event_penalty:.3g}, exceeds the error of predicting"
        f" nothing, {first.silence_error:.3g}. Falling silent lowers the loss fastest.",
        {"penalty": first.event_penalty, "silence_error": first.silence_error},
    )


@rule(
    "threshold-above-activations",
    "Lower the threshold (--threshold), or scale the weights so that activations grow.",
    conversion="Convert with lower thresholds.",
)
def _threshold_above_activations(m: Measurements) -> Seen | None:
    high = [
        (layer, now)
        for layer, now in _first_step(m)
        if layer.threshold > 0 and (now.below_threshold or 0.0) > TOO_SMALL
    ]
    if not high:
        return None
    layer, now = high[0]
    share = now.below_threshold or 0.0
    return (
        f"In {_named([layer for layer, _ in high])} the threshold is above the activations: in"
        f" {layer.name} it is {layer.threshold:.3g}, and {share:.1%} of the activations are"
        f" smaller (99% are below {now.activation_p99:.3g}).",
        {"layers": len(high), "threshold": layer.threshold, "below_threshold": share},
    )


@rule(
    "threshold-zero",
    f"Ask for --threshold {1 / UNITS:g} (1/{UNITS}) or more, or scale the activations up.",
    conversion=f"Convert with --threshold-bits 0: thresholds are multiples of 1/{UNITS} then.",
)
def _threshold_zero(m: Measurements) -> Seen | None:
    lost = [
        layer for layer in m.layers if layer.asked_threshold > 0 and layer.exported_threshold == 0
    ]
    if not lost:
        return None
    first = lost[0]
    return (
        f"The threshold {first.asked_threshold:g} of {_named(lost)} is 0: thresholds are cut to"
        f" multiples of 1/{UNITS}. {first.threshold:.3g} is in force and"
        f" {first.exported_threshold:g} is exported, so that every change is sent.",
        {
            "asked": first.asked_threshold,
            "in_force": first.threshold,
            "exported": first.exported_threshold,
            "layers": len(lost),
        },
    )


@rule(
    "pool-sums",
    "Give Pool a weight_scale of 1/4 for 2x2 pixels, or use max pooling in the neuron.",
)
def _pool_sums(m: Measurements) -> Seen | None:
    pools = [layer for layer in m.layers if (layer.pool_gain or 0) > POOL_GAIN]
    if not pools:
        return None
    gain = pools[0].pool_gain or 0.0
    return (
        f"Pooling sums instead of averaging: {pools[0].name} responds to a picture of ones with"
        f" {gain:.3g} ({_named(pools)}).",
        {"gain": gain, "layers": len(pools)},
    )


@rule(
    "few-levels",
    "Use the range: scale each layer's weights up and its neighbours' down, channel by channel"
    " (what convert does), or train in floats and convert afterwards.",
    conversion="Convert again with more of the range for weights: --relays 1 or more, or --shifts"
    " per-layer.",
)
def _few_levels(m: Measurements) -> Seen | None:
    large = [layer for layer in m.layers if layer.weights >= SMALL_LAYER and layer.level_fractions]
    poor = [layer for layer in large if layer.levels_used < FEW_LEVELS]
    if not poor or len(poor) < MOSTLY * len(large):
        return None
    used = [layer.levels_used for layer in poor]
    worst = poor[used.index(min(used))]
    zero = worst.level_fractions.get(0, 0.0)
    return (
        f"Weights use few levels: {_named(poor)} of {len(large)} use {min(used)} to {max(used)} of"
        f" the grid's {LEVELS}. In {worst.name} no weight is larger than"
        f" {max(map(abs, worst.level_fractions)) / UNITS:g}, where the grid reaches 4, and"
        f" {zero:.0%} are rounded to 0.",
        {"fewest": min(used), "median": median(used), "layers": len(poor), "zero_fraction": zero},
    )


@rule("input-clipped", "Scale pixels to 0..3.9, and compensate in the first layer's weights.")
def _input_clipped(m: Measurements) -> Seen | None:
    if m.clipped_inputs <= CLIPPED:
        return None
    return (
        f"The input block clips {m.clipped_inputs:.0%} of the non-zero pixels: it rounds its input"
        " to the grid of the weights, which ends below 4.",
        {"share": m.clipped_inputs},
    )


def _first_step(m: Measurements) -> list[tuple[LayerStart, LayerStep]]:
    return list(zip(m.layers, m.steps[0].layers, strict=True))


def _named(layers: Sequence[LayerStart]) -> str:
    """A single layer by its name; several by their number, the first and the last."""
    first, last = layers[0].name, layers[-1].name
    return first if len(layers) == 1 else f"{len(layers)} layers ({first} to {last})"


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME_LOSS * b
